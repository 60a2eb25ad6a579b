//! Backups in a store that is in memory: what a real store does is its own suite's concern.

mod memory;
mod reading;
mod servers;
mod sweeping;
mod verifying;
mod writing;

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::{
    chunk::{ChunkRef, Fetch, Sink},
    index::{IndexWriter, read_index},
    key::Keys,
    manifest::{FORMAT, Manifest, SqliteContent},
    repository::{Pace, Repository},
    writer::{Counts, Writer},
};
use crate::{
    error::{Reason, Result},
    object_store::ObjectStore,
};
use memory::{Memory, Op};

const APP: &str = "app";

/// Longer than a mark or a young chunk is respected.
const LONG: Duration = Duration::from_secs(16 * 60);

/// Of a server that has keys of one byte each, over and over.
fn keys(bytes: &[&str]) -> Keys {
    let keys: Vec<String> = bytes.iter().map(|byte| byte.repeat(32)).collect();
    Keys::parse(&keys.join(",")).unwrap()
}

/// A server's view of a store.
fn repository(store: &Arc<Memory>, keys: Keys) -> Repository {
    let mut repository = Repository::new(Arc::clone(store) as Arc<dyn ObjectStore>, keys);
    repository.pace = Pace { look: Duration::from_millis(1), patience: Duration::from_secs(60) };
    repository
}

/// A store and a server without a key.
fn plain() -> (Arc<Memory>, Repository) {
    let store = Arc::<Memory>::default();
    let repository = repository(&store, Keys::default());
    (store, repository)
}

/// The id of the backup of a day.
fn day(day: u32) -> String {
    format!("202611{day:02}T174200Z-3fa29c")
}

/// Contents that differ.
fn contents(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|number| format!("content {number}").repeat(9).into_bytes()).collect()
}

async fn begin(repository: &Repository, day_of: u32) -> Result<Writer> {
    repository.begin(APP, &day(day_of), &CancellationToken::new()).await
}

fn manifest(id: &str, contents: &[Vec<u8>], index: Vec<ChunkRef>) -> Manifest {
    Manifest {
        format: FORMAT,
        backup_id: id.into(),
        database: APP.into(),
        engine: "sqlite".into(),
        epoch: 3,
        phase: "idle".into(),
        created_at: "2026-11-26T17:42:00Z".into(),
        server_version: "0".into(),
        schema_versions: Vec::new(),
        bytes: contents.iter().map(|content| content.len() as u64).sum(),
        chunks: contents.len() as u64,
        sqlite: Some(SqliteContent { page_size: 4096, pages: 1, index }),
        postgres: None,
        findings: Vec::new(),
    }
}

/// Stores contents and their index.
async fn fill(writer: &Writer, day_of: u32, contents: &[Vec<u8>]) -> Result<Manifest> {
    let mut index = IndexWriter::new(writer);
    for content in contents {
        index.push(writer.put(content.clone()).await?).await?;
    }
    Ok(manifest(&day(day_of), contents, index.finish().await?))
}

/// A whole backup.
async fn back_up(repository: &Repository, day_of: u32, contents: &[Vec<u8>]) -> Counts {
    let writer = begin(repository, day_of).await.unwrap();
    let manifest = fill(&writer, day_of, contents).await.unwrap();
    writer.finish(&manifest).await.unwrap();
    writer.counts()
}

/// What a backup gives back.
async fn restored(repository: &Repository, day_of: u32) -> Result<Vec<Vec<u8>>> {
    let manifest = repository.manifest(APP, &day(day_of)).await?;
    let mut contents = Vec::new();
    for chunk in chunks(repository, &manifest).await? {
        contents.push(repository.get(chunk).await?);
    }
    Ok(contents)
}

async fn chunks(repository: &Repository, manifest: &Manifest) -> Result<Vec<ChunkRef>> {
    read_index(repository, &manifest.sqlite.as_ref().unwrap().index).try_concat().await
}

async fn sweep(repository: &Repository) -> Result<super::sweep::Swept> {
    repository.sweep(&CancellationToken::new()).await
}

/// Waits for what comes at once, so that a test fails where it would hang.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it comes")
}

/// Reason and message of a failure.
fn failure<T>(result: Result<T>) -> (Reason, String) {
    let error = result.err().expect("it failed");
    (error.reason(), error.to_string())
}
