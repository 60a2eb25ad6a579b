//! What a scan learns about one column.

use super::key::Key;
use crate::dialect::{
    codec::{Codec, Refusal, Scratch, check_text, stored_as_integer},
    facts::{ColumnFacts, Oddity},
    schema::Column,
    typemap::{self, Expectation},
    value::{Class, Value},
};

/// Keys that are named for each trouble.
const EXAMPLES: usize = 5;
/// Bytes of a value that PostgreSQL has moved out of line.
const POINTER: u64 = 18;
const CLASSES: [Class; 4] = [Class::Integer, Class::Real, Class::Text, Class::Blob];

pub(super) struct ColumnScan<'a> {
    column: &'a Column,
    facts: ColumnFacts,
    /// The declaration's limit of characters.
    limit: Option<u64>,
    expectation: Option<Expectation>,
    /// The best candidate left is an expected one, so every value so far is as expected.
    as_expected: bool,
    /// Number of the expected codec that carried the last value.
    usual: usize,
    /// Bytes that any value takes in the smallest of the types that are still possible.
    fixed: Option<u64>,
    /// Texts that PostgreSQL cannot hold.
    text_faults: u64,
    /// The first rows of each class.
    examples: [Vec<String>; CLASSES.len()],
    scratch: Scratch,
}

impl<'a> ColumnScan<'a> {
    pub(super) fn new(column: &'a Column) -> Self {
        let candidates = typemap::candidates(column);
        let limit = match candidates.as_slice() {
            [Codec::Varchar(limit)] => Some(u64::from(*limit)),
            _ => None,
        };
        let (fixed, expectation) = (smallest(&candidates), typemap::expectation(column));
        Self {
            column,
            facts: ColumnFacts { candidates, ..ColumnFacts::default() },
            limit,
            as_expected: expectation.is_some(),
            expectation,
            usual: 0,
            fixed,
            text_faults: 0,
            examples: Default::default(),
            scratch: Scratch::default(),
        }
    }

    /// Takes a value in; gives the bytes that it needs at least in PostgreSQL's heap.
    #[inline]
    pub(super) fn observe(&mut self, value: Value<'_>, key: &Key<'_>) -> u64 {
        let faults = self.text_faults;
        let width = match value {
            Value::Null => {
                self.facts.nulls += 1;
                return 0;
            }
            Value::Integer(integer) => {
                self.facts.integers += 1;
                self.facts.integer_range =
                    Some(self.facts.integer_range.map_or((integer, integer), |(low, high)| {
                        (low.min(integer), high.max(integer))
                    }));
                self.example(0, self.facts.integers, key);
                8
            }
            Value::Real(real) => {
                self.observe_real(real, key);
                8
            }
            Value::Text(bytes) => self.observe_text(bytes, key),
            Value::Blob(bytes) => {
                self.facts.blobs += 1;
                self.example(3, self.facts.blobs, key);
                self.length(bytes)
            }
        };
        self.prove(value, self.text_faults > faults, key);
        self.fixed.map_or(width, |fixed| fixed.min(width))
    }

    fn observe_real(&mut self, real: f64, key: &Key<'_>) {
        self.facts.reals += 1;
        self.facts.whole_reals += u64::from(stored_as_integer(real).is_some());
        self.facts.infinities += u64::from(real.is_infinite());
        self.example(1, self.facts.reals, key);
    }

    fn observe_text(&mut self, bytes: &[u8], key: &Key<'_>) -> u64 {
        self.facts.texts += 1;
        self.example(2, self.facts.texts, key);
        match check_text(bytes) {
            Ok(text) => self.count_characters(text),
            Err(Refusal::NulInText) => {
                self.text_faults += 1;
                self.odd("nul_in_text", key);
            }
            Err(_) => {
                self.text_faults += 1;
                self.odd("invalid_utf8", key);
                // Both can be wrong, and each has its own choice.
                if bytes.contains(&0) {
                    self.odd("nul_in_text", key);
                }
            }
        }
        self.length(bytes)
    }

    fn count_characters(&mut self, text: &str) {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        // There are no more characters than bytes.
        if self.limit.is_some() && bytes > self.facts.max_chars {
            let characters = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            self.facts.max_chars = self.facts.max_chars.max(characters);
        }
    }

    fn length(&mut self, bytes: &[u8]) -> u64 {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.facts.max_bytes = self.facts.max_bytes.max(length);
        // A short value has a header of one byte.
        length.saturating_add(1).min(POINTER)
    }

    /// Drops the candidates that are not proved by the value, and notes it where none should be so.
    fn prove(&mut self, value: Value<'_>, faulty: bool, key: &Key<'_>) {
        let Some(expectation) = &self.expectation else { return };
        let (candidates, scratch) = (&mut self.facts.candidates, &mut self.scratch);
        let before = candidates.len();
        let mut carrier: Option<Codec> = None;
        candidates.retain(|codec| {
            let carried = carrier.is_some_and(|carrier| carrier.is_within(codec))
                || codec.proves(value, scratch);
            if carried && carrier.is_none() {
                carrier = Some(*codec);
            }
            carried
        });
        if candidates.len() < before {
            self.as_expected =
                candidates.first().is_some_and(|codec| expectation.codecs.contains(codec));
            self.fixed = smallest(candidates);
        }
        // A text that PostgreSQL cannot hold has its own finding.
        if self.as_expected || faulty || !expectation.judges(value.class()) {
            return;
        }
        // Rows in a row mostly have one form.
        let (usual, codecs) = (self.usual, &expectation.codecs);
        if codecs.get(usual).is_some_and(|codec| codec.proves(value, &mut self.scratch)) {
            return;
        }
        match codecs.iter().position(|codec| codec.proves(value, &mut self.scratch)) {
            Some(number) => self.usual = number,
            None => self.odd(expectation.code, key),
        }
    }

    /// Text of a UTF-16 file: SQLite turns half a surrogate pair into some other character.
    pub(super) fn check_utf16(&mut self, text: &[u8], stored: &[u8], key: &Key<'_>) {
        let same = |unit: fn([u8; 2]) -> u16| {
            let (units, rest) = stored.as_chunks::<2>();
            let mut decoded = char::decode_utf16(units.iter().map(|pair| unit(*pair)));
            rest.is_empty()
                && std::str::from_utf8(text).is_ok_and(|text| {
                    text.chars().all(|c| decoded.next() == Some(Ok(c))) && decoded.next().is_none()
                })
        };
        if !same(u16::from_le_bytes) && !same(u16::from_be_bytes) {
            self.odd("invalid_utf16", key);
        }
    }

    #[inline]
    fn example(&mut self, class: usize, count: u64, key: &Key<'_>) {
        if count <= EXAMPLES as u64 {
            self.examples[class].push(key.text());
        }
    }

    fn odd(&mut self, code: &'static str, key: &Key<'_>) {
        let oddities = &mut self.facts.oddities;
        let at = oddities.iter().position(|oddity| oddity.code == code).unwrap_or_else(|| {
            oddities.push(Oddity { code, count: 0, examples: Vec::new() });
            oddities.len() - 1
        });
        let oddity = &mut oddities[at];
        oddity.count += 1;
        if oddity.examples.len() < EXAMPLES {
            oddity.examples.push(key.text());
        }
    }

    pub(super) fn finish(mut self) -> ColumnFacts {
        if self.facts.candidates.is_empty() && typemap::is_mixed(self.column, &self.facts) {
            let minority = typemap::minority(self.column, &self.facts);
            let mut oddity = Oddity { code: "mixed_types", count: 0, examples: Vec::new() };
            for (class, examples) in CLASSES.into_iter().zip(&mut self.examples) {
                if minority.contains(&class) {
                    oddity.examples.append(examples);
                    oddity.count += match class {
                        Class::Integer => self.facts.integers,
                        Class::Real => self.facts.reals,
                        Class::Text => self.facts.texts,
                        Class::Blob => self.facts.blobs,
                        Class::Null => 0,
                    };
                }
            }
            oddity.examples.truncate(EXAMPLES);
            self.facts.oddities.push(oddity);
        }
        self.facts
    }
}

/// Bytes of the smallest type among the codecs; none where the value's own length counts.
fn smallest(candidates: &[Codec]) -> Option<u64> {
    candidates.iter().filter_map(Codec::smallest_size).min()
}
