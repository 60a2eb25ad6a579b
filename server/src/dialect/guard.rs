//! Which values of PostgreSQL can go back, as conditions that PostgreSQL checks when it is written.
//!
//! After the cutover what the application writes flows back into the SQLite file. A value goes
//! back when the column's codec makes a SQLite value of it ([`Codec::decode`]) that SQLite stores
//! as it is ([`survives`]); any other one must be refused while the application still can be told.
//! So the conditions here say the same as those two functions; the scenario tests hold them
//! against each other on both real engines.
//!
//! A condition uses nothing but built-in functions of PostgreSQL 13, does not depend on the
//! session's settings (`DateStyle`, `TimeZone`, `extra_float_digits`, a column's collation, …),
//! fails for no value, and has no subquery, so that it can stand in the `WHEN` of a trigger.

mod decimal;
mod existing;
mod interval;
mod moment;
mod range;
mod storage;
mod text;

use self::storage::{Reals, Texts};
pub use self::storage::{Storage, survives};
use super::codec::{
    BoolBack, BoolForm, Codec, EXACT_INTEGERS, NumericForm, PgType, Scale, UuidForm,
};

/// What a column of PostgreSQL must hold so that its values can go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Condition of PostgreSQL: true for NULL and for every value that goes back, false for every
    /// other one; never NULL, and safe beside any operator.
    pub condition: String,
    /// Where the condition is long: a shorter one that is true only where it is, and nearly always
    /// then. PostgreSQL reads the `WHEN` of a trigger anew in each statement, which takes half a
    /// millisecond for the longest; a trigger can have this one there and the other in its
    /// function.
    pub quick: Option<String>,
    /// What is refused, for people; each one completes "the column cannot take …".
    pub reasons: Vec<&'static str>,
}

impl Guard {
    /// The reasons in one line.
    pub fn reason(&self) -> String {
        self.reasons.join("; ")
    }
}

const ANY: &str = "any value, because the column of SQLite does not store its class";
const NAN: &str = "NaN, which SQLite stores as NULL";
const MINUS_ZERO: &str = "−0, which SQLite stores as 0";
const WHOLE: &str = "a whole number, of which SQLite stores the other class";
const FRACTION: &str = "a fraction, which the column of SQLite does not store";
const BEYOND_EXACT: &str = "a whole number beyond ±2⁵³ that an INTEGER could hold";
const NO_DOUBLE: &str = "a number that is neither a 64-bit integer nor the shortest decimal of a \
                         double, such as a fraction with more than 17 digits";
const ZEROS: &str = "zeros at the end of a fraction, which a number of SQLite does not keep";
const TOO_MANY_DIGITS: &str = "NaN, or more digits than the codec has";
const TOO_LONG: &str = "a text that is longer than the codec's limit";
const NUMBER_TEXT: &str = "text that SQLite would turn into a number";
const NOT_UTF16: &str = "U+FFFE and U+FFFF, which SQLite replaces in a UTF-16 file";
const YEARS: &str =
    "a year before 1 or after 9999, which has no form with four digits, and infinity";
const MIDNIGHT_24: &str = "24:00:00, which is no time of day in SQLite";
const SECONDS: &str = "a time that is no whole minute, with the clock `minutes`";
const TIME_OF_DAY: &str = "a time other than midnight";
const FINER: &str = "a time that is finer than the unit";
const NUMBER_UUID: &str = "a UUID whose digits SQLite would turn into a number";
const JSON_NUMBER: &str = "a bare number that is not written as SQLite's own number would be";
const TAG: &str = "text that is not a letter for the class and a value in its one form";
const ESCAPES: &str = "text with a backslash that begins none of the escapes, or one that could \
                       be written without it";
const DIGITS: &str = "a time with more digits than the clock has room for";
const REAL_YEARS: &str = "a time before 1700 or after 2239, which a REAL of seconds does not hold to \
                          the microsecond";
const TWICE: &str = "a time that the clocks of the zone show twice";
const MONTHS: &str = "months, which have no fixed length";
const DAYS: &str = "days, which the clock does not count";
const TIME_PART: &str = "a time besides the days that is negative, or a day and longer";
const TOO_FAR: &str = "a length of time that is beyond the codec's range";
const NO_NUMBER: &str = "NaN and infinities";
const LABEL: &str = "a label that the codec does not have, or that SQLite does not store as it is";
const NOT_UTF8: &str = "bytes that are not UTF-8, which SQLite replaces in a UTF-16 file";
const BOUNDS: &str = "an array with several dimensions, or that does not begin at 1";

const NUMBER_FORM: &str = "text that SQLite would turn into a number, and that is not written as \
                           that number is";

/// Codecs, what a column with each refuses, and what it refuses besides where the column of SQLite
/// has a certain affinity, is STRICT, or is in a UTF-16 file; `docs/type-mapping.md` prints it.
/// Where the column of SQLite does not store the class that the codec makes at all, [`ANY`] value
/// is refused, whatever the codec.
pub const TABLE: &[(&str, &[&str], &[&str])] = &[
    ("integer", &[], &[]),
    ("real", &[NAN], &[MINUS_ZERO, WHOLE]),
    ("number", &[NAN, MINUS_ZERO, BEYOND_EXACT], &[WHOLE, FRACTION]),
    ("text", &[], &[NUMBER_TEXT, NOT_UTF16]),
    ("varchar:N", &[], &[NUMBER_TEXT, NOT_UTF16, TOO_LONG]),
    ("blob", &[], &[]),
    ("bool:FORM", &[], &[]),
    ("date", &[YEARS], &[]),
    ("time:CLOCK", &[MIDNIGHT_24, SECONDS, DIGITS], &[]),
    ("timestamp:SEP:CLOCK", &[YEARS, SECONDS, DIGITS], &[]),
    ("timestamp:date", &[YEARS, TIME_OF_DAY], &[]),
    ("timestamptz:SEP:CLOCK:SUFFIX", &[YEARS, SECONDS, DIGITS], &[]),
    ("timestamptz:epoch-UNIT", &[YEARS, FINER], &[]),
    ("uuid:FORM", &[], &[NUMBER_UUID]),
    ("numeric", &[NO_DOUBLE, ZEROS], &[WHOLE, FRACTION]),
    ("numeric:P:S", &[TOO_MANY_DIGITS, NO_DOUBLE], &[WHOLE, FRACTION]),
    ("json", &[], &[NUMBER_TEXT, NOT_UTF16]),
    ("json:numeric", &[JSON_NUMBER], &[NOT_UTF16]),
    ("tagged", &[TAG], &[NUMBER_TEXT, NOT_UTF16, MINUS_ZERO, WHOLE]),
    ("escaped", &[ESCAPES], &[NUMBER_TEXT, NOT_UTF16]),
    ("integer:BITS", &[], &[]),
    ("real:32", &[NAN], &[MINUS_ZERO, WHOLE]),
    ("real:32:rounded", &[NAN], &[MINUS_ZERO, WHOLE]),
    ("number:any", &[NAN], &[MINUS_ZERO, WHOLE, FRACTION]),
    ("numeric:real", &[NO_DOUBLE, ZEROS], &[WHOLE]),
    ("numeric:text", &[NO_NUMBER], &[]),
    ("numeric:any", &[NO_DOUBLE], &[WHOLE, FRACTION]),
    ("numeric:any:text", &[NO_NUMBER], &[]),
    ("numeric:P:S:real", &[TOO_MANY_DIGITS, NO_DOUBLE], &[WHOLE]),
    ("numeric:P:S:text", &[TOO_MANY_DIGITS], &[]),
    ("numeric:P:S:any", &[TOO_MANY_DIGITS, NO_DOUBLE], &[WHOLE, FRACTION]),
    ("numeric:P:S:any:text", &[TOO_MANY_DIGITS], &[]),
    ("char:N", &[], &[NUMBER_TEXT, NOT_UTF16]),
    ("text:blob", &[], &[]),
    ("blob:text", &[], &[NUMBER_TEXT, NOT_UTF8, NOT_UTF16]),
    ("label:LABELS", &[LABEL], &[]),
    ("bool:any", &[], &[]),
    ("bool:any:text", &[], &[]),
    ("date:any", &[YEARS], &[]),
    ("date:julian", &[YEARS], &[]),
    ("time:any:CLOCK", &[MIDNIGHT_24, SECONDS, DIGITS], &[]),
    ("timestamp:any:SEP:CLOCK", &[YEARS, SECONDS, DIGITS], &[]),
    ("timestamptz:any:SEP:CLOCK:SUFFIX", &[YEARS, SECONDS, DIGITS], &[]),
    ("timestamptz:any:in:ZONE:SEP:CLOCK:SUFFIX", &[YEARS, SECONDS, DIGITS], &[]),
    ("timestamp:SEP:CLOCK:SUFFIX", &[YEARS, SECONDS, DIGITS], &[]),
    ("timestamp:epoch-UNIT", &[YEARS, FINER], &[]),
    ("timestamp:epoch-s-real", &[REAL_YEARS], &[WHOLE]),
    ("timestamptz:epoch-s-real", &[REAL_YEARS], &[WHOLE]),
    ("timestamp:julian", &[YEARS, FINER], &[WHOLE]),
    ("timestamptz:julian", &[YEARS, FINER], &[WHOLE]),
    ("timestamptz:in:ZONE:SEP:CLOCK", &[YEARS, TWICE, SECONDS, DIGITS], &[]),
    ("uuid:any", &[], &[]),
    ("interval:UNIT", &[MONTHS, TIME_PART, TOO_FAR, FINER], &[]),
    ("interval:epoch", &[MONTHS, TIME_PART, TOO_FAR], &[]),
    ("interval:clock", &[MONTHS, DAYS, TOO_FAR], &[]),
    ("jsonb", &[], &[NUMBER_TEXT, NOT_UTF16]),
    ("jsonb:numeric", &[JSON_NUMBER], &[NOT_UTF16]),
    ("array:ELEMENT:SPACING", &[BOUNDS, NO_NUMBER, YEARS], &[NOT_UTF16]),
    ("inet", &[], &[]),
    ("cidr", &[], &[]),
    ("macaddr", &[], &[]),
    ("range:TYPE", &[YEARS, NO_NUMBER], &[]),
    ("range:any:TYPE", &[YEARS, NO_NUMBER], &[]),
    ("range:any:tstz:in:ZONE", &[YEARS], &[]),
    ("text:number", &[NUMBER_FORM], &[NOT_UTF16]),
    ("varchar:N:number", &[NUMBER_FORM], &[NOT_UTF16, TOO_LONG]),
    ("bit:N", &[], &[]),
    ("varbit", &[], &[NUMBER_TEXT]),
    ("varbit:N", &[], &[NUMBER_TEXT]),
];

/// Conditions that must all hold.
struct Rules<'a> {
    value: &'a str,
    storage: Storage,
    /// For [`Guard::quick`].
    haste: bool,
    conditions: Vec<String>,
    reasons: Vec<&'static str>,
}

/// The condition over the SQL expression `value`, of the type `pg_type`, under which a value goes
/// back into a column of SQLite that stores its values as `storage` says; none where every value
/// of the type does.
pub fn guard(codec: &Codec, pg_type: &str, storage: Storage, value: &str) -> Option<Guard> {
    let plain = match codec {
        // Zeros at the end of a fraction go, and are of no meaning.
        Codec::NumericAs(None, NumericForm::Any) => format!("trim_scale({value})"),
        _ => value.to_owned(),
    };
    let rules = |haste| {
        let value = plain.as_str();
        let rules = Rules { value, storage, haste, conditions: Vec::new(), reasons: Vec::new() };
        rules.of(codec, pg_type)
    };
    let (exact, quick) = (rules(false), rules(true));
    let (condition, quick) = (exact.condition()?, quick.condition()?);
    let quick = (quick != condition).then_some(quick);
    Some(Guard { condition, quick, reasons: exact.reasons })
}

impl Rules<'_> {
    fn of(self, codec: &Codec, pg_type: &str) -> Self {
        let rules = self;
        let natural = codec.natural_type() == pg_type;
        match *codec {
            Codec::Integer
            | Codec::Bool(BoolForm::ZeroOne)
            | Codec::Narrow(_)
            | Codec::BoolAny(BoolBack::ZeroOne) => rules.integers(),
            Codec::Real | Codec::Single(_) => rules.real(),
            Codec::Number => rules.number(),
            Codec::NumberAny => rules.number_any(),
            Codec::Varchar(limit) if !natural => rules.longest(limit),
            Codec::NumberText(Some(limit)) if !natural => rules.at_most(limit).number_text(),
            Codec::NumberText(_) => rules.number_text(),
            Codec::Bits(bits) => rules.bits(bits),
            Codec::Range(range) | Codec::RangeAny(range) => rules.range(range),
            Codec::Text | Codec::Varchar(_) => rules.text(),
            Codec::Char(_) => rules.padded(),
            Codec::Blob | Codec::Uuid(UuidForm::Blob) | Codec::TextOfBlob => rules.blobs(),
            Codec::BlobOfText => rules.bytes_of_text(),
            Codec::Label(labels) => rules.label(labels),
            Codec::Bool(_)
            | Codec::BoolAny(BoolBack::Text)
            | Codec::Uuid(UuidForm::Lower | UuidForm::Upper)
            | Codec::UuidAny
            | Codec::Net(_) => rules.plain_texts(),
            Codec::Uuid(UuidForm::Hex) => rules.hex_uuid(),
            Codec::Date => rules.date(),
            Codec::Time(clock) => rules.time(clock),
            Codec::Timestamp(_, clock) => rules.timestamp(clock),
            Codec::Midnight => rules.midnight(),
            Codec::TimestampTz(_, clock, _) => rules.timestamptz(clock),
            Codec::Epoch(unit) => rules.epoch(unit),
            Codec::Moment(form) => rules.form(form),
            Codec::Interval(form) => rules.interval(form),
            Codec::NumericAs(None, NumericForm::Any) => rules.number_of_sqlite(None),
            Codec::Numeric(scale) | Codec::NumericAs(scale, NumericForm::Any) => {
                rules.shown(scale, pg_type).numeric(scale)
            }
            Codec::NumericAs(scale, NumericForm::Real) => {
                rules.shown(scale, pg_type).numeric_real(scale)
            }
            Codec::NumericAs(scale, NumericForm::Text | NumericForm::AnyText) => {
                rules.shown(scale, pg_type).numeric_text(scale)
            }
            Codec::Json => rules.json(),
            Codec::JsonNumeric => rules.json_numeric(),
            Codec::Jsonb => rules.jsonb(),
            Codec::JsonbNumeric => rules.jsonb_numeric(),
            Codec::Array(element, _) => rules.array(element),
            Codec::Tagged => rules.tagged(),
            Codec::Escaped => rules.escaped(),
        }
    }

    fn condition(&self) -> Option<String> {
        if self.conditions.is_empty() {
            return None;
        }
        let (value, all) = (self.value, self.conditions.join(" AND "));
        Some(if self.reasons == [ANY] {
            format!("({value} IS NULL)")
        } else {
            format!("({value} IS NULL OR ({all}))")
        })
    }

    fn require(mut self, condition: String, reason: &'static str) -> Self {
        self.conditions.push(condition);
        self.because(reason)
    }

    /// Another reason for the condition that was required last.
    fn because(mut self, reason: &'static str) -> Self {
        self.reasons.push(reason);
        self
    }

    /// Nothing goes back but NULL.
    fn never(mut self) -> Self {
        self.conditions.clear();
        self.reasons.clear();
        self.require("false".into(), ANY)
    }

    fn integers(self) -> Self {
        if self.storage.keeps_integers() { self } else { self.never() }
    }

    fn blobs(self) -> Self {
        if self.storage.keeps_blobs() { self } else { self.never() }
    }

    /// Texts that look like no number to SQLite.
    fn plain_texts(self) -> Self {
        if self.storage.texts() == Texts::None { self.never() } else { self }
    }

    fn real(self) -> Self {
        let value = self.value;
        let rules = self.require(format!("{value} <> 'NaN'::float8"), NAN);
        match rules.storage.reals() {
            Reals::All => rules,
            Reals::NoMinusZero => rules.not_minus_zero(),
            Reals::NotWhole => rules.require(not_whole(value), WHOLE),
            Reals::None => rules.never(),
        }
    }

    fn not_minus_zero(self) -> Self {
        // They are equal as numbers.
        let condition = format!("float8send({}) <> decode('8000000000000000', 'hex')", self.value);
        self.require(condition, MINUS_ZERO)
    }

    fn number(self) -> Self {
        let value = self.value;
        let exact = format!("abs({value}) <= '{EXACT_INTEGERS}'::float8");
        let reals = self.storage.reals();
        match (self.storage.keeps_integers(), reals) {
            (false, Reals::None) => self.never(),
            (false, _) => self
                .require(format!("{value} <> 'NaN'::float8"), NAN)
                .require(not_whole(value), WHOLE),
            (true, Reals::None) => self
                .require(format!("{value} = trunc({value})"), FRACTION)
                .require(exact, BEYOND_EXACT)
                .because(NAN)
                .not_minus_zero(),
            (true, _) => self
                .require(format!("{value} <> 'NaN'::float8"), NAN)
                .require(format!("({exact} OR {})", not_whole(value)), BEYOND_EXACT)
                .not_minus_zero(),
        }
    }

    /// A type without bounds shows as many digits behind the point as a value has.
    fn shown(self, scale: Option<Scale>, pg_type: &str) -> Self {
        let bounded = PgType::parse(pg_type).is_some_and(|known| !known.arguments.is_empty());
        match scale {
            Some(scale) if !bounded => {
                let condition = format!("scale({}) = {}", self.value, scale.scale());
                self.require(condition, TOO_MANY_DIGITS)
            }
            _ => self,
        }
    }

    fn numeric(self, scale: Option<Scale>) -> Self {
        let value = self.value;
        let (integers, reals) = (self.storage.keeps_integers(), self.storage.reals());
        if !integers && reals == Reals::None {
            return self.never();
        }
        let rules = match scale {
            Some(scale) => self.require(decimal::within(value, scale), TOO_MANY_DIGITS),
            None => self.require(format!("scale({value}) = min_scale({value})"), ZEROS),
        };
        rules.number_of_sqlite(scale)
    }

    /// A number that is an INTEGER or the shortest decimal of a REAL.
    fn number_of_sqlite(self, scale: Option<Scale>) -> Self {
        let (integers, reals) = (self.storage.keeps_integers(), self.storage.reals());
        if !integers && reals == Reals::None {
            return self.never();
        }
        let (value, rules) = (self.value, self);
        let all_shortest = scale.is_some_and(|scale| scale.precision() <= decimal::ALWAYS_SHORTEST);
        let whole = decimal::is_integer(value);
        match (integers, reals) {
            (true, Reals::None) => rules.require(whole, FRACTION).because(NO_DOUBLE),
            (true, _) if all_shortest => rules,
            (true, _) => {
                let shortest = decimal::is_shortest(value, rules.haste);
                rules.require(format!("CASE WHEN {whole} THEN true ELSE {shortest} END"), NO_DOUBLE)
            }
            (false, _) if all_shortest => rules.require(format!("NOT ({whole})"), WHOLE),
            (false, _) => {
                let shortest = decimal::is_shortest(value, rules.haste);
                let condition = format!("CASE WHEN {whole} THEN false ELSE {shortest} END");
                rules.require(condition, WHOLE).because(NO_DOUBLE)
            }
        }
    }
}

/// Of a `double precision`: SQLite stores no INTEGER instead
/// ([`super::codec::stored_as_integer`]).
fn not_whole(value: &str) -> String {
    format!("({value} <> trunc({value}) OR abs({value}) > '9223372036854774784'::float8)")
}

#[cfg(test)]
mod tests;
