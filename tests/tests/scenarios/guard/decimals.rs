//! The decimals of doubles, by the thousand: the condition of `numeric` does in SQL what Rust's
//! formatting of a double does.

use switchback_server::dialect::{codec::Codec, schema::Encoding};

use super::{Column, HOSTILE, client, hold, tables};

/// A fixed sequence of random bits (Marsaglia, "Xorshift RNGs").
pub(super) struct Bits(pub(super) u64);

impl Bits {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn doubles() -> Vec<f64> {
    let mut bits = Bits(0x9e37_79b9_7f4a_7c15);
    let mut doubles = Vec::new();
    for _ in 0..3_000 {
        doubles.push(f64::from_bits(bits.next()));
        // As an application has them: near one, with all their digits.
        let near = f64::from_bits(
            (bits.next() >> 12) | (0x3ff0_0000_0000_0000 + ((bits.next() % 40) << 52)),
        );
        doubles.push(near);
        doubles.push(1.0 / near);
    }
    // Powers of two have neighbours at two distances.
    for exponent in 0..2047_u64 {
        for near in [0, 1, u64::MAX] {
            doubles.push(f64::from_bits((exponent << 52).wrapping_add(near)));
        }
    }
    // Halfway between two decimals of 17 digits.
    doubles.extend((1..400_u32).map(|n| 1.0 + f64::from(2 * n + 1) / 131_072.0));
    // Subnormals.
    doubles.extend((1..300).map(f64::from_bits));
    doubles.retain(|double| double.is_finite());
    doubles
}

/// The shortest decimal and those beside it: one more and one less at the last digit, and a digit
/// longer or shorter.
fn decimals(double: f64, out: &mut Vec<String>) {
    let text = format!("{double:e}");
    let (mantissa, exponent) = text.split_once('e').expect("an exponent");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().expect("digits");
    let exponent =
        exponent.parse::<i64>().expect("a number") - i64::try_from(fraction.len()).expect("few");
    for near in [-1, 0, 1] {
        out.push(format!("{}e{exponent}", digits + near));
    }
    out.push(format!("{}e{}", digits * 10 + 1, exponent - 1));
    out.push(format!("{}e{}", digits / 10, exponent + 1));
    out.push(format!("{double:.17e}"));
}

#[tokio::test]
async fn only_the_shortest_decimal_of_a_double_passes() {
    let client = client().await;
    let codec: Codec = "numeric".parse().expect("a codec");
    tables(&client, "numeric").await;
    let mut texts = Vec::new();
    for double in doubles() {
        decimals(double, &mut texts);
    }
    let sql =
        "INSERT INTO given (v) SELECT trim_scale(text::numeric) FROM unnest($1::text[]) AS text";
    client.execute(sql, &[&texts]).await.expect("decimals");
    client.batch_execute(HOSTILE).await.expect("settings");
    let columns = [Column::new("NUMERIC", false, Encoding::Utf8)];
    hold(&client, codec, &columns).await;
}
