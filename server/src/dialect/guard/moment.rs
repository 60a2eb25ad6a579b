//! Dates and times. Every clock but `minutes` holds microseconds.

use super::{
    super::codec::{Clock, EpochUnit},
    FINER, MIDNIGHT_24, Rules, SECONDS, TIME_OF_DAY, Texts, YEARS,
};

impl Rules<'_> {
    pub(super) fn date(self) -> Self {
        let value = self.value;
        self.moment(format!("{value} BETWEEN '0001-01-01'::date AND '9999-12-31'::date"))
    }

    pub(super) fn time(self, clock: Clock) -> Self {
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        let value = self.value;
        let rules = self.require(format!("{value} < '24:00:00'::time"), MIDNIGHT_24);
        match clock {
            Clock::Minutes => rules.require(format!("extract(second FROM {value}) = 0"), SECONDS),
            Clock::Fixed(_) | Clock::ZeroOrSix | Clock::Trimmed => rules,
        }
    }

    pub(super) fn timestamp(self, clock: Clock) -> Self {
        let value = self.value;
        self.local_years().minutes(clock, value)
    }

    pub(super) fn midnight(self) -> Self {
        let value = self.value;
        self.local_years().whole("day", value, TIME_OF_DAY)
    }

    pub(super) fn timestamptz(self, clock: Clock) -> Self {
        // Zones of the past differ from UTC by seconds.
        let utc = format!("({} AT TIME ZONE 'UTC')", self.value);
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        self.years().minutes(clock, &utc)
    }

    pub(super) fn epoch(self, unit: EpochUnit) -> Self {
        if !self.storage.keeps_integers() {
            return self.never();
        }
        let utc = format!("({} AT TIME ZONE 'UTC')", self.value);
        let rules = self.years();
        match unit {
            EpochUnit::Seconds => rules.whole("second", &utc, FINER),
            EpochUnit::Milliseconds => rules.whole("milliseconds", &utc, FINER),
            EpochUnit::Microseconds => rules,
        }
    }

    fn local_years(self) -> Self {
        let value = self.value;
        self.moment(format!(
            "{value} BETWEEN '0001-01-01 00:00:00'::timestamp \
             AND '9999-12-31 23:59:59.999999'::timestamp"
        ))
    }

    fn years(self) -> Self {
        let value = self.value;
        self.require(
            format!(
                "{value} BETWEEN '0001-01-01 00:00:00+00'::timestamptz \
                 AND '9999-12-31 23:59:59.999999+00'::timestamptz"
            ),
            YEARS,
        )
    }

    fn moment(self, range: String) -> Self {
        if self.storage.texts() == Texts::None { self.never() } else { self.require(range, YEARS) }
    }

    fn minutes(self, clock: Clock, value: &str) -> Self {
        match clock {
            Clock::Minutes => self.whole("minute", value, SECONDS),
            Clock::Fixed(_) | Clock::ZeroOrSix | Clock::Trimmed => self,
        }
    }

    fn whole(self, unit: &str, value: &str, reason: &'static str) -> Self {
        if self.reasons == [super::ANY] {
            return self;
        }
        self.require(format!("date_trunc('{unit}', {value}) = {value}"), reason)
    }
}
