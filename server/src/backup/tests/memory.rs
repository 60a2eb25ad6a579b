//! A store in memory, with a clock that tests set and with hooks before what it does.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{
    error::Result,
    object_store::{Listing, ObjectInfo, ObjectStore},
};

/// Few enough that a list has several pages.
const PAGE: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Put,
    Get,
    Head,
    List,
    Delete,
}

type Run = Box<dyn FnOnce() -> BoxFuture<'static, Result<()>> + Send>;

/// Runs once, before the operation on the first name that begins so; its error is the
/// operation's.
struct Hook {
    op: Op,
    prefix: String,
    run: Run,
}

struct State {
    objects: BTreeMap<String, (Bytes, SystemTime)>,
    now: SystemTime,
    hooks: Vec<Hook>,
    written: Vec<String>,
    cleaned: Option<SystemTime>,
}

pub(super) struct Memory {
    state: Mutex<State>,
}

impl Default for Memory {
    fn default() -> Self {
        // Far from this machine's clock.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (hooks, written) = (Vec::new(), Vec::new());
        let state = State { objects: BTreeMap::new(), now, hooks, written, cleaned: None };
        Self { state: Mutex::new(state) }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// Lets time pass.
    pub(super) fn pass(&self, time: Duration) {
        self.state.lock().unwrap().now += time;
    }

    pub(super) fn now(&self) -> SystemTime {
        self.state.lock().unwrap().now
    }

    pub(super) fn before<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        op: Op,
        prefix: &str,
        run: impl FnOnce() -> F + Send + 'static,
    ) {
        let run: Run = Box::new(move || Box::pin(run()));
        self.state.lock().unwrap().hooks.push(Hook { op, prefix: prefix.into(), run });
    }

    /// Names of objects that begin so.
    pub(super) fn names(&self, prefix: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.objects.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// Names that were written since this was asked last.
    pub(super) fn written(&self, prefix: &str) -> Vec<String> {
        let mut written = std::mem::take(&mut self.state.lock().unwrap().written);
        written.retain(|name| name.starts_with(prefix));
        written
    }

    /// Until when leftovers were cleaned.
    pub(super) fn cleaned(&self) -> Option<SystemTime> {
        self.state.lock().unwrap().cleaned
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        self.state.lock().unwrap().objects[name].0.to_vec()
    }

    /// Changes an object behind everybody's back; its time stays.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock().unwrap();
        let (body, _) = state.objects.get_mut(name).unwrap();
        let mut bytes = body.to_vec();
        change(&mut bytes);
        *body = bytes.into();
    }

    pub(super) fn lose(&self, name: &str) {
        self.state.lock().unwrap().objects.remove(name).unwrap();
    }

    async fn call<T>(
        &self,
        op: Op,
        name: String,
        run: impl FnOnce(&mut State, String) -> T + Send,
    ) -> Result<T> {
        let hook = {
            let hooks = &mut self.state.lock().unwrap().hooks;
            let found =
                hooks.iter().position(|hook| hook.op == op && name.starts_with(&hook.prefix));
            found.map(|found| hooks.remove(found))
        };
        if let Some(hook) = hook {
            (hook.run)().await?;
        }
        // As a store on a network does.
        tokio::task::yield_now().await;
        Ok(run(&mut self.state.lock().unwrap(), name))
    }
}

fn info(name: &str, (body, modified): &(Bytes, SystemTime)) -> ObjectInfo {
    ObjectInfo { key: name.into(), bytes: body.len() as u64, modified: *modified }
}

impl ObjectStore for Memory {
    fn put(&self, key: String, body: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.call(Op::Put, key, |state, key| {
            state.now += Duration::from_secs(1);
            state.written.push(key.clone());
            state.objects.insert(key, (body, state.now));
        }))
    }

    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(
            self.call(Op::Get, key, |state, key| {
                state.objects.get(&key).map(|(body, _)| body.clone())
            }),
        )
    }

    fn head(&self, key: String) -> BoxFuture<'_, Result<Option<ObjectInfo>>> {
        Box::pin(self.call(Op::Head, key, |state, key| {
            state.objects.get(&key).map(|object| info(&key, object))
        }))
    }

    fn list(&self, prefix: String, after: String) -> BoxFuture<'_, Result<Listing>> {
        Box::pin(self.call(Op::List, prefix, move |state, prefix| {
            let objects = state.objects.iter();
            let fits = |name: &str| name.starts_with(&prefix) && *name > *after;
            let mut objects: Vec<_> = objects
                .filter(|(name, _)| fits(name))
                .map(|(name, object)| info(name, object))
                .take(PAGE + 1)
                .collect();
            let more = objects.len() > PAGE;
            objects.truncate(PAGE);
            Listing { objects, more }
        }))
    }

    fn delete(&self, keys: Vec<String>) -> BoxFuture<'_, Result<()>> {
        let first = keys.first().cloned().expect("nobody deletes nothing");
        Box::pin(self.call(Op::Delete, first, move |state, _| {
            keys.iter().for_each(|key| drop(state.objects.remove(key)));
        }))
    }

    fn clean(&self, before: SystemTime) -> BoxFuture<'_, Result<u64>> {
        self.state.lock().unwrap().cleaned = Some(before);
        Box::pin(async { Ok(2) })
    }

    fn shown(&self) -> String {
        "memory".into()
    }
}
