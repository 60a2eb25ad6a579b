//! Names in PostgreSQL: quoting, length, and what may not clash.

use std::collections::HashSet;

use switchback_proto::v1::IdentifierCase;

/// Bytes of the longest name (NAMEDATALEN − 1).
pub(crate) const LONGEST: usize = 63;

/// Columns that every table of PostgreSQL has.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// Quotes an identifier for PostgreSQL: the only place where that is done.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A schema-qualified name, quoted.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote(schema), quote(name))
}

/// A string literal, the same for both engines (`standard_conforming_strings` is on).
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Names that are in use in one namespace.
///
/// PostgreSQL has one namespace a schema for tables, views, sequences and indexes, those behind
/// constraints included; one a table for columns; and one a table for constraints.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    used: HashSet<String>,
}

/// What kind of names a set of source names is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// Tables, views, indexes.
    Relation,
    /// Columns of one table.
    Column,
}

impl Names {
    /// Gives each source name its target name. Names that can stay as they are go first, so that
    /// a changed one never takes the place of one that is spelt like it.
    pub(crate) fn assign(
        &mut self,
        sources: &[&str],
        kind: NameKind,
        case: IdentifierCase,
    ) -> Vec<String> {
        let wanted: Vec<String> = sources
            .iter()
            .enumerate()
            .map(|(number, source)| wanted(source, number, kind, case))
            .collect();
        let mut names = vec![None; sources.len()];
        for (index, source) in sources.iter().enumerate() {
            if wanted[index] == **source && self.used.insert(wanted[index].clone()) {
                names[index] = Some(wanted[index].clone());
            }
        }
        names
            .into_iter()
            .zip(wanted)
            .map(|(name, wanted)| name.unwrap_or_else(|| self.reserve(&wanted)))
            .collect()
    }

    /// The name itself, cut to fit, or with the first free number behind it.
    pub(crate) fn reserve(&mut self, name: &str) -> String {
        let name = fitted(name);
        if self.used.insert(name.clone()) {
            return name;
        }
        for number in 2_u64.. {
            let suffix = format!("_{number}");
            let candidate = format!("{}{suffix}", cut(&name, LONGEST - suffix.len()));
            if self.used.insert(candidate.clone()) {
                return candidate;
            }
        }
        unreachable!("2^64 names are in use")
    }

    /// Marks a name as used.
    pub(crate) fn take(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }
}

fn wanted(source: &str, number: usize, kind: NameKind, case: IdentifierCase) -> String {
    let name = match (source.is_empty(), kind) {
        (true, NameKind::Column) => format!("column_{}", number + 1),
        (true, NameKind::Relation) => format!("table_{}", number + 1),
        (false, _) if case == IdentifierCase::Lower => source.to_ascii_lowercase(),
        (false, _) => source.to_owned(),
    };
    if kind == NameKind::Column && SYSTEM_COLUMNS.contains(&name.as_str()) {
        return format!("{name}_");
    }
    fitted(&name)
}

/// A name of at most 63 bytes: a longer one is cut and ends in eight digits of its hash.
fn fitted(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    format!("{}_{}", cut(name, LONGEST - 9), &hash[..8])
}

fn cut(name: &str, bytes: usize) -> &str {
    &name[..name.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(sources: &[&str], case: IdentifierCase) -> Vec<String> {
        Names::default().assign(sources, NameKind::Column, case)
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(qualified("public", "a.b"), "\"public\".\"a.b\"");
        assert_eq!(literal("it's"), "'it''s'");
    }

    #[test]
    fn names_stay_exact() {
        let odd = ["a b", "c\"d", "🙂", "Select", "É", "é"];
        assert_eq!(columns(&odd, IdentifierCase::Exact), odd);
    }

    #[test]
    fn lower_case_folds_ascii_only_and_settles_clashes() {
        assert_eq!(columns(&["ID", "É", "id"], IdentifierCase::Lower), ["id_2", "É", "id"]);
    }

    #[test]
    fn empty_and_system_names_get_others() {
        assert_eq!(
            columns(&["", "ctid", "ctid_", "CTID", "column_1"], IdentifierCase::Exact),
            ["column_1_2", "ctid__2", "ctid_", "CTID", "column_1"]
        );
        assert_eq!(columns(&["CTID"], IdentifierCase::Lower), ["ctid_"]);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let long = "é".repeat(100);
        let other = format!("{long}x");
        let names = columns(&[&long, &other], IdentifierCase::Exact);
        assert!(names.iter().all(|name| name.len() <= LONGEST), "{names:?}");
        assert_ne!(names[0], names[1]);
        assert_eq!(names, columns(&[&long, &other], IdentifierCase::Exact), "deterministic");
    }

    #[test]
    fn numbers_make_room_for_themselves() {
        let mut names = Names::default();
        let name = "n".repeat(63);
        assert_eq!(names.reserve(&name), name);
        assert_eq!(names.reserve(&name), format!("{}_2", "n".repeat(61)));
    }
}
