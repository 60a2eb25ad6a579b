//! Text and integers as `date`, `time`, `timestamp` and `timestamptz`.
//!
//! PostgreSQL counts days and microseconds from 2000-01-01. Years run from 1 to 9999: what has
//! another number of digits has another form. jiff knows the calendar; digits are read and
//! written here, since this runs once a value.

use jiff::{
    SignedDuration,
    civil::{Date, date},
};

use super::Refusal;

const EPOCH: Date = date(2000, 1, 1);
const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
/// From 1970-01-01 to 2000-01-01.
const UNIX_TO_EPOCH: i64 = 10_957 * MICROS_PER_DAY;
/// 0001-01-01 and 10000-01-01 in microseconds from 2000-01-01.
const YEARS: std::ops::Range<i64> = -730_119 * MICROS_PER_DAY..2_921_940 * MICROS_PER_DAY;

/// How the time of day is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// `HH:MM`.
    Minutes,
    /// `HH:MM:SS` and a fraction of so many digits, 0 to 6.
    Fixed(u8),
    /// No fraction when it is zero, else 6 digits, as Python writes it.
    ZeroOrSix,
    /// A fraction of up to 6 digits without zeros at its end, as Go and .NET write it.
    Trimmed,
}

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

impl Clock {
    /// Every way, in the order of preference where several fit.
    pub const ALL: [Self; 10] = [
        Self::Fixed(0),
        Self::Fixed(6),
        Self::Fixed(3),
        Self::ZeroOrSix,
        Self::Trimmed,
        Self::Minutes,
        Self::Fixed(1),
        Self::Fixed(2),
        Self::Fixed(4),
        Self::Fixed(5),
    ];

    /// Digits of the fraction at most.
    pub(super) fn digits(self) -> u32 {
        match self {
            Self::Minutes => 0,
            Self::Fixed(digits) => u32::from(digits),
            Self::ZeroOrSix | Self::Trimmed => 6,
        }
    }

    /// Microseconds of the day.
    pub(super) fn parse(self, text: &[u8]) -> Result<i64, Refusal> {
        let (minutes, rest) = text.split_at_checked(5).ok_or(Refusal::Form)?;
        let hour = two_digits(&minutes[..2])?;
        let minute = two_digits(&minutes[3..])?;
        if minutes[2] != b':' || hour > 23 || minute > 59 {
            return Err(Refusal::Form);
        }
        let whole = hour * MICROS_PER_HOUR + minute * MICROS_PER_MINUTE;
        if self == Self::Minutes {
            return if rest.is_empty() { Ok(whole) } else { Err(Refusal::Form) };
        }
        let (seconds, rest) = rest.split_at_checked(3).ok_or(Refusal::Form)?;
        let second = two_digits(&seconds[1..])?;
        if seconds[0] != b':' || second > 59 {
            return Err(Refusal::Form);
        }
        Ok(whole + second * MICROS_PER_SECOND + self.parse_fraction(rest)?)
    }

    /// From the point on.
    fn parse_fraction(self, text: &[u8]) -> Result<i64, Refusal> {
        let digits = match text {
            [] => &[],
            [b'.', digits @ ..] if !digits.is_empty() => digits,
            _ => return Err(Refusal::Form),
        };
        let mut micros = 0;
        for &digit in digits {
            micros = micros * 10 + decimal(digit)?;
        }
        let right_form = match self {
            Self::Minutes => false,
            Self::Fixed(count) => digits.len() == usize::from(count) && count <= 6,
            Self::ZeroOrSix => digits.is_empty() || (digits.len() == 6 && micros != 0),
            Self::Trimmed => digits.len() <= 6 && digits.last() != Some(&b'0'),
        };
        if !right_form {
            return Err(Refusal::Form);
        }
        for _ in digits.len()..6 {
            micros *= 10;
        }
        Ok(micros)
    }

    pub(super) fn render(self, micros: i64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if !(0..MICROS_PER_DAY).contains(&micros) {
            return Err(Refusal::Form);
        }
        push_digits::<2>(micros / MICROS_PER_HOUR, out);
        out.push(b':');
        push_digits::<2>(micros / MICROS_PER_MINUTE % 60, out);
        if self == Self::Minutes {
            return if micros % MICROS_PER_MINUTE == 0 { Ok(()) } else { Err(Refusal::Form) };
        }
        out.push(b':');
        push_digits::<2>(micros / MICROS_PER_SECOND % 60, out);
        self.render_fraction(micros % MICROS_PER_SECOND, out)
    }

    fn render_fraction(self, micros: i64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let start = out.len();
        out.push(b'.');
        push_digits::<6>(micros, out);
        let significant =
            out[start + 1..].iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        let kept = match self {
            Self::Minutes => 0,
            Self::Fixed(count) => usize::from(count),
            Self::ZeroOrSix if micros == 0 => 0,
            Self::ZeroOrSix => 6,
            Self::Trimmed => significant,
        };
        if significant > kept || kept > 6 {
            return Err(Refusal::Form);
        }
        out.truncate(if kept == 0 { start } else { start + 1 + kept });
        Ok(())
    }
}

impl Separator {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Space, Self::T];

    fn byte(self) -> u8 {
        match self {
            Self::Space => b' ',
            Self::T => b'T',
        }
    }
}

impl Suffix {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Z, Self::Minutes, Self::Hours];

    pub(super) fn text(self) -> &'static [u8] {
        match self {
            Self::Z => b"Z",
            Self::Minutes => b"+00:00",
            Self::Hours => b"+00",
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

fn decimal(character: u8) -> Result<i64, Refusal> {
    if character.is_ascii_digit() { Ok(i64::from(character - b'0')) } else { Err(Refusal::Form) }
}

fn two_digits(text: &[u8]) -> Result<i64, Refusal> {
    let &[tens, ones] = text else { return Err(Refusal::Form) };
    Ok(decimal(tens)? * 10 + decimal(ones)?)
}

/// The last `N` decimal digits of a number that is not negative.
fn push_digits<const N: usize>(mut number: i64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    out.extend_from_slice(&digits);
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
    fn each_clock_takes_its_own_form_only() {
        let noon = 12 * MICROS_PER_HOUR;
        assert_eq!(Clock::Minutes.parse(b"12:00"), Ok(noon));
        assert_eq!(Clock::Fixed(0).parse(b"12:00:00"), Ok(noon));
        assert_eq!(Clock::Fixed(3).parse(b"12:00:00.250"), Ok(noon + 250_000));
        assert_eq!(Clock::ZeroOrSix.parse(b"12:00:00.250000"), Ok(noon + 250_000));
        assert_eq!(Clock::Trimmed.parse(b"12:00:00.25"), Ok(noon + 250_000));
        for (clock, text) in [
            (Clock::Minutes, "12:00:00"),
            (Clock::Fixed(0), "12:00"),
            (Clock::Fixed(0), "12:00:00."),
            (Clock::Fixed(3), "12:00:00.25"),
            (Clock::ZeroOrSix, "12:00:00.000000"),
            (Clock::ZeroOrSix, "12:00:00.250"),
            (Clock::Trimmed, "12:00:00.250"),
            (Clock::Fixed(0), "24:00:00"),
            (Clock::Fixed(0), "23:59:60"),
            (Clock::Fixed(0), "23:60:00"),
            (Clock::Fixed(7), "12:00:00.1234567"),
            (Clock::Trimmed, "12:00:00.1234567"),
            (Clock::Fixed(0), "1a:00:00"),
            (Clock::Fixed(0), "12.00:00"),
        ] {
            assert_eq!(clock.parse(text.as_bytes()), Err(Refusal::Form), "{clock:?} {text}");
        }
    }

    #[test]
    fn what_a_clock_cannot_write_is_refused() {
        let out = &mut Vec::new();
        assert_eq!(Clock::Fixed(3).render(1, out), Err(Refusal::Form));
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
