//! Lengths of time.

use super::{
    super::codec::{EpochUnit, IntervalForm},
    DAYS, FINER, MONTHS, Rules, TIME_PART, TOO_FAR, Texts,
};

impl Rules<'_> {
    pub(super) fn interval(self, form: IntervalForm) -> Self {
        let kept = match form {
            IntervalForm::Count(_) => self.storage.keeps_integers(),
            IntervalForm::Epoch | IntervalForm::Clock => self.storage.texts() != Texts::None,
        };
        if !kept {
            return self.never();
        }
        // Microseconds, days, months, as they are sent: no arithmetic that could fail.
        let sent = format!("interval_send({})", self.value);
        let part = |from: u8, bytes: u8| {
            format!("('x' || encode(substr({sent}, {from}, {bytes}), 'hex'))::bit({})", bytes * 8)
        };
        let (time, days) = (part(1, 8) + "::bigint", part(9, 4) + "::int");
        let months = format!("substr({sent}, 13, 4) = decode('00000000', 'hex')");
        let rules = self.require(months, MONTHS);
        if form == IntervalForm::Clock {
            let bound = "3600000000000000000";
            return rules
                .require(format!("{days} = 0"), DAYS)
                .require(format!("{time} > -{bound} AND {time} < {bound}"), TOO_FAR);
        }
        let (first, last) = match form {
            // From 0001-01-01 to 9999-12-31.
            IntervalForm::Epoch => (-719_162, 2_932_896),
            _ => (-106_751_990, 106_751_990),
        };
        let rules = rules
            .require(format!("{time} BETWEEN 0 AND 86399999999"), TIME_PART)
            .require(format!("{days} BETWEEN {first} AND {last}"), TOO_FAR);
        match form {
            IntervalForm::Count(unit) if unit != EpochUnit::Microseconds => {
                let micros = 1_000_000 / unit.per_second();
                rules.require(format!("{time} % {micros} = 0"), FINER)
            }
            _ => rules,
        }
    }
}
