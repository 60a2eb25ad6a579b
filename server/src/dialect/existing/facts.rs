//! What the census found out about rows that are to fit existing tables.

use crate::dialect::codec::Codec;

/// One table's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableFit {
    /// Rows.
    pub rows: u64,
    /// One entry a column that was asked for.
    pub columns: Vec<ColumnFit>,
}

/// One column's values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnFit {
    /// NULLs.
    pub nulls: u64,
    /// Keys of the first few rows with one.
    pub null_examples: Vec<String>,
    /// Values that are not NULL.
    pub values: u64,
    /// Smallest and largest INTEGER other than 0.
    pub integers: Option<(i64, i64)>,
    /// How texts are written that could be dates with times.
    pub shapes: Shapes,
    /// Candidates that carried every value, in their order.
    pub fitting: Vec<Codec>,
    /// Where there is none: the one that carried most, counted from the first row.
    pub last: Option<Codec>,
}

/// How many texts are written in which way: dates with a time or alone, the bounds of ranges among
/// them, and lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shapes {
    /// A space before the time.
    pub with_space: u64,
    /// `T` before the time.
    pub with_t: u64,
    /// A date alone.
    pub alone: u64,
    /// `Z` at the end.
    pub with_z: u64,
    /// Another offset at the end.
    pub with_offset: u64,
    /// A list in brackets with a space behind a comma.
    pub spaced: u64,
    /// A list in brackets with a comma and no space.
    pub compact: u64,
}

impl Shapes {
    /// Takes a text in.
    pub fn take(&mut self, text: &[u8]) {
        if !matches!(text.first(), Some(b'[' | b'(')) {
            self.take_moment(text);
            return;
        }
        match text.windows(2).find(|pair| pair[0] == b',') {
            Some(pair) if pair[1] == b' ' => self.spaced += 1,
            Some(_) => self.compact += 1,
            None => {}
        }
        let between = |byte: &u8| matches!(byte, b'[' | b'(' | b',' | b')' | b']' | b'"');
        for part in text.split(between) {
            self.take_moment(part.trim_ascii());
        }
    }

    fn take_moment(&mut self, text: &[u8]) {
        let Some((date, rest)) = text.split_at_checked(10) else { return };
        if date[4] != b'-' || date[7] != b'-' {
            return;
        }
        match rest.first() {
            Some(b' ') => self.with_space += 1,
            Some(b'T' | b't') => self.with_t += 1,
            None => self.alone += 1,
            _ => return,
        }
        match rest.last() {
            Some(b'Z' | b'z') => self.with_z += 1,
            _ if rest.iter().any(|byte| matches!(byte, b'+' | b'-')) => self.with_offset += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Shapes {
        let mut shapes = Shapes::default();
        texts.iter().for_each(|text| shapes.take(text.as_bytes()));
        shapes
    }

    #[test]
    fn the_bounds_of_a_range_are_times_too() {
        let shapes = of(&[
            "[\"2024-01-01 00:00:00+02\",2024-01-02T00:00:00Z)",
            "(,2024-01-02 00:00:00]",
            "[2024-01-01,)",
        ]);
        assert_eq!((shapes.with_space, shapes.with_t, shapes.alone), (2, 1, 1));
        assert_eq!((shapes.with_offset, shapes.with_z), (1, 1));
    }

    #[test]
    fn lists_and_times_have_shapes() {
        let shapes = of(&["[1, 2]", "[1,2]", "[]", "2024-01-01T10:00:00Z", "2024-01-01", "x"]);
        assert_eq!((shapes.spaced, shapes.compact), (1, 1));
        assert_eq!((shapes.with_t, shapes.with_z, shapes.alone), (1, 1, 1));
    }
}
