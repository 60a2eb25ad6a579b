//! The fence on SQLite: triggers that refuse every write of an application, and the record of who
//! raised them, made and removed together.

use rusqlite::{Connection, OptionalExtension};

use super::table_number;
use crate::{
    db::source::SourceFile,
    dialect::{
        capture::{PREFIX, fence_triggers, is_ours},
        schema::SourceSchema,
    },
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
    // An application's table of that name is not a mark.
    let sql = "SELECT count(*) FROM pragma_table_info(?, 'main') \
               WHERE name IN ('id', 'migration', 'fenced', 'attempt')";
    if connection.query_row(sql, [PREFIX], |row| row.get::<_, i64>(0))? < 4 {
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

/// Raises the fence on every table. The caller holds the write lock and commits; `moved` says
/// where the database has gone, without a password.
pub fn raise(
    connection: &Connection,
    schema: &SourceSchema,
    mark: &Mark,
    moved: &str,
) -> rusqlite::Result<()> {
    let message = format!("switchback: this database has moved to PostgreSQL ({moved})");
    connection.execute_batch(&format!(
        "CREATE TABLE {PREFIX} (id INTEGER PRIMARY KEY, migration TEXT NOT NULL, \
           fenced INTEGER NOT NULL, attempt INTEGER NOT NULL)"
    ))?;
    let sql = format!("INSERT INTO {PREFIX} (id, migration, fenced, attempt) VALUES (1, ?, ?, ?)");
    let attempt = mark.fenced.unwrap_or_default();
    connection.execute(&sql, (&mark.migration, mark.fenced.is_some(), attempt))?;
    for (position, table) in schema.tables.iter().enumerate() {
        for (_, sql) in fence_triggers(table_number(position), table, &message) {
            connection.execute_batch(&sql)?;
        }
    }
    Ok(())
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
    use crate::{capture::remove, census};

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
        for name in ["_Switchback_notes", "_switchback"] {
            connection.execute_batch(&format!("CREATE TABLE {name} (id)")).unwrap();
            let error = refuse_namesakes(&connection, &file).unwrap_err();
            assert!(error.message().contains(name), "{error}");
            connection.execute_batch(&format!("DROP TABLE {name}")).unwrap();
        }
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
        raise(&connection, &planned, &ours, "postgres://it's/d").unwrap();
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
