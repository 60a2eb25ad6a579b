use super::*;
use crate::error::Reason;

fn versions<'a>(recorded: &'a [Recorded], table: &str) -> &'a [String] {
    &recorded.iter().find(|recorded| recorded.tool.table == table).unwrap().versions
}

async fn read(sql: &str) -> SqliteVersions {
    let directory = tempfile::tempdir().unwrap();
    let file = SourceFile::new(directory.path().join("a.db"));
    Connection::open(file.path()).unwrap().execute_batch(sql).unwrap();
    of_sqlite(&file).await.unwrap()
}

#[tokio::test]
async fn sqlite_gives_what_its_tools_have_recorded() {
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        let found = read(&format!(
            "PRAGMA encoding = '{encoding}';
             PRAGMA user_version = 7;
             CREATE TABLE Alembic_Version (version_num VARCHAR(32) PRIMARY KEY);
             INSERT INTO Alembic_Version VALUES ('ae10'), ('ü');
             CREATE TABLE migrations (id INTEGER, species TEXT);
             CREATE VIRTUAL TABLE SequelizeMeta USING fts5(name);
             CREATE TABLE schema_migrations (version INTEGER, dirty BOOLEAN);"
        ))
        .await;
        assert_eq!(found.user_version, 7);
        assert_eq!(versions(&found.recorded, "alembic_version"), ["ae10", "ü"]);
        assert_eq!(versions(&found.recorded, "schema_migrations"), [""; 0]);
        assert_eq!(found.recorded.len(), 2, "{found:?}");
    }
}

#[tokio::test]
async fn text_that_is_no_utf_8_has_a_version() {
    let found = read(
        "CREATE TABLE alembic_version (version_num);
         INSERT INTO alembic_version VALUES (CAST(x'61ff' AS TEXT)), (x'62'), (3), (NULL);",
    )
    .await;
    assert_eq!(versions(&found.recorded, "alembic_version"), ["3", "a\u{fffd}", "b"]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = SourceFile::new(directory.path().join("none.db"));
    assert_eq!(of_sqlite(&file).await.unwrap_err().reason(), Reason::SourceMissing);
}
