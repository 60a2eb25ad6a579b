//! The fence on SQLite: triggers that refuse every write of an application, and the record of who
//! raised them, made and removed together.

use rusqlite::{Connection, OptionalExtension};

use crate::{
    census,
    db::source::SourceFile,
    dialect::capture::{PREFIX, fence_triggers, is_ours},
    error::{Error, Reason, Result},
};

/// What the file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Id of the migration that wrote it.
    pub migration: String,
    /// The switch attempt that raised the fence; `None` while the file is open.
    pub fenced: Option<i64>,
}

/// Reads the mark; `None` where Switchback has left nothing in the file.
pub fn mark(connection: &Connection) -> rusqlite::Result<Option<Mark>> {
    let sql = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?";
    let ours = connection.query_row(sql, [PREFIX], |_| Ok(())).optional()?;
    if ours.is_none() {
        return Ok(None);
    }
    let sql = format!("SELECT migration, fenced, attempt FROM main.{PREFIX} WHERE id = 1");
    connection
        .query_row(&sql, [], |row| {
            let (fenced, attempt) = (row.get::<_, bool>(1)?, row.get(2)?);
            Ok(Mark { migration: row.get(0)?, fenced: fenced.then_some(attempt) })
        })
        .optional()
}

/// Raises the fence on every table. The caller holds the write lock and commits.
pub fn raise(connection: &Connection, file: &SourceFile, mark: &Mark, moved: &str) -> Result<()> {
    let schema = census::schema::read(connection, file)?;
    let message = format!("switchback: this database has moved to PostgreSQL ({moved})");
    let raised = || -> rusqlite::Result<()> {
        connection.execute_batch(&format!(
            "CREATE TABLE {PREFIX} (id INTEGER PRIMARY KEY, migration TEXT NOT NULL, \
               fenced INTEGER NOT NULL, attempt INTEGER NOT NULL)"
        ))?;
        let sql =
            format!("INSERT INTO {PREFIX} (id, migration, fenced, attempt) VALUES (1, ?, ?, ?)");
        let attempt = mark.fenced.unwrap_or_default();
        connection.execute(&sql, (&mark.migration, mark.fenced.is_some(), attempt))?;
        for (number, table) in schema.tables.iter().enumerate() {
            for (_, sql) in fence_triggers(number, table, &message) {
                connection.execute_batch(&sql)?;
            }
        }
        Ok(())
    };
    raised().map_err(|error| file.explain(error))
}

/// Refuses objects of the application under names of ours: the census would pass them over, and
/// removing what is ours would drop them.
pub fn refuse_namesakes(connection: &Connection, file: &SourceFile) -> Result<()> {
    let find = || -> rusqlite::Result<Option<String>> {
        if mark(connection)?.is_some() {
            return Ok(None);
        }
        let sql = "SELECT name FROM main.sqlite_schema ORDER BY rowid";
        let mut statement = connection.prepare(sql)?;
        let mut names = statement.query_map([], |row| row.get::<_, String>(0))?;
        names.find(|name| name.as_ref().is_ok_and(|name| is_ours(name))).transpose()
    };
    let Some(name) = find().map_err(|error| file.explain(error))? else { return Ok(()) };
    Err(Error::new(
        Reason::SourceFenced,
        format!("the source has an object named {name:?}, and such names are Switchback's own"),
    )
    .hint("rename it in the application; names that begin with _switchback_ are reserved"))
}

/// The error for a file that another migration has fenced.
pub fn foreign(file: &SourceFile, mark: &Mark) -> Error {
    Error::new(
        Reason::SourceFenced,
        format!("{} belongs to the migration {}", file.path().display(), mark.migration),
    )
    .hint(
        "that migration made PostgreSQL the active engine: name its PostgreSQL database in \
         SWITCHBACK_POSTGRES, or migrate a copy of the file from before",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::log::remove;

    const SQL: &str = "CREATE TABLE \"it's \"\"odd\"\"\" (a UNIQUE, b); CREATE TABLE w (k PRIMARY KEY) WITHOUT ROWID; \
                       CREATE TABLE _switchboard (a); INSERT INTO w VALUES ('x')";

    fn objects(connection: &Connection) -> Vec<String> {
        let sql = "SELECT type || name || coalesce(sql, '') FROM sqlite_schema ORDER BY 1";
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn names_of_ours_are_refused_and_others_are_not() {
        let file = SourceFile::new("a.db");
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SQL).unwrap();
        refuse_namesakes(&connection, &file).unwrap();
        connection.execute_batch("CREATE TABLE _Switchback_notes (a)").unwrap();
        let error = refuse_namesakes(&connection, &file).unwrap_err();
        assert!(error.message().contains("_Switchback_notes"), "{error}");
    }

    #[test]
    fn the_fence_refuses_every_write_and_goes_without_a_trace() {
        let directory = tempfile::tempdir().unwrap();
        let file = SourceFile::new(directory.path().join("a.db"));
        let connection = Connection::open(file.path()).unwrap();
        connection.execute_batch(SQL).unwrap();
        let before = objects(&connection);
        assert_eq!(mark(&connection).unwrap(), None);
        let planned = census::schema::read(&connection, &file).unwrap();

        let ours = Mark { migration: "m".into(), fenced: Some(3) };
        raise(&connection, &file, &ours, "postgres://it's/d").unwrap();
        assert_eq!(mark(&connection).unwrap(), Some(ours));
        let fenced = census::schema::read(&connection, &file).unwrap();
        assert_eq!((fenced.fingerprint, fenced.tables), (planned.fingerprint, planned.tables));
        let writer = Connection::open(file.path()).unwrap();
        for sql in [
            "INSERT INTO w VALUES ('y')",
            "INSERT OR IGNORE INTO w VALUES ('y')",
            "INSERT OR REPLACE INTO w VALUES ('x')",
            "UPDATE OR FAIL w SET k = 'z'",
            "DELETE FROM w",
            "INSERT INTO \"it's \"\"odd\"\"\" VALUES (1, 2)",
            "INSERT INTO _switchboard VALUES (1)",
        ] {
            let error = writer.execute_batch(sql).unwrap_err().to_string();
            assert!(error.contains("moved to PostgreSQL (postgres://it's/d)"), "{sql}: {error}");
        }
        writer.query_row("SELECT k FROM w", [], |row| row.get::<_, String>(0)).unwrap();

        remove(&connection).unwrap();
        assert_eq!(objects(&connection), before);
        writer.execute_batch("DELETE FROM w").unwrap();
    }
}
