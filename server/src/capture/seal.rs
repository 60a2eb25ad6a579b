//! The seal: what makes every SQLite take the file for read-only, with nothing of ours in it.

use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, config::DbConfig};

use crate::error::{Error, Reason, Result};

/// Where the header keeps the file format write version (SQLite manual, "Database File Format",
/// section 1.3.3).
const WRITE_VERSION: usize = 18;

/// Above 2, a file may be read and not written. SQLite looks at the beginning of every
/// transaction (`lockBtree` in btree.c), so a connection that was open before is refused too.
///
/// The read version, one byte further, stays, and with it the journal mode: many programs set
/// `journal_mode = wal` whenever they connect. Where that is the mode already they go on reading;
/// a sealed file that is in another mode would refuse it.
const READ_ONLY: u8 = 3;

/// Refuses where the SQLite in this process was built without what writes the header.
pub fn check_possible() -> Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'sqlite_dbpage')";
    let there = Connection::open_in_memory()
        .and_then(|connection| connection.query_row(sql, [], |row| row.get::<_, bool>(0)))
        .map_err(|error| Error::new(Reason::Internal, "SQLite does not start").caused_by(error))?;
    if there {
        return Ok(());
    }
    Err(Error::new(Reason::Unimplemented, "this build of switchbackd cannot seal a SQLite file")
        .hint(
            "build it with LIBSQLITE3_FLAGS=-DSQLITE_ENABLE_DBPAGE_VTAB, as .cargo/config.toml \
             does, or keep the source fenced or clean",
        ))
}

/// Whether the file is sealed, as of the last time that this connection has read it.
pub fn is_on(connection: &Connection) -> rusqlite::Result<bool> {
    // A file that only its permissions make read-only is not.
    Ok(connection.is_readonly(MAIN_DB)? && first_page(connection)?[WRITE_VERSION] == READ_ONLY)
}

/// Seals the file. The caller holds the write lock and commits.
///
/// No statement sets this byte, and a plain write to the file would drop SQLite's locks. So the
/// whole page is written through SQLite (manual, "The SQLITE_DBPAGE Virtual Table"), which puts it
/// into the journal with the rest of the transaction.
pub fn put_on(connection: &Connection) -> rusqlite::Result<()> {
    let mut page = first_page(connection)?;
    page[WRITE_VERSION] = READ_ONLY;
    connection.execute("UPDATE sqlite_dbpage SET data = ? WHERE pgno = 1", [page]).map(drop)
}

/// Moves the write-ahead log into a sealed file, so that the file is complete by itself; `false`
/// where a reader of what was before was in the way for so long.
///
/// Until then the seal is in the log alone. Every program reads it there, and the last one to
/// close the file moves it: for SQLite's pager, which does that, no file is sealed.
pub fn settle(connection: &Connection, wait: Duration) -> rusqlite::Result<bool> {
    connection.busy_timeout(wait)?;
    // `source::open` has switched this off beside a log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let sql = "PRAGMA main.wal_checkpoint(TRUNCATE)";
    let busy: bool = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(!busy)
}

/// The page with the header, as this transaction sees it.
fn first_page(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    connection.query_row("SELECT data FROM sqlite_dbpage WHERE pgno = 1", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use rusqlite::ErrorCode;

    use super::*;
    use crate::{
        capture::{self, fence, lock},
        census,
        db::source::SourceFile,
    };

    const WAIT: Duration = Duration::from_millis(200);

    /// Everything that writes in its own way.
    const WRITES: [&str; 8] = [
        "INSERT INTO t VALUES (9, 'x')",
        "UPDATE t SET a = 'x'",
        "DELETE FROM t",
        "CREATE TABLE u (id INTEGER)",
        "DROP TABLE t",
        "PRAGMA user_version = 7",
        "ANALYZE",
        "VACUUM",
    ];

    /// A fenced file in a journal mode.
    fn fenced(mode: &str) -> (tempfile::TempDir, SourceFile) {
        let directory = tempfile::tempdir().unwrap();
        let file = SourceFile::new(directory.path().join("a.db"));
        let connection = Connection::open(file.path()).unwrap();
        connection.pragma_update(None, "journal_mode", mode).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX i ON t (a);
                 INSERT INTO t VALUES (1, 'one'), (2, NULL), (3, 'three')",
            )
            .unwrap();
        let schema = census::schema::read(&connection, &file).unwrap();
        capture::install(&connection, &file, &schema, "m").unwrap();
        fence::raise(&connection, &schema, 1, "elsewhere").unwrap();
        (directory, file)
    }

    /// A connection that has removed what is ours and has sealed the file, and has not committed.
    fn sealing(file: &SourceFile) -> Connection {
        let connection = file.open().unwrap();
        lock::begin(&connection, file, WAIT).unwrap();
        capture::remove(&connection).unwrap();
        put_on(&connection).unwrap();
        connection
    }

    fn refusal(connection: &Connection, sql: &str) -> Option<ErrorCode> {
        connection.execute_batch(sql).err().and_then(|error| error.sqlite_error_code())
    }

    /// The schema and the rows.
    fn content(connection: &Connection) -> Vec<String> {
        let sql = "SELECT sql FROM sqlite_schema UNION ALL SELECT format('%d %Q', id, a) FROM t";
        let mut statement = connection.prepare(sql).unwrap();
        let lines = statement.query_map([], |row| row.get(0)).unwrap();
        lines.map(Result::unwrap).collect()
    }

    fn text(connection: &Connection, sql: &str) -> String {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// By another process: SQLite has the file open in this one.
    fn run(program: &str, arguments: &[&str]) {
        assert!(Command::new(program).args(arguments).output().unwrap().status.success());
    }

    fn dd(file: &Path, more: &[&str]) {
        let file = file.display();
        let (from, to) = (format!("if={file}"), format!("of={file}"));
        run("dd", &[&[from.as_str(), &to], more].concat());
    }

    #[test]
    fn this_build_can_seal() {
        check_possible().unwrap();
    }

    #[test]
    fn every_connection_finds_a_sealed_file_read_only() {
        for (mode, other) in [("delete", "wal"), ("wal", "delete")] {
            let (_directory, file) = fenced(mode);
            let before = Connection::open(file.path()).unwrap();
            assert_eq!(refusal(&before, WRITES[0]), Some(ErrorCode::ConstraintViolation));
            lock::commit(&sealing(&file), &file, WAIT).unwrap();
            let after = Connection::open(file.path()).unwrap();
            for connection in [&before, &after] {
                for sql in WRITES {
                    assert_eq!(refusal(connection, sql), Some(ErrorCode::ReadOnly), "{mode} {sql}");
                }
                let left = [
                    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)",
                    "CREATE INDEX i ON t (a)",
                    "1 'one'",
                    "2 NULL",
                    "3 'three'",
                ];
                assert_eq!(content(connection), left, "{mode}");
                assert_eq!(text(connection, "PRAGMA integrity_check"), "ok");
                assert_eq!(text(connection, "PRAGMA journal_mode"), mode);
                // As a program does that always sets it.
                connection.pragma_update(None, "journal_mode", mode).unwrap();
                let sql = format!("PRAGMA journal_mode = {other}");
                assert!(refusal(connection, &sql).is_some());
                assert!(is_on(connection).unwrap());
            }
        }
    }

    #[test]
    fn what_is_not_committed_leaves_the_fence() {
        for mode in ["delete", "wal"] {
            let (_directory, file) = fenced(mode);
            drop(sealing(&file));
            let connection = Connection::open(file.path()).unwrap();
            assert_eq!(refusal(&connection, WRITES[0]), Some(ErrorCode::ConstraintViolation));
            assert!(!is_on(&connection).unwrap());
        }
    }

    #[test]
    fn a_reader_keeps_the_log_beside_the_file_and_no_longer() {
        let (directory, file) = fenced("wal");
        let reader = Connection::open(file.path()).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        let connection = sealing(&file);
        lock::commit(&connection, &file, WAIT).unwrap();
        assert!(!settle(&connection, WAIT).unwrap());
        // It has what was there before, and cannot write on top of it.
        assert!(content(&reader).len() > 5);
        assert_eq!(refusal(&reader, WRITES[0]), Some(ErrorCode::DatabaseBusy));
        reader.execute_batch("COMMIT").unwrap();
        assert!(settle(&connection, WAIT).unwrap());
        let copy = directory.path().join("copy.db");
        run("cp", &[file.path().to_str().unwrap(), copy.to_str().unwrap()]);
        let copy = Connection::open(copy).unwrap();
        assert_eq!(content(&copy).len(), 5);
        assert_eq!(refusal(&copy, WRITES[0]), Some(ErrorCode::ReadOnly));
    }

    /// With what docs/cli.md says.
    #[test]
    fn a_seal_can_be_taken_off_and_a_copy_has_none() {
        for mode in ["delete", "wal"] {
            let (directory, file) = fenced(mode);
            lock::commit(&sealing(&file), &file, WAIT).unwrap();
            let sealed = Connection::open(file.path()).unwrap();
            let copy = directory.path().join("copy.db");
            sealed.execute("VACUUM INTO ?", [copy.to_str().unwrap()]).unwrap();
            drop(sealed);
            dd(file.path(), &["bs=1", "skip=19", "seek=18", "count=1", "conv=notrunc"]);
            for path in [file.path(), &copy] {
                let connection = Connection::open(path).unwrap();
                assert_eq!(refusal(&connection, WRITES[0]), None, "{mode}");
                assert_eq!(text(&connection, "PRAGMA integrity_check"), "ok");
            }
            let unsealed = Connection::open(file.path()).unwrap();
            assert_eq!(text(&unsealed, "PRAGMA journal_mode"), mode);
        }
    }
}
