//! Local times of a named time zone.
//!
//! The rules come with the program, so that a value means the same on every machine.

use std::hash::{Hash, Hasher};

use jiff::{
    SignedDuration, Timestamp,
    civil::{DateTime, Time},
    tz::{TimeZone, TimeZoneDatabase},
};

use super::{
    Refusal,
    calendar::{EPOCH, UNIX_TO_EPOCH},
    clock::MICROS_PER_DAY,
    intern::Interner,
};

/// A zone of the IANA database.
#[derive(Debug)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

static ZONES: Interner<Zone> = Interner::new();

/// Instants whose local time has a year from 1 to 9999 in every zone, and which jiff knows:
/// 0001-01-02 to 9999-12-30, in microseconds from 2000-01-01 UTC.
const INSTANTS: std::ops::Range<i64> = -730_118 * MICROS_PER_DAY..2_921_938 * MICROS_PER_DAY;

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Zone {
    /// By its name as the database spells it: `Europe/Berlin`.
    pub fn named(name: &str) -> Option<&'static Self> {
        let rules = TimeZoneDatabase::bundled().get(name).ok()?;
        let known = rules.iana_name() == Some(name);
        known.then(|| ZONES.get(Self { name: name.to_owned(), rules }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Microseconds from 2000-01-01 UTC of a local time in microseconds from 2000-01-01. One that
    /// the clocks skipped or showed twice is refused.
    pub(super) fn instant(&self, local: i64) -> Result<i64, Refusal> {
        let civil =
            epoch().checked_add(SignedDuration::from_micros(local)).map_err(|_| Refusal::Form)?;
        let instant = self.rules.to_ambiguous_timestamp(civil).unambiguous();
        let unix = instant.map_err(|_| Refusal::Form)?.as_microsecond();
        let micros = unix - UNIX_TO_EPOCH;
        if INSTANTS.contains(&micros) { Ok(micros) } else { Err(Refusal::Form) }
    }

    /// The other way round; a local time that means another instant too is refused.
    pub(super) fn local(&self, instant: i64) -> Result<i64, Refusal> {
        if !INSTANTS.contains(&instant) {
            return Err(Refusal::Form);
        }
        let timestamp =
            Timestamp::from_microsecond(instant + UNIX_TO_EPOCH).map_err(|_| Refusal::Form)?;
        let civil = self.rules.to_datetime(timestamp);
        let local = civil.duration_since(epoch()).as_micros();
        let local = i64::try_from(local).map_err(|_| Refusal::Form)?;
        if self.instant(local)? == instant { Ok(local) } else { Err(Refusal::Form) }
    }
}

fn epoch() -> DateTime {
    EPOCH.to_datetime(Time::midnight())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Clock, Separator, calendar::parse_timestamp},
        *,
    };

    fn local(text: &str) -> i64 {
        parse_timestamp(text.as_bytes(), Separator::Space, Clock::Fixed(0)).unwrap()
    }

    #[test]
    fn summer_and_winter_differ() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(berlin.instant(local("2024-01-01 12:00:00")), Ok(local("2024-01-01 11:00:00")));
        assert_eq!(berlin.instant(local("2024-07-01 12:00:00")), Ok(local("2024-07-01 10:00:00")));
        assert_eq!(berlin.local(local("2024-07-01 10:00:00")), Ok(local("2024-07-01 12:00:00")));
    }

    #[test]
    fn an_hour_that_was_skipped_or_came_twice_is_refused() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        for text in ["2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-10-27 02:00:00"] {
            assert_eq!(berlin.instant(local(text)), Err(Refusal::Form), "{text}");
        }
        // Both instants that the clocks called half past two.
        for text in ["2024-10-27 00:30:00", "2024-10-27 01:30:00"] {
            assert_eq!(berlin.local(local(text)), Err(Refusal::Form), "{text}");
        }
        assert_eq!(berlin.local(local("2024-10-26 23:59:59")), Ok(local("2024-10-27 01:59:59")));
        assert_eq!(berlin.local(local("2024-10-27 02:00:00")), Ok(local("2024-10-27 03:00:00")));
    }

    #[test]
    fn zones_have_one_name_and_bounds() {
        assert!(Zone::named("Europe/Atlantis").is_none());
        assert!(Zone::named("europe/berlin").is_none());
        let utc = Zone::named("UTC").unwrap();
        assert_eq!(utc.local(INSTANTS.start), Ok(local("0001-01-02 00:00:00")));
        assert_eq!(utc.local(INSTANTS.start - 1), Err(Refusal::Form));
        assert_eq!(utc.local(INSTANTS.end), Err(Refusal::Form));
        assert_eq!(utc.instant(local("9999-12-30 00:00:00")), Err(Refusal::Form));
        assert_eq!(utc.instant(local("9999-12-29 23:59:59")), Ok(local("9999-12-29 23:59:59")));
    }
}
