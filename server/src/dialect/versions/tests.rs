use super::*;

fn relation(name: &str, columns: &[&str]) -> Relation {
    Relation {
        name: name.to_owned(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    }
}

fn recorded(table: &str, versions: &[&str]) -> Recorded {
    let tool = TOOLS.iter().find(|tool| tool.table == table).unwrap();
    let versions = versions.iter().map(|version| (*version).to_owned()).collect();
    Recorded { tool, table: table.to_owned(), versions }
}

fn names(relations: &[Relation]) -> Vec<&'static str> {
    recognise(relations).iter().map(|found| found.tool.name).collect()
}

#[test]
fn tables_of_one_name_are_told_apart_by_their_columns() {
    for (columns, tool) in [
        (&["version"] as &[&str], "Rails, dbmate"),
        (&["version", "dirty"], "golang-migrate"),
        (&["version", "inserted_at"], "Ecto"),
    ] {
        assert_eq!(names(&[relation("schema_migrations", columns)]), [tool]);
    }
    assert_eq!(names(&[relation("migrations", &["id", "migration", "batch"])]), ["Laravel"]);
    assert_eq!(names(&[relation("migrations", &["id", "timestamp", "name"])]), ["TypeORM"]);
    // An application's own.
    assert!(names(&[relation("migrations", &["id", "species"])]).is_empty());
    assert!(names(&[relation("alembic_version", &["version"])]).is_empty());
}

#[test]
fn names_may_be_spelt_in_another_case() {
    let relations = [
        relation("DATABASECHANGELOG", &["ID", "AUTHOR", "FILENAME", "ORDEREXECUTED"]),
        relation("sequelizemeta", &["other"]),
        relation("SequelizeMeta", &["name"]),
    ];
    let found = recognise(&relations);
    assert_eq!(found.len(), 2);
    let sql = found[0].select("main");
    assert!(sql.contains("FROM \"main\".\"DATABASECHANGELOG\" AS t"), "{sql}");
    assert!(sql.contains("CAST(t.\"AUTHOR\" AS text)"), "{sql}");
    assert_eq!(found[1].table.name, "SequelizeMeta");
}

#[test]
fn tables_of_tools_are_bookkeeping() {
    let tool = |table, columns: &[&str]| is_bookkeeping(table, columns).map(|tool| tool.name);
    assert_eq!(tool("django_migrations", &["id", "app", "name", "applied"]), Some("Django"));
    assert_eq!(tool("knex_migrations_lock", &["index", "is_locked"]), Some("Knex"));
    assert_eq!(tool("ar_internal_metadata", &["key", "value", "x"]), Some("Rails, dbmate"));
    assert_eq!(tool("django_migrations", &["id", "name"]), None);
    assert_eq!(tool("yoyo_lock", &["id"]), None);
    assert_eq!(tool("users", &["version"]), None);
}

#[test]
fn a_mismatch_names_what_is_missing_on_which_side() {
    let sqlite = [recorded("django_migrations", &["a.1", "a.2", "a.3"])];
    let postgres = [recorded("django_migrations", &["a.1", "b.1", "a.3"])];
    let found = compare(&sqlite, &postgres);
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["django_migrations (Django): SQLite lacks b.1, PostgreSQL lacks a.2"]);
    // In another order, and twice.
    let again = [recorded("django_migrations", &["a.3", "a.2", "a.1", "a.1"])];
    assert!(compare(&sqlite, &again).is_empty());
}

#[test]
fn a_tool_that_one_engine_lacks_is_no_mismatch() {
    let sqlite = [recorded("django_migrations", &["a.1"])];
    let postgres = [recorded("alembic_version", &["f00"])];
    assert!(compare(&sqlite, &postgres).is_empty());
    assert!(compare(&sqlite, &[]).is_empty());
    // An empty table is one.
    assert_eq!(compare(&sqlite, &[recorded("django_migrations", &[])]).len(), 1);
}

#[test]
fn what_is_shown_has_bounds() {
    let many: Vec<String> = (0..57).map(|number| format!("v{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let sqlite = [recorded("alembic_version", &many)];
    let found = compare(&sqlite, &[recorded("alembic_version", &[])]);
    assert_eq!(found[0].missing_in_postgres.count, 57);
    let told = found[0].to_string();
    assert!(told.ends_with("v19 and 37 more"), "{told}");

    let wild = format!("a\n\u{1b}[2J{}", "x".repeat(1_000));
    let newest = recorded("alembic_version", &[&wild]).newest();
    assert!(newest.starts_with("a\u{fffd}\u{fffd}[2Jx") && newest.ends_with("x…"), "{newest}");
    assert_eq!(newest.chars().count(), LONGEST_SHOWN + 1);
    assert_eq!(recorded("alembic_version", &[]).newest(), "");
}

#[test]
fn a_table_with_more_than_is_read_is_passed_over() {
    let found = || recognise(&[relation("alembic_version", &["version_num"])]).remove(0);
    assert!(found().recorded(vec![String::new(); MOST]).is_some());
    assert!(found().recorded(vec![String::new(); MOST + 1]).is_none());
}

/// What each tool writes, and the versions that this means.
#[test]
fn sqlite_gives_the_versions_of_every_kind_of_tool() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "CREATE TABLE django_migrations (id INTEGER PRIMARY KEY, app TEXT, name TEXT, applied)",
            "INSERT INTO django_migrations VALUES (2, 'b', '0001', 0), (1, 'a', '0002', 0)",
            &["a.0002", "b.0001"],
        ),
        (
            "CREATE TABLE _sqlx_migrations (version BIGINT, description, success BOOLEAN, checksum)",
            "INSERT INTO _sqlx_migrations VALUES (20240102, '', TRUE, x''), (3, '', FALSE, x'')",
            &["20240102"],
        ),
        (
            "CREATE TABLE schema_migrations (version uint64, dirty bool)",
            "INSERT INTO schema_migrations VALUES (7, 0)",
            &["7"],
        ),
        (
            "CREATE TABLE schema_migrations (version uint64, dirty bool)",
            "INSERT INTO schema_migrations VALUES (7, 1)",
            &[],
        ),
        (
            "CREATE TABLE _prisma_migrations (migration_name, started_at, finished_at, rolled_back_at)",
            "INSERT INTO _prisma_migrations VALUES ('a', 1, 2, NULL), ('b', 2, NULL, NULL), ('c', 3, 4, 5)",
            &["a"],
        ),
        (
            "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY, version_id, is_applied)",
            "INSERT INTO goose_db_version VALUES (1, 0, 1), (2, 5, 1), (3, 6, 1), (4, 6, 0), (5, 5, 0), (6, 5, 1)",
            &["0", "5"],
        ),
        (
            "CREATE TABLE flyway_schema_history (installed_rank, version, success)",
            "INSERT INTO flyway_schema_history VALUES (1, NULL, 1), (2, '1.1', 1), (3, '1.2', 0)",
            &["1.1"],
        ),
    ];
    for (create, insert, versions) in cases {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(&format!("{create};{insert}")).unwrap();
        let name: String =
            connection.query_row("SELECT name FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        let columns: Vec<String> = connection
            .prepare(&format!("SELECT * FROM {name}"))
            .unwrap()
            .column_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let found = recognise(&[Relation { name, columns }]).remove(0);
        let mut statement = connection.prepare(&found.select("main")).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        let rows: Vec<String> = rows.map(Result::unwrap).collect();
        assert_eq!(rows, *versions, "{create}");
    }
}
