//! Text as `time`, and the time of day in longer texts.
//!
//! A clock is named after the form that all times of a column had when it was chosen. A time that
//! this form cannot hold, because it needs more digits, is written with six: PostgreSQL's `now()`
//! has microseconds, and must not be refused in a column that had whole seconds so far.

use super::Refusal;

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub(super) const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// How the time of day is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// `HH:MM`.
    Minutes,
    /// `HH:MM:SS` and a fraction of so many digits, 0 to 6; of 6 where it needs more than that.
    Fixed(u8),
    /// No fraction when it is zero, else 6 digits, as Python writes it.
    ZeroOrSix,
    /// A fraction of up to 6 digits without zeros at its end, as Go and .NET write it.
    Trimmed,
    /// One of these forms, for a type that keeps so many digits, 0 to 5; a time that needs more
    /// is refused.
    Within(Fraction, u8),
}

/// How the fraction of a second is written by a [`Clock`] of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fraction {
    /// [`Clock::Fixed`].
    Fixed(u8),
    /// [`Clock::ZeroOrSix`].
    ZeroOrSix,
    /// [`Clock::Trimmed`].
    Trimmed,
}

impl From<Fraction> for Clock {
    fn from(fraction: Fraction) -> Self {
        match fraction {
            Fraction::Fixed(count) => Self::Fixed(count),
            Fraction::ZeroOrSix => Self::ZeroOrSix,
            Fraction::Trimmed => Self::Trimmed,
        }
    }
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

    /// The clocks of a type that keeps so many digits of a second, in the order of preference.
    pub fn of_precision(digits: u32) -> Vec<Self> {
        let Some(digits) = u8::try_from(digits).ok().filter(|digits| *digits < 6) else {
            return Self::ALL.to_vec();
        };
        let clocks = Self::ALL.into_iter().filter_map(|clock| {
            Some(match clock {
                Self::Fixed(count) => Self::Within(Fraction::Fixed(count), digits),
                Self::ZeroOrSix => Self::Within(Fraction::ZeroOrSix, digits),
                Self::Trimmed => Self::Within(Fraction::Trimmed, digits),
                Self::Minutes => clock,
                Self::Within(..) => return None,
            })
        });
        clocks.collect()
    }

    /// The smallest unit that it holds, in microseconds.
    pub(super) fn unit(self) -> i64 {
        match self {
            Self::Minutes => MICROS_PER_MINUTE,
            Self::Within(_, digits) => 10_i64.pow(6 - u32::from(digits.min(6))),
            Self::Fixed(_) | Self::ZeroOrSix | Self::Trimmed => 1,
        }
    }

    /// Digits of the fraction at most.
    pub(super) fn digits(self) -> u32 {
        match self {
            Self::Minutes => 0,
            Self::Within(_, digits) => u32::from(digits),
            Self::Fixed(_) | Self::ZeroOrSix | Self::Trimmed => 6,
        }
    }

    /// Whether a text that this clock reads has the form that it is named after, and not the
    /// longer one for a time that needs more digits. `text` ends with the time.
    pub(super) fn is_own_form(self, text: &[u8]) -> bool {
        let fraction = text.iter().rposition(|&byte| byte == b'.');
        let digits = fraction.map_or(0, |point| text.len() - point - 1);
        match self {
            Self::Fixed(count) | Self::Within(Fraction::Fixed(count), _) => {
                digits == usize::from(count)
            }
            Self::Minutes | Self::ZeroOrSix | Self::Trimmed | Self::Within(..) => true,
        }
    }

    /// Microseconds of the day.
    pub(super) fn parse(self, text: &[u8]) -> Result<i64, Refusal> {
        if let Self::Within(fraction, _) = self {
            let micros = Self::from(fraction).parse(text)?;
            return if micros % self.unit() == 0 { Ok(micros) } else { Err(Refusal::Form) };
        }
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
            Self::Minutes | Self::Within(..) => false,
            Self::Fixed(count) => {
                let count = usize::from(count);
                digits.len() == count && count <= 6
                    || digits.len() == 6 && significant(digits) > count
            }
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
        if !(0..MICROS_PER_DAY).contains(&micros) || micros % self.unit() != 0 {
            return Err(Refusal::Form);
        }
        if let Self::Within(fraction, _) = self {
            return Self::from(fraction).render(micros, out);
        }
        push_digits::<2>(micros / MICROS_PER_HOUR, out);
        out.push(b':');
        push_digits::<2>(micros / MICROS_PER_MINUTE % 60, out);
        if self == Self::Minutes {
            return Ok(());
        }
        out.push(b':');
        push_digits::<2>(micros / MICROS_PER_SECOND % 60, out);
        self.render_fraction(micros % MICROS_PER_SECOND, out)
    }

    fn render_fraction(self, micros: i64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let start = out.len();
        out.push(b'.');
        push_digits::<6>(micros, out);
        let significant = significant(&out[start + 1..]);
        let kept = match self {
            Self::Minutes | Self::Within(..) => 0,
            Self::Fixed(count) if significant <= usize::from(count) => usize::from(count),
            Self::ZeroOrSix if micros == 0 => 0,
            Self::Fixed(_) | Self::ZeroOrSix => 6,
            Self::Trimmed => significant,
        };
        if kept > 6 {
            return Err(Refusal::Form);
        }
        out.truncate(if kept == 0 { start } else { start + 1 + kept });
        Ok(())
    }
}

/// Digits of a fraction without the zeros at its end.
fn significant(digits: &[u8]) -> usize {
    digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1)
}

pub(super) fn decimal(character: u8) -> Result<i64, Refusal> {
    if character.is_ascii_digit() { Ok(i64::from(character - b'0')) } else { Err(Refusal::Form) }
}

pub(super) fn two_digits(text: &[u8]) -> Result<i64, Refusal> {
    let &[tens, ones] = text else { return Err(Refusal::Form) };
    Ok(decimal(tens)? * 10 + decimal(ones)?)
}

/// The last `N` decimal digits of a number that is not negative.
pub(super) fn push_digits<const N: usize>(mut number: i64, out: &mut Vec<u8>) {
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
            (Clock::Fixed(3), "12:00:00.250000"),
            (Clock::Fixed(3), "12:00:00.2501"),
            (Clock::Fixed(0), "12:00:00.000000"),
            (Clock::Fixed(0), "12:00:00.250"),
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
    fn a_clock_for_fewer_digits_refuses_finer_times() {
        let millis = Clock::Within(Fraction::ZeroOrSix, 3);
        assert!(millis.parse(b"12:00:00.250000").is_ok());
        assert_eq!(millis.parse(b"12:00:00.250001"), Err(Refusal::Form));
        assert_eq!(millis.render(1, &mut Vec::new()), Err(Refusal::Form));
        assert_eq!(
            Clock::Within(Fraction::Fixed(0), 0).render(1_000, &mut Vec::new()),
            Err(Refusal::Form)
        );
        assert_eq!(Clock::of_precision(6), Clock::ALL);
        assert!(Clock::of_precision(3).iter().all(|clock| clock.digits() <= 3));
    }

    #[test]
    fn what_needs_more_digits_is_written_with_six() {
        for (clock, text, own) in [
            (Clock::Fixed(0), "12:00:00", true),
            (Clock::Fixed(0), "12:00:00.250000", false),
            (Clock::Fixed(3), "12:00:00.250", true),
            (Clock::Fixed(3), "12:00:00.250001", false),
            (Clock::Fixed(5), "12:00:00.250001", false),
            (Clock::Fixed(6), "12:00:00.250000", true),
            (Clock::ZeroOrSix, "12:00:00.250000", true),
            (Clock::Trimmed, "12:00:00", true),
        ] {
            let mut out = Vec::new();
            clock.render(clock.parse(text.as_bytes()).unwrap(), &mut out).unwrap();
            assert_eq!(out, text.as_bytes(), "{clock:?}");
            assert_eq!(clock.is_own_form(&out), own, "{clock:?} {text}");
        }
    }
}
