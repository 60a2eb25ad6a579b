//! Indexes and UNIQUE constraints.

use switchback_proto::v1::IndexPlan;

use super::{
    super::{
        codec::Codec,
        expr::{Kind, Purity, condition, value},
        ident::quote,
        schema::{Index, IndexKey, IndexOrigin, IndexTerm},
    },
    Builder, Draft, Place, finding,
    key::MOST_TERMS,
};

/// One term of an index in PostgreSQL.
struct Term {
    sql: String,
    /// A column by itself, so that a constraint can have it.
    plain: bool,
    /// The collation is one that PostgreSQL does not have.
    unknown: Option<String>,
}

/// An index that is on its way into a plan.
struct Candidate {
    terms: Vec<Term>,
    predicate: String,
}

impl Builder<'_> {
    pub(super) fn indexes(&mut self, number: usize) {
        let table = self.drafts[number].table;
        let mut created = self.index_names[number].clone().into_iter();
        for index in &table.indexes {
            let given = match index.origin {
                IndexOrigin::Created => created.next(),
                IndexOrigin::Unique | IndexOrigin::PrimaryKey => None,
            };
            match self.drafts[number].candidate(index) {
                Ok(candidate) => self.index(number, index, candidate, given),
                Err((code, reason)) => {
                    let place = Place::table(&table.name);
                    // A primary key has been reported where it was left out.
                    if index.origin != IndexOrigin::PrimaryKey {
                        self.warn(
                            code,
                            place,
                            format!("{} is left out: {reason}", described(index)),
                            "make an index by hand if queries need one",
                        );
                    }
                }
            }
        }
    }

    fn index(&mut self, number: usize, index: &Index, candidate: Candidate, given: Option<String>) {
        let plain = candidate.terms.iter().all(|term| term.plain);
        if index.origin == IndexOrigin::PrimaryKey && plain {
            // The key itself; an unknown collation there has its note.
            return;
        }
        let table = self.drafts[number].table;
        if let Some(collation) = candidate.terms.iter().find_map(|term| term.unknown.clone()) {
            if index.unique {
                self.warn(
                    finding::UNIQUE_NOT_CARRIED,
                    Place::table(&table.name),
                    format!(
                        "{} is left out: PostgreSQL has no collation {collation}",
                        described(index)
                    ),
                    "make a unique index by hand, on an expression that takes the same for equal",
                );
                return;
            }
            self.note(
                finding::COLLATION_NOT_CARRIED,
                Place::table(&table.name),
                format!("{} is made without the collation {collation}", described(index)),
                "it serves other comparisons than in SQLite",
            );
        }
        let constraint = index.origin != IndexOrigin::Created && plain;
        let name = given.unwrap_or_else(|| self.constraint_name(number, index, constraint));
        if constraint || self.is_referenced(number, index) {
            self.unique_constraint(number, index, (constraint, &name));
        }
        if constraint {
            return;
        }
        let terms = candidate.terms.into_iter().map(|term| term.sql).collect();
        self.drafts[number].plan.indexes.push(IndexPlan {
            source: if index.origin == IndexOrigin::Created {
                index.name.clone()
            } else {
                String::new()
            },
            target: name,
            unique: index.unique,
            constraint: false,
            terms,
            predicate: candidate.predicate,
            ..IndexPlan::default()
        });
    }

    /// A constraint on the bare columns: the index itself, or, where that is on an expression,
    /// one beside it, since a foreign key can refer to columns only.
    fn unique_constraint(&mut self, number: usize, index: &Index, (own, name): (bool, &str)) {
        let columns = columns(index);
        let name = if own {
            name.to_owned()
        } else {
            self.names.reserve(&self.drafts[number].usual_name(&columns, "key"))
        };
        let draft = &mut self.drafts[number];
        draft.constraints.take(&name);
        let terms = draft.targets(&columns).iter().map(|column| quote(column)).collect();
        draft.plan.indexes.push(IndexPlan {
            source: String::new(),
            target: name,
            unique: true,
            constraint: true,
            terms,
            ..IndexPlan::default()
        });
    }

    /// Whether a foreign key refers to the columns of a unique index that is not made on them.
    fn is_referenced(&self, number: usize, index: &Index) -> bool {
        if !index.unique || index.predicate.is_some() || index.origin == IndexOrigin::PrimaryKey {
            return false;
        }
        let mut own = columns(index);
        let draft = &self.drafts[number];
        let folded = own.iter().zip(&index.terms).any(|(column, term)| {
            draft.term(term).is_ok_and(|term| !term.plain) && !draft.is_json(*column)
        });
        own.sort_unstable();
        folded
            && own.len() == index.terms.len()
            && self.parent_keys.iter().any(|key| key.table == number && key.columns == own)
    }

    fn constraint_name(&mut self, number: usize, index: &Index, constraint: bool) -> String {
        let draft = &self.drafts[number];
        let suffix = if constraint { "key" } else { "folded_key" };
        let usual = draft.usual_name(&columns(index), suffix);
        let declared = index.constraint.clone();
        let name = self.names.reserve(declared.as_ref().unwrap_or(&usual));
        if let Some(declared) = declared {
            let table = self.drafts[number].table;
            self.report_rename(Place::table(&table.name), &declared, &name);
        }
        name
    }
}

/// The columns of an index, without its expressions.
fn columns(index: &Index) -> Vec<usize> {
    index
        .terms
        .iter()
        .filter_map(|term| match term.key {
            IndexKey::Column(column) => Some(column),
            IndexKey::Expression(_) => None,
        })
        .collect()
}

fn described(index: &Index) -> String {
    match (index.origin, &index.constraint) {
        (IndexOrigin::Created, _) if index.unique => format!("the unique index {:?}", index.name),
        (IndexOrigin::Created, _) => format!("the index {:?}", index.name),
        (_, Some(name)) => format!("the UNIQUE constraint {name:?}"),
        (IndexOrigin::Unique, None) => "a UNIQUE constraint".into(),
        (IndexOrigin::PrimaryKey, None) => "the primary key's index".into(),
    }
}

impl Draft<'_> {
    /// `<table>_<columns>_<suffix>`, as PostgreSQL names constraints.
    pub(super) fn usual_name(&self, columns: &[usize], suffix: &str) -> String {
        format!("{}_{}_{suffix}", self.plan.target, self.targets(columns).join("_"))
    }

    fn candidate(&self, index: &Index) -> Result<Candidate, (&'static str, String)> {
        if index.terms.len() > MOST_TERMS {
            let reason = format!("{} terms, and PostgreSQL takes {MOST_TERMS}", index.terms.len());
            return Err((finding::INDEX_NOT_TRANSLATED, reason));
        }
        if let Some(reason) = self.unfit(&columns(index)) {
            return Err((finding::INDEX_VALUE_TOO_LONG, reason));
        }
        let refused = |reason| (finding::INDEX_NOT_TRANSLATED, reason);
        let terms = index
            .terms
            .iter()
            .map(|term| self.term(term))
            .collect::<Result<Vec<Term>, String>>()
            .map_err(refused)?;
        let predicate = match &index.predicate {
            Some(text) => condition(text, &self.scope(Purity::Immutable)).map_err(refused)?,
            None => String::new(),
        };
        Ok(Candidate { terms, predicate })
    }

    fn term(&self, term: &IndexTerm) -> Result<Term, String> {
        let (sql, kind, is_column) = match &term.key {
            IndexKey::Column(column) => {
                (self.plain_term(*column), self.fields[*column].kind, !self.is_json(*column))
            }
            IndexKey::Expression(text) => {
                let typed = value(text, &self.scope(Purity::Immutable))?;
                (typed.sql, typed.kind, false)
            }
        };
        let is_text = matches!(kind, Kind::Text | Kind::Coded(Codec::Escaped | Codec::Tagged));
        let (sql, plain, unknown) = match term.collation.as_str() {
            "BINARY" | "" => (sql, is_column, None),
            _ if !is_text => (sql, is_column, None),
            "NOCASE" if kind != Kind::Coded(Codec::Tagged) => {
                (format!("lower({sql} COLLATE \"C\")"), false, None)
            }
            "RTRIM" if kind != Kind::Coded(Codec::Tagged) => {
                (format!("rtrim({sql}, ' ')"), false, None)
            }
            other => (sql, is_column, Some(other.to_owned())),
        };
        // PostgreSQL wants parentheses around every expression that is no call.
        let sql = match (plain, &term.key) {
            (false, IndexKey::Expression(_)) => format!("({sql})"),
            _ => sql,
        };
        let descending = if term.descending { " DESC" } else { "" };
        Ok(Term { sql: format!("{sql}{descending}"), plain, unknown })
    }
}
