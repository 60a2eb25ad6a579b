//! Sealed objects: the bytes that a store holds for a chunk or a manifest, as
//! docs/backup-format.md has them.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

use super::{
    chunk::LARGEST,
    key::{Key, KeyId, Keys},
};
use crate::error::{Error, Reason, Result};

const MAGIC: [u8; 4] = *b"SWBK";
const VERSION: u8 = 1;
const HEADER: usize = 48;
const TAG: usize = 16;
const HASH: usize = 32;

/// zstd's own default. On pages and rows, levels above it cost several times the processor time
/// for a few hundredths of the bytes, and a backup competes with the applications.
const LEVEL: i32 = 3;

/// Bytes that the largest manifest has: some hundred thousand tables, or index chunks of 500 TiB.
const LARGEST_MANIFEST: usize = 64 << 20;

const NOT_COMPRESSED: u8 = 0;
const ZSTD: u8 = 1;
const NOT_ENCRYPTED: u8 = 0;
const AES: u8 = 1;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chunk,
    Manifest,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Chunk => 1,
            Self::Manifest => 2,
        }
    }

    fn largest(self) -> usize {
        match self {
            Self::Chunk => LARGEST,
            Self::Manifest => LARGEST_MANIFEST,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chunk => "chunk",
            Self::Manifest => "manifest",
        })
    }
}

/// An object's content and the key that it was sealed with.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) content: Vec<u8>,
    pub(super) key: KeyId,
}

/// Seals a content under a name. Takes the processor for some milliseconds a mebibyte.
pub(super) fn seal(kind: Kind, name: &str, content: &[u8], key: &Key) -> Result<Vec<u8>> {
    if content.len() > kind.largest() {
        let message = format!("{kind} {name} has more than {} bytes", kind.largest());
        return Err(Error::new(Reason::Internal, message).hint("report this as a defect"));
    }
    let compressed = zstd::bulk::compress(content, LEVEL);
    let compressed = compressed.map_err(|error| defect(kind, name).caused_by(error))?;
    // What does not get smaller is stored as it is: reading it back costs nothing then.
    let (compression, payload) = if compressed.len() < content.len() {
        (ZSTD, compressed.as_slice())
    } else {
        (NOT_COMPRESSED, content)
    };
    let object_key = key.object(name);
    let (encryption, extra) = if object_key.is_some() { (AES, TAG) } else { (NOT_ENCRYPTED, 0) };
    let mut nonce = [0; 12];
    if object_key.is_some() {
        let filled = SystemRandom::new().fill(&mut nonce);
        filled.map_err(|_| Error::new(Reason::Internal, "the system has no random numbers"))?;
    }
    let mut object = Vec::with_capacity(HEADER + payload.len() + HASH);
    object.extend_from_slice(&MAGIC);
    object.extend_from_slice(&[VERSION, kind.byte(), compression, encryption]);
    object.extend_from_slice(&key.id().0);
    object.extend_from_slice(&length(content.len()));
    object.extend_from_slice(&length(payload.len() + extra));
    object.extend_from_slice(&nonce);
    object.extend_from_slice(&[0; 4]);
    let aad = additional(name, &object);
    object.extend_from_slice(payload);
    let Some(object_key) = object_key else {
        let hash = blake3::Hasher::new().update(name.as_bytes()).update(&object).finalize();
        object.extend_from_slice(hash.as_bytes());
        return Ok(object);
    };
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = aes(&object_key).and_then(|aes| {
        aes.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut object[HEADER..])
    });
    object.extend_from_slice(tag.map_err(|_| defect(kind, name))?.as_ref());
    Ok(object)
}

/// The content of a sealed object that was stored under this name, whole and as it was; else
/// `BACKUP_DAMAGED`, `BACKUP_KEY` or `STORE_NEWER`, and the message names the object.
pub(super) fn open(kind: Kind, name: &str, object: &[u8], keys: &Keys) -> Result<Opened> {
    let refused = |what: &str| damaged(kind, name, what);
    let (header, rest) = object.split_at_checked(HEADER).ok_or_else(|| refused("truncated"))?;
    if header[..4] != MAGIC || header[4] == 0 {
        return Err(refused("damaged"));
    }
    if header[4] > VERSION {
        let message =
            format!("{kind} {name} has format {}, this server reads {VERSION}", header[4]);
        return Err(Error::new(Reason::StoreNewer, message)
            .hint("use the version of Switchback that wrote it, or a later one"));
    }
    let id = KeyId(fixed(header, 8));
    let [_, _, _, _, _, is_kind, compression, encryption] = fixed(header, 0);
    let is_encrypted = encryption == AES;
    if is_kind != kind.byte() || encryption > AES || is_encrypted == (id == KeyId::PLAIN) {
        return Err(refused("damaged"));
    }
    let tail = if is_encrypted { 0 } else { HASH };
    let payload = usize::try_from(u64::from_le_bytes(fixed(header, 24))).ok();
    let expected = payload.and_then(|length| length.checked_add(tail));
    let expected = expected.filter(|expected| *expected <= rest.len());
    let expected = expected.ok_or_else(|| refused("truncated"))?;
    if expected < rest.len() {
        return Err(refused("damaged"));
    }
    let length = usize::try_from(u64::from_le_bytes(fixed(header, 16))).ok();
    let length = length.filter(|length| *length <= kind.largest());
    let key = keys.by_id(id).ok_or_else(|| unknown_key(kind, name, id))?;
    let payload = match key.object(name) {
        Some(object_key) => {
            let nonce = Nonce::assume_unique_for_key(fixed(header, 32));
            let (aad, mut payload) = (additional(name, header), rest.to_vec());
            let opened = aes(&object_key)
                .and_then(|aes| Ok(aes.open_in_place(nonce, Aad::from(aad), &mut payload)?.len()));
            payload.truncate(opened.map_err(|_| refused("damaged"))?);
            payload
        }
        None => {
            let (payload, hash) = rest.split_at(rest.len() - HASH);
            let mut hasher = blake3::Hasher::new();
            hasher.update(name.as_bytes()).update(header).update(payload);
            if hasher.finalize() != *hash {
                return Err(refused("damaged"));
            }
            payload.to_vec()
        }
    };
    // The length is what bounds the memory: a payload that unpacks to more is refused.
    let content = length.and_then(|length| unpacked(compression, payload, length));
    Ok(Opened { content: content.ok_or_else(|| refused("damaged"))?, key: id })
}

fn unpacked(compression: u8, payload: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    let content = match compression {
        NOT_COMPRESSED => payload,
        ZSTD => zstd::bulk::decompress(&payload, length).ok()?,
        _ => return None,
    };
    (content.len() == length).then_some(content)
}

fn aes(key: &[u8; 32]) -> Result<LessSafeKey, ring::error::Unspecified> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new)
}

/// Binds a payload to its name and its header.
fn additional(name: &str, header: &[u8]) -> Vec<u8> {
    [name.as_bytes(), header].concat()
}

fn length(bytes: usize) -> [u8; 8] {
    u64::try_from(bytes).unwrap_or(u64::MAX).to_le_bytes()
}

/// Bytes of the header, which has them.
fn fixed<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    header.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

fn defect(kind: Kind, name: &str) -> Error {
    Error::new(Reason::Internal, format!("{kind} {name} cannot be sealed"))
}

/// An object that is there and is not what was stored.
pub(super) fn damaged(kind: Kind, name: &str, what: &str) -> Error {
    Error::new(Reason::BackupDamaged, format!("{kind} {name} is {what}")).hint(match kind {
        Kind::Chunk => {
            "verify the backup to see what else is damaged; the next backup after that stores it \
             again where the data is still the same"
        }
        Kind::Manifest => "restore another backup; delete this one",
    })
}

fn unknown_key(kind: Kind, name: &str, id: KeyId) -> Error {
    if id == KeyId::PLAIN {
        let message =
            format!("{kind} {name} is not encrypted, and this server reads encrypted ones");
        return Error::new(Reason::BackupKey, message)
            .hint("to read it, add the word plain behind the keys in SWITCHBACK_BACKUP_KEY");
    }
    Error::new(Reason::BackupKey, format!("{kind} {name} needs the key {id}"))
        .hint("add that key behind the first one in SWITCHBACK_BACKUP_KEY")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "app/20261126T174200Z-3fa29c";

    fn keys() -> [Keys; 2] {
        [Keys::default(), Keys::parse(&"07".repeat(32)).unwrap()]
    }

    fn sealed(content: &[u8], keys: &Keys) -> Vec<u8> {
        seal(Kind::Manifest, NAME, content, keys.first()).unwrap()
    }

    fn reason(object: &[u8], keys: &Keys) -> (Reason, String) {
        let error = open(Kind::Manifest, NAME, object, keys).unwrap_err();
        (error.reason(), error.to_string())
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(content: Vec<u8>, name in "[0-9a-f]{64}", times in 1..200usize) {
            let content = content.repeat(times);
            for keys in keys() {
                let object = seal(Kind::Chunk, &name, &content, keys.first()).unwrap();
                let opened = open(Kind::Chunk, &name, &object, &keys).unwrap();
                prop_assert_eq!(&opened.content, &content);
                prop_assert_eq!(opened.key, keys.first().id());
                prop_assert!(object.len() <= HEADER + content.len() + HASH);
            }
        }
    }

    /// Written by the first version, and read by a program that was made from docs/backup-format.md
    /// alone. Every later version reads them.
    #[test]
    fn objects_of_version_1_stay_readable() {
        let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let content = "switchback ".repeat(20);
        for (keys, object, id) in [
            (
                Keys::default(),
                concat!(
                    "5357424b010201000000000000000000dc000000000000001b000000000000000000000000000000",
                    "000000000000000028b52ffd20dc950000587377697463686261636b2001004e53c50b7504ec4188",
                    "5fafe9b78483a928f2047c246d27b280164b3644552743f2669a6b",
                ),
                "b589c5774336c034c01653cfb43a29b4cb6c146ef236ccbac88d21b5d6c9e19a",
            ),
            (
                Keys::parse(key).unwrap(),
                concat!(
                    "5357424b01020101a805d5dffb48c95bdc000000000000002b000000000000004a4401fc6be9c483",
                    "68f98eed000000004ca28412fb7bb8658943d9dba73a9d55f5cf138b93f6e621097a5df9346890ae",
                    "6355702117914430e49458",
                ),
                "3625a0ab4c069415042b9670d320f8dc078cf687ffc1708e8d06cf34e2362d04",
            ),
        ] {
            let digits = object.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap());
            let object: Vec<u8> = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
            let opened = open(Kind::Manifest, NAME, &object, &keys).unwrap();
            assert_eq!(opened.content, content.as_bytes());
            assert_eq!(keys.first().chunk_id(content.as_bytes()).to_string(), id);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for keys in keys() {
            for content in [&b"a small object"[..], &[7; 300]] {
                let object = sealed(content, &keys);
                for bit in 0..object.len() * 8 {
                    let mut object = object.clone();
                    object[bit / 8] ^= 1 << (bit % 8);
                    let (reason, message) = reason(&object, &keys);
                    let known = [Reason::BackupDamaged, Reason::BackupKey, Reason::StoreNewer];
                    assert!(known.contains(&reason) && message.contains(NAME), "{bit}: {message}");
                }
            }
        }
    }

    #[test]
    fn every_truncation_is_named_as_such() {
        for keys in keys() {
            let mut object = sealed(b"a small object", &keys);
            for length in 0..object.len() {
                let expected = (Reason::BackupDamaged, format!("manifest {NAME} is truncated"));
                assert_eq!(reason(&object[..length], &keys), expected, "{length}");
            }
            object.push(0);
            assert_eq!(reason(&object, &keys).1, format!("manifest {NAME} is damaged"));
        }
    }

    #[test]
    fn an_object_under_another_name_or_of_another_kind_is_refused() {
        for keys in keys() {
            let object = sealed(b"{}", &keys);
            for (kind, name) in [(Kind::Manifest, "app/other"), (Kind::Chunk, NAME)] {
                let error = open(kind, name, &object, &keys).unwrap_err();
                assert_eq!(error.reason(), Reason::BackupDamaged);
            }
        }
    }

    #[test]
    fn the_key_that_is_needed_is_named() {
        let [plain, first] = keys();
        let second = Keys::parse(&"08".repeat(32)).unwrap();
        let (why, message) = reason(&sealed(b"{}", &first), &second);
        assert_eq!(why, Reason::BackupKey);
        assert!(message.ends_with(&first.first().id().to_string()), "{message}");
        // Who can write to the store cannot put an object without encryption in its place.
        assert_eq!(reason(&sealed(b"{}", &plain), &first).0, Reason::BackupKey);
        assert_eq!(reason(&sealed(b"{}", &first), &plain).0, Reason::BackupKey);
        let both = Keys::parse(&format!("{},{},plain", "08".repeat(32), "07".repeat(32))).unwrap();
        for keys in [plain, first, second] {
            let object = sealed(b"{}", &keys);
            assert_eq!(open(Kind::Manifest, NAME, &object, &both).unwrap().content, b"{}");
        }
    }

    #[test]
    fn a_newer_format_says_so() {
        let [plain, _] = keys();
        let mut object = sealed(b"{}", &plain);
        object[4] = 2;
        assert_eq!(reason(&object, &plain).0, Reason::StoreNewer);
    }

    #[test]
    fn what_unpacks_to_more_than_it_says_is_refused() {
        let [plain, _] = keys();
        // Rebuilt with a hash that fits, as anybody can who writes to the store.
        let forged = |length: u64| {
            let mut object = sealed(&vec![0; 1 << 20], &plain);
            object.truncate(object.len() - HASH);
            object[16..24].copy_from_slice(&length.to_le_bytes());
            let hash = blake3::Hasher::new().update(NAME.as_bytes()).update(&object).finalize();
            object.extend_from_slice(hash.as_bytes());
            object
        };
        for length in [0, 1 << 10, (1 << 20) - 1, (1 << 20) + 1, 1 << 40, u64::MAX] {
            assert_eq!(reason(&forged(length), &plain).0, Reason::BackupDamaged, "{length}");
        }
        assert!(open(Kind::Manifest, NAME, &forged(1 << 20), &plain).is_ok());
        // Some kilobytes that say truly that they are more than a chunk may be.
        assert!(seal(Kind::Chunk, NAME, &vec![0; LARGEST + 1], plain.first()).is_err());
        let mut bomb = sealed(&vec![0; LARGEST + 1], &plain);
        bomb.truncate(bomb.len() - HASH);
        bomb[5] = Kind::Chunk.byte();
        let hash = blake3::Hasher::new().update(NAME.as_bytes()).update(&bomb).finalize();
        bomb.extend_from_slice(hash.as_bytes());
        let error = open(Kind::Chunk, NAME, &bomb, &plain).unwrap_err();
        assert_eq!(error.reason(), Reason::BackupDamaged);
    }

    #[test]
    fn what_does_not_compress_is_stored_as_it_is() {
        let [plain, _] = keys();
        let mut noise = vec![0; 4096];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert_eq!(sealed(&noise, &plain)[6], NOT_COMPRESSED);
        let object = sealed(&[0; 4096], &plain);
        assert!(object[6] == ZSTD && object.len() < 200);
    }
}
