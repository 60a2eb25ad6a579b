//! Texts, as conditions over them. Regular expressions run under the collation `C`: others change
//! what a character class means, and some take no regular expression at all.

use super::{
    ESCAPES, JSON_NUMBER, MINUS_ZERO, NOT_UTF8, NOT_UTF16, NUMBER_FORM, NUMBER_TEXT, NUMBER_UUID,
    Reals, Rules, TAG, TOO_LONG, Texts, WHOLE, decimal,
};

/// Longest text in bytes that a regular expression is run on. PostgreSQL fails beyond 2²⁸
/// characters, of which it makes four bytes each in one allocation of at most 1 GiB.
const LONGEST: u32 = 250_000_000;

/// What is a number to SQLite; `looks_numeric` of the codecs is the same in Rust. Under `C` the
/// class is the white space of ASCII.
const NUMBER: &str =
    "^[[:space:]]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?[[:space:]]*$";
/// The same over the digits of its bytes.
const NUMBER_BYTES: &str = "^(09|0[a-d]|20)*(2b|2d)?((3[0-9])+(2e)?(3[0-9])*|2e(3[0-9])+)\
                            ([46]5(2b|2d)?(3[0-9])+)?(09|0[a-d]|20)*$";
/// A character that no number has; it decides about nearly every text at its beginning.
const NO_NUMBER: &str = "[^0-9eE+.[:space:]-]";

/// An INTEGER as Rust writes it, but for its range.
const INTEGER: &str = "^(0|-?[1-9][0-9]{0,18})$";
/// A REAL as Rust's `{:?}` writes it: from 1e-4 to below 1e16 with a point, else with an exponent.
const POINT: &str = "^-?(0|[1-9][0-9]{0,15})[.](0|[0-9]*[1-9])$";
const EXPONENT: &str = "^-?[1-9]([.][0-9]*[1-9])?e-?[1-9][0-9]{0,2}$";
/// Longer than any INTEGER or REAL behind its tag.
const LONGEST_NUMBER: u32 = 30;

/// One byte that continues a character of UTF-8, by `{}` around its hexadecimal digits, and the
/// characters of two, three and four bytes (RFC 3629, section 4).
fn characters(byte: impl Fn(&str) -> String) -> String {
    let tail = byte("[89ab][0-9a-f]");
    let sequence = |first: &str, second: &str, tails: usize| {
        format!("{}{}{}", byte(first), byte(second), tail.repeat(tails))
    };
    let any = "[89ab][0-9a-f]";
    [
        sequence("(c[2-9a-f]|d[0-9a-f])", any, 0),
        sequence("e0", "[ab][0-9a-f]", 1),
        sequence("e[1-9abcef]", any, 1),
        sequence("ed", "[89][0-9a-f]", 1),
        sequence("f0", "[9ab][0-9a-f]", 2),
        sequence("f[1-3]", any, 2),
        sequence("f4", "8[0-9a-f]", 2),
    ]
    .join("|")
}

/// A string constant, whatever `standard_conforming_strings` is.
fn string(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn matches(text: &str, pattern: &str) -> String {
    format!("{text} COLLATE \"C\" ~ {}", string(pattern))
}

fn is_short(text: &str) -> String {
    format!("octet_length({text}) <= {LONGEST}")
}

/// SQLite does not turn the text into a number. Of texts beyond the limit those that begin like
/// a number for a thousand characters count as one.
fn no_number(text: &str) -> String {
    let differs = matches(&format!("left({text}, 1000)"), NO_NUMBER);
    format!("({differs} OR {} AND NOT {})", is_short(text), matches(text, NUMBER))
}

fn fits_utf16(text: &str) -> String {
    let lacks = |code: u32| format!("strpos({text} COLLATE \"C\", chr({code})) = 0");
    format!("{} AND {}", lacks(0xfffe), lacks(0xffff))
}

impl Rules<'_> {
    pub(super) fn text(self) -> Self {
        let value = self.value;
        self.any_text(value)
    }

    pub(super) fn longest(self, limit: u32) -> Self {
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        self.at_most(limit).text()
    }

    pub(super) fn at_most(self, limit: u32) -> Self {
        let condition = format!("char_length({}) <= {limit}", self.value);
        self.require(condition, TOO_LONG)
    }

    /// Text that comes back as a number where SQLite would make one of it.
    pub(super) fn number_text(self) -> Self {
        let value = self.value;
        let (integers, reals) = (self.storage.keeps_integers(), self.storage.reals());
        let texts = self.storage.texts() != Texts::None;
        if !integers && reals == Reals::None && !texts {
            return self.never();
        }
        let number = self.canonical_number(value, integers, reals);
        let condition = format!(
            "CASE WHEN {} THEN {texts} \
             WHEN octet_length({value}) > {LONGEST_NUMBER} THEN false ELSE {number} END",
            no_number(value)
        );
        let rules = self.require(condition, NUMBER_FORM);
        if rules.storage.is_utf16() { rules.require(fits_utf16(value), NOT_UTF16) } else { rules }
    }

    /// Of `char(n)`, whose spaces at the end do not come back.
    pub(super) fn padded(self) -> Self {
        let text = format!("{}::text", self.value);
        self.any_text(&text)
    }

    /// Of `bytea` that comes back as TEXT.
    pub(super) fn bytes_of_text(self) -> Self {
        let value = self.value;
        let digits = format!("encode({value}, 'hex')");
        // Two digits a byte, and a limit on digits.
        let short = format!("octet_length({value}) <= {}", LONGEST / 2);
        let rules = match self.storage.texts() {
            Texts::All => self,
            Texts::NotNumbers => {
                let number = matches(&digits, NUMBER_BYTES);
                self.require(format!("({short} AND NOT {number})"), NUMBER_TEXT)
            }
            Texts::None => return self.never(),
        };
        if !rules.storage.is_utf16() {
            return rules;
        }
        let good = format!("[0-7][0-9a-f]|{}", characters(str::to_owned));
        let (fits, lost) = (
            matches(&digits, &format!("^({good})*$")),
            matches(&digits, "^([0-9a-f]{2})*efbfb[ef]"),
        );
        let condition = if rules.haste {
            let plain = matches(&digits, "^([0-7][0-9a-f])*$");
            format!("({short} AND {plain})")
        } else {
            format!("({short} AND {fits} AND NOT {lost})")
        };
        rules.require(condition, NOT_UTF8).because(NOT_UTF16)
    }

    /// Of an array of texts.
    pub(super) fn array_utf16(self) -> Self {
        if !self.storage.is_utf16() {
            return self;
        }
        let condition = fits_utf16(&format!("array_to_string({}, '')", self.value));
        self.require(condition, NOT_UTF16)
    }

    fn any_text(self, text: &str) -> Self {
        let rules = match self.storage.texts() {
            Texts::All => self,
            Texts::NotNumbers => self.require(no_number(text), NUMBER_TEXT),
            Texts::None => return self.never(),
        };
        if rules.storage.is_utf16() { rules.require(fits_utf16(text), NOT_UTF16) } else { rules }
    }

    pub(super) fn hex_uuid(self) -> Self {
        match self.storage.texts() {
            Texts::All => self,
            Texts::NotNumbers => {
                let digits = format!("replace({}::text, '-', '')", self.value);
                let number = matches(&digits, "^[0-9]+(e[0-9]+)?$");
                self.require(format!("NOT {number}"), NUMBER_UUID)
            }
            Texts::None => self.never(),
        }
    }

    pub(super) fn json(self) -> Self {
        let value = self.value;
        let rules = match self.storage.texts() {
            Texts::All => self,
            // White space around a bare number is no other to SQLite than to JSON.
            Texts::NotNumbers => {
                self.require(format!("json_typeof({value}) <> 'number'"), NUMBER_TEXT)
            }
            Texts::None => return self.never(),
        };
        rules.json_utf16()
    }

    pub(super) fn json_utf16(self) -> Self {
        if !self.storage.is_utf16() {
            return self;
        }
        let condition = fits_utf16(&format!("{}::text", self.value));
        self.require(condition, NOT_UTF16)
    }

    pub(super) fn json_numeric(self) -> Self {
        let (integers, reals) = (self.storage.keeps_integers(), self.storage.reals());
        let text = format!("{}::text", self.value);
        // The codec itself takes no whole REAL.
        let reals = if reals == Reals::None { reals } else { Reals::NotWhole };
        let number = self.canonical_number(&text, integers, reals);
        let texts = self.storage.texts() != Texts::None;
        if !integers && reals == Reals::None && !texts {
            return self.never();
        }
        let condition = format!(
            "CASE WHEN json_typeof({}) <> 'number' THEN {texts} \
             WHEN octet_length({text}) > {LONGEST_NUMBER} THEN false ELSE {number} END",
            self.value
        );
        self.require(condition, JSON_NUMBER).json_utf16()
    }

    pub(super) fn tagged(self) -> Self {
        let value = self.value;
        let rest = format!("substr({value}, 3)");
        let storage = self.storage;
        let (integers, reals) = (storage.keeps_integers(), storage.reals());
        let short = format!("octet_length({value}) > {LONGEST_NUMBER} THEN false");
        let number = |integers, reals| {
            let infinite = match reals {
                Reals::None => String::new(),
                _ => format!("WHEN {rest} COLLATE \"C\" IN ('inf', '-inf') THEN true "),
            };
            let number = self.canonical_number(&rest, integers, reals);
            format!("CASE WHEN {short} {infinite}ELSE {number} END")
        };
        let texts = storage.texts();
        let text = match (texts, storage.is_utf16()) {
            (Texts::None, _) => "false".to_owned(),
            (Texts::All, false) => "true".to_owned(),
            (Texts::All, true) => fits_utf16(&rest),
            (Texts::NotNumbers, false) => no_number(&rest),
            (Texts::NotNumbers, true) => format!("{} AND {}", no_number(&rest), fits_utf16(&rest)),
        };
        let odd_text =
            if texts == Texts::None || self.haste { "false".to_owned() } else { self.odd_text() };
        let blob = if storage.keeps_blobs() {
            format!("{} AND {}", is_short(value), matches(value, "^b:([0-9a-f]{2})*$"))
        } else {
            "false".to_owned()
        };
        let condition = format!(
            "CASE left({value} COLLATE \"C\", 2) WHEN 't:' THEN {text} WHEN 'i:' THEN {} \
             WHEN 'r:' THEN {} WHEN 'b:' THEN {blob} WHEN 'x:' THEN {odd_text} ELSE false END",
            number(integers, Reals::None),
            number(false, reals),
        );
        let mut rules = self.require(condition, TAG);
        match reals {
            Reals::NoMinusZero => rules = rules.because(MINUS_ZERO),
            Reals::NotWhole => rules = rules.because(WHOLE),
            Reals::All | Reals::None => {}
        }
        if texts == Texts::NotNumbers {
            rules = rules.because(NUMBER_TEXT);
        }
        if rules.storage.is_utf16() { rules.because(NOT_UTF16) } else { rules }
    }

    /// Behind `x:` stands text with a NUL or with bytes that are not UTF-8, of which UTF-16 holds
    /// the first only.
    fn odd_text(&self) -> String {
        let value = self.value;
        let good = format!("0[1-9a-f]|[1-7][0-9a-f]|{}", characters(str::to_owned));
        let (all, odd) =
            (matches(value, "^x:([0-9a-f]{2})*$"), matches(value, &format!("^x:({good})*$")));
        let condition = format!("{} AND {all} AND NOT {odd}", is_short(value));
        if !self.storage.is_utf16() {
            return condition;
        }
        let fits = matches(value, &format!("^x:(00|{good})*$"));
        let lost = matches(value, "^x:([0-9a-f]{2})*efbfb[ef]");
        format!("{condition} AND {fits} AND NOT {lost}")
    }

    pub(super) fn escaped(self) -> Self {
        let value = self.value;
        if self.storage.texts() == Texts::None {
            return self.never();
        }
        // Bytes that are UTF-8 together would be a character.
        let byte = |digits: &str| format!("\\\\x{digits}");
        let mut escapes = vec!["[^\\\\]".to_owned(), "\\\\[\\\\0]".to_owned()];
        if !self.storage.is_utf16() {
            escapes.push(byte("[89a-f][0-9a-f]"));
        }
        let token = escapes.join("|");
        let well = matches(value, &format!("^({token})*$"));
        let joined = matches(value, &format!("^({token})*({})", characters(byte)));
        let plain = format!("strpos({value} COLLATE \"C\", {}) = 0", string("\\"));
        let condition = if self.haste {
            plain
        } else {
            format!("({plain} OR {} AND {well} AND NOT {joined})", is_short(value))
        };
        self.require(condition, ESCAPES).any_text(value)
    }

    /// A number as the codecs write it, at most [`LONGEST_NUMBER`] long, of the classes that are
    /// stored as they are.
    fn canonical_number(&self, text: &str, integers: bool, reals: Reals) -> String {
        let number = format!("({text})::numeric");
        let size = format!("abs({number})");
        let mut arms = String::new();
        if integers {
            let whole = decimal::is_integer(&number);
            arms += &format!("WHEN {} THEN {whole} ", matches(text, INTEGER));
        }
        let stored = match reals {
            Reals::None => return finish(&arms),
            Reals::All => String::new(),
            Reals::NoMinusZero => format!(" AND {text} COLLATE \"C\" <> '-0.0'"),
            Reals::NotWhole => {
                format!(" AND ({number} <> trunc({number}) OR {size} >= 9223372036854775808)")
            }
        };
        let form = format!(
            "CASE WHEN strpos({text} COLLATE \"C\", 'e') = 0 \
         THEN {number} = 0 OR {size} >= 1e-4 AND {size} < 1e16 \
         ELSE {size} < 1e-4 OR {size} >= 1e16 END"
        );
        let real = format!("{} OR {}", matches(text, POINT), matches(text, EXPONENT));
        let shortest = decimal::is_shortest(&number, self.haste);
        arms += &format!("WHEN {real} THEN {form}{stored} AND {shortest} ");
        finish(&arms)
    }
}

fn finish(arms: &str) -> String {
    if arms.is_empty() { "false".to_owned() } else { format!("CASE {arms}ELSE false END") }
}
