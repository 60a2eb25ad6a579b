//! Encoded bytes on their way: in memory while they are few, then in a file that has no name.

use std::{
    io::{self, BufReader, Read, Seek, Write},
    path::Path,
};

use tempfile::SpooledTempFile;

use crate::{
    db::target::Reject,
    error::{Error, Reason, Result},
};

/// Bytes of one spool that stay in memory.
const IN_MEMORY: usize = 1 << 20;

/// Bytes written and read at a time.
const BUFFER: usize = 256 << 10;

/// Bytes that are written once and then read.
pub(crate) struct Spool {
    file: SpooledTempFile,
    buffer: Vec<u8>,
    /// How often [`Spool::end_row`] was called.
    pub(crate) rows: u64,
}

impl Spool {
    /// An empty one; its file will be in `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        let file = tempfile::spooled_tempfile_in(IN_MEMORY, directory);
        Self { file, buffer: Vec::new(), rows: 0 }
    }

    /// Where the next row is to be appended.
    pub(super) fn row(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The row is complete.
    pub(super) fn end_row(&mut self) -> Result<()> {
        self.rows += 1;
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        self.file.write_all(&self.buffer).map_err(|error| unusable(&error))?;
        self.buffer.clear();
        Ok(())
    }

    /// Everything from the start.
    pub(super) fn read(&mut self) -> Result<BufReader<&mut SpooledTempFile>> {
        self.file.write_all(&self.buffer).map_err(|error| unusable(&error))?;
        self.buffer = Vec::new();
        self.file.rewind().map_err(|error| unusable(&error))?;
        Ok(BufReader::with_capacity(BUFFER, &mut self.file))
    }
}

impl Spool {
    /// Appends a reject as a row of five fields.
    pub(super) fn push_reject(&mut self, reject: &Reject) -> Result<()> {
        let Reject { row_key, exact_key, column, reason, row_data } = reject;
        let texts = [row_key, column, reason, row_data].map(|text| Some(text.as_bytes()));
        for field in texts.into_iter().chain([exact_key.as_deref()]) {
            let length = field.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            self.buffer.extend_from_slice(&length.to_be_bytes());
            self.buffer.extend_from_slice(field.unwrap_or_default());
        }
        self.end_row()
    }
}

/// Reads one reject; none at the end.
pub(super) fn read_reject(from: &mut impl Read) -> Result<Option<Reject>> {
    let mut fields: [Option<Vec<u8>>; 5] = Default::default();
    for field in &mut fields {
        let mut bytes = Vec::new();
        if !read_field(from, &mut bytes)? {
            return Ok(None);
        }
        let value = bytes.split_off(4);
        *field = (bytes != [0xff; 4]).then_some(value);
    }
    let [row_key, column, reason, row_data, exact_key] = fields;
    let text =
        |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    Ok(Some(Reject {
        row_key: text(row_key),
        exact_key,
        column: text(column),
        reason: text(reason),
        row_data: text(row_data),
    }))
}

/// Reads one field with its length in front; `false` at the end.
pub(super) fn read_field(from: &mut impl Read, into: &mut Vec<u8>) -> Result<bool> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        done => done.map_err(|error| unusable(&error))?,
    }
    into.extend_from_slice(&length);
    // A negative length is NULL, which has no bytes.
    let length = u64::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    from.take(length).read_to_end(into).map_err(|error| unusable(&error))?;
    Ok(true)
}

pub(super) fn unusable(error: &io::Error) -> Error {
    let (reason, hint) = if error.kind() == io::ErrorKind::StorageFull {
        (Reason::StateFull, "free some space for the state directory (SWITCHBACK_STATE_DIR)")
    } else {
        (Reason::StateUnusable, "check the rights of the state directory (SWITCHBACK_STATE_DIR)")
    };
    Error::new(reason, format!("changes on their way cannot be kept: {error}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_go_there_and_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(directory.path());
        let rejects = [Some(vec![0xff; 4]), None, Some(Vec::new())].map(|exact_key| Reject {
            row_key: "id=1".into(),
            exact_key,
            column: String::new(),
            reason: "mixed_types".into(),
            // Larger than what stays in memory.
            row_data: "é".repeat(IN_MEMORY),
        });
        for reject in &rejects {
            spool.push_reject(reject).unwrap();
        }
        let mut read = spool.read().unwrap();
        for reject in rejects {
            assert_eq!(read_reject(&mut read).unwrap(), Some(reject));
        }
        assert_eq!(read_reject(&mut read).unwrap(), None);
    }
}
