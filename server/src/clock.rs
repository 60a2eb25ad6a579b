//! Time as messages and the control database carry it: UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;

/// Now, in milliseconds since 1970.
pub fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Now, as messages carry it.
pub fn now() -> Timestamp {
    from_millis(now_millis())
}

/// A number of milliseconds since 1970, as messages carry it.
pub fn from_millis(millis: i64) -> Timestamp {
    let nanos = i32::try_from(millis.rem_euclid(1000)).unwrap_or_default() * 1_000_000;
    Timestamp { seconds: millis.div_euclid(1000), nanos }
}

/// Milliseconds since 1970 of a time that a message carries.
pub fn to_millis(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos / 1_000_000))
}

/// A number of milliseconds since 1970 as RFC 3339 writes it.
pub fn rfc3339(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}

/// Milliseconds since 1970 of what RFC 3339 writes.
pub fn from_rfc3339(text: &str) -> Option<i64> {
    text.parse().ok().map(jiff::Timestamp::as_millisecond)
}
