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
/// whole number, it is the shortest. For the rest, which is rare, the double is taken apart into
/// its exact decimal, and that decimal's roundings are tried.
pub(super) fn is_shortest(value: &str) -> String {
    let size = format!("abs({value})");
    format!(
        "CASE WHEN {value} = 0 OR {size} = {LARGEST} THEN true \
         WHEN NOT ({size} >= 5e-324 AND {size} < {LARGEST}) THEN false \
         WHEN {size} >= {SMALLEST_NORMAL} AND {value}::float8::numeric = {value} THEN true \
         WHEN length(btrim(replace(trim_scale({size})::text, '.', ''), '0')) > 17 THEN false \
         ELSE {} END",
        is_nearest(&size)
    )
}

/// Shortest decimals of the largest and of the smallest normal double.
const LARGEST: &str = "1.7976931348623157e308";
const SMALLEST_NORMAL: &str = "2.2250738585072014e-308";

/// [`is_shortest`] for a positive number with at most 17 digits.
fn is_nearest(size: &str) -> String {
    // Sign (0), 11 bits of exponent, 52 bits of mantissa.
    let bits = format!("('x' || encode(float8send({size}::float8), 'hex'))::bit(64)::bigint");
    // Subnormal doubles have the exponent of the smallest normal one, and no hidden bit.
    let exponent = format!("greatest({bits} >> 52, 1)");
    let mantissa = format!("({bits} - (({exponent} - 1) << 52))");
    // mantissa × 2^(exponent − 1075), exactly: 2^−1075 is 5^1075 / 10^1075.
    let exact = format!("({mantissa} * 2::numeric ^ {exponent} * (5::numeric ^ 1075 * 1e-1075))");
    // Place of the last digit, counted behind the point; negative where zeros stand before it.
    let text = format!("trim_scale({size})::text");
    let place = format!("(min_scale({size}) - length({text}) + length(rtrim({text}, '0')))");
    let shorter = format!("trunc({exact}, {place} - 1)");
    let same = format!("{size}::float8");
    // The unit that a place shorter counts in is ten of the last digit's.
    let ten = format!("('1e' || (1 - {place}))::numeric");
    let one = format!("('1e' || (-{place}))::numeric");
    let nearest = format!("round({exact}, {place})");
    format!(
        "({nearest} = {size} \
          OR ({nearest}::float8 <> {same} AND trunc({exact}, {place}) + {one} = {size})) \
         AND {shorter}::float8 <> {same} \
         AND least({shorter} + {ten}, {LARGEST})::float8 <> {same}"
    )
}
