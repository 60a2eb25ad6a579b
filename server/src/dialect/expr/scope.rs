//! What the names in an expression stand for.

use super::{
    super::{
        codec::{BoolForm, Codec},
        ident::literal,
        schema::Affinity,
        view::Catalog,
    },
    Translated,
};

/// The storage class that an expression's value has in SQLite, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Always NULL.
    Null,
    /// INTEGER.
    Integer,
    /// REAL.
    Real,
    /// INTEGER or REAL, by the value.
    Number,
    /// TEXT.
    Text,
    /// BLOB.
    Blob,
    /// INTEGER 0 or 1 in SQLite, `boolean` in PostgreSQL.
    Bool,
    /// A column whose codec gives it another form in PostgreSQL.
    Coded(Codec),
}

impl Kind {
    /// What the values of a column with this codec are.
    pub(crate) fn of(codec: Codec) -> Self {
        match codec {
            Codec::Integer => Self::Integer,
            Codec::Real => Self::Real,
            Codec::Number | Codec::Numeric(_) => Self::Number,
            Codec::Text | Codec::Varchar(_) => Self::Text,
            Codec::Blob => Self::Blob,
            Codec::Bool(BoolForm::ZeroOne) => Self::Bool,
            codec => Self::Coded(codec),
        }
    }

    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Real | Self::Number | Self::Bool)
    }

    /// As a reader of a finding may read it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Integer => "an integer",
            Self::Real => "a real",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Blob => "a blob",
            Self::Bool => "a boolean",
            Self::Coded(_) => "a value of another form",
        }
    }
}

/// A value that stands in the text itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Integer(i64),
    Real(f64),
    Text(String),
}

/// A translated expression.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    /// SQL of PostgreSQL; an operand of any operator without further parentheses.
    pub sql: String,
    pub kind: Kind,
    /// Type of the column that it is, for casts of literals; empty for none.
    pub pg_type: String,
    /// Affinity, for a column and a CAST.
    pub affinity: Option<Affinity>,
    /// Collation of a column or a COLLATE, in upper case.
    pub collation: Option<String>,
    /// The collation is a COLLATE's.
    pub explicit: bool,
    pub literal: Option<Literal>,
    /// Text that never reads as a number, such as a date.
    pub wordy: bool,
}

impl Typed {
    pub(crate) fn new(kind: Kind, sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            kind,
            pg_type: String::new(),
            affinity: None,
            collation: None,
            explicit: false,
            literal: None,
            wordy: false,
        }
    }

    pub(crate) fn text_literal(text: &str) -> Self {
        let value = Literal::Text(text.to_owned());
        let wordy = text.trim().parse::<f64>().is_err();
        Self { literal: Some(value), wordy, ..Self::new(Kind::Text, literal(text)) }
    }

    pub(crate) fn integer_literal(value: i64) -> Self {
        // PostgreSQL has no literal for the smallest integer, only for its opposite.
        let sql = match value {
            i64::MIN => "'-9223372036854775808'::bigint".to_owned(),
            0.. => value.to_string(),
            _ => format!("({value})"),
        };
        Self { literal: Some(Literal::Integer(value)), ..Self::new(Kind::Integer, sql) }
    }

    pub(crate) fn real_literal(value: f64) -> Self {
        let sql = real(value);
        Self { literal: Some(Literal::Real(value)), ..Self::new(Kind::Real, sql) }
    }
}

/// A literal of `double precision` with the very same bits.
pub(crate) fn real(value: f64) -> String {
    if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("'{sign}Infinity'::double precision");
    }
    if value.is_sign_negative() {
        return format!("'{value:?}'::double precision");
    }
    format!("{value:?}::double precision")
}

/// A column that an expression can name.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Name in the source.
    pub name: String,
    /// SQL that stands for it.
    pub sql: String,
    pub kind: Kind,
    pub pg_type: String,
    pub affinity: Option<Affinity>,
    pub collation: String,
    /// PostgreSQL computes it.
    pub generated: bool,
}

impl Field {
    pub(crate) fn typed(&self) -> Typed {
        Typed {
            pg_type: self.pg_type.clone(),
            affinity: self.affinity,
            collation: Some(self.collation.clone()),
            ..Typed::new(self.kind, self.sql.clone())
        }
    }
}

/// A table, view or subquery whose columns can be named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relation {
    /// Name or alias in the source.
    pub name: String,
    pub fields: Vec<Field>,
}

/// What a place in PostgreSQL takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purity {
    /// Indexes and generated columns: the same result for the same row, for ever.
    Immutable,
    /// Checks and views: the same result in one statement.
    Stable,
    /// Defaults: any result.
    Volatile,
}

/// Where an expression stands.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub relations: Vec<Relation>,
    /// Scope of the query around this one.
    pub outer: Option<&'a Scope<'a>>,
    /// Tables and views that a subquery may name; none where PostgreSQL takes no subquery.
    pub catalog: Option<&'a Catalog>,
    /// Columns of the result by their names, which SQLite lets other clauses use.
    pub aliases: Vec<(String, Typed)>,
    pub purity: Purity,
    pub aggregates: bool,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(relations: Vec<Relation>, purity: Purity) -> Self {
        Self {
            relations,
            outer: None,
            catalog: None,
            aliases: Vec::new(),
            purity,
            aggregates: false,
        }
    }

    /// What a column's name stands for, without regard to the case of its ASCII letters.
    pub(crate) fn resolve(&self, table: Option<&str>, column: &str) -> Translated<Option<Typed>> {
        let mut found = self
            .relations
            .iter()
            .filter(|relation| table.is_none_or(|name| relation.name.eq_ignore_ascii_case(name)))
            .flat_map(|relation| &relation.fields)
            .filter(|field| field.name.eq_ignore_ascii_case(column));
        if let Some(field) = found.next() {
            if field.generated && self.purity == Purity::Immutable {
                return Err(format!("it uses the generated column {column:?}"));
            }
            return Ok(Some(field.typed()));
        }
        if table.is_none() {
            let alias = self.aliases.iter().find(|(name, _)| name.eq_ignore_ascii_case(column));
            if let Some((_, typed)) = alias {
                return Ok(Some(typed.clone()));
            }
        }
        match self.outer {
            Some(outer) => outer.resolve(table, column),
            None => Ok(None),
        }
    }
}
