//! Ranges.

use super::{
    super::{
        codec::RangeType,
        schema::{Affinity, Encoding},
    },
    Rules, Storage, Texts, YEARS,
};

/// A bound is part of a longer text, which SQLite takes for no number.
const BOUND: Storage = Storage { affinity: Affinity::Any, strict: true, encoding: Encoding::Utf8 };

impl Rules<'_> {
    /// A range goes back if its bounds do.
    pub(super) fn range(self, range: RangeType) -> Self {
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        let (lower, upper) = (format!("lower({})", self.value), format!("upper({})", self.value));
        let rules = self.bound(range, &lower);
        if range == RangeType::Date {
            // A range until the last day ends before the one behind it.
            let days = "'0001-01-01'::date AND '9999-12-31'::date + 1";
            return rules.require(format!("({upper} IS NULL OR {upper} BETWEEN {days})"), YEARS);
        }
        rules.bound(range, &upper)
    }

    fn bound(mut self, range: RangeType, bound: &str) -> Self {
        let codec = range.element();
        let rules = Rules {
            value: bound,
            storage: BOUND,
            haste: self.haste,
            conditions: Vec::new(),
            reasons: Vec::new(),
        };
        let rules = rules.of(&codec, &codec.natural_type());
        self.conditions.extend(rules.condition());
        self.reasons.extend(rules.reasons);
        self.reasons.dedup();
        self
    }
}
