//! Which tables a migration is about.

use switchback_proto::v1::{Finding, PlanOptions, Severity};

use super::{
    finding::{self, Place, finding},
    schema::{SourceSchema, Table},
};

/// Whether a table is wanted.
pub fn is_wanted(name: &str, options: &PlanOptions) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| is_meant(pattern, name));
    (options.include_tables.is_empty() || any(&options.include_tables))
        && !any(&options.exclude_tables)
}

/// Whether a column is to be left out: `TABLE.COLUMN`.
pub(super) fn is_excluded(table: &Table, column: &str, options: &PlanOptions) -> bool {
    options.exclude_tables.iter().any(|pattern| is_column_meant(pattern, table, column))
}

fn is_column_meant(pattern: &str, table: &Table, column: &str) -> bool {
    pattern.contains('.') && is_meant(pattern, &format!("{}.{column}", table.name))
}

/// Whether a name is meant by a pattern, in which `*` stands for any letters.
fn is_meant(pattern: &str, name: &str) -> bool {
    let mut parts: Vec<&str> = pattern.split('*').collect();
    let Some(last) = parts.pop() else { return false };
    let mut rest = name;
    for (number, part) in parts.iter().enumerate() {
        let Some(at) = rest.find(part).filter(|at| number > 0 || *at == 0) else { return false };
        rest = &rest[at + part.len()..];
    }
    if parts.is_empty() { rest == last } else { rest.ends_with(last) }
}

/// A table that the caller does not want.
pub fn left_out(table: &str) -> Finding {
    finding(
        Severity::Warning,
        finding::TABLE_LEFT_OUT,
        Place::table(table),
        "left out as asked for: its rows stay in the source",
        "plan without that option to carry it",
    )
}

/// Patterns that mean nothing: a mistake, not a wish that came true.
pub fn unknown(schema: &SourceSchema, options: &PlanOptions) -> Vec<Finding> {
    let means_none = |pattern: &&String| {
        !schema.tables.iter().any(|table| {
            is_meant(pattern, &table.name)
                || table.columns.iter().any(|column| is_column_meant(pattern, table, &column.name))
        })
    };
    let patterns = options.include_tables.iter().chain(&options.exclude_tables);
    let unknown = patterns.filter(means_none).map(|pattern| {
        let message = format!("no table or column of the source is meant by {pattern:?}");
        let hint = "names are those of the source, as `sqlite3 FILE .schema` shows them";
        finding(Severity::Blocker, finding::UNKNOWN_NAME, Place::database(), message, hint)
    });
    unknown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, meant) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("ab*b", "ab", false),
            ("log_*", "blog_1", false),
            ("**", "x", true),
        ] {
            assert_eq!(is_meant(pattern, name), meant, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_excluded_is_not_included() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let options = PlanOptions {
            include_tables: names(&["a*"]),
            exclude_tables: names(&["ab"]),
            ..PlanOptions::default()
        };
        for (name, wanted) in [("a", true), ("ab", false), ("b", false)] {
            assert_eq!(is_wanted(name, &options), wanted, "{name}");
        }
    }
}
