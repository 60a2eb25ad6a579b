//! The backups in a store: finds them, reads their manifests and their chunks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    chunk::{ChunkRef, Fetch},
    id,
    key::{KeyId, Keys},
    manifest::{FORMAT, Manifest, Missing, Version},
    marks::pages,
    names::{self, Part},
    seal::{self, Kind},
    verify::Verified,
};
use crate::{
    error::{Error, Reason, Result},
    object_store::{ObjectInfo, ObjectStore},
    task::blocking,
};

/// Manifests of a list that are read at once. One may have some mebibytes.
const READS: usize = 4;

/// A store with backups, and the keys to them.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) keys: Arc<Keys>,
    /// The key, by its number, that the last chunk was found under: the next one probably is too.
    found: Arc<AtomicUsize>,
    pub(super) pace: Pace,
}

/// How a backup waits for a sweep. A sweep lists all chunks: minutes for some millions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two looks.
    pub(super) look: Duration,
    /// After that the store is busy.
    pub(super) patience: Duration,
}

const PACE: Pace = Pace { look: Duration::from_secs(5), patience: Duration::from_secs(30 * 60) };

/// A backup in a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) backup_id: String,
    /// What its manifest says, or what is wrong with that.
    pub(crate) summary: Result<Summary>,
    /// What the last verification has found.
    pub(crate) verified: Option<Verified>,
}

/// A manifest without its lists of tables and chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) engine: String,
    pub(crate) epoch: u64,
    pub(crate) phase: String,
    /// RFC 3339.
    pub(crate) created_at: String,
    pub(crate) server_version: String,
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
    pub(crate) schema_versions: Vec<Version>,
    /// What the backup does not hold.
    pub(crate) findings: Vec<Missing>,
    /// The key that it needs.
    pub(crate) key: KeyId,
}

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

impl Repository {
    /// The backups in a store.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, keys: Keys) -> Self {
        Self { store, keys: Arc::new(keys), found: Arc::default(), pace: PACE }
    }

    /// Checks that this version can work with the store; makes a new one of an empty place.
    pub(crate) async fn open(&self) -> Result<()> {
        let Some(text) = self.store.get(names::STORE.into()).await? else {
            let text = serde_json::to_vec(&Format { format: FORMAT });
            let text = text.map_err(|error| {
                Error::new(Reason::Internal, "cannot write a store's format").caused_by(error)
            })?;
            return self.store.put(names::STORE.into(), text.into()).await;
        };
        let shown = self.store.shown();
        let Format { format } = serde_json::from_slice(&text).map_err(|error| {
            let message = format!("{} in the store {shown} is damaged", names::STORE);
            Error::new(Reason::BackupDamaged, message)
                .hint("write {\"format\": 1} into it, if Switchback's backups are there")
                .caused_by(error)
        })?;
        check_format(format).map_err(|error| error.at(format!("the store {shown}")))
    }

    /// Where it is, without credentials.
    pub(crate) fn shown(&self) -> String {
        self.store.shown()
    }

    /// What a backup holds; `UNKNOWN_BACKUP`, or why its manifest cannot be read.
    pub(crate) async fn manifest(&self, database: &str, backup: &str) -> Result<Manifest> {
        check_names(database, backup)?;
        let read = self.read_manifest(database, backup).await?;
        read.map(|(manifest, _)| manifest).ok_or_else(|| unknown(database, backup))
    }

    /// Backups of a database that began before the one called `after` (empty for the newest ones),
    /// the newest one first. One whose manifest cannot be read is among them.
    pub(crate) async fn list(
        &self,
        database: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Listed>> {
        let ids = self.ids(database).await?;
        let ids = ids.into_iter().filter(|id| after.is_empty() || id.as_str() < after).take(limit);
        // One that was deleted meanwhile is passed over.
        let listed = stream::iter(ids).map(|id| self.listed(database, id)).buffered(READS);
        listed.try_filter_map(async |listed| Ok(listed)).try_collect().await
    }

    /// Ids of the backups of a database, the newest one first.
    async fn ids(&self, database: &str) -> Result<Vec<String>> {
        if !names::is_segment(database) {
            return Ok(Vec::new());
        }
        let objects = pages(&*self.store, names::backups_of(database));
        let objects: Vec<ObjectInfo> = objects.try_concat().await?;
        Ok(backup_ids(&objects))
    }

    async fn listed(&self, database: &str, backup_id: String) -> Result<Option<Listed>> {
        let summary = match self.read_manifest(database, &backup_id).await {
            Ok(None) => return Ok(None),
            Ok(Some((manifest, key))) => Ok(Summary::new(&manifest, key)),
            Err(error) if !is_unreadable(&error) => return Err(error),
            Err(error) => Err(error),
        };
        let verified = self.verified(database, &backup_id).await?;
        Ok(Some(Listed { backup_id, summary, verified }))
    }

    /// A manifest and its key; `None` where there is none.
    pub(super) async fn read_manifest(
        &self,
        database: &str,
        backup: &str,
    ) -> Result<Option<(Manifest, KeyId)>> {
        let object = self.store.get(names::manifest(database, backup)).await?;
        let Some(object) = object else { return Ok(None) };
        let (keys, name) = (Arc::clone(&self.keys), manifest_name(database, backup));
        blocking(move || {
            let opened = seal::open(Kind::Manifest, &name, &object, &keys)?;
            Ok(Some((parse(&name, &opened.content)?, opened.key)))
        })
        .await
    }

    /// The object of a chunk; `None` where no key has it.
    async fn find(&self, chunk: ChunkRef) -> Result<Option<Bytes>> {
        let first = self.found.load(Ordering::Relaxed);
        let ids: Vec<KeyId> = self.keys.iter().map(super::key::Key::id).collect();
        for turn in 0..ids.len() {
            let number = (first + turn) % ids.len();
            if let Some(object) = self.store.get(names::chunk(ids[number], chunk.id)).await? {
                self.found.store(number, Ordering::Relaxed);
                return Ok(Some(object));
            }
        }
        Ok(None)
    }
}

impl Fetch for Repository {
    async fn get(&self, chunk: ChunkRef) -> Result<Vec<u8>> {
        let name = chunk.id.to_string();
        let object = self.find(chunk).await?;
        let object = object.ok_or_else(|| seal::damaged(Kind::Chunk, &name, "missing"))?;
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let opened = seal::open(Kind::Chunk, &name, &object, &keys)?;
            let is_it =
                keys.by_id(opened.key).is_some_and(|key| key.chunk_id(&opened.content) == chunk.id);
            if !is_it || u32::try_from(opened.content.len()) != Ok(chunk.length) {
                return Err(seal::damaged(Kind::Chunk, &name, "not what its name says"));
            }
            Ok(opened.content)
        })
        .await
    }
}

impl Summary {
    fn new(manifest: &Manifest, key: KeyId) -> Self {
        Self {
            engine: manifest.engine.clone(),
            epoch: manifest.epoch,
            phase: manifest.phase.clone(),
            created_at: manifest.created_at.clone(),
            server_version: manifest.server_version.clone(),
            bytes: manifest.bytes,
            chunks: manifest.chunks,
            schema_versions: manifest.schema_versions.clone(),
            findings: manifest.findings.clone(),
            key,
        }
    }
}

/// Ids of the backups whose manifests are among these, the newest one first.
pub(super) fn backup_ids(objects: &[ObjectInfo]) -> Vec<String> {
    let id = |object: &ObjectInfo| match names::part(&object.key)? {
        (_, backup, Part::Manifest) => id::time(backup).map(|_| backup.to_owned()),
        _ => None,
    };
    let mut ids: Vec<String> = objects.iter().filter_map(id).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids
}

/// What a manifest is bound to.
pub(super) fn manifest_name(database: &str, backup: &str) -> String {
    format!("{database}/{backup}")
}

/// Names of a request go into names of objects only where they are what they should be.
pub(super) fn check_names(database: &str, backup: &str) -> Result<()> {
    let fits = names::is_segment(database) && id::time(backup).is_some();
    if fits { Ok(()) } else { Err(unknown(database, backup)) }
}

pub(super) fn unknown(database: &str, backup: &str) -> Error {
    let message = format!("the database {database:?} has no backup {backup:?}");
    Error::new(Reason::UnknownBackup, message).hint("`switchback backups list` shows what there is")
}

/// Whether an error is about an object's content, and not about reaching it.
pub(super) fn is_unreadable(error: &Error) -> bool {
    matches!(error.reason(), Reason::BackupDamaged | Reason::BackupKey | Reason::StoreNewer)
}

fn check_format(format: u32) -> Result<()> {
    if format <= FORMAT {
        return Ok(());
    }
    let message = format!("format {format} is newer than what this server reads, {FORMAT}");
    Err(Error::new(Reason::StoreNewer, message)
        .hint("use the version of Switchback that wrote it, or a later one"))
}

fn parse(name: &str, content: &[u8]) -> Result<Manifest> {
    let refused = || seal::damaged(Kind::Manifest, name, "no description of a backup");
    // First what a newer version may have made of it.
    let Format { format } =
        serde_json::from_slice(content).map_err(|error| refused().caused_by(error))?;
    check_format(format).map_err(|error| error.at(format!("manifest {name}")))?;
    let manifest: Manifest =
        serde_json::from_slice(content).map_err(|error| refused().caused_by(error))?;
    let is_it = manifest_name(&manifest.database, &manifest.backup_id) == name;
    if is_it { Ok(manifest) } else { Err(refused()) }
}
