//! Keys of backups: the first one encrypts, all of them decrypt.

use std::{fmt, path::Path};

use super::chunk::ChunkId;
use crate::access::others_may_read;

/// Contexts of `derive_key`, as docs/backup-format.md has them.
const KEY_ID: &str = "switchback backup v1 key id";
const CHUNK_ID: &str = "switchback backup v1 chunk id";
const OBJECT: &str = "switchback backup v1 object";

/// Stands in a list of keys for no encryption.
const PLAIN: &str = "plain";

/// What is derived from it names a key in objects; zeros mean that there is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId(pub(crate) [u8; 8]);

impl KeyId {
    /// No encryption.
    pub(crate) const PLAIN: Self = Self([0; 8]);
}

/// 16 hex digits or `plain`, as names of objects have it.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::PLAIN {
            return f.write_str(PLAIN);
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One way to make and to read objects: a key of 32 bytes, or none.
#[derive(Clone)]
pub(crate) struct Key {
    id: KeyId,
    secrets: Option<Secrets>,
}

#[derive(Clone)]
struct Secrets {
    key: [u8; 32],
    chunk_id: [u8; 32],
}

impl Key {
    /// Objects are not encrypted.
    pub(crate) const PLAIN: Self = Self { id: KeyId::PLAIN, secrets: None };

    pub(super) fn new(key: [u8; 32]) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&blake3::derive_key(KEY_ID, &key)[..8]);
        let chunk_id = blake3::derive_key(CHUNK_ID, &key);
        Self { id: KeyId(id), secrets: Some(Secrets { key, chunk_id }) }
    }

    /// What names it.
    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// The id of a content.
    pub(crate) fn chunk_id(&self, content: &[u8]) -> ChunkId {
        let hash = match &self.secrets {
            Some(secrets) => blake3::keyed_hash(&secrets.chunk_id, content),
            None => blake3::hash(content),
        };
        ChunkId(*hash.as_bytes())
    }

    /// The AES-256 key of the object with this name; `None` without encryption.
    pub(super) fn object(&self, name: &str) -> Option<[u8; 32]> {
        let secrets = self.secrets.as_ref()?;
        let mut hasher = blake3::Hasher::new_derive_key(OBJECT);
        hasher.update(&secrets.key).update(name.as_bytes());
        Some(*hasher.finalize().as_bytes())
    }
}

/// Shows the id only.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.id, f)
    }
}

/// The keys that a server has; at least one, which may be [`Key::PLAIN`].
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    keys: Vec<Key>,
    exposed: bool,
}

/// Without any, nothing is encrypted.
impl Default for Keys {
    fn default() -> Self {
        Self { keys: vec![Key::PLAIN], exposed: false }
    }
}

impl Keys {
    /// Reads the variable: keys, paths of files with keys, and `plain`, with commas between them.
    /// A problem says which entry is wrong, and never what is in it: a key with a typing error
    /// would be shown.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Self { keys: Vec::new(), exposed: false };
        for (number, entry) in (1..).zip(text.split(',')) {
            let entry = entry.trim();
            match key(entry) {
                Some(key) => keys.push(key),
                None if entry.is_empty() => return Err(format!("entry {number} is empty")),
                None => keys.read(Path::new(entry)).map_err(|problem| {
                    format!(
                        "entry {number} is no key of 64 hex digits or of 32 bytes in base64, and \
                         taken for a file: {problem}"
                    )
                })?,
            }
        }
        Ok(keys)
    }

    /// Reads a file with a key, or `plain`, in each line.
    pub(crate) fn parse_file(path: &Path) -> Result<Self, String> {
        let mut keys = Self { keys: Vec::new(), exposed: false };
        keys.read(path).map(|()| keys)
    }

    fn read(&mut self, path: &Path) -> Result<(), String> {
        let cannot = |error: std::io::Error| format!("it cannot be read: {}", error.kind());
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        self.exposed |= others_may_read(path).map_err(cannot)?;
        let mut is_empty = true;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            is_empty = false;
            self.push(key(line).ok_or_else(|| {
                format!("line {number} is neither 64 hex digits nor 32 bytes in base64")
            })?);
        }
        if is_empty { Err("it has no key".into()) } else { Ok(()) }
    }

    fn push(&mut self, key: Key) {
        if self.by_id(key.id).is_none() {
            self.keys.push(key);
        }
    }

    /// The one that encrypts.
    pub(crate) fn first(&self) -> &Key {
        // There is always one.
        self.keys.first().unwrap_or(const { &Key::PLAIN })
    }

    /// The one that an object names.
    pub(crate) fn by_id(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Every one of them, the first one first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }

    /// Users other than its owner may read a file that they came from.
    pub(crate) fn is_exposed(&self) -> bool {
        self.exposed
    }
}

fn key(text: &str) -> Option<Key> {
    if text == PLAIN {
        return Some(Key::PLAIN);
    }
    let hex = || blake3::Hash::from_hex(text).ok().map(|bytes| *bytes.as_bytes());
    hex().or_else(|| base64(text)).map(Key::new)
}

/// 32 bytes, with RFC 4648's alphabet and padding.
fn base64(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_suffix('=').filter(|digits| digits.len() == 43)?;
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(32), 0u32, 0u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    // What is left of the last digit has to be zero, or two texts would be one key.
    if bits == 0 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "/////////////////////////////////////////38=";

    fn ids(keys: &Keys) -> Vec<String> {
        keys.iter().map(|key| key.id().to_string()).collect()
    }

    #[test]
    fn a_key_is_read_from_hex_and_from_base64() {
        let keys = Keys::parse(HEX).unwrap();
        assert_eq!(ids(&keys), ids(&Keys::parse(BASE64).unwrap()));
        assert_eq!(ids(&keys), ids(&Keys::parse(&HEX.to_uppercase()).unwrap()));
        // Keys made of the format's text by another program than this one read what it wrote.
        assert_eq!(keys.first().id().to_string().len(), 16);
        assert_ne!(ids(&keys), ids(&Keys::parse(OTHER).unwrap()));
    }

    #[test]
    fn several_keys_keep_their_order_and_the_first_one_encrypts() {
        let keys = Keys::parse(&format!("{OTHER}, {HEX},plain,{BASE64}")).unwrap();
        let expected = [&Keys::parse(OTHER).unwrap(), &Keys::parse(HEX).unwrap(), &Keys::default()];
        assert_eq!(ids(&keys), expected.map(|keys| ids(keys).remove(0)));
        assert_eq!(keys.first().id().to_string(), ids(&keys)[0]);
        assert_eq!(ids(&Keys::default()), ["plain"]);
        assert!(Keys::parse(HEX).unwrap().by_id(KeyId::PLAIN).is_none());
    }

    #[test]
    fn a_file_has_a_key_in_each_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        std::fs::write(&path, format!("# of this year\n{OTHER}\n\n  {HEX}\n")).unwrap();
        let expected = ids(&Keys::parse(&format!("{OTHER},{HEX}")).unwrap());
        assert_eq!(ids(&Keys::parse_file(&path).unwrap()), expected);
        assert_eq!(ids(&Keys::parse(path.to_str().unwrap()).unwrap()), expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_noticed() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        std::fs::write(&path, HEX).unwrap();
        for (mode, exposed) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(Keys::parse_file(&path).unwrap().is_exposed(), exposed, "{mode:o}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = |content: &str| {
            let path = directory.path().join(content.len().to_string());
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        for (text, problem) in [
            (HEX[1..].to_owned(), "entry 1"),
            (format!("{HEX},{}", &BASE64[1..]), "entry 2"),
            // The last digit says more than 32 bytes.
            (BASE64.replace("8=", "9="), "entry 1"),
            (format!("{HEX},"), "entry 2 is empty"),
            (file(""), "it has no key"),
            (file(&format!("#\n{HEX}\n{}", &HEX[2..])), "line 3"),
        ] {
            let said = Keys::parse(&text).unwrap_err();
            assert!(said.contains(problem), "{said}");
            assert!(!said.contains(&HEX[8..16]) && !said.contains(&BASE64[4..12]), "{said}");
        }
    }

    #[test]
    fn keys_are_never_printed() {
        let text = format!("{:?}", Keys::parse(HEX).unwrap());
        assert!(!text.contains(&HEX[..8]) && text.contains("exposed"), "{text}");
    }
}
