//! What is said of a value that a codec does not take.

/// Why a codec cannot carry a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The value's storage class is not the codec's.
    Class,
    /// PostgreSQL has no NUL in text.
    NulInText,
    /// The text is not UTF-8.
    InvalidUtf8,
    /// The value is not in the codec's canonical form, or out of its range.
    Form,
}
