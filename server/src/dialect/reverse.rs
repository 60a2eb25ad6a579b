//! The SQL of reverse capture: what PostgreSQL writes down of every row that changes after the
//! cutover, so that it can be carried back.
//!
//! Functions of ours run as their owner, so that an application needs no right on the log, and
//! under any `search_path`: nothing in them is looked up by it. `WHEN` is parsed when the trigger
//! is made.

use super::{
    codec::sent_as,
    guard::Guard,
    ident::{literal, qualified, quote},
    wire,
};

/// What the names of all triggers of ours begin with.
pub const TRIGGERS: &str = "switchback_";

/// Name of the fence's trigger on each table.
pub const FENCE: &str = "switchback_fence";

/// Name of a trigger that every captured table has.
pub const CAPTURE: &str = "switchback_capture";

/// A column that names a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyColumn<'a> {
    /// Name in the target.
    pub name: &'a str,
    /// Type in the target.
    pub r#type: &'a str,
    /// The built-in type in whose form it is written down; empty where that is the type itself.
    pub wire: &'a str,
}

impl KeyColumn<'_> {
    fn value(&self, row: &str) -> String {
        wire::cast(&format!("{row}.{}", quote(self.name)), self.wire)
    }

    fn built_in(&self) -> &str {
        wire::built_in(self.r#type, self.wire)
    }
}

/// A table whose changes are to be written down.
#[derive(Debug, Clone, Copy)]
pub struct Captured<'a> {
    /// Name of the database in the configuration.
    pub database: &'a str,
    /// Schema in the target.
    pub schema: &'a str,
    /// Name in the target.
    pub table: &'a str,
    /// Its number in the log.
    pub number: i64,
    /// The columns that name a row; none where nothing does.
    pub key: &'a [KeyColumn<'a>],
    /// Columns in the target, and what each may hold.
    pub guards: &'a [(&'a str, Guard)],
}

/// One of the things that reverse capture of a table consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of the trigger; `None` for a function, which may be made again.
    pub trigger: Option<String>,
    /// What makes it.
    pub sql: String,
}

impl Part {
    fn function(sql: String) -> Self {
        Self { trigger: None, sql }
    }
}

impl Captured<'_> {
    /// Name of a function that writes entries of this table: of the row after or before.
    fn function(&self, row: &str) -> String {
        qualified("switchback", &format!("{}{}", self.functions(), row.to_lowercase()))
    }

    /// What the names of its functions begin with.
    pub fn functions(&self) -> String {
        let hash = blake3::hash(self.database.as_bytes()).to_hex();
        format!("t{}_{}_", self.number, &hash[..12])
    }

    /// Fields of the key; `None` where nothing names a row, or a type has no known form.
    fn fields(&self, row: &str) -> Option<String> {
        let fields = self.key.iter().map(|column| sent_as(column.built_in(), &column.value(row)));
        let fields: Vec<String> = fields.collect::<Option<_>>()?;
        (!fields.is_empty()).then(|| format!("ARRAY[{}]", fields.join(", ")))
    }

    fn create_function(&self, row: &str) -> String {
        let key = self.fields(row).unwrap_or_else(|| "NULL".into());
        format!(
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
             $switchback$ BEGIN \
               INSERT INTO switchback.change_log (database, tab, key) VALUES ({}, {}, {key}); \
               RETURN NULL; \
             END $switchback$",
            self.function(row),
            literal(self.database),
            self.number,
        )
    }

    /// Its triggers, which do nothing yet, and before them the functions that they call.
    pub fn create(&self) -> Vec<Part> {
        let table = qualified(self.schema, self.table);
        let trigger = |name: &str, when: &str, action: &str| {
            let quoted = quote(name);
            let sql = format!(
                "CREATE TRIGGER {quoted} {when} EXECUTE {action}; \
                 ALTER TABLE {table} DISABLE TRIGGER {quoted}"
            );
            Part { trigger: Some(name.to_owned()), sql }
        };
        let mut statements: Vec<Part> =
            ["NEW", "OLD"].map(|row| Part::function(self.create_function(row))).into();
        let [new, old] = ["NEW", "OLD"].map(|row| format!("FUNCTION {}()", self.function(row)));
        if self.fields("NEW").is_none() {
            let when = format!("AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT");
            statements.push(trigger(CAPTURE, &when, &new));
        } else {
            let when = format!("AFTER INSERT OR UPDATE ON {table} FOR EACH ROW");
            statements.push(trigger(CAPTURE, &when, &new));
            let when = format!("AFTER DELETE ON {table} FOR EACH ROW");
            statements.push(trigger("switchback_capture_deleted", &when, &old));
            let when = format!("AFTER UPDATE ON {table} FOR EACH ROW WHEN ({})", self.other_key());
            statements.push(trigger("switchback_capture_key", &when, &old));
        }
        let when = format!("BEFORE TRUNCATE ON {table} FOR EACH STATEMENT");
        let refuse = "FUNCTION switchback.refuse_truncate()";
        statements.push(trigger("switchback_truncate", &when, refuse));
        for (number, (column, guard)) in (1..).zip(self.guards) {
            let condition = guard.quick.as_ref().unwrap_or(&guard.condition);
            let when =
                format!("AFTER INSERT OR UPDATE ON {table} FOR EACH ROW WHEN (NOT ({condition}))");
            let function = match &guard.quick {
                None => "switchback.refuse_value".to_owned(),
                Some(_) => {
                    let name = qualified("switchback", &format!("{}{number}", self.functions()));
                    statements.push(Part::function(look_again(&name, &guard.condition)));
                    name
                }
            };
            let (column, why) = (literal(column), literal(&guard.reason()));
            let refuse = format!("FUNCTION {function}({column}, {why})");
            statements.push(trigger(&format!("switchback_guard_{number}"), &when, &refuse));
        }
        statements
    }

    fn other_key(&self) -> String {
        let terms = self.key.iter().map(|column| {
            // `json` has no comparison of its own.
            let cast = if column.built_in() == "json" { "::text" } else { "" };
            let (old, new) = (column.value("OLD"), column.value("NEW"));
            format!("{old}{cast} IS DISTINCT FROM {new}{cast}")
        });
        terms.collect::<Vec<_>>().join(" OR ")
    }
}

/// A function that refuses a value for which the whole condition does not hold either.
fn look_again(name: &str, condition: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql \
         SET search_path = pg_catalog, pg_temp AS \
         $switchback$ BEGIN \
           IF NOT ({condition}) THEN \
             RAISE EXCEPTION 'switchback: SQLite cannot hold this value of %.%: it is or holds %', \
                 TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[1] \
               USING ERRCODE = '23514', COLUMN = TG_ARGV[0], TABLE = TG_TABLE_NAME, \
                     SCHEMA = TG_TABLE_SCHEMA, HINT = {}; \
           END IF; \
           RETURN NULL; \
         END $switchback$",
        literal(
            "What is written here must be able to go back until the migration is finalized \
             (`switchback finalize`)."
        )
    )
}

/// Lets applications write to a table, and writes down what they change.
pub fn open(schema: &str, table: &str, triggers: &[String]) -> String {
    alter(schema, table, triggers, |name| if name == FENCE { "DISABLE" } else { "ENABLE ALWAYS" })
}

/// Refuses writes to a table again.
pub fn close(schema: &str, table: &str, triggers: &[String]) -> String {
    alter(schema, table, triggers, |name| if name == FENCE { "ENABLE ALWAYS" } else { "DISABLE" })
}

fn alter(
    schema: &str,
    table: &str,
    triggers: &[String],
    to: impl Fn(&str) -> &'static str,
) -> String {
    let changes: Vec<String> =
        triggers.iter().map(|name| format!("{} TRIGGER {}", to(name), quote(name))).collect();
    format!("ALTER TABLE {} {}", qualified(schema, table), changes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_column<'a>(name: &'a str, r#type: &'a str) -> KeyColumn<'a> {
        KeyColumn { name, r#type, wire: "" }
    }

    fn captured<'a>(key: &'a [KeyColumn<'a>], guards: &'a [(&'a str, Guard)]) -> Captured<'a> {
        Captured { database: "de'fault", schema: "public", table: "t\"t", number: 3, key, guards }
    }

    #[test]
    fn every_trigger_is_made_and_off() {
        let guard = |quick| Guard { condition: "NEW.a > 0".into(), quick, reasons: vec!["w"] };
        let guards = [("a", guard(None)), ("b", guard(Some("NEW.a = 1".into())))];
        let parts = captured(&[key_column("id", "bigint")], &guards).create();
        let triggers = parts.iter().filter(|part| part.trigger.is_some());
        assert_eq!(triggers.clone().count(), 6);
        for part in triggers {
            let off = "ALTER TABLE \"public\".\"t\"\"t\" DISABLE TRIGGER";
            assert!(part.sql.contains(off), "{}", part.sql);
        }
        let entry = "VALUES ('de''fault', 3, ARRAY[pg_catalog.int8send(NEW.\"id\")])";
        assert!(parts[0].sql.contains(entry), "{}", parts[0].sql);
    }

    #[test]
    fn a_table_without_a_key_is_logged_by_statement() {
        for key in [&[][..], &[key_column("id", "interval")][..]] {
            let parts = captured(key, &[]).create();
            assert!(parts[0].sql.contains("VALUES ('de''fault', 3, NULL)"), "{parts:?}");
            assert!(parts[2].sql.contains("FOR EACH STATEMENT"), "{parts:?}");
        }
    }

    #[test]
    fn a_key_of_another_type_is_written_down_in_its_built_in_form() {
        let key = [KeyColumn { name: "k", r#type: "public.mood", wire: "text" }];
        let parts = captured(&key, &[]).create();
        let field = "pg_catalog.convert_to((NEW.\"k\")::pg_catalog.text, 'UTF8')";
        assert!(parts[0].sql.contains(field), "{}", parts[0].sql);
        let other = "(OLD.\"k\")::pg_catalog.text IS DISTINCT FROM (NEW.\"k\")::pg_catalog.text";
        assert!(parts.iter().any(|part| part.sql.contains(other)), "{parts:?}");
    }

    #[test]
    fn opening_turns_all_on_but_the_fence() {
        let triggers = [FENCE.to_owned(), CAPTURE.to_owned()];
        assert_eq!(
            open("public", "t", &triggers),
            "ALTER TABLE \"public\".\"t\" DISABLE TRIGGER \"switchback_fence\", \
             ENABLE ALWAYS TRIGGER \"switchback_capture\""
        );
        assert_eq!(
            close("public", "t", &triggers),
            "ALTER TABLE \"public\".\"t\" ENABLE ALWAYS TRIGGER \"switchback_fence\", \
             DISABLE TRIGGER \"switchback_capture\""
        );
    }
}
