//! The mark: what a SQLite file says about the migration that it is part of.

use rusqlite::{Connection, OptionalExtension};

use super::guard;
use crate::{
    db::source::SourceFile,
    dialect::capture::{PREFIX, is_ours},
    error::{Error, Reason, Result},
};

/// The table that holds it.
const CREATE: &str = include_str!("../../../migrations/source/0001_mark.sql");

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

/// Reads the mark; `None` where Switchback has left nothing in the file.
pub fn read(connection: &Connection) -> rusqlite::Result<Option<Mark>> {
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

/// Makes the mark of a migration. The caller holds the write lock, ends with [`seal`] and commits.
pub(super) fn create(connection: &Connection, migration: &str) -> rusqlite::Result<()> {
    connection.execute_batch(CREATE)?;
    let sql = format!(
        "INSERT INTO main.{PREFIX} (id, migration, fenced, attempt, beat, schema_hash) \
         VALUES (1, ?, 0, 0, 0, '')"
    );
    connection.execute(&sql, [migration]).map(drop)
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
