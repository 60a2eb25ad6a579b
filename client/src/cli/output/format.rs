//! Numbers, sizes, durations, times and foreign text for people.

use std::{borrow::Cow, fmt::Write};

use prost_types::Timestamp;
use switchback_client::{
    v1::{Engine, WaitingEvent},
    words::word_of,
};

/// `1,234,567`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 table`, `2 tables`
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// `357.2 MB`; powers of 1000, as disks and networks are measured.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = as_f64(number);
    let mut unit = "B";
    for next in UNITS {
        // 999.95 would be printed as 1000.0.
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// `0.42 s`, `12.3 s`, `3 min 05 s`, `1 h 02 min`
pub(crate) fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    if seconds < 9.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = whole(seconds);
    if whole < 3600 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
    }
}

/// `589,000 rows/s`: three digits that mean something.
pub(crate) fn per_second(rate: f64, noun: &str) -> String {
    format!("{} {noun}/s", count(rounded(rate)))
}

fn rounded(rate: f64) -> u64 {
    let number = whole(rate);
    let digits = number.checked_ilog10().unwrap_or_default();
    let step = 10_u64.pow(digits.saturating_sub(2));
    number.saturating_add(step / 2) / step * step
}

/// A rate, for display.
pub(crate) fn rate(number: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { as_f64(number) / seconds } else { 0.0 }
}

/// Nearest float; figures are for people, 15 digits will do.
#[expect(clippy::cast_precision_loss, reason = "figures for people need no more than 15 digits")]
pub(crate) fn as_f64(number: u64) -> f64 {
    number as f64
}

/// Nearest whole number of a figure for people; negative and absurd ones saturate.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and NaN gives 0"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// `2026-01-31T09:30:00.5Z`; empty where the time is not set or is no time.
pub(crate) fn time(time: Option<&Timestamp>) -> String {
    time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok())
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// `2026-01-31 09:30:00`, UTC.
pub(crate) fn short_time(time: Option<&Timestamp>) -> String {
    time.and_then(|time| jiff::Timestamp::new(time.seconds, 0).ok())
        .map(|time| time.to_string().replace('T', " ").replace('Z', ""))
        .unwrap_or_default()
}

/// Seconds from one time to another.
pub(crate) fn between(from: &Timestamp, to: &Timestamp) -> f64 {
    let seconds = to.seconds.saturating_sub(from.seconds);
    let nanos = to.nanos.saturating_sub(from.nanos);
    let whole = as_f64(seconds.unsigned_abs());
    let whole = if seconds < 0 { -whole } else { whole };
    whole + f64::from(nanos) / 1e9
}

/// Names of tables and columns may hold anything: control characters must not reach a terminal,
/// nor marks that turn the direction of the text around.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => cleaned.push_str("\\n"),
            '\t' => cleaned.push_str("\\t"),
            '\r' => cleaned.push_str("\\r"),
            character if is_unsafe(character) => {
                let _ = write!(cleaned, "\\u{{{:x}}}", u32::from(character));
            }
            character => cleaned.push(character),
        }
    }
    Cow::Owned(cleaned)
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a waiting operation waits for, in words.
pub(crate) fn waited_for(waiting: &WaitingEvent) -> String {
    match waiting.queued_behind {
        0 => word_of::<Engine>(waiting.engine),
        _ => "its turn".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(counted(1, "table"), "1 table");
        assert_eq!(counted(0, "table"), "0 tables");
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.0 kB");
        assert_eq!(bytes(999_949), "999.9 kB");
        assert_eq!(bytes(999_950), "1.0 MB");
        assert_eq!(bytes(357_200_000), "357.2 MB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(seconds(0.4249), "0.42 s");
        assert_eq!(seconds(9.999), "10.0 s");
        assert_eq!(seconds(59.99), "1 min 00 s");
        assert_eq!(seconds(185.0), "3 min 05 s");
        assert_eq!(seconds(3720.0), "1 h 02 min");
        assert_eq!(seconds(f64::NAN), "?");
        assert_eq!(seconds(-1.0), "?");
    }

    #[test]
    fn rates_have_three_digits() {
        assert_eq!(per_second(588_951.2, "row"), "589,000 row/s");
        assert_eq!(per_second(12.4, "row"), "12 row/s");
        assert_eq!(
            per_second(f64::INFINITY, "row").len(),
            "18,400,000,000,000,000,000 row/s".len()
        );
        assert!((rate(10, 0.0)).abs() < f64::EPSILON);
    }

    #[test]
    fn times_are_utc() {
        let at = Timestamp { seconds: 1_769_851_800, nanos: 500_000_000 };
        assert_eq!(time(Some(&at)), "2026-01-31T09:30:00.5Z");
        assert_eq!(short_time(Some(&at)), "2026-01-31 09:30:00");
        assert_eq!(time(None), "");
        assert_eq!(time(Some(&Timestamp { seconds: i64::MAX, nanos: 0 })), "");
        let earlier = Timestamp { seconds: 1_769_851_798, nanos: 750_000_000 };
        assert!((between(&earlier, &at) - 1.75).abs() < 1e-9);
        assert!((between(&at, &earlier) + 1.75).abs() < 1e-9);
    }

    #[test]
    fn foreign_text_cannot_steer_a_terminal() {
        assert_eq!(clean("naïve 🙂 名"), "naïve 🙂 名");
        assert_eq!(clean("a\nb\t\u{1b}[2J\u{202e}"), "a\\nb\\t\\u{1b}[2J\\u{202e}");
    }
}
