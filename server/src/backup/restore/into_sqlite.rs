//! Rows of PostgreSQL in a SQLite file.

use std::{fs, path::Path};

use futures_util::{StreamExt, TryStreamExt, stream};
use rusqlite::Connection;
use switchback_proto::v1::{Finding, RestoreReport, Severity};

use super::{
    Restoration, beside,
    decode::{Form, form},
    new_file::{remove, unusable},
    rows::Rows,
    unfinished,
};
use crate::{
    backup::{
        chunk::Fetch,
        index,
        manifest::{PostgresContent, RowFormat, StoredTable},
        sqlite,
    },
    copy::reader::Bound,
    db::source::SourceFile,
    dialect::{
        finding::{self, NOT_RESTORED, Place},
        sqlite::quote,
    },
    error::{Error, Reason, Result},
    task::{blocking, cancelled},
};

/// Chunks that are fetched at once.
const FETCHED_AT_ONCE: usize = 4;

impl Restoration<'_> {
    /// `NAME.db` with every table's rows, and their keys: other things of a schema are PostgreSQL's
    /// own.
    pub(super) async fn rows_into_sqlite(&self) -> Result<RestoreReport> {
        let content = self.manifest.postgres.as_ref().ok_or_else(super::no_content)?;
        let tables = chosen(content, &self.request.table)?;
        let forms = tables.iter().map(|table| forms(table)).collect::<Result<Vec<_>>>()?;
        let directory = &self.backups.restores;
        fs::create_dir_all(directory).map_err(|error| unusable(directory, &error))?;
        let path = directory.join(format!("{}.db", self.request.restore_as));
        let made = beside(&path, &unfinished(&self.request.restore_as, self.run));
        let report = RestoreReport {
            path: path.display().to_string(),
            rows: tables.iter().map(|table| table.rows).sum(),
            bytes: tables.iter().map(|table| table.bytes).sum(),
            validated: true,
            findings: vec![rows_only()],
            ..RestoreReport::default()
        };
        if self.was_published(&made, &path) {
            return Ok(report);
        }
        sqlite::refuse_present(&path)?;
        remove(&made);
        let done = async {
            for (table, forms) in tables.iter().zip(&forms) {
                self.load(&made, table, forms).await?;
            }
            self.publish(&made, &path).await
        };
        if let Err(error) = done.await {
            remove(&made);
            return Err(error);
        }
        Ok(report)
    }

    /// Every row of one table, no more and no less.
    async fn load(&self, path: &Path, table: &StoredTable, forms: &[Form]) -> Result<()> {
        let (send, mut receive) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
        let writing = {
            let (path, table, forms) = (path.to_owned(), table.clone(), forms.to_vec());
            blocking(move || {
                let mut loader = Loader::begin(&path, &table, &forms)?;
                while let Some(chunk) = receive.blocking_recv() {
                    loader.take(&chunk)?;
                }
                loader.end()
            })
        };
        let fetching = async move {
            let repository = &*self.backups.repository;
            let mut done = 0;
            for list in &table.index {
                let chunks = index::read_one(repository, *list).await?;
                let mut fetched = stream::iter(chunks)
                    .map(|chunk| repository.get(chunk))
                    .buffered(FETCHED_AT_ONCE);
                while let Some(chunk) = fetched.try_next().await? {
                    if self.halt.is_cancelled() {
                        return Err(cancelled());
                    }
                    done += chunk.len() as u64;
                    if send.send(chunk).await.is_err() {
                        return Ok(());
                    }
                    super::tell(&self.run.log, &table.name, 0, (done, table.bytes));
                }
            }
            Ok(())
        };
        let (written, fetched) = tokio::join!(writing, fetching);
        let rows = fetched.and(written)?;
        super::tell(&self.run.log, &table.name, rows, (table.bytes, table.bytes));
        Ok(())
    }
}

/// Writes the rows of one table, in one transaction.
struct Loader {
    file: SourceFile,
    connection: Connection,
    rows: Rows,
    table: StoredTable,
    forms: Vec<Form>,
    insert: String,
    count: u64,
}

impl Loader {
    fn begin(path: &Path, table: &StoredTable, forms: &[Form]) -> Result<Self> {
        let file = SourceFile::new(path);
        let explain = |error| file.explain(error);
        let connection = Connection::open(path).map_err(explain)?;
        let name = quote(&name_of(table));
        let stored: Vec<_> = table.columns.iter().filter(|c| c.generated.is_empty()).collect();
        let mut parts: Vec<String> = stored
            .iter()
            .zip(forms)
            .map(|(column, form)| {
                let not_null = if column.not_null { " NOT NULL" } else { "" };
                format!("{} {}{not_null}", quote(&column.name), form.declared())
            })
            .collect();
        if !table.primary_key.is_empty() {
            let key: Vec<String> = table.primary_key.iter().map(|name| quote(name)).collect();
            parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
        }
        let marks: Vec<String> = (1..=forms.len()).map(|number| format!("?{number}")).collect();
        let insert = format!("INSERT INTO {name} VALUES ({})", marks.join(", "));
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = off; PRAGMA synchronous = off; BEGIN; \
                 CREATE TABLE {name} ({})",
                parts.join(", ")
            ))
            .map_err(explain)?;
        Ok(Self {
            rows: Rows::new(table.format),
            table: table.clone(),
            forms: forms.to_vec(),
            count: 0,
            insert,
            connection,
            file,
        })
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        let Self { file, connection, rows, table, forms, insert, count } = self;
        let explain = |error| file.explain(error);
        let mut statement = connection.prepare_cached(insert).map_err(explain)?;
        rows.take(chunk, |fields| {
            if fields.len() != forms.len() {
                return Err(Error::new(
                    Reason::BackupDamaged,
                    "a row has another number of fields",
                )
                .at(&table.name));
            }
            for (number, (field, form)) in fields.iter().zip(forms.iter()).enumerate() {
                let value = form.decode(field.as_deref()).ok_or_else(|| refused(table, number))?;
                statement.raw_bind_parameter(number + 1, Bound(&value)).map_err(explain)?;
            }
            statement.raw_execute().map_err(explain)?;
            *count += 1;
            Ok(())
        })
    }

    fn end(self) -> Result<u64> {
        self.rows.end()?;
        let explain = |error| self.file.explain(error);
        self.connection.execute_batch("COMMIT; PRAGMA synchronous = full").map_err(explain)?;
        let sql = format!("SELECT count(*) FROM {}", quote(&name_of(&self.table)));
        let stored: i64 = self.connection.query_row(&sql, [], |row| row.get(0)).map_err(explain)?;
        let stored = stored.unsigned_abs();
        if stored == self.table.rows && stored == self.count {
            return Ok(stored);
        }
        let message = format!("{} has {stored} rows of {}", self.table.name, self.table.rows);
        Err(Error::new(Reason::RestoreFailed, message).hint("the backup may be damaged: verify it"))
    }
}

/// SQLite has no schemas.
fn name_of(table: &StoredTable) -> String {
    match table.schema.as_str() {
        "public" => table.name.clone(),
        schema => format!("{schema}.{}", table.name),
    }
}

/// Tables by name, with or without their schema; all of them where none is asked for.
pub(super) fn chosen<'a>(
    content: &'a PostgresContent,
    asked: &str,
) -> Result<Vec<&'a StoredTable>> {
    let is_asked = |table: &&StoredTable| {
        asked.is_empty()
            || table.name == asked
            || format!("{}.{}", table.schema, table.name) == asked
    };
    let found: Vec<_> = content.tables.iter().filter(is_asked).collect();
    match (found.len(), asked) {
        (1, _) | (_, "") => Ok(found),
        (0, _) => {
            Err(Error::new(Reason::UnknownTable, format!("the backup has no table {asked:?}"))
                .hint("names are those of PostgreSQL: `schema.table`, in its own spelling"))
        }
        _ => {
            Err(Error::new(Reason::UnknownTable, format!("several schemas have a table {asked:?}"))
                .hint("say which: `schema.table`"))
        }
    }
}

fn forms(table: &StoredTable) -> Result<Vec<Form>> {
    let stored = table.columns.iter().filter(|column| column.generated.is_empty());
    let known = stored.map(|column| match table.format {
        RowFormat::Text => Ok(Form::Copied),
        RowFormat::Binary => form(&column.r#type).ok_or_else(|| {
            let message = format!(
                "{}.{} has the type {}, of which SQLite has no like",
                table.name, column.name, column.r#type
            );
            Error::new(Reason::RestoreRefused, message)
                .hint("restore the backup into PostgreSQL, or other tables with `--table`")
        }),
    });
    known.collect()
}

fn refused(table: &StoredTable, number: usize) -> Error {
    let mut stored = table.columns.iter().filter(|column| column.generated.is_empty());
    let column = stored.nth(number).map(|column| column.name.as_str()).unwrap_or_default();
    let message = format!(
        "{}.{column} holds a value that SQLite would change (NaN, −0, infinity)",
        table.name
    );
    Error::new(Reason::ValueRefused, message)
        .hint("restore the backup into PostgreSQL, or other tables with `--table`")
}

fn rows_only() -> Finding {
    finding::finding(
        Severity::Note,
        NOT_RESTORED,
        Place::database(),
        "rows and primary keys were restored; indexes, defaults, constraints and views were not"
            .to_owned(),
        "they are PostgreSQL's own: add what the application needs",
    )
}
