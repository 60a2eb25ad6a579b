//! Dates and times of a column whose type is given: in more forms than a column of Switchback's
//! own has.

use super::{
    super::value::Value,
    Clock, EpochUnit, Refusal, Separator, Suffix, Zone, array,
    calendar::{UNIX_TO_EPOCH, YEARS, parse_timestamp, render_date, render_timestamp},
    clock::{MICROS_PER_DAY, MICROS_PER_SECOND},
    iso::{Written, parse_offset, parse_time},
};

/// Which of the two types an instant is stored as; `timestamp` means UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MomentType {
    /// `timestamp`.
    Timestamp,
    /// `timestamptz`.
    TimestampTz,
}

/// How a date or time is stored in SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// TEXT: a date, perhaps with midnight behind it. Back: `YYYY-MM-DD`.
    DateAny,
    /// REAL: the Julian day of midnight.
    DateJulian,
    /// TEXT: a time in every shape that is known.
    TimeAny(Clock),
    /// TEXT in every shape that is known, in no zone or UTC.
    TimestampAny(Separator, Clock),
    /// TEXT in every shape that is known, with an offset from UTC or in UTC.
    TimestampTzAny(Separator, Clock, Suffix),
    /// The same, where text without an offset is local time of a zone.
    TimestampTzAnyIn(&'static Zone, Separator, Clock, Suffix),
    /// TEXT with one fixed suffix that says UTC, as `timestamp`.
    TimestampUtc(Separator, Clock, Suffix),
    /// INTEGER that counts from 1970-01-01, as `timestamp`.
    Epoch(EpochUnit),
    /// REAL seconds from 1970-01-01 UTC.
    EpochReal(MomentType),
    /// REAL: the Julian day, in whole milliseconds, as SQLite's `julianday()` gives it.
    Julian(MomentType),
    /// TEXT: local time of a zone, as `timestamptz`.
    In(&'static Zone, Separator, Clock),
}

/// Between them a double of seconds is exact to the microsecond: 1700-01-01 to 2240-01-01.
const REAL_SECONDS: std::ops::Range<i64> = -109_572 * MICROS_PER_DAY..87_658 * MICROS_PER_DAY;

const MILLIS_PER_DAY: i64 = 86_400_000;
/// Milliseconds from noon of 24 November 4714 BC, where Julian days begin, to 2000-01-01.
const JULIAN_TO_EPOCH: i64 = 2_451_544 * MILLIS_PER_DAY + MILLIS_PER_DAY / 2;
/// −4712 to 9999, beyond which SQLite has no date (`validJulianDay` in `date.c`).
const JULIAN_DAYS: std::ops::Range<f64> = 0.0..5_373_484.5;

impl Moment {
    pub(super) fn is_date(self) -> bool {
        matches!(self, Self::DateAny | Self::DateJulian)
    }

    /// Type of PostgreSQL.
    pub(super) fn base(self) -> &'static str {
        match self {
            Self::DateAny | Self::DateJulian => "date",
            Self::TimeAny(_) => "time",
            Self::TimestampAny(..)
            | Self::TimestampUtc(..)
            | Self::Epoch(_)
            | Self::EpochReal(MomentType::Timestamp)
            | Self::Julian(MomentType::Timestamp) => "timestamp",
            Self::TimestampTzAny(..)
            | Self::TimestampTzAnyIn(..)
            | Self::EpochReal(MomentType::TimestampTz)
            | Self::Julian(MomentType::TimestampTz)
            | Self::In(..) => "timestamptz",
        }
    }

    /// The clock that it is written by.
    pub(super) fn clock(self) -> Option<Clock> {
        match self {
            Self::TimeAny(clock)
            | Self::TimestampAny(_, clock)
            | Self::TimestampTzAny(_, clock, _)
            | Self::TimestampTzAnyIn(_, _, clock, _)
            | Self::TimestampUtc(_, clock, _)
            | Self::In(_, _, clock) => Some(clock),
            Self::DateAny
            | Self::DateJulian
            | Self::Epoch(_)
            | Self::EpochReal(_)
            | Self::Julian(_) => None,
        }
    }

    /// Digits behind the second that the type must keep.
    pub(super) fn digits(self) -> u32 {
        match self {
            Self::Epoch(unit) => unit.per_second().ilog10(),
            Self::EpochReal(_) => 6,
            Self::Julian(_) => 3,
            form => form.clock().map_or(0, Clock::digits),
        }
    }

    /// Whether what is stored comes back in the form it had, and not only with the same meaning.
    pub(super) fn keeps_form(self) -> bool {
        !matches!(
            self,
            Self::DateAny
                | Self::TimeAny(_)
                | Self::TimestampAny(..)
                | Self::TimestampTzAny(..)
                | Self::TimestampTzAnyIn(..)
        )
    }

    /// Days or microseconds from 2000-01-01, or microseconds of the day.
    pub(super) fn parse(self, value: Value<'_>) -> Result<i64, Refusal> {
        match (self, value) {
            (Self::DateAny, Value::Text(text)) => Written::parse(text)?.day(),
            (Self::DateJulian, Value::Real(day)) => {
                let millis = julian_millis(day)?;
                exact(millis, MILLIS_PER_DAY)
            }
            (Self::TimeAny(clock), Value::Text(text)) => {
                let (time, rest) = parse_time(text)?;
                if parse_offset(rest)?.is_some_and(|offset| offset != 0) {
                    return Err(Refusal::Form);
                }
                whole(time, clock)
            }
            (Self::TimestampAny(_, clock), Value::Text(text)) => {
                whole(Written::parse(text)?.local()?, clock)
            }
            (Self::TimestampTzAny(_, clock, _), Value::Text(text)) => {
                whole(Written::parse(text)?.instant()?, clock)
            }
            (Self::TimestampTzAnyIn(zone, _, clock, _), Value::Text(text)) => {
                let written = Written::parse(text)?;
                let instant = if written.has_offset() {
                    written.instant()?
                } else {
                    zone.instant(written.local()?)?
                };
                whole(instant, clock)
            }
            (Self::TimestampUtc(separator, clock, suffix), Value::Text(text)) => {
                parse_timestamp(suffix.strip(text)?, separator, clock)
            }
            (Self::Epoch(unit), Value::Integer(count)) => unit.parse(count),
            (Self::EpochReal(_), Value::Real(seconds)) => real_seconds(seconds),
            (Self::Julian(_), Value::Real(day)) => Ok(julian_millis(day)? * 1_000),
            (Self::In(zone, separator, clock), Value::Text(text)) => {
                zone.instant(parse_timestamp(text, separator, clock)?)
            }
            _ => Err(Refusal::Class),
        }
    }

    pub(super) fn decode<'a>(
        self,
        field: &[u8],
        out: &'a mut Vec<u8>,
    ) -> Result<Value<'a>, Refusal> {
        let number = if self.is_date() {
            i64::from(i32::from_be_bytes(array(field)?))
        } else {
            i64::from_be_bytes(array(field)?)
        };
        match self {
            Self::DateAny => render_date(number, out)?,
            Self::TimeAny(clock) => clock.render(number, out)?,
            Self::TimestampAny(separator, clock) => {
                render_timestamp(number, separator, clock, out)?;
            }
            Self::TimestampTzAny(separator, clock, suffix)
            | Self::TimestampTzAnyIn(_, separator, clock, suffix)
            | Self::TimestampUtc(separator, clock, suffix) => {
                render_timestamp(number, separator, clock, out)?;
                out.extend_from_slice(suffix.text());
            }
            Self::In(zone, separator, clock) => {
                render_timestamp(zone.local(number)?, separator, clock, out)?;
            }
            Self::DateJulian => {
                let millis = number.checked_mul(MILLIS_PER_DAY).ok_or(Refusal::Form)?;
                return julian_day(millis).map(Value::Real);
            }
            Self::Julian(_) => return julian_day(exact(number, 1_000)?).map(Value::Real),
            Self::Epoch(unit) => return unit.render(number).map(Value::Integer),
            Self::EpochReal(_) => return seconds_of(number).map(Value::Real),
        }
        Ok(Value::Text(out))
    }
}

fn whole(micros: i64, clock: Clock) -> Result<i64, Refusal> {
    if micros % clock.unit() == 0 { Ok(micros) } else { Err(Refusal::Form) }
}

fn exact(number: i64, unit: i64) -> Result<i64, Refusal> {
    if number % unit == 0 { Ok(number / unit) } else { Err(Refusal::Form) }
}

/// Seconds from 1970 to microseconds from 2000.
fn real_seconds(seconds: f64) -> Result<i64, Refusal> {
    let micros = (seconds * 1e6).round();
    if micros.is_nan() || micros.abs() >= 9e15 {
        return Err(Refusal::Form);
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2⁵³")]
    let micros = micros as i64 - UNIX_TO_EPOCH;
    // The product was rounded, perhaps to the number beside it.
    let mut near = [micros, micros - 1, micros + 1].into_iter();
    near.find(|micros| seconds_of(*micros).is_ok_and(|exact| exact.to_bits() == seconds.to_bits()))
        .ok_or(Refusal::Form)
}

fn seconds_of(micros: i64) -> Result<f64, Refusal> {
    if !REAL_SECONDS.contains(&micros) {
        return Err(Refusal::Form);
    }
    double(micros + UNIX_TO_EPOCH, MICROS_PER_SECOND)
}

/// Julian day to milliseconds from 2000.
fn julian_millis(day: f64) -> Result<i64, Refusal> {
    if !JULIAN_DAYS.contains(&day) {
        return Err(Refusal::Form);
    }
    // As SQLite does it (`setRawDateNumber` in `date.c`).
    #[expect(clippy::cast_possible_truncation, reason = "below 2⁵³")]
    let millis = (day * 86_400_000.0 + 0.5) as i64 - JULIAN_TO_EPOCH;
    if julian_day(millis)?.to_bits() == day.to_bits() { Ok(millis) } else { Err(Refusal::Form) }
}

fn julian_day(millis: i64) -> Result<f64, Refusal> {
    let years = YEARS.start / 1_000..YEARS.end / 1_000;
    if !years.contains(&millis) {
        return Err(Refusal::Form);
    }
    double(millis + JULIAN_TO_EPOCH, MILLIS_PER_DAY)
}

/// Of numbers below 2⁵³, so that only the division rounds.
fn double(number: i64, unit: i64) -> Result<f64, Refusal> {
    if number.unsigned_abs() > 1 << 53 {
        return Err(Refusal::Form);
    }
    #[expect(clippy::cast_precision_loss, reason = "below 2⁵³")]
    let quotient = number as f64 / unit as f64;
    Ok(quotient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn julian_days_are_those_of_sqlite() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for text in [
            "2000-01-01 12:00:00",
            "2024-02-29 23:59:59.999",
            "0001-01-01 00:00:00",
            "9999-12-31 23:59:59.999",
            "1969-12-31 23:59:59.001",
        ] {
            let day: f64 =
                connection.query_row("SELECT julianday(?1)", [text], |row| row.get(0)).unwrap();
            let micros = Moment::Julian(MomentType::Timestamp).parse(Value::Real(day)).unwrap();
            let written = Written::parse(text.as_bytes()).unwrap().local().unwrap();
            assert_eq!(micros, written, "{text}");
        }
        let noon = Moment::DateJulian.parse(Value::Real(2_451_545.0));
        assert_eq!(noon, Err(Refusal::Form));
        assert_eq!(Moment::DateJulian.parse(Value::Real(2_451_545.5)), Ok(1));
    }

    #[test]
    fn a_double_of_seconds_is_one_microsecond_or_none() {
        let codec = Moment::EpochReal(MomentType::TimestampTz);
        assert_eq!(codec.parse(Value::Real(946_684_800.000_001)), Ok(1));
        assert_eq!(codec.parse(Value::Real(946_684_800.25)), Ok(250_000));
        // Finer than a microsecond, outside of the years, and no number of seconds at all.
        for seconds in [0.1 + 0.2, 1e10, -0.0, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(codec.parse(Value::Real(seconds)), Err(Refusal::Form), "{seconds}");
        }
        assert_eq!(codec.parse(Value::Integer(5)), Err(Refusal::Class));
        let odd = 0x000c_0177_6a65_3fff;
        for micros in [REAL_SECONDS.start, REAL_SECONDS.start + 1, odd, REAL_SECONDS.end - 1] {
            assert_eq!(codec.parse(Value::Real(seconds_of(micros).unwrap())), Ok(micros));
        }
    }
}
