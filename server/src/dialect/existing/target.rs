//! Tables of PostgreSQL that the application has made, as the catalog describes them.

use super::types::TargetType;

/// A schema of PostgreSQL.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetSchema {
    /// Name.
    pub name: String,
    /// Tables, views and whatever else has columns, by name.
    pub tables: Vec<TargetTable>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetTable {
    /// Name.
    pub name: String,
    /// Why its rows cannot be loaded, in words that complete "the table …"; empty where they can.
    pub unfit: Vec<String>,
    /// Columns in their order.
    pub columns: Vec<TargetColumn>,
    /// Its primary key, unique and exclusion constraints.
    pub keys: Vec<TargetKey>,
    /// Indexes that no constraint has made.
    pub indexes: Vec<TargetIndex>,
    /// CHECK constraints.
    pub checks: Vec<TargetCheck>,
    /// Foreign keys.
    pub foreign_keys: Vec<TargetForeignKey>,
    /// Triggers of the application that fire.
    pub triggers: Vec<TargetTrigger>,
    /// Statements that make what no definition says.
    pub settings: Vec<String>,
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetColumn {
    /// Name.
    pub name: String,
    /// What it takes.
    pub r#type: TargetType,
    /// NOT NULL, by itself or by its domain.
    pub not_null: bool,
    /// Default expression.
    pub default: Option<String>,
    /// Expression of a generated column.
    pub generated: Option<String>,
    /// GENERATED … AS IDENTITY.
    pub identity: bool,
    /// The sequence that gives its values.
    pub sequence: Option<String>,
}

/// A constraint that an index enforces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetKey {
    /// Name.
    pub name: String,
    /// What it is.
    pub kind: KeyKind,
    /// Its columns, without those that are only included.
    pub columns: Vec<String>,
    /// As `pg_get_constraintdef` gives it.
    pub definition: String,
}

/// What an index enforces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// PRIMARY KEY.
    Primary,
    /// UNIQUE.
    #[default]
    Unique,
    /// EXCLUDE.
    Exclusion,
}

/// An index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetIndex {
    /// Name.
    pub name: String,
    /// UNIQUE.
    pub unique: bool,
    /// Its columns; none where it has expressions.
    pub columns: Option<Vec<String>>,
    /// It has only some of the rows.
    pub partial: bool,
    /// As `pg_get_indexdef` gives it.
    pub definition: String,
}

/// A CHECK constraint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetCheck {
    /// Name.
    pub name: String,
    /// As `pg_get_constraintdef` gives it.
    pub definition: String,
    /// It holds for all rows.
    pub validated: bool,
}

/// A foreign key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetForeignKey {
    /// Name.
    pub name: String,
    /// Child columns.
    pub columns: Vec<String>,
    /// Schema of the parent.
    pub parent_schema: String,
    /// Parent table.
    pub parent: String,
    /// Parent columns.
    pub parent_columns: Vec<String>,
    /// `NO ACTION`, `CASCADE`, …
    pub on_update: String,
    /// `NO ACTION`, `CASCADE`, …
    pub on_delete: String,
    /// "", "DEFERRABLE" or "DEFERRABLE INITIALLY DEFERRED".
    pub deferrable: String,
    /// As `pg_get_constraintdef` gives it.
    pub definition: String,
    /// It holds for all rows.
    pub validated: bool,
}

/// A trigger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetTrigger {
    /// Name.
    pub name: String,
    /// When it fires: "origin", "always" or "replica".
    pub enabled: String,
}

impl TargetTable {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&TargetColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Its primary key.
    pub fn primary_key(&self) -> Option<&TargetKey> {
        self.keys.iter().find(|key| key.kind == KeyKind::Primary)
    }

    /// Whether no two rows can have the same values in exactly these columns, in any order.
    pub fn is_unique(&self, columns: &[&str]) -> bool {
        let same = |found: &[String]| {
            found.len() == columns.len()
                && found.iter().all(|name| columns.contains(&name.as_str()))
        };
        self.keys.iter().any(|key| key.kind != KeyKind::Exclusion && same(&key.columns))
            || self.indexes.iter().any(|index| {
                index.unique && !index.partial && index.columns.as_deref().is_some_and(same)
            })
    }
}
