//! Rows that a foreign key says should have a parent and that have none.

use rusqlite::{Connection, Row};

use crate::{
    db::source::SourceFile,
    dialect::{
        plan::OrphanCount,
        schema::{ForeignKey, RowAddress, SourceSchema, Table},
        sqlite::quote,
    },
    error::Result,
};

/// Keys that are named for each foreign key.
const EXAMPLES: usize = 5;

/// Counts the orphans of every foreign key of the schema; keys without orphans, and those that
/// SQLite itself cannot check, are left out.
pub fn count(
    connection: &Connection,
    file: &SourceFile,
    schema: &SourceSchema,
) -> Result<Vec<OrphanCount>> {
    let mut orphans = Vec::new();
    for (number, table) in schema.tables.iter().enumerate() {
        let counts = count_table(connection, schema, table).map_err(|error| file.explain(error))?;
        orphans.extend(counts.into_iter().enumerate().filter(|(_, key)| key.count > 0).map(
            |(foreign_key, key)| OrphanCount {
                table: number,
                foreign_key,
                count: key.count,
                examples: key.examples,
            },
        ));
    }
    Ok(orphans)
}

/// The same for foreign keys that are not the file's own, by comparing bytes.
pub fn compared(
    connection: &Connection,
    file: &SourceFile,
    schema: &SourceSchema,
) -> Result<Vec<OrphanCount>> {
    let mut orphans = Vec::new();
    for (number, table) in schema.tables.iter().enumerate() {
        for (foreign_key, key) in table.foreign_keys.iter().enumerate() {
            let found = compare(connection, schema, table, key);
            let KeyCount { count, examples } = found.map_err(|error| file.explain(error))?;
            if count > 0 {
                orphans.push(OrphanCount { table: number, foreign_key, count, examples });
            }
        }
    }
    Ok(orphans)
}

#[derive(Debug, Clone, Default)]
struct KeyCount {
    count: u64,
    examples: Vec<String>,
}

fn count_table(
    connection: &Connection,
    schema: &SourceSchema,
    table: &Table,
) -> rusqlite::Result<Vec<KeyCount>> {
    if table.foreign_keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts = match check(connection, table) {
        Ok(counts) => counts,
        // "foreign key mismatch": one of the keys has no parent key, and SQLite checks none.
        Err(error) if is_plain_error(&error) => table
            .foreign_keys
            .iter()
            .map(|key| compare(connection, schema, table, key).unwrap_or_default())
            .collect(),
        Err(error) => return Err(error),
    };
    for (count, key) in counts.iter_mut().zip(&table.foreign_keys) {
        // PostgreSQL compares bytes where the parent's collation takes others for equal.
        if parent(schema, table, key).is_some_and(|parent| parent.collated) {
            *count = compare(connection, schema, table, key)?;
        }
    }
    Ok(counts)
}

fn is_plain_error(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(failure, _) if failure.extended_code == 1)
        || matches!(error, rusqlite::Error::SqlInputError { .. })
}

/// `PRAGMA foreign_key_check`, which knows SQLite's rules of comparison best.
fn check(connection: &Connection, table: &Table) -> rusqlite::Result<Vec<KeyCount>> {
    let keys = table.foreign_keys.len();
    let mut counts = vec![KeyCount::default(); keys];
    let sql = format!("PRAGMA foreign_key_check({})", quote(&table.name));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let rowid: Option<i64> = row.get("rowid")?;
        let id = usize::from(row.get::<_, u16>("fkid")?);
        // SQLite numbers foreign keys from the last one declared.
        let Some(count) = keys.checked_sub(id + 1).and_then(|number| counts.get_mut(number)) else {
            continue;
        };
        count.count += 1;
        if let Some(rowid) = rowid
            && count.examples.len() < EXAMPLES
        {
            count.examples.push(format!("{}={rowid}", rowid_name(table)));
        }
    }
    Ok(counts)
}

fn rowid_name(table: &Table) -> &str {
    match &table.row_address {
        RowAddress::Alias(column) => &table.columns[*column].name,
        RowAddress::Rowid(name) => name,
        RowAddress::PrimaryKey | RowAddress::None => "rowid",
    }
}

struct Parent<'a> {
    table: &'a Table,
    columns: Vec<usize>,
    collated: bool,
}

fn parent<'a>(schema: &'a SourceSchema, child: &Table, key: &ForeignKey) -> Option<Parent<'a>> {
    let table = schema.tables.iter().find(|table| table.name.eq_ignore_ascii_case(&key.parent))?;
    let number = |name: &String| {
        table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    };
    let columns = if key.parent_columns.is_empty() {
        table.primary_key.clone()
    } else {
        key.parent_columns.iter().map(number).collect::<Option<Vec<usize>>>()?
    };
    let fits = columns.len() == key.columns.len()
        && key.columns.iter().all(|column| *column < child.columns.len());
    let collated = columns.iter().any(|column| table.columns[*column].collation != "BINARY");
    fits.then_some(Parent { table, columns, collated })
}

/// Counts by an own query that compares bytes.
fn compare(
    connection: &Connection,
    schema: &SourceSchema,
    table: &Table,
    key: &ForeignKey,
) -> rusqlite::Result<KeyCount> {
    let Some(parent) = parent(schema, table, key) else {
        return Ok(KeyCount::default());
    };
    let child = |column: &usize| format!("c.{}", quote(&table.columns[*column].name));
    let present: Vec<String> =
        key.columns.iter().map(|column| format!("{} IS NOT NULL", child(column))).collect();
    let equal: Vec<String> = key
        .columns
        .iter()
        .zip(&parent.columns)
        .map(|(column, other)| {
            let other = quote(&parent.table.columns[*other].name);
            format!("p.{other} = {} COLLATE BINARY", child(column))
        })
        .collect();
    let body = format!(
        "FROM {} AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})",
        quote(&table.name),
        present.join(" AND "),
        quote(&parent.table.name),
        equal.join(" AND "),
    );
    let number = |row: &Row<'_>| row.get::<_, i64>(0);
    let count = connection.query_row(&format!("SELECT count(*) {body}"), [], number)?;
    let mut examples = Vec::new();
    if matches!(table.row_address, RowAddress::Alias(_) | RowAddress::Rowid(_)) {
        let name = rowid_name(table);
        let sql = format!("SELECT c.{} {body} LIMIT {EXAMPLES}", quote(name));
        for rowid in connection.prepare(&sql)?.query_map([], number)? {
            examples.push(format!("{name}={}", rowid?));
        }
    }
    Ok(KeyCount { count: u64::try_from(count).unwrap_or_default(), examples })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::schema;

    fn orphans(sql: &str) -> Vec<(usize, usize, u64, Vec<String>)> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let file = SourceFile::new("memory");
        let schema = schema::read(&connection, &file).unwrap();
        count(&connection, &file, &schema)
            .unwrap()
            .into_iter()
            .map(|orphan| (orphan.table, orphan.foreign_key, orphan.count, orphan.examples))
            .collect()
    }

    #[test]
    fn orphans_are_counted_by_key() {
        let found = orphans(
            "CREATE TABLE p(id integer primary key); INSERT INTO p VALUES (1);\
             CREATE TABLE c(k integer primary key, a references p, b references p);\
             PRAGMA foreign_keys = off;\
             INSERT INTO c VALUES (7, 1, 2), (8, NULL, 3), (9, 4, NULL);",
        );
        assert_eq!(
            found,
            [
                (1, 0, 1, vec!["k=9".to_owned()]),
                (1, 1, 2, vec!["k=7".to_owned(), "k=8".to_owned()])
            ]
        );
    }

    #[test]
    fn a_parent_without_a_key_does_not_hide_the_orphans_of_others() {
        let found = orphans(
            "CREATE TABLE p(id integer primary key, n); CREATE TABLE c(a references p(n), \
             b references p(id), d references missing); PRAGMA foreign_keys = off;\
             INSERT INTO c VALUES (NULL, 5, 6);",
        );
        assert_eq!(found, [(1, 1, 1, vec!["rowid=1".to_owned()])]);
    }

    #[test]
    fn a_nocase_parent_is_compared_by_bytes() {
        let found = orphans(
            "CREATE TABLE p(n text primary key collate nocase); INSERT INTO p VALUES ('A');\
             CREATE TABLE c(n text references p); INSERT INTO c VALUES ('a'), ('A');",
        );
        assert_eq!(found, [(1, 0, 1, vec!["rowid=1".to_owned()])]);
    }
}
