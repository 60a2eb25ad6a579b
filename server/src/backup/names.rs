//! Names of objects in a store, as docs/backup-format.md lays it out.

use super::{chunk::ChunkId, key::KeyId};

/// Says which format a store has.
pub(crate) const STORE: &str = "switchback-store";

/// What names of objects begin with that test the store, and are gone after the test.
pub(crate) const PROBE: &str = "probe-";

/// Prefixes of names.
pub(super) const CHUNKS: &str = "chunks/";
pub(super) const BACKUPS: &str = "backups/";
pub(super) const RUNNING: &str = "running/";
pub(super) const SWEEPING: &str = "sweeping/";

const MANIFEST: &str = "manifest";
const VERIFIED: &str = "verified";

/// Where the chunks of a key are.
pub(super) fn chunks_of(key: KeyId) -> String {
    format!("{CHUNKS}{key}/")
}

pub(super) fn chunk(key: KeyId, id: ChunkId) -> String {
    let id = id.to_string();
    format!("{CHUNKS}{key}/{}/{id}", &id[..2])
}

/// The id of the chunk that an object is; `None` for what is no chunk.
pub(super) fn chunk_id(object: &str) -> Option<ChunkId> {
    let mut segments = object.strip_prefix(CHUNKS)?.split('/');
    let (_key, digits, id) = (segments.next()?, segments.next()?, segments.next()?);
    (segments.next().is_none() && id.starts_with(digits)).then(|| id.parse().ok())?
}

/// Where the backups of a database are.
pub(super) fn backups_of(database: &str) -> String {
    format!("{BACKUPS}{database}/")
}

pub(super) fn manifest(database: &str, backup: &str) -> String {
    format!("{BACKUPS}{database}/{backup}/{MANIFEST}")
}

pub(super) fn verified(database: &str, backup: &str) -> String {
    format!("{BACKUPS}{database}/{backup}/{VERIFIED}")
}

/// What an object of a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Manifest,
    Verified,
}

/// Database, backup and part; `None` for what belongs to no backup.
pub(super) fn part(object: &str) -> Option<(&str, &str, Part)> {
    let mut segments = object.strip_prefix(BACKUPS)?.split('/');
    let (database, backup) = (segments.next()?, segments.next()?);
    let part = match segments.next()? {
        MANIFEST => Part::Manifest,
        VERIFIED => Part::Verified,
        _ => return None,
    };
    segments.next().is_none().then_some((database, backup, part))
}

/// Whether a text can be one segment of a name.
pub(super) fn is_segment(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !matches!(text, "" | "." | "..") && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let id = ChunkId([0xab; 32]);
        for key in [KeyId::PLAIN, KeyId([7; 8])] {
            let name = chunk(key, id);
            assert!(name.starts_with(&chunks_of(key)), "{name}");
            assert_eq!(chunk_id(&name), Some(id));
            assert_eq!(chunk_id(&format!("{name}/x")), None);
            assert_eq!(chunk_id(&name.replace("/ab/", "/ac/")), None);
        }
        assert_eq!(chunk(KeyId::PLAIN, id)[..16], *"chunks/plain/ab/");
        assert_eq!(part(&manifest("a", "b")), Some(("a", "b", Part::Manifest)));
        assert_eq!(part(&verified("a", "b")), Some(("a", "b", Part::Verified)));
        for other in ["backups/a/manifest", "backups/a/b/other", "backups/a/b/manifest/c", "x"] {
            assert_eq!(part(other), None, "{other}");
        }
    }

    #[test]
    fn a_segment_leads_nowhere_else() {
        for text in ["", ".", "..", "a/b", "../a", "a b", "ä"] {
            assert!(!is_segment(text), "{text:?}");
        }
        assert!(is_segment("a-B_9.db") && is_segment("..."));
    }
}
