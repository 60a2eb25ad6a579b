//! Types by storage class alone.

use super::{
    super::{
        codec::{Codec, EXACT_INTEGERS},
        facts::ColumnFacts,
        schema::{Affinity, Column},
        value::Class,
    },
    declared::{Declared, keeps_class},
};

pub(super) fn count(facts: &ColumnFacts, class: Class) -> u64 {
    match class {
        Class::Null => facts.nulls,
        Class::Integer => facts.integers,
        Class::Real => facts.reals,
        Class::Text => facts.texts,
        Class::Blob => facts.blobs,
    }
}

/// The plain codec that carries every value; none where there is no such one.
pub(super) fn codec(affinity: Affinity, facts: &ColumnFacts) -> Option<Codec> {
    match (facts.integers + facts.reals > 0, facts.texts > 0, facts.blobs > 0) {
        (true, false, false) => number(affinity, facts),
        (false, true, false) => Some(Codec::Text),
        (false, false, true) => Some(Codec::Blob),
        _ => None,
    }
}

fn number(affinity: Affinity, facts: &ColumnFacts) -> Option<Codec> {
    let by_value = keeps_class(affinity) && facts.whole_reals == 0;
    let exact = -EXACT_INTEGERS..=EXACT_INTEGERS;
    match (facts.integers > 0, facts.reals > 0) {
        (_, false) => Some(Codec::Integer),
        // Whole values that come later are INTEGER to SQLite.
        (false, true) => Some(if by_value { Codec::Number } else { Codec::Real }),
        (true, true) => {
            let (smallest, largest) = facts.integer_range?;
            if !by_value {
                None
            } else if exact.contains(&smallest) && exact.contains(&largest) {
                Some(Codec::Number)
            } else {
                (facts.infinities == 0).then_some(Codec::Numeric(None))
            }
        }
    }
}

/// The facts of the values that a column keeps when it can keep one class only: that of its
/// declared affinity where it occurs, else the commonest.
pub(super) fn dominant(column: &Column, facts: &ColumnFacts) -> ColumnFacts {
    let declared: &[&[Class]] = match column.affinity {
        Affinity::Integer | Affinity::Numeric => {
            &[&[Class::Integer, Class::Real], &[Class::Integer]]
        }
        Affinity::Real => &[&[Class::Real]],
        Affinity::Text => &[&[Class::Text]],
        Affinity::Blob if !Declared::parse(&column.declared).is_empty() => &[&[Class::Blob]],
        Affinity::Blob | Affinity::Any => &[],
    };
    // NUMERIC is also what words get that SQLite does not know: it says nothing there.
    let declared =
        if column.affinity == Affinity::Numeric && Declared::parse(&column.declared).means_text() {
            &[]
        } else {
            declared
        };
    declared
        .iter()
        .map(|classes| only(facts, classes))
        .find(|kept| kept.values() > 0 && codec(column.affinity, kept).is_some())
        .unwrap_or_else(|| {
            let commonest = [Class::Blob, Class::Real, Class::Integer, Class::Text]
                .into_iter()
                .max_by_key(|class| count(facts, *class))
                .unwrap_or(Class::Text);
            only(facts, &[commonest])
        })
}

fn only(facts: &ColumnFacts, classes: &[Class]) -> ColumnFacts {
    let kept = |class| if classes.contains(&class) { count(facts, class) } else { 0 };
    ColumnFacts {
        integers: kept(Class::Integer),
        reals: kept(Class::Real),
        texts: kept(Class::Text),
        blobs: kept(Class::Blob),
        candidates: Vec::new(),
        ..facts.clone()
    }
}

pub(super) fn reason(facts: &ColumnFacts) -> &'static str {
    match (facts.integers > 0, facts.reals > 0, facts.texts > 0) {
        (true, true, _) => "every value is a number",
        (true, false, _) => "every value is an INTEGER",
        (false, true, _) => "every value is a REAL",
        (false, false, true) => "every value is a TEXT",
        (false, false, false) => "every value is a BLOB",
    }
}
