//! Dates and times. Every clock holds microseconds, but for `minutes` and those for a type with
//! fewer digits.

use super::{
    super::{
        codec::{Clock, EpochUnit, Moment, MomentType},
        ident::literal,
    },
    DIGITS, FINER, MIDNIGHT_24, REAL_YEARS, Reals, Rules, SECONDS, TIME_OF_DAY, TWICE, Texts,
    WHOLE, YEARS,
};

impl Rules<'_> {
    pub(super) fn date(self) -> Self {
        if self.storage.texts() == Texts::None { self.never() } else { self.date_years() }
    }

    fn date_years(self) -> Self {
        let value = self.value;
        self.require(format!("{value} BETWEEN '0001-01-01'::date AND '9999-12-31'::date"), YEARS)
    }

    pub(super) fn time(self, clock: Clock) -> Self {
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        let value = self.value;
        let rules = self.require(format!("{value} < '24:00:00'::time"), MIDNIGHT_24);
        match clock {
            Clock::Minutes => rules.require(format!("extract(second FROM {value}) = 0"), SECONDS),
            clock => rules.digits(clock, value),
        }
    }

    /// A codec for a column whose type is given.
    pub(super) fn form(self, form: Moment) -> Self {
        let (texts, reals) = (self.storage.texts(), self.storage.reals());
        let kept = match form {
            Moment::DateJulian | Moment::EpochReal(_) | Moment::Julian(_) => reals != Reals::None,
            Moment::Epoch(_) => self.storage.keeps_integers(),
            _ => texts != Texts::None,
        };
        if !kept {
            return self.never();
        }
        match form {
            Moment::DateAny | Moment::DateJulian => self.date_years(),
            Moment::TimeAny(clock) => self.time(clock),
            Moment::TimestampAny(_, clock) | Moment::TimestampUtc(_, clock, _) => {
                self.timestamp(clock)
            }
            Moment::TimestampTzAny(_, clock, _) | Moment::TimestampTzAnyIn(_, _, clock, _) => {
                self.timestamptz(clock)
            }
            Moment::Epoch(unit) => {
                let value = self.value;
                self.local_years().unit(unit, value)
            }
            Moment::EpochReal(r#type) => self.real_seconds(r#type),
            Moment::Julian(r#type) => self.julian(r#type),
            Moment::In(zone, _, clock) => self.in_zone(zone.name(), clock),
        }
    }

    /// The moment as a `timestamp` in UTC.
    fn utc(&self, r#type: MomentType) -> String {
        match r#type {
            MomentType::Timestamp => self.value.to_owned(),
            MomentType::TimestampTz => format!("({} AT TIME ZONE 'UTC')", self.value),
        }
    }

    fn real_seconds(self, r#type: MomentType) -> Self {
        let utc = self.utc(r#type);
        let rules = self.require(
            format!(
                "{utc} BETWEEN '1700-01-01 00:00:00'::timestamp \
                 AND '2239-12-31 23:59:59.999999'::timestamp"
            ),
            REAL_YEARS,
        );
        match rules.storage.reals() {
            Reals::NotWhole => {
                rules.require(format!("date_trunc('second', {utc}) <> {utc}"), WHOLE)
            }
            _ => rules,
        }
    }

    fn julian(self, r#type: MomentType) -> Self {
        let utc = self.utc(r#type);
        let rules = match r#type {
            MomentType::Timestamp => self.local_years(),
            MomentType::TimestampTz => self.years(),
        };
        let rules = rules.whole("milliseconds", &utc, FINER);
        match rules.storage.reals() {
            // Julian days begin at noon.
            Reals::NotWhole => rules.require(format!("{utc}::time <> '12:00:00'::time"), WHOLE),
            _ => rules,
        }
    }

    /// Local time that means one instant. It means two where the zone has had, or will have, another
    /// offset within a day, and the same local time with that one.
    fn in_zone(self, zone: &str, clock: Clock) -> Self {
        let zone = literal(zone);
        let utc = self.utc(MomentType::TimestampTz);
        let local = format!("({} AT TIME ZONE {zone})", self.value);
        let local_of = |utc: &str| format!("({utc} AT TIME ZONE 'UTC' AT TIME ZONE {zone})");
        let once = |sign: &str| {
            let other = format!("({utc} {sign} '24:00:00'::interval)");
            let offset = format!("({} - {other})", local_of(&other));
            if self.haste {
                return format!("{local} - {utc} = {offset}");
            }
            let instant = format!("({local} - {offset})");
            format!("({instant} = {utc} OR {} <> {local})", local_of(&instant))
        };
        let unique = [once("-"), once("+")].join(" AND ");
        let value = self.value;
        // Beyond, other zones have years of another number of digits.
        let years = format!(
            "{value} >= '0001-01-02 00:00:00+00'::timestamptz \
             AND {value} < '9999-12-30 00:00:00+00'::timestamptz"
        );
        // No arithmetic with infinity.
        let condition = format!("CASE WHEN {years} THEN {unique} ELSE false END");
        self.require(condition, TWICE).because(YEARS).clock(clock, &local)
    }

    pub(super) fn timestamp(self, clock: Clock) -> Self {
        let value = self.value;
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        self.local_years().clock(clock, value)
    }

    pub(super) fn midnight(self) -> Self {
        let value = self.value;
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        self.local_years().whole("day", value, TIME_OF_DAY)
    }

    pub(super) fn timestamptz(self, clock: Clock) -> Self {
        // Zones of the past differ from UTC by seconds.
        let utc = format!("({} AT TIME ZONE 'UTC')", self.value);
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        self.years().clock(clock, &utc)
    }

    pub(super) fn epoch(self, unit: EpochUnit) -> Self {
        if !self.storage.keeps_integers() {
            return self.never();
        }
        let utc = format!("({} AT TIME ZONE 'UTC')", self.value);
        self.years().unit(unit, &utc)
    }

    fn unit(self, unit: EpochUnit, utc: &str) -> Self {
        match unit {
            EpochUnit::Seconds => self.whole("second", utc, FINER),
            EpochUnit::Milliseconds => self.whole("milliseconds", utc, FINER),
            EpochUnit::Microseconds => self,
        }
    }

    fn local_years(self) -> Self {
        let value = self.value;
        self.require(
            format!(
                "{value} BETWEEN '0001-01-01 00:00:00'::timestamp \
                 AND '9999-12-31 23:59:59.999999'::timestamp"
            ),
            YEARS,
        )
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

    fn clock(self, clock: Clock, value: &str) -> Self {
        match clock {
            Clock::Minutes => self.whole("minute", value, SECONDS),
            clock => self.digits(clock, value),
        }
    }

    /// Of a `time` or `timestamp`.
    fn digits(self, clock: Clock, value: &str) -> Self {
        let Clock::Within(_, digits) = clock else { return self };
        let unit = 10_i64.pow(6 - u32::from(digits.min(6)));
        self.require(format!("extract(microseconds FROM {value})::bigint % {unit} = 0"), DIGITS)
    }

    fn whole(self, unit: &str, value: &str, reason: &'static str) -> Self {
        self.require(format!("date_trunc('{unit}', {value}) = {value}"), reason)
    }
}
