//! Enums as the words that people read: `cutting_over`, `blocker`, `postgres`.
//!
//! A word is the value's protobuf name without the enum's prefix, in lower case.

use crate::v1::{
    BackupState, CheckState, CutoverMode, DifferenceKind, Disposition, Engine, EngineState,
    GuardMode, IdentifierCase, OperationKind, OperationState, Phase, RollbackState, SchemaMode,
    Severity, ValidateLevel,
};

/// An enum of the interface that has a word for each value.
pub trait Word: Copy + TryFrom<i32> + Into<i32> + Default {
    /// The word of this value; `unspecified` for the zero value.
    fn word(self) -> String;
    /// The value that a word stands for.
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! word {
    ($($name:ident, $prefix:literal;)*) => {$(
        impl Word for $name {
            fn word(self) -> String {
                self.as_str_name().trim_start_matches($prefix).to_ascii_lowercase()
            }

            fn from_word(word: &str) -> Option<Self> {
                Self::from_str_name(&format!("{}{}", $prefix, word.to_ascii_uppercase()))
            }
        }
    )*};
}

word! {
    Engine, "ENGINE_";
    EngineState, "ENGINE_STATE_";
    Phase, "PHASE_";
    Severity, "SEVERITY_";
    Disposition, "DISPOSITION_";
    OperationKind, "OPERATION_KIND_";
    OperationState, "OPERATION_STATE_";
    DifferenceKind, "DIFFERENCE_KIND_";
    RollbackState, "ROLLBACK_STATE_";
    BackupState, "BACKUP_STATE_";
    CheckState, "CHECK_STATE_";
    IdentifierCase, "IDENTIFIER_CASE_";
    SchemaMode, "SCHEMA_MODE_";
    GuardMode, "GUARD_MODE_";
    CutoverMode, "CUTOVER_MODE_";
    ValidateLevel, "VALIDATE_LEVEL_";
}

/// The word of a number as it stands in a message; unknown numbers give the zero value's.
pub fn word_of<T: Word>(value: i32) -> String {
    T::try_from(value).unwrap_or_default().word()
}

macro_rules! field {
    ($($module:ident, $name:ident;)*) => {$(
        pub(crate) mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            use super::{$name, Word, word_of};

            pub(crate) fn serialize<S: Serializer>(value: &i32, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&word_of::<$name>(*value))
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
                let word = String::deserialize(from)?;
                $name::from_word(&word).map(i32::from).ok_or_else(|| {
                    D::Error::custom(format!("{word:?} is no {}", stringify!($name)))
                })
            }
        }
    )*};
}

field! {
    severity, Severity;
    disposition, Disposition;
    difference_kind, DifferenceKind;
    engine, Engine;
    engine_state, EngineState;
    identifier_case, IdentifierCase;
    schema_mode, SchemaMode;
    guard_mode, GuardMode;
    cutover_mode, CutoverMode;
    validate_level, ValidateLevel;
}

pub(crate) mod dispositions {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{Disposition, Word, word_of};

    pub(crate) fn serialize<S: Serializer>(values: &[i32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|value| word_of::<Disposition>(*value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i32>, D::Error> {
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|word| {
                Disposition::from_word(word)
                    .map(i32::from)
                    .ok_or_else(|| D::Error::custom(format!("{word:?} is no disposition")))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_there_and_back() {
        assert_eq!(Phase::CuttingOver.word(), "cutting_over");
        assert_eq!(Phase::from_word("cutting_over"), Some(Phase::CuttingOver));
        assert_eq!(EngineState::Up.word(), "up");
        assert_eq!(BackupState::Locked.word(), "locked");
        assert_eq!(Severity::from_word("fatal"), None);
        assert_eq!(word_of::<Engine>(99), "unspecified");
    }
}
