//! The mark: what a SQLite file says about the migration that it is part of.

use rusqlite::{Connection, OptionalExtension, types::Type};

use super::guard;
use crate::{
    db::source::SourceFile,
    dialect::capture::{PREFIX, is_ours},
    error::{Error, Newer, Reason, Result},
};

/// The table that holds it.
const CREATE: &str = include_str!("../../../migrations/source/0001_mark.sql");

/// Version of the mark and of what goes with it in the file.
const FORMAT: i64 = 1;

/// What the file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Id of the migration that wrote it.
    pub migration: String,
    /// The switch attempt that raised the fence; `None` while the file is open.
    pub fenced: Option<i64>,
    /// Rises with each batch that is carried over.
    pub beat: i64,
}

/// Reads the mark; `None` where Switchback has left nothing in the file. One that a later version
/// has written is an error, which [`SourceFile::explain`] tells.
pub fn read(connection: &Connection) -> rusqlite::Result<Option<Mark>> {
    refuse_newer(connection)?;
    // An application's table of that name is not a mark.
    let sql = "SELECT count(*) FROM pragma_table_info(?, 'main') \
               WHERE name IN ('id', 'migration', 'fenced', 'attempt', 'beat', 'schema_hash')";
    if connection.query_row(sql, [PREFIX], |row| row.get::<_, i64>(0))? < 6 {
        return Ok(None);
    }
    let sql = format!("SELECT migration, fenced, attempt, beat FROM main.{PREFIX} WHERE id = 1");
    connection
        .query_row(&sql, [], |row| {
            let (fenced, attempt) = (row.get::<_, bool>(1)?, row.get(2)?);
            let fenced = fenced.then_some(attempt);
            Ok(Mark { migration: row.get(0)?, fenced, beat: row.get(3)? })
        })
        .optional()
}

/// A mark without a version is one of the first.
fn refuse_newer(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT count(*) FROM pragma_table_info(?, 'main') \
               WHERE name IN ('id', 'migration', 'format')";
    if connection.query_row(sql, [PREFIX], |row| row.get::<_, i64>(0))? < 3 {
        return Ok(());
    }
    let sql = format!("SELECT format FROM main.{PREFIX} WHERE id = 1");
    let found = connection.query_row(&sql, [], |row| row.get(0)).optional()?.unwrap_or_default();
    let newer = Newer { what: "Switchback's mark in the SQLite file", found, known: FORMAT };
    newer.check().map_err(|newer| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, Box::new(newer))
    })
}

/// Makes the mark of a migration. The caller holds the write lock, ends with [`seal`] and commits.
pub(super) fn create(connection: &Connection, migration: &str) -> rusqlite::Result<()> {
    connection.execute_batch(CREATE)?;
    let sql = format!(
        "INSERT INTO main.{PREFIX} (id, migration, fenced, attempt, beat, schema_hash, format) \
         VALUES (1, ?, 0, 0, 0, '', ?)"
    );
    connection.execute(&sql, (migration, FORMAT)).map(drop)
}

/// Records whether the file is fenced.
pub(super) fn set_fenced(connection: &Connection, attempt: Option<i64>) -> rusqlite::Result<()> {
    let sql = format!(
        "UPDATE main.{PREFIX} SET fenced = ?1, attempt = coalesce(?2, attempt) WHERE id = 1"
    );
    connection.execute(&sql, (attempt.is_some(), attempt)).map(drop)
}

/// Records the schema as it is now: in the transaction that changes what is ours.
pub(super) fn seal(connection: &Connection) -> rusqlite::Result<()> {
    let sql = format!("UPDATE main.{PREFIX} SET schema_hash = ? WHERE id = 1");
    connection.execute(&sql, [guard::schema_hash(connection)?]).map(drop)
}

/// Raises the beat of a migration and returns it; `None` where the mark is not its own any more.
/// Committed with `synchronous = FULL`, it makes durable all that was committed before.
pub fn beat(connection: &Connection, migration: &str) -> rusqlite::Result<Option<i64>> {
    if read(connection)?.is_none_or(|mark| mark.migration != migration) {
        return Ok(None);
    }
    let sql = format!("UPDATE main.{PREFIX} SET beat = beat + 1 WHERE id = 1 RETURNING beat");
    connection.query_row(&sql, [], |row| row.get(0)).optional()
}

/// Refuses objects of the application under names of ours: the census would pass them over, and
/// removing what is ours would drop them.
pub fn refuse_namesakes(connection: &Connection, file: &SourceFile) -> Result<()> {
    let find = || -> rusqlite::Result<Option<String>> {
        if read(connection)?.is_some() {
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

/// The error for a file that belongs to another migration.
pub fn foreign(file: &SourceFile, mark: &Mark) -> Error {
    let message = format!("{} belongs to the migration {}", file.path().display(), mark.migration);
    let hint = if mark.fenced.is_some() {
        "that migration made PostgreSQL the active engine: name its PostgreSQL database in \
         SWITCHBACK_POSTGRES, or migrate a copy of the file from before"
    } else {
        "that migration follows the file: abort it first with the server and the PostgreSQL \
         database that it goes to"
    };
    Error::new(Reason::SourceFenced, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked() -> (tempfile::TempDir, SourceFile, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let file = SourceFile::new(directory.path().join("a.db"));
        let connection = Connection::open(file.path()).unwrap();
        create(&connection, "m").unwrap();
        (directory, file, connection)
    }

    #[test]
    fn a_mark_of_a_later_version_is_refused() {
        let (_directory, file, connection) = marked();
        assert_eq!(read(&connection).unwrap().unwrap().migration, "m");
        // It has what is not known here, and lacks what is.
        let later = "UPDATE _switchback SET format = 2; ALTER TABLE _switchback DROP COLUMN beat";
        connection.execute_batch(later).unwrap();
        for refused in [read(&connection).map(drop), beat(&connection, "m").map(drop)] {
            let error = file.explain(refused.unwrap_err());
            assert_eq!(error.reason(), Reason::SourceFenced);
            assert_eq!(
                error.message(),
                "Switchback's mark in the SQLite file was written by a newer Switchback (version 2, \
                 this server knows 1)"
            );
        }
        assert!(refuse_namesakes(&connection, &file).is_err());
    }

    #[test]
    fn a_mark_without_a_version_is_one_of_the_first() {
        let (_directory, _file, connection) = marked();
        connection.execute_batch("ALTER TABLE _switchback DROP COLUMN format").unwrap();
        assert_eq!(read(&connection).unwrap().unwrap().migration, "m");
    }
}
