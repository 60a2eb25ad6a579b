//! The codes of findings, and how findings are made.

use switchback_proto::v1::{Finding, Severity};

/// A code with what it means and what to do, as `docs/findings.md` lists it.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// Stable, lower case.
    pub code: &'static str,
    /// The severities it comes with.
    pub severity: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $severity:literal, $meaning:literal;)*) => {
        $(#[allow(dead_code, reason = "codes of values are written where values are read")]
        pub(crate) const $name: &str = $code;)*

        /// Every code that a plan can hold.
        pub const CODES: &[Code] =
            &[$(Code { code: $code, severity: $severity, meaning: $meaning },)*];
    };
}

codes! {
    FOLLOWING_STOPPED = "following_stopped", "blocker",
        "Changes are not carried over any more: the message says why. SQLite goes on; abort the migration and begin again.";
    FOLLOWING_WAITS = "following_waits", "warning",
        "Changes are not carried over just now: the message says what an engine lacks. It goes on by itself.";
    RETURN_STOPPED = "return_stopped", "blocker",
        "What is written on PostgreSQL is not carried back just now: the message says why. There is no way back until that is put right; it goes on by itself then.";
    NO_WAY_BACK = "no_way_back", "warning",
        "After the cutover nothing can be carried back to SQLite: the message says why. Take a backup first.";
    TARGET_CHANGED = "target_schema_changed", "blocker or warning",
        "The application has changed PostgreSQL's tables since the cutover. A warning names what a rollback would leave behind, a blocker what keeps changes from being carried back. Finalize, or undo the change.";
    ROW_KEPT_ASIDE = "row_kept_aside", "warning",
        "With lenient guards: rows on PostgreSQL that SQLite cannot hold. They are kept in `switchback.kept_aside`, and a rollback leaves them behind.";
    LEFT_BEHIND_STAY = "left_behind_stay", "note",
        "Rows that a rollback has left behind stay in `switchback.kept_aside` when a migration is finalized or aborted: they are nowhere else.";
    NOT_GIVEN_BACK = "not_given_back", "warning",
        "Something that was taken off an existing table for the copy could not be made again when the migration ended. `switchback.set_aside` has the statement.";
    WRITES_MISSING = "writes_missing", "warning",
        "SQLite was made the active engine without PostgreSQL, which was gone: the message says which acknowledged writes are not in it.";
    GIVEN_UP_IS_BACK = "given_up_is_back", "warning",
        "PostgreSQL is back after SQLite went on without it. It is fenced, and holds writes that SQLite has not.";
    REJECTS_STAY = "rejects_stay", "note",
        "Rows that PostgreSQL could not hold stay in `switchback.rejects` when a migration is finalized: they are nowhere else.";
    CAPTURE_REMOVED = "capture_removed", "note",
        "A backup was taken during a migration. What captures changes for it was removed from the restored file, which nobody follows.";
    MOVED_ASIDE = "moved_aside", "note",
        "A file that was to be replaced could not be read any more, and so not be backed up. It has another name now.";
    TRIGGERS_LEFT_OUT = "triggers_left_out", "note",
        "A table was restored without its triggers, which may need other tables.";
    NOT_RESTORED = "not_restored", "note",
        "Rows were restored into the other engine; what belongs to the backup's own engine was not.";
    MIXED_TYPES = "mixed_types", "blocker",
        "A column holds values of several storage classes. Choose `encode` or `reject`, or correct the rows.";
    NUL_IN_TEXT = "nul_in_text", "blocker",
        "Text holds a NUL. Choose `encode` or `reject`, or correct the rows.";
    INVALID_UTF8 = "invalid_utf8", "blocker",
        "Text is not valid UTF-8. Choose `encode` or `reject`, or correct the rows.";
    INVALID_UTF16 = "invalid_utf16", "blocker",
        "Text of a UTF-16 file holds half a surrogate pair. Correct the rows.";
    TOO_MANY_COLUMNS = "too_many_columns", "blocker",
        "A table has more columns than the 1,600 of PostgreSQL. Split it.";
    ROW_TOO_WIDE = "row_too_wide", "blocker",
        "A row has so many values that it does not fit a page of PostgreSQL. Split the table.";
    INVALID_DATE = "invalid_date", "warning",
        "Values of a date or time column are no date or time. The column stays text, nothing is lost.";
    EPOCH_TIMESTAMPS = "epoch_timestamps", "warning",
        "Integers of a date column were taken for times; the message names the unit. Edit the plan to keep them.";
    NUMERIC_AFFINITY = "numeric_affinity", "warning",
        "SQLite has stored text as numbers, because of how the type was spelt.";
    BOOL_NOT_01 = "bool_not_01", "note",
        "A boolean column holds other values than one pair for false and true.";
    UUID_NOT_CANONICAL = "uuid_not_canonical", "note",
        "A UUID column holds values in no known form of a UUID.";
    JSON_INVALID = "json_invalid", "note",
        "A JSON column holds values that are not valid JSON.";
    DECIMAL_OUT_OF_SCALE = "decimal_out_of_scale", "note",
        "A decimal column holds values that its digits do not hold.";
    VARCHAR_TOO_SHORT = "varchar_too_short", "note",
        "Values are longer than the declared length, which SQLite does not enforce.";
    SEVERAL_FORMS = "several_forms", "note",
        "The values of a column have more than one form, so it got a plain type.";
    NOT_NULL_VIOLATED = "not_null_violated", "warning or blocker",
        "A NOT NULL column holds NULLs. The column takes NULLs in the target; an existing one does not, which blocks.";
    NULL_IN_PRIMARY_KEY = "null_in_primary_key", "warning",
        "A primary key holds NULLs, which SQLite takes. It becomes a unique constraint.";
    NO_PRIMARY_KEY = "no_primary_key", "note",
        "A table has no primary key. Its rows are compared as a whole.";
    IDENTITY_EXHAUSTED = "identity_exhausted", "warning",
        "The largest rowid is near the largest 64-bit integer: few or no new ids are left.";
    INDEX_VALUE_TOO_LONG = "index_value_too_long", "warning",
        "Values are longer than an entry of PostgreSQL's B-tree can be. The index or key is left out.";
    INDEX_NOT_TRANSLATED = "index_not_translated", "warning",
        "An index has an expression or a predicate that PostgreSQL cannot have. It is left out.";
    UNIQUE_NOT_CARRIED = "unique_not_carried", "warning",
        "A unique index uses a collation that is not known. It is left out.";
    NOCASE_COLUMN = "nocase_column", "note",
        "A column compares without regard to ASCII case. Its indexes do so too; comparisons in queries need lower().";
    COLLATION_NOT_CARRIED = "collation_not_carried", "note",
        "A column or index uses a collation that PostgreSQL does not have.";
    FOREIGN_KEY_SKIPPED = "foreign_key_skipped", "warning",
        "A foreign key cannot exist in PostgreSQL: no such parent, no key there, or another type.";
    FOREIGN_KEY_NOT_VALIDATED = "foreign_key_not_validated", "warning",
        "Rows of the parent may be rejected, so the foreign key is checked for new rows only.";
    ORPHANS = "orphans", "warning",
        "Rows have no parent row. The foreign key is checked for new rows only (NOT VALID).";
    CHECK_NOT_TRANSLATED = "check_not_translated", "warning",
        "A CHECK uses what PostgreSQL does not have. It is left out.";
    DEFAULT_NOT_TRANSLATED = "default_not_translated", "warning",
        "A DEFAULT uses what PostgreSQL does not have. The column has none.";
    GENERATED_NOT_TRANSLATED = "generated_not_translated", "warning",
        "A generated column cannot be computed by PostgreSQL in the same way. It becomes an ordinary column with its values.";
    VIEW_NOT_TRANSLATED = "view_not_translated", "warning",
        "A view uses what PostgreSQL does not have. It is left out.";
    TRIGGER_NOT_CARRIED = "trigger_not_carried", "warning",
        "Triggers are not translated. Write them anew for PostgreSQL.";
    VIRTUAL_TABLE_NOT_CARRIED = "virtual_table_not_carried", "warning",
        "A virtual table belongs to an extension of SQLite; it and its shadow tables are left out.";
    STATEMENT_NOT_READ = "statement_not_read", "warning",
        "The text of a statement in the source could not be read in full; the message says what is missing.";
    RENAMED = "renamed", "note",
        "Something has another name in PostgreSQL; the message says which and why.";
    TABLE_LEFT_OUT = "table_left_out", "warning",
        "A table was taken out of the plan that was given.";
    NO_TABLES = "no_tables", "warning",
        "The source has no tables: there is nothing to migrate.";
    TARGET_NOT_EMPTY = "target_not_empty", "blocker",
        "The target schema holds relations or types already, or an existing table rows. Use an empty database, drop what is there, or have rows deleted with `--empty-target`.";
    UNKNOWN_NAME = "unknown_name", "blocker",
        "An option names a table or column that is not there. Names are those of the source, and after `=` those of the target.";
    TABLE_ONLY_IN_SOURCE = "table_only_in_source", "blocker or note",
        "Into an existing schema: the target has no table for this one. Without rows in it that is a note. Let the application's migrations make it, rename it, or leave it out.";
    ONLY_IN_TARGET = "only_in_target", "note",
        "Into an existing schema: tables of the target that nothing goes to. They stay as they are.";
    BOOKKEEPING_TABLE = "bookkeeping_table", "note",
        "Into an existing schema: a table in which a tool for schema migrations keeps its versions. They are compared and not copied.";
    MATCHED_BY_LIKENESS = "matched_by_likeness", "note",
        "Into an existing schema: a table or column goes to one whose name differs in case or underscores.";
    TARGET_UNFIT = "target_unfit", "blocker",
        "Into an existing schema: rows cannot be loaded into the target's table, the message says why.";
    TYPE_NOT_SUPPORTED = "type_not_supported", "blocker",
        "Into an existing schema: no codec makes the target's type. docs/type-mapping.md lists those that there are.";
    COLUMN_ONLY_IN_SOURCE = "column_only_in_source", "blocker, warning or note",
        "Into an existing schema: the target has no column for this one. It blocks where there are values, and is a warning where it is left out as asked for.";
    COLUMN_ONLY_IN_TARGET = "column_only_in_target", "note",
        "Into an existing schema: nothing goes to a column of the target. It gets its default, and what is written to it does not come back.";
    COLUMN_WITHOUT_VALUE = "column_without_value", "blocker",
        "Into an existing schema: a column of the target takes no NULL, has no default, and nothing goes to it.";
    FORM_CHANGES = "form_changes", "note",
        "Into an existing schema: values keep their meaning and not their form. A row that is changed on PostgreSQL comes back in one form.";
    KEY_FORM = "key_form", "blocker",
        "Into an existing schema: a column that names rows has values in several forms. A row that comes back could not be found by it.";
    KEY_NOT_INDEXED = "key_not_indexed", "note",
        "Into an existing schema: the target has no unique key on what names rows in the source. A unique index of Switchback's own stands for it until finalize.";
    KEY_NOT_CARRIED = "key_not_carried", "warning",
        "Into an existing schema: what names rows in the source has no place in the target. Any change carries the whole table over again.";
    ZONE_ASSUMED = "zone_assumed", "warning",
        "Into an existing schema: texts without an offset go to a column with one. They are taken for UTC, or for times in the zone of --time-zone.";
    EPOCH_UNCLEAR = "epoch_unclear", "blocker",
        "Into an existing schema: numbers that could be times of several units. Choose the codec in the plan.";
    UNIQUE_COLLISION = "unique_collision", "blocker",
        "Into an existing schema: values occur more than once, and a key of the target takes each once.";
    TARGET_EMPTIED = "target_emptied", "warning",
        "Into an existing schema: rows of the target are deleted before the copy, as asked for.";
    TRIGGERS_OFF = "triggers_off", "note",
        "Into an existing schema: triggers of the target are off until the switch. Copied rows do not fire them.";
    SOURCE_IS_STRICTER = "source_is_stricter", "note",
        "Into an existing schema: SQLite refuses what the target takes: NULL in a column, or the same values twice in a key (by its collation, NOCASE). A row with it cannot come back.";
    CHECKED_LATER = "checked_later", "note",
        "Into an existing schema: CHECKs of the target are made again when the rows are there. A row that breaks one stops the migration.";
    SCHEMA_VERSION_MISMATCH = "schema_version_mismatch", "blocker or warning",
        "Schema migration tools have recorded other versions in one engine than in the other: the message lists which are missing where. A warning says that an engine has no table of a tool that the other one has. Run the application's own migrations there.";
    NOT_CANONICAL = "not_canonical", "blocker",
        "Values do not go through the codec that a changed plan gives their column. Change the plan, or choose `reject`.";
    INDEX_REFUSED = "index_refused", "warning",
        "PostgreSQL refuses a key or an index as it was translated; the message has its words. It is left out.";
    FOREIGN_KEY_REFUSED = "foreign_key_refused", "warning",
        "PostgreSQL refuses a foreign key; the message has its words. It is left out, or not validated.";
    CHECK_VIOLATED = "check_violated", "warning",
        "Rows break a CHECK, which SQLite can be told to ignore. It is checked for new rows only (NOT VALID).";
    OBJECT_NOT_MADE = "object_not_made", "warning",
        "Something that the rows do not need could not be made when its turn came; the message says why.";
}

/// What a finding is about, by its names in the source.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    pub table: &'a str,
    pub column: &'a str,
}

impl<'a> Place<'a> {
    pub(crate) fn database() -> Self {
        Self { table: "", column: "" }
    }

    pub(crate) fn table(table: &'a str) -> Self {
        Self { table, column: "" }
    }

    pub(crate) fn column(table: &'a str, column: &'a str) -> Self {
        Self { table, column }
    }
}

/// A finding about one thing.
pub(crate) fn finding(
    severity: Severity,
    code: &'static str,
    place: Place<'_>,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Finding {
    Finding {
        code: code.to_owned(),
        severity: severity.into(),
        table: place.table.to_owned(),
        column: place.column.to_owned(),
        count: 1,
        examples: Vec::new(),
        message: message.into(),
        hint: hint.into(),
        choices: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dialect::typemap;

    #[test]
    fn the_page_lists_every_code_and_no_other() {
        let page = include_str!("../../../docs/findings.md");
        let listed: BTreeSet<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|line| line.split('`').next())
            .collect();
        let known: BTreeSet<&str> = CODES.iter().map(|code| code.code).collect();
        assert_eq!(listed, known);
        for code in CODES {
            let row = format!("| `{}` | {} | {} |", code.code, code.severity, code.meaning);
            assert!(page.contains(&row), "docs/findings.md lacks\n{row}");
        }
    }

    #[test]
    fn codes_with_choices_are_known() {
        assert!(typemap::CHOICES.iter().all(|code| CODES.iter().any(|known| known.code == *code)));
    }
}
