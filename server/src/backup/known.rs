//! Which chunks a store has already, as one backup knows it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use super::{
    chunk::ChunkId,
    index, marks,
    names::{self, Part},
    repository::{Repository, backup_ids, is_unreadable},
    verify::Verified,
};
use crate::{error::Result, object_store::ObjectInfo};

/// Index chunks that are read at once.
const READS: usize = 4;

/// Ids of the chunks that are stored, and of those that are on their way.
///
/// Every id is in memory: 32 bytes, up to 80 with the table around it. A backup of one TiB has a
/// million of them.
#[derive(Debug, Default)]
pub(super) struct Known {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stored: HashSet<ChunkId>,
    flying: HashMap<ChunkId, watch::Receiver<()>>,
}

/// What is to be done with a chunk.
pub(super) enum Claim<'k> {
    /// Nothing: it is stored.
    Stored,
    /// To wait: somebody stores it. To ask again when this changes or ends.
    Flying(watch::Receiver<()>),
    /// To store it.
    Ours(Flight<'k>),
}

/// A chunk that is on its way. Where it is dropped without having landed, the next one who asks
/// stores the chunk.
pub(super) struct Flight<'k> {
    known: &'k Known,
    id: ChunkId,
    has_landed: bool,
    _waiting: watch::Sender<()>,
}

impl Known {
    pub(super) fn new(stored: HashSet<ChunkId>) -> Self {
        Self { state: Mutex::new(State { stored, flying: HashMap::new() }) }
    }

    pub(super) fn claim(&self, id: ChunkId) -> Claim<'_> {
        let mut state = self.state();
        if state.stored.contains(&id) {
            return Claim::Stored;
        }
        if let Some(flying) = state.flying.get(&id) {
            return Claim::Flying(flying.clone());
        }
        let (sender, receiver) = watch::channel(());
        state.flying.insert(id, receiver);
        Claim::Ours(Flight { known: self, id, has_landed: false, _waiting: sender })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A set of ids is whole after each of the statements that change it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    /// The chunk is durable.
    pub(super) fn land(mut self) {
        self.has_landed = true;
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut state = self.known.state();
        state.flying.remove(&self.id);
        if self.has_landed {
            state.stored.insert(self.id);
        }
    }
}

/// A verification that has found damage, and when it was recorded, by the store's clock.
struct Damage {
    found: Verified,
    at: SystemTime,
}

impl Damage {
    /// Whether the verification may have found this chunk damaged, and nobody has stored it again.
    fn concerns(&self, id: ChunkId, modified: SystemTime) -> bool {
        modified <= self.at && (!self.found.names_all() || self.found.damaged.contains(&id))
    }
}

impl Repository {
    /// Chunks that the next backup of a database can count on, while its mark keeps sweeps away:
    /// those of the newest backup. Where one was begun and not finished (`is_resumed`), or there is
    /// none under the first key, a listing shows them: as many as all databases in the store have.
    ///
    /// Where a verification has found damage, what it has not found whole is not among them: this
    /// backup stores it again.
    pub(super) async fn known(&self, database: &str, is_resumed: bool) -> Result<HashSet<ChunkId>> {
        let objects = marks::pages(&*self.store, names::backups_of(database));
        let objects: Vec<ObjectInfo> = objects.try_concat().await?;
        let damage = self.damage(&objects).await?;
        if damage.is_empty() && !is_resumed {
            let newest = self.chunks_of_newest(database, &backup_ids(&objects)).await?;
            if let Some(known) = newest {
                return Ok(known);
            }
        }
        let mut known = HashSet::new();
        let chunks = names::chunks_of(self.keys.first().id());
        let mut pages = std::pin::pin!(marks::pages(&*self.store, chunks));
        while let Some(page) = pages.try_next().await? {
            let ids = page.iter().filter_map(|object| {
                let id = names::chunk_id(&object.key)?;
                let is_damaged = damage.iter().any(|damage| damage.concerns(id, object.modified));
                (!is_damaged).then_some(id)
            });
            known.extend(ids);
        }
        Ok(known)
    }

    async fn damage(&self, objects: &[ObjectInfo]) -> Result<Vec<Damage>> {
        let mut damage = Vec::new();
        for object in objects {
            let Some((database, backup, Part::Verified)) = names::part(&object.key) else {
                continue;
            };
            let found = self.verified(database, backup).await?;
            if let Some(found) = found.filter(|found| !found.is_whole()) {
                damage.push(Damage { found, at: object.modified });
            }
        }
        Ok(damage)
    }

    /// `None` where no manifest can be read, or the newest one is under another key.
    async fn chunks_of_newest(
        &self,
        database: &str,
        ids: &[String],
    ) -> Result<Option<HashSet<ChunkId>>> {
        for id in ids {
            let manifest = match self.read_manifest(database, id).await {
                Ok(Some((manifest, key))) if key == self.keys.first().id() => manifest,
                Ok(Some(_)) => return Ok(None),
                Ok(None) => continue,
                Err(error) if is_unreadable(&error) => continue,
                Err(error) => return Err(error),
            };
            let index::Roots { chunks, index } = index::roots(&manifest);
            let mut known: HashSet<ChunkId> =
                chunks.iter().chain(&index).map(|chunk| chunk.id).collect();
            let lists = stream::iter(index).map(|chunk| index::read_one(self, chunk));
            let mut lists = lists.buffer_unordered(READS);
            let read = async {
                while let Some(list) = lists.try_next().await? {
                    known.extend(list.iter().map(|chunk| chunk.id));
                }
                Ok(())
            };
            match read.await {
                Ok(()) => return Ok(Some(known)),
                Err(error) if is_unreadable(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
