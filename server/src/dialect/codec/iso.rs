//! Dates and times in the shapes that people write them (ISO 8601 and RFC 3339).

use super::{
    Refusal,
    calendar::{YEARS, parse_date},
    clock::{MICROS_PER_DAY, MICROS_PER_SECOND, decimal, two_digits},
};

const SECONDS_PER_HOUR: i64 = 3600;

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// From 2000-01-01.
    days: i32,
    /// Microseconds of the day.
    time: i64,
    /// Microseconds that the place is ahead of UTC, where it says so.
    offset: Option<i64>,
}

impl Written {
    /// `YYYY-MM-DD`; behind it a space or a `T` and a time, and behind that an offset from UTC.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let (day, rest) = text.split_at_checked(10).ok_or(Refusal::Form)?;
        let days = parse_date(day)?;
        match rest {
            [] => Ok(Self { days, time: 0, offset: None }),
            [b' ' | b'T' | b't', time @ ..] => {
                let (time, rest) = parse_time(time)?;
                Ok(Self { days, time, offset: parse_offset(rest)? })
            }
            _ => Err(Refusal::Form),
        }
    }

    /// Whether it says how far the place is ahead of UTC.
    pub(super) fn has_offset(self) -> bool {
        self.offset.is_some()
    }

    /// Microseconds from 2000-01-01 on the clock of the place, which is UTC if any is named.
    pub(super) fn local(self) -> Result<i64, Refusal> {
        match self.offset {
            None | Some(0) => Ok(i64::from(self.days) * MICROS_PER_DAY + self.time),
            Some(_) => Err(Refusal::Form),
        }
    }

    /// Microseconds from 2000-01-01 UTC, which the text is in where it does not say.
    pub(super) fn instant(self) -> Result<i64, Refusal> {
        let local = i64::from(self.days) * MICROS_PER_DAY + self.time;
        let micros = local - self.offset.unwrap_or(0);
        if YEARS.contains(&micros) { Ok(micros) } else { Err(Refusal::Form) }
    }

    /// Days from 2000-01-01, of midnight.
    pub(super) fn day(self) -> Result<i64, Refusal> {
        let local = self.local()?;
        if local % MICROS_PER_DAY == 0 { Ok(local / MICROS_PER_DAY) } else { Err(Refusal::Form) }
    }
}

/// A time of day in microseconds, and what follows it: `HH:MM`, `HH:MM:SS`, and a fraction of 1 to
/// 9 digits, of which PostgreSQL keeps six and the rest must be zeros.
pub(super) fn parse_time(text: &[u8]) -> Result<(i64, &[u8]), Refusal> {
    let &[h1, h2, b':', m1, m2, ref rest @ ..] = text else { return Err(Refusal::Form) };
    let (hour, minute) = (two_digits(&[h1, h2])?, two_digits(&[m1, m2])?);
    let (second, rest) = match rest {
        &[b':', s1, s2, ref rest @ ..] => (two_digits(&[s1, s2])?, rest),
        rest => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Refusal::Form);
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] if text[5..].starts_with(b":") => parse_fraction(rest)?,
        rest => (0, rest),
    };
    Ok((((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + fraction, rest))
}

fn parse_fraction(text: &[u8]) -> Result<(i64, &[u8]), Refusal> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(count);
    let (kept, beyond) = digits.split_at(count.min(6));
    if !(1..=9).contains(&count) || beyond.iter().any(|digit| *digit != b'0') {
        return Err(Refusal::Form);
    }
    let mut micros = 0;
    for digit in kept.iter().chain([b'0'; 6].iter().skip(kept.len())) {
        micros = micros * 10 + decimal(*digit)?;
    }
    Ok((micros, rest))
}

/// `Z`, `±HH`, `±HH:MM`, `±HHMM`, or nothing.
pub(super) fn parse_offset(text: &[u8]) -> Result<Option<i64>, Refusal> {
    let (sign, hours, minutes) = match *text {
        [] => return Ok(None),
        [b'Z' | b'z'] => return Ok(Some(0)),
        [sign, h1, h2] => (sign, [h1, h2], *b"00"),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, [h1, h2], [m1, m2]),
        _ => return Err(Refusal::Form),
    };
    let (hours, minutes) = (two_digits(&hours)?, two_digits(&minutes)?);
    // PostgreSQL's bound (`MAX_TZDISP_HOUR`).
    if hours > 15 || minutes > 59 {
        return Err(Refusal::Form);
    }
    let size = (hours * SECONDS_PER_HOUR + minutes * 60) * MICROS_PER_SECOND;
    match sign {
        b'+' => Ok(Some(size)),
        b'-' => Ok(Some(-size)),
        _ => Err(Refusal::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Result<i64, Refusal> {
        Written::parse(text.as_bytes())?.instant()
    }

    fn local(text: &str) -> Result<i64, Refusal> {
        Written::parse(text.as_bytes())?.local()
    }

    #[test]
    fn one_instant_has_many_forms() {
        let eight = 8 * 3600 * MICROS_PER_SECOND;
        for text in [
            "2000-01-01T08:00:00Z",
            "2000-01-01 08:00",
            "2000-01-01t08:00:00z",
            "2000-01-01 08:00:00.000000000+00",
            "2000-01-01 10:00:00+02:00",
            "2000-01-01 10:00:00.0+0200",
            "2000-01-01 10:00+02",
            "1999-12-31 23:30:00-08:30",
        ] {
            assert_eq!(instant(text), Ok(eight), "{text}");
        }
        assert_eq!(instant("2000-01-01"), Ok(0));
        assert_eq!(instant("2000-01-01 00:00:00.000001"), Ok(1));
        assert_eq!(instant("2000-01-01 00:00:00.1"), Ok(100_000));
    }

    #[test]
    fn what_would_lose_anything_is_refused() {
        for text in [
            "2000-01-01 08:00:00.0000001",
            "2000-01-01 08:00:00.0000000000",
            "2000-01-01 08:00:00.",
            "2000-01-01 08:00.5",
            "2000-01-01 08",
            "2000-01-01 24:00:00",
            "2000-01-01 08:00:60",
            "2000-01-01 08:00:00 UTC",
            "2000-01-01 08:00:00+2",
            "2000-01-01 08:00:00+02:0",
            "2000-01-01 08:00:00+16",
            "2000-01-01 08:00:00x02",
            "2000-01-01x08:00:00",
            "2000-01-01 ",
            "0001-01-01 00:00:00+01",
            "9999-12-31 23:00:00-02",
            "2000-02-30",
            "",
        ] {
            assert_eq!(instant(text), Err(Refusal::Form), "{text}");
        }
    }

    #[test]
    fn a_clock_of_no_zone_takes_utc_only() {
        assert_eq!(local("2000-01-01 00:00:01+00:00"), Ok(MICROS_PER_SECOND));
        assert_eq!(local("2000-01-01 00:00:01-00"), Ok(MICROS_PER_SECOND));
        assert_eq!(local("2000-01-01 02:00:01+02:00"), Err(Refusal::Form));
    }

    #[test]
    fn a_day_is_midnight() {
        let day = |text: &str| Written::parse(text.as_bytes())?.day();
        assert_eq!(day("1999-12-31"), Ok(-1));
        assert_eq!(day("2000-01-02T00:00:00.000Z"), Ok(1));
        assert_eq!(day("2000-01-02 00:00:01"), Err(Refusal::Form));
    }
}
