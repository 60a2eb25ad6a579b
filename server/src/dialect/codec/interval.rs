//! Lengths of time as `interval`.
//!
//! PostgreSQL keeps months, days and microseconds apart, and sends microseconds, days, months.

use super::{
    super::value::Value,
    Clock, EpochUnit, Refusal, Separator,
    calendar::{UNIX_TO_EPOCH, parse_timestamp, render_timestamp},
    clock::{MICROS_PER_DAY, MICROS_PER_SECOND, push_digits, two_digits},
};

/// How a length of time is stored in SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntervalForm {
    /// INTEGER: days, and what is left as a time of day, as Python's drivers send them.
    Count(EpochUnit),
    /// TEXT: the date and time so long after 1970-01-01, as SQLAlchemy stores it.
    Epoch,
    /// TEXT: `[-]HH:MM:SS`, with six digits behind it if there is a fraction. No days.
    Clock,
}

/// Days that a count of microseconds in 64 bits reaches, to the full day.
const MOST_DAYS: i64 = 106_751_990;
/// Hours that `interval:clock` writes at most: 9 digits.
const MOST_HOURS: i64 = 999_999_999;
const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;

impl IntervalForm {
    /// Every form.
    pub const ALL: [Self; 5] = [
        Self::Count(EpochUnit::Microseconds),
        Self::Count(EpochUnit::Milliseconds),
        Self::Count(EpochUnit::Seconds),
        Self::Epoch,
        Self::Clock,
    ];

    /// The field that PostgreSQL sends.
    pub(super) fn parse(self, value: Value<'_>) -> Result<[u8; 16], Refusal> {
        let (days, time) = match (self, value) {
            (Self::Count(unit), Value::Integer(count)) => {
                let micros = count
                    .checked_mul(MICROS_PER_SECOND / unit.per_second())
                    .ok_or(Refusal::Form)?;
                split(micros)?
            }
            (Self::Epoch, Value::Text(text)) => {
                let micros = parse_timestamp(text, Separator::Space, Clock::Fixed(6))?;
                split(micros + UNIX_TO_EPOCH)?
            }
            (Self::Clock, Value::Text(text)) => (0, parse_clock(text)?),
            _ => return Err(Refusal::Class),
        };
        let mut field = [0; 16];
        field[..8].copy_from_slice(&time.to_be_bytes());
        field[8..12].copy_from_slice(&days.to_be_bytes());
        Ok(field)
    }

    pub(super) fn render<'a>(
        self,
        field: [u8; 16],
        out: &'a mut Vec<u8>,
    ) -> Result<Value<'a>, Refusal> {
        let (time, rest) = field.split_first_chunk::<8>().ok_or(Refusal::Form)?;
        let (days, months) = rest.split_first_chunk::<4>().ok_or(Refusal::Form)?;
        let (time, days) = (i64::from_be_bytes(*time), i64::from(i32::from_be_bytes(*days)));
        if months != [0; 4] {
            return Err(Refusal::Form);
        }
        if self == Self::Clock {
            if days != 0 {
                return Err(Refusal::Form);
            }
            render_clock(time, out)?;
            return Ok(Value::Text(out));
        }
        if !(0..MICROS_PER_DAY).contains(&time) || days.abs() > MOST_DAYS {
            return Err(Refusal::Form);
        }
        let micros = days * MICROS_PER_DAY + time;
        if let Self::Count(unit) = self {
            let unit = MICROS_PER_SECOND / unit.per_second();
            let whole = micros % unit == 0;
            return if whole { Ok(Value::Integer(micros / unit)) } else { Err(Refusal::Form) };
        }
        let moment = micros.checked_sub(UNIX_TO_EPOCH).ok_or(Refusal::Form)?;
        render_timestamp(moment, Separator::Space, Clock::Fixed(6), out)?;
        Ok(Value::Text(out))
    }
}

/// Whole days, and the microseconds after them.
fn split(micros: i64) -> Result<(i32, i64), Refusal> {
    let days = micros.div_euclid(MICROS_PER_DAY);
    if days.abs() > MOST_DAYS {
        return Err(Refusal::Form);
    }
    Ok((i32::try_from(days).map_err(|_| Refusal::Form)?, micros.rem_euclid(MICROS_PER_DAY)))
}

fn parse_clock(text: &[u8]) -> Result<i64, Refusal> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let colon = rest.iter().position(|byte| *byte == b':').ok_or(Refusal::Form)?;
    let (hours, rest) = rest.split_at(colon);
    if !(2..=9).contains(&hours.len()) || (hours.len() > 2 && hours[0] == b'0') {
        return Err(Refusal::Form);
    }
    let hours =
        hours.iter().try_fold(0, |sum, digit| Ok(sum * 10 + super::clock::decimal(*digit)?))?;
    // The rest is a time of the first hour.
    let rest = [b"00", rest].concat();
    two_digits(rest.get(3..5).ok_or(Refusal::Form)?)?;
    let micros = hours * MICROS_PER_HOUR + Clock::ZeroOrSix.parse(&rest)?;
    match (negative, micros) {
        (true, 0) => Err(Refusal::Form),
        (true, micros) => Ok(-micros),
        (false, micros) => Ok(micros),
    }
}

fn render_clock(micros: i64, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let size = micros.checked_abs().ok_or(Refusal::Form)?;
    let hours = size / MICROS_PER_HOUR;
    if hours > MOST_HOURS {
        return Err(Refusal::Form);
    }
    if micros < 0 {
        out.push(b'-');
    }
    if hours < 100 {
        push_digits::<2>(hours, out);
    } else {
        out.extend_from_slice(hours.to_string().as_bytes());
    }
    let start = out.len();
    Clock::ZeroOrSix.render(size % MICROS_PER_HOUR, out)?;
    // The hours of what is left are `00`.
    out.drain(start..start + 2);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(form: IntervalForm, value: Value<'_>) -> Option<(i64, i32)> {
        let field = form.parse(value).ok()?;
        assert_eq!(form.render(field, &mut Vec::new()), Ok(value));
        let days = i32::from_be_bytes(field[8..12].try_into().unwrap());
        Some((i64::from_be_bytes(field[..8].try_into().unwrap()), days))
    }

    #[test]
    fn days_are_whole_and_time_is_never_negative() {
        let micros = IntervalForm::Count(EpochUnit::Microseconds);
        assert_eq!(parts(micros, Value::Integer(MICROS_PER_DAY + 1)), Some((1, 1)));
        assert_eq!(parts(micros, Value::Integer(-1)), Some((MICROS_PER_DAY - 1, -1)));
        assert_eq!(parts(micros, Value::Integer(i64::MAX)), None);
        let seconds = IntervalForm::Count(EpochUnit::Seconds);
        assert_eq!(parts(seconds, Value::Integer(90_000)), Some((3_600_000_000, 1)));
        let text = |text: &'static str| Value::Text(text.as_bytes());
        let epoch = IntervalForm::Epoch;
        assert_eq!(parts(epoch, text("1970-01-02 00:00:01.500000")), Some((1_500_000, 1)));
        assert_eq!(parts(epoch, text("1969-12-31 23:59:59.000000")), Some((86_399_000_000, -1)));
    }

    #[test]
    fn a_clock_counts_hours() {
        let text = |text: &'static str| parts(IntervalForm::Clock, Value::Text(text.as_bytes()));
        assert_eq!(text("36:00:00"), Some((36 * MICROS_PER_HOUR, 0)));
        assert_eq!(text("-00:00:00.500000"), Some((-500_000, 0)));
        assert_eq!(text("1000:30:01"), Some((1000 * MICROS_PER_HOUR + 1_801_000_000, 0)));
        for wrong in ["1:00:00", "012:00:00", "-00:00:00", "12:00", "12:60:00", "12:00:00.5", ""] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }
}
