//! Codecs for columns whose type is given, but for dates and times.

use super::{
    super::{
        codec::{BitType, Element, Labels, Scale},
        ident::literal,
        value::Value,
    },
    BOUNDS, FRACTION, JSON_NUMBER, LABEL, NAN, NO_DOUBLE, NO_NUMBER, NUMBER_TEXT, Reals, Rules,
    TOO_MANY_DIGITS, Texts, WHOLE, YEARS, ZEROS, decimal, not_whole, survives,
};

impl Rules<'_> {
    /// Whole numbers come back as INTEGER wherever SQLite could store one.
    pub(super) fn number_any(self) -> Self {
        let value = self.value;
        let integers = self.storage.keeps_integers();
        match (integers, self.storage.reals()) {
            (false, Reals::None) => self.never(),
            (true, Reals::None) => {
                let whole = format!("NOT {}", not_whole(value));
                self.require(whole, FRACTION).because(NAN).not_minus_zero()
            }
            (false, _) => self
                .require(format!("{value} <> 'NaN'::float8"), NAN)
                .require(not_whole(value), WHOLE),
            (true, Reals::All) => self.require(format!("{value} <> 'NaN'::float8"), NAN),
            (true, _) => self.require(format!("{value} <> 'NaN'::float8"), NAN).not_minus_zero(),
        }
    }

    /// Numbers that come back as REAL, whole ones too.
    pub(super) fn numeric_real(self, scale: Option<Scale>) -> Self {
        let value = self.value;
        let reals = self.storage.reals();
        if reals == Reals::None {
            return self.never();
        }
        let rules = match scale {
            Some(scale) => self.require(decimal::within(value, scale), TOO_MANY_DIGITS),
            None => self.require(format!("scale({value}) = min_scale({value})"), ZEROS),
        };
        let all_shortest = scale.is_some_and(|scale| scale.precision() <= decimal::ALWAYS_SHORTEST);
        match (all_shortest, reals) {
            (true, Reals::NotWhole) => rules.require(format!("{value} <> trunc({value})"), WHOLE),
            (true, _) => rules,
            (false, Reals::NotWhole) => {
                let shortest = decimal::is_shortest(value, rules.haste);
                // The cast fails for what is no double.
                let stored = not_whole(&format!("{value}::float8"));
                let condition = format!("CASE WHEN {shortest} THEN {stored} ELSE false END");
                rules.require(condition, NO_DOUBLE).because(WHOLE)
            }
            (false, _) => {
                let shortest = decimal::is_shortest(value, rules.haste);
                rules.require(shortest, NO_DOUBLE)
            }
        }
    }

    /// Numbers that come back as TEXT, which every other column takes for numbers.
    pub(super) fn numeric_text(self, scale: Option<Scale>) -> Self {
        let value = self.value;
        match (self.storage.texts(), scale) {
            (Texts::None | Texts::NotNumbers, _) => self.never(),
            (Texts::All, Some(scale)) => {
                self.require(decimal::within(value, scale), TOO_MANY_DIGITS)
            }
            (Texts::All, None) => self.require(format!("scale({value}) IS NOT NULL"), NO_NUMBER),
        }
    }

    /// Digits are a number to SQLite, unless there is none.
    pub(super) fn bits(self, bits: BitType) -> Self {
        match (self.storage.texts(), bits) {
            (Texts::All, _) => self,
            (Texts::NotNumbers, BitType::Varying(_)) => {
                let condition = format!("length({}) = 0", self.value);
                self.require(condition, NUMBER_TEXT)
            }
            (Texts::NotNumbers, BitType::Fixed(_)) | (Texts::None, _) => self.never(),
        }
    }

    pub(super) fn label(self, labels: &Labels) -> Self {
        let kept =
            labels.iter().filter(|label| survives(Value::Text(label.as_bytes()), self.storage));
        let kept: Vec<String> = kept.map(literal).collect();
        if kept.is_empty() {
            return self.never();
        }
        let condition = format!("{}::text COLLATE \"C\" IN ({})", self.value, kept.join(", "));
        self.require(condition, LABEL)
    }

    pub(super) fn jsonb(self) -> Self {
        let value = self.value;
        let rules = match self.storage.texts() {
            Texts::All => self,
            Texts::NotNumbers => {
                self.require(format!("jsonb_typeof({value}) <> 'number'"), NUMBER_TEXT)
            }
            Texts::None => return self.never(),
        };
        rules.json_utf16()
    }

    pub(super) fn jsonb_numeric(self) -> Self {
        let value = self.value;
        let (integers, reals) = (self.storage.keeps_integers(), self.storage.reals());
        let texts = self.storage.texts() != Texts::None;
        if !integers && reals == Reals::None && !texts {
            return self.never();
        }
        let number = format!("{value}::numeric");
        let (whole, shortest) =
            (decimal::is_integer(&number), decimal::is_shortest(&number, self.haste));
        // The codec itself takes no whole REAL.
        let rest = if reals == Reals::None { "false" } else { shortest.as_str() };
        let condition = format!(
            "CASE WHEN jsonb_typeof({value}) <> 'number' THEN {texts} \
             WHEN scale({number}) <> min_scale({number}) THEN false \
             WHEN {whole} THEN {integers} ELSE {rest} END"
        );
        self.require(condition, JSON_NUMBER).json_utf16()
    }

    /// An array in JSON is never a number, and its text is valid UTF-8.
    pub(super) fn array(self, element: Element) -> Self {
        let value = self.value;
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        // An empty array has no dimension.
        let bounds =
            format!("coalesce(array_ndims({value}) = 1 AND array_lower({value}, 1) = 1, true)");
        let rules = self.require(bounds, BOUNDS);
        match element {
            Element::Float8 => {
                let lacks =
                    |number: &str| format!("array_position({value}, '{number}'::float8) IS NULL");
                let numbers = ["NaN", "Infinity", "-Infinity"].map(lacks).join(" AND ");
                // A search in several dimensions fails.
                let condition =
                    format!("CASE WHEN array_ndims({value}) > 1 THEN false ELSE {numbers} END");
                rules.require(condition, NO_NUMBER)
            }
            Element::Numeric(_) | Element::NumericText(_) => {
                // Nothing else is written with these letters.
                let text = format!("array_to_string({value}, ',') COLLATE \"C\"");
                let lacks = |letter: &str| format!("strpos({text}, '{letter}') = 0");
                rules.require(["N", "I"].map(lacks).join(" AND "), NO_NUMBER)
            }
            Element::Text | Element::Varchar | Element::VarcharOf(_) | Element::CharOf(_) => {
                rules.array_utf16()
            }
            Element::Date => rules.all_between("'0001-01-01'::date", "'9999-12-31'::date"),
            Element::Timestamp => rules.all_between(
                "'0001-01-01 00:00:00'::timestamp",
                "'9999-12-31 23:59:59.999999'::timestamp",
            ),
            Element::TimestampTz => rules.all_between(
                "'0001-01-01 00:00:00+00'::timestamptz",
                "'9999-12-31 23:59:59.999999+00'::timestamptz",
            ),
            Element::Int2 | Element::Int4 | Element::Int8 | Element::Bool | Element::Uuid => rules,
        }
    }

    /// Of the elements of an array that are not NULL.
    fn all_between(self, first: &str, last: &str) -> Self {
        let value = self.value;
        let condition = format!(
            "coalesce({first} <= ALL ({value}), true) AND coalesce({last} >= ALL ({value}), true)"
        );
        self.require(condition, YEARS)
    }
}
