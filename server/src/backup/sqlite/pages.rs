//! Reads pages through SQLite, which knows what is in the log and what is in the file.

use rusqlite::{Connection, Statement};

use crate::backup::chunk::CHUNK;

/// Pages of one transaction, piece by piece.
pub(super) struct Pages<'a> {
    page: Statement<'a>,
    pub(super) page_size: u32,
    pub(super) pages: u64,
}

impl<'a> Pages<'a> {
    /// As the connection's transaction sees the file.
    pub(super) fn new(connection: &'a Connection) -> rusqlite::Result<Self> {
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let page_size = number("PRAGMA main.page_size")?;
        let pages = number("PRAGMA main.page_count")?;
        Ok(Self {
            page: connection.prepare("SELECT data FROM sqlite_dbpage('main') WHERE pgno = ?1")?,
            page_size: u32::try_from(page_size).unwrap_or_default(),
            pages: pages.unsigned_abs(),
        })
    }

    /// How many pieces of [`CHUNK`] bytes there are.
    pub(super) fn pieces(&self) -> u64 {
        self.pages.div_ceil(self.pages_a_piece())
    }

    fn pages_a_piece(&self) -> u64 {
        (CHUNK as u64 / u64::from(self.page_size).max(1)).max(1)
    }

    /// The pages of a piece, the first of which is 0.
    pub(super) fn piece(&mut self, number: u64) -> rusqlite::Result<Vec<u8>> {
        let first = number * self.pages_a_piece();
        let end = self.pages.min(first + self.pages_a_piece());
        let mut content = Vec::with_capacity(CHUNK);
        for page in first..end {
            let mut rows = self.page.query([page.cast_signed() + 1])?;
            let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            content.extend_from_slice(row.get_ref(0)?.as_blob()?);
        }
        Ok(content)
    }
}
