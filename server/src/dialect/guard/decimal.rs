//! Decimals that SQLite's numbers hold, as conditions over `numeric`.

use super::super::codec::Scale;

/// Digits that are always the shortest decimal of their double: no two decimals of 15 digits have
/// the same one (`DBL_DIG`), except below the smallest normal double.
pub(super) const ALWAYS_SHORTEST: u16 = 15;

/// Whether it is finite and has no more digits before the point than the codec.
pub(super) fn within(value: &str, scale: Scale) -> String {
    format!("abs({value}) < '1e{}'::numeric", scale.precision() - scale.scale())
}

/// Whether it is a 64-bit integer.
pub(super) fn is_integer(value: &str) -> String {
    format!(
        "{value} = trunc({value}) AND {value} BETWEEN -9223372036854775808 AND 9223372036854775807"
    )
}

/// Whether it is the shortest decimal that gives its double, and among those of the same length
/// the one next to it, the upper one of two: what Rust writes, and so what a REAL is encoded to.
///
/// PostgreSQL could write the shortest decimal itself, but not whatever `extra_float_digits` is,
/// and it takes the even one of two. A cast to `numeric` always takes 15 digits. If they are the
/// whole number, it is the shortest. For the rest, which is rare, the double is taken apart.
///
/// In haste it is only tried whether 15 digits are the whole number.
pub(super) fn is_shortest(value: &str, haste: bool) -> String {
    let size = format!("abs({value})");
    let rest = if haste { "false".to_owned() } else { is_nearest(&size) };
    format!(
        "CASE WHEN {value} = 0 OR {size} = {LARGEST} THEN true \
         WHEN NOT ({size} >= 5e-324 AND {size} < {LARGEST} AND scale({value}) <= 1000) THEN false \
         WHEN {size} >= {SMALLEST_NORMAL} AND {value}::float8::numeric = {value} THEN true \
         ELSE {rest} END"
    )
}

/// Shortest decimals of the largest and of the smallest normal double.
const LARGEST: &str = "1.7976931348623157e308";
const SMALLEST_NORMAL: &str = "2.2250738585072014e-308";

/// [`is_shortest`] for a positive number. PostgreSQL rounds correctly when it casts to a double,
/// and the numbers that round to one double lie together. So no shorter decimal rounds to the
/// same double if neither of the two beside this one does. The next one of the same length is
/// the double's exact decimal, rounded; unless the double is a power of two, whose lower
/// neighbour is nearer than the upper one, and the decimal below it belongs to that neighbour.
fn is_nearest(size: &str) -> String {
    let exact = exact(size);
    // Place of the last digit, counted from the point; negative where zeros stand between them.
    let place = format!("min_scale({size} * 1e-400) - 400");
    let unit = format!("('1e' || -({place}))::numeric");
    let same = format!("{size}::float8");
    let shorter = format!("trunc({size}, {place} - 1)");
    format!(
        "round({exact}, {place}) = ANY (ARRAY[{size}, \
           CASE WHEN ({size} - {unit})::float8 = {same} THEN {size} ELSE {size} - {unit} END]) \
         AND {shorter}::float8 <> {same} \
         AND least({shorter} + {unit} * 10, {LARGEST})::float8 <> {same}"
    )
}

/// The exact decimal of the number's double: mantissa × 2^(exponent − 1075).
fn exact(size: &str) -> String {
    // Sign (0), 11 bits of exponent, 52 bits of mantissa.
    let bits = format!("('x' || encode(float8send({size}::float8), 'hex'))::bit(64)::bigint");
    // Subnormal doubles have the exponent of the smallest normal one, and no hidden bit.
    let exponent = format!("greatest({bits} >> 52, 1)");
    // 2^−1075 is 5^1075 / 10^1075.
    let mantissa = format!("({bits} - (({exponent} - 1) << 52))");
    format!("{mantissa} * 2::numeric ^ {exponent} * (5::numeric ^ 1075 * 1e-1075)")
}
