//! Two values as `boolean`.

use super::{super::value::Value, Refusal};

/// How false and true are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BoolForm {
    /// INTEGER 0 and 1.
    ZeroOne,
    /// `f` and `t`.
    LowerTf,
    /// `F` and `T`.
    UpperTf,
    /// `false` and `true`.
    LowerTrueFalse,
    /// `FALSE` and `TRUE`.
    UpperTrueFalse,
    /// `False` and `True`.
    TitleTrueFalse,
    /// `no` and `yes`.
    LowerYesNo,
    /// `n` and `y`.
    LowerYn,
    /// `N` and `Y`.
    UpperYn,
}

impl BoolForm {
    /// Every form, the commonest first.
    pub const ALL: [Self; 9] = [
        Self::ZeroOne,
        Self::LowerTf,
        Self::LowerTrueFalse,
        Self::UpperTrueFalse,
        Self::TitleTrueFalse,
        Self::UpperTf,
        Self::LowerYesNo,
        Self::UpperYn,
        Self::LowerYn,
    ];

    fn texts(self) -> Option<[&'static [u8]; 2]> {
        Some(match self {
            Self::ZeroOne => return None,
            Self::LowerTf => [b"f", b"t"],
            Self::UpperTf => [b"F", b"T"],
            Self::LowerTrueFalse => [b"false", b"true"],
            Self::UpperTrueFalse => [b"FALSE", b"TRUE"],
            Self::TitleTrueFalse => [b"False", b"True"],
            Self::LowerYesNo => [b"no", b"yes"],
            Self::LowerYn => [b"n", b"y"],
            Self::UpperYn => [b"N", b"Y"],
        })
    }

    pub(super) fn parse(self, value: Value<'_>) -> Result<bool, Refusal> {
        match (self.texts(), value) {
            (None, Value::Integer(value @ (0 | 1))) => Ok(value == 1),
            (None, Value::Integer(_)) => Err(Refusal::Form),
            (Some([no, yes]), Value::Text(text)) => match text {
                _ if text == yes => Ok(true),
                _ if text == no => Ok(false),
                _ => Err(Refusal::Form),
            },
            _ => Err(Refusal::Class),
        }
    }

    pub(super) fn render(self, [byte]: [u8; 1]) -> Result<Value<'static>, Refusal> {
        if byte > 1 {
            return Err(Refusal::Form);
        }
        Ok(match self.texts() {
            None => Value::Integer(i64::from(byte)),
            Some(texts) => Value::Text(texts[usize::from(byte)]),
        })
    }
}

/// How a `boolean` is written back where several ways of writing it are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BoolBack {
    /// INTEGER 0 and 1.
    ZeroOne,
    /// `false` and `true`.
    Text,
}

impl BoolBack {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ZeroOne, Self::Text];

    /// INTEGER 0 and 1, and the words that PostgreSQL knows, in any case.
    pub(super) fn parse(value: Value<'_>) -> Result<bool, Refusal> {
        let is_one_of = |text: &[u8], words: [&str; 6]| {
            words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
        };
        match value {
            Value::Integer(value @ (0 | 1)) => Ok(value == 1),
            Value::Text(text) if is_one_of(text, ["true", "t", "yes", "y", "on", "1"]) => Ok(true),
            Value::Text(text) if is_one_of(text, ["false", "f", "no", "n", "off", "0"]) => {
                Ok(false)
            }
            Value::Integer(_) | Value::Text(_) => Err(Refusal::Form),
            _ => Err(Refusal::Class),
        }
    }

    pub(super) fn render(self, byte: [u8; 1]) -> Result<Value<'static>, Refusal> {
        match self {
            Self::ZeroOne => BoolForm::ZeroOne.render(byte),
            Self::Text => BoolForm::LowerTrueFalse.render(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_true_and_false_in_any_case() {
        for (text, meaning) in
            [("ON", true), ("Yes", true), ("t", true), ("1", true), ("oFF", false)]
        {
            assert_eq!(BoolBack::parse(Value::Text(text.as_bytes())), Ok(meaning), "{text}");
        }
        assert_eq!(BoolBack::parse(Value::Integer(0)), Ok(false));
        for value in [Value::Integer(2), Value::Text(b"tr"), Value::Text(b""), Value::Text(b" t")] {
            assert_eq!(BoolBack::parse(value), Err(Refusal::Form), "{value:?}");
        }
        assert_eq!(BoolBack::parse(Value::Real(1.0)), Err(Refusal::Class));
    }
}
