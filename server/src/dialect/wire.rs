//! Values of domains, enums and types of extensions in the form of a built-in type.

/// Types that PostgreSQL's grammar itself knows; no schema can be written before them.
const KEYWORDS: &[&str] = &[
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "dec",
    "decimal",
    "double",
    "float",
    "int",
    "integer",
    "interval",
    "nchar",
    "numeric",
    "real",
    "smallint",
    "time",
    "timestamp",
    "varchar",
];

/// The built-in type of a column: `wire`, or the type itself where that is empty.
pub fn built_in<'a>(pg_type: &'a str, wire: &'a str) -> &'a str {
    if wire.is_empty() { pg_type } else { wire }
}

/// The value as one of a built-in type, whatever the `search_path`; the value itself where `wire` is
/// empty.
pub fn cast(value: &str, wire: &str) -> String {
    if wire.is_empty() {
        return value.to_owned();
    }
    let first = wire.split([' ', '(', '[']).next().unwrap_or_default();
    let schema = if KEYWORDS.contains(&first) { "" } else { "pg_catalog." };
    format!("({value})::{schema}{wire}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cast_to_what_postgres_itself_has() {
        assert_eq!(cast("NEW.\"a\"", ""), "NEW.\"a\"");
        assert_eq!(cast("NEW.\"a\"", "text"), "(NEW.\"a\")::pg_catalog.text");
        assert_eq!(cast("a", "numeric(10,2)"), "(a)::numeric(10,2)");
        assert_eq!(cast("a", "timestamp without time zone"), "(a)::timestamp without time zone");
        assert_eq!((built_in("mood", "text"), built_in("text", "")), ("text", "text"));
    }
}
