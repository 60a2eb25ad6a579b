//! Text and integers as `date`, `timestamp` and `timestamptz`.
//!
//! PostgreSQL counts days and microseconds from 2000-01-01. Years run from 1 to 9999: what has
//! another number of digits has another form. jiff knows the calendar; digits are read and
//! written here, since this runs once a value.

use jiff::{
    SignedDuration,
    civil::{Date, date},
};

use super::{
    Refusal,
    clock::{Clock, MICROS_PER_DAY, MICROS_PER_SECOND, push_digits, two_digits},
};

pub(super) const EPOCH: Date = date(2000, 1, 1);
/// From 1970-01-01 to 2000-01-01.
pub(super) const UNIX_TO_EPOCH: i64 = 10_957 * MICROS_PER_DAY;
/// 0001-01-01 and 10000-01-01 in microseconds from 2000-01-01.
pub(super) const YEARS: std::ops::Range<i64> =
    -730_119 * MICROS_PER_DAY..2_921_940 * MICROS_PER_DAY;

/// 1990-01-01 and 2100-01-01 in seconds from 1970-01-01.
const PLAUSIBLE: std::ops::Range<i64> = 631_152_000..4_102_444_800;

/// What stands between date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Separator {
    /// A space.
    Space,
    /// `T`.
    T,
}

/// How UTC is written behind the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suffix {
    /// `Z`.
    Z,
    /// `+00:00`.
    Minutes,
    /// `+00`.
    Hours,
    /// Nothing: it is known to be UTC.
    None,
}

/// What an integer counts from 1970-01-01 UTC on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

impl Separator {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Space, Self::T];

    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Space => b' ',
            Self::T => b'T',
        }
    }
}

impl Suffix {
    /// Every way to write it.
    pub const ALL: [Self; 3] = [Self::Z, Self::Minutes, Self::Hours];

    pub(super) fn text(self) -> &'static [u8] {
        match self {
            Self::Z => b"Z",
            Self::Minutes => b"+00:00",
            Self::Hours => b"+00",
            Self::None => b"",
        }
    }

    pub(super) fn strip(self, text: &[u8]) -> Result<&[u8], Refusal> {
        text.strip_suffix(self.text()).ok_or(Refusal::Form)
    }
}

impl EpochUnit {
    /// Every unit.
    pub const ALL: [Self; 3] = [Self::Seconds, Self::Milliseconds, Self::Microseconds];

    /// Microseconds in one.
    fn micros(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000,
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1,
        }
    }

    /// How many of them make a second.
    pub fn per_second(self) -> i64 {
        MICROS_PER_SECOND / self.micros()
    }

    /// Whether numbers from `smallest` to `largest` are times of our days in this unit: from 1990
    /// on, until 2100. As no unit's numbers are another's, at most one unit fits.
    pub fn is_plausible(self, smallest: i64, largest: i64) -> bool {
        let per_second = self.per_second();
        smallest >= PLAUSIBLE.start * per_second && largest < PLAUSIBLE.end * per_second
    }

    pub(super) fn parse(self, count: i64) -> Result<i64, Refusal> {
        let micros = count
            .checked_mul(self.micros())
            .and_then(|micros| micros.checked_sub(UNIX_TO_EPOCH))
            .ok_or(Refusal::Form)?;
        if YEARS.contains(&micros) { Ok(micros) } else { Err(Refusal::Form) }
    }

    pub(super) fn render(self, micros: i64) -> Result<i64, Refusal> {
        if !YEARS.contains(&micros) {
            return Err(Refusal::Form);
        }
        let since_unix = micros + UNIX_TO_EPOCH;
        if since_unix % self.micros() == 0 {
            Ok(since_unix / self.micros())
        } else {
            Err(Refusal::Form)
        }
    }
}

/// Days from 2000-01-01.
pub(super) fn parse_date(text: &[u8]) -> Result<i32, Refusal> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return Err(Refusal::Form) };
    let year = two_digits(&[y1, y2])? * 100 + two_digits(&[y3, y4])?;
    let year = i16::try_from(year).map_err(|_| Refusal::Form)?;
    let month = i8::try_from(two_digits(&[m1, m2])?).map_err(|_| Refusal::Form)?;
    let day = i8::try_from(two_digits(&[d1, d2])?).map_err(|_| Refusal::Form)?;
    // PostgreSQL, like Julius Caesar, has no year 0.
    if year == 0 {
        return Err(Refusal::Form);
    }
    let date = Date::new(year, month, day).map_err(|_| Refusal::Form)?;
    i32::try_from(date.duration_since(EPOCH).as_hours() / 24).map_err(|_| Refusal::Form)
}

pub(super) fn render_date(days: i64, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if !(YEARS.start / MICROS_PER_DAY..YEARS.end / MICROS_PER_DAY).contains(&days) {
        return Err(Refusal::Form);
    }
    let date =
        EPOCH.checked_add(SignedDuration::from_hours(days * 24)).map_err(|_| Refusal::Form)?;
    push_digits::<4>(i64::from(date.year()), out);
    out.push(b'-');
    push_digits::<2>(i64::from(date.month()), out);
    out.push(b'-');
    push_digits::<2>(i64::from(date.day()), out);
    Ok(())
}

/// Microseconds from 2000-01-01.
pub(super) fn parse_timestamp(
    text: &[u8],
    separator: Separator,
    clock: Clock,
) -> Result<i64, Refusal> {
    let (day, rest) = text.split_at_checked(10).ok_or(Refusal::Form)?;
    let [between, time @ ..] = rest else { return Err(Refusal::Form) };
    if *between != separator.byte() {
        return Err(Refusal::Form);
    }
    let time = clock.parse(time)?;
    Ok(i64::from(parse_date(day)?) * MICROS_PER_DAY + time)
}

pub(super) fn render_timestamp(
    micros: i64,
    separator: Separator,
    clock: Clock,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    render_date(micros.div_euclid(MICROS_PER_DAY), out)?;
    out.push(separator.byte());
    clock.render(micros.rem_euclid(MICROS_PER_DAY), out)
}

pub(super) fn parse_midnight(text: &[u8]) -> Result<i64, Refusal> {
    Ok(i64::from(parse_date(text)?) * MICROS_PER_DAY)
}

pub(super) fn render_midnight(micros: i64, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if micros % MICROS_PER_DAY == 0 {
        render_date(micros / MICROS_PER_DAY, out)
    } else {
        Err(Refusal::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(text: &str, clock: Clock) -> Result<i64, Refusal> {
        parse_timestamp(text.as_bytes(), Separator::Space, clock)
    }

    #[test]
    fn bounds_are_the_first_and_the_last_day() {
        assert_eq!(parse_midnight(b"0001-01-01"), Ok(YEARS.start));
        assert_eq!(parse_midnight(b"9999-12-31"), Ok(YEARS.end - MICROS_PER_DAY));
        assert_eq!(parse_midnight(b"1970-01-01"), Ok(-UNIX_TO_EPOCH));
        assert_eq!(parse_date(b"2000-01-01"), Ok(0));
        assert_eq!(parse_date(b"1999-12-31"), Ok(-1));
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in [
            "0000-00-00",
            "0000-01-01",
            "2021-02-29",
            "1900-02-29",
            "2020-13-01",
            "2020-00-10",
            "2020-1-1",
            "20200101",
            "2020-01-01 ",
            "+200-01-01",
            "2020-01-0a",
            "",
        ] {
            assert_eq!(parse_date(text.as_bytes()), Err(Refusal::Form), "{text}");
        }
        assert!(parse_date(b"2000-02-29").is_ok());
    }

    #[test]
    fn what_a_clock_cannot_write_is_refused() {
        let out = &mut Vec::new();
        assert_eq!(Clock::Fixed(7).render(1, out), Err(Refusal::Form));
        assert_eq!(Clock::Minutes.render(MICROS_PER_SECOND, out), Err(Refusal::Form));
        assert_eq!(Clock::Fixed(6).render(MICROS_PER_DAY, out), Err(Refusal::Form));
        assert_eq!(render_midnight(1, out), Err(Refusal::Form));
        assert_eq!(render_date(i64::MAX, out), Err(Refusal::Form));
        assert_eq!(
            render_timestamp(i64::MAX, Separator::T, Clock::Trimmed, out),
            Err(Refusal::Form)
        );
    }

    #[test]
    fn before_the_epoch_time_still_runs_forward() {
        let micros = timestamp("1969-12-31 23:59:59.999999", Clock::Fixed(6)).unwrap();
        assert_eq!(micros, -UNIX_TO_EPOCH - 1);
        let mut out = Vec::new();
        render_timestamp(micros, Separator::Space, Clock::Fixed(6), &mut out).unwrap();
        assert_eq!(out, b"1969-12-31 23:59:59.999999");
    }

    #[test]
    fn epochs_count_from_1970() {
        assert_eq!(EpochUnit::Seconds.parse(0), Ok(-UNIX_TO_EPOCH));
        assert_eq!(EpochUnit::Milliseconds.parse(946_684_800_001), Ok(1_000));
        assert_eq!(EpochUnit::Seconds.render(1), Err(Refusal::Form));
        assert_eq!(EpochUnit::Seconds.parse(i64::MAX), Err(Refusal::Form));
        assert_eq!(EpochUnit::Microseconds.parse(i64::MIN), Err(Refusal::Form));
        assert_eq!(EpochUnit::Microseconds.render(i64::MIN), Err(Refusal::Form));
    }
}
