//! The store of backups: an object is written, read and deleted.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::checks::Checks;
use crate::{
    backup::names,
    error::{Error, Reason, Result},
    object_store::ObjectStore,
};

/// S3 refuses signatures that are 15 minutes off: a minute is no jitter of the network any more.
const SKEW: Duration = Duration::from_secs(60);

/// Tests a store.
pub(super) async fn test(store: &dyn ObjectStore, checks: &mut Checks) {
    let shown = store.shown();
    let key = format!("{}{}", names::PROBE, uuid::Uuid::now_v7().simple());
    let tried = round(store, &key).await;
    // Also where reading has failed; what writing has not made is deleted too.
    let deleted = store.delete(vec![key]).await;
    match tried.and_then(|modified| deleted.map(|()| modified)) {
        Err(error) => checks.refused("store", &error),
        Ok(modified) => {
            checks.ok("store", format!("{shown}: an object was written, read and deleted"));
            clock(modified, SystemTime::now(), checks);
        }
    }
}

/// When the object was written, by the store's clock.
async fn round(store: &dyn ObjectStore, key: &str) -> Result<SystemTime> {
    let content = Bytes::from_static(b"switchback doctor");
    store.put(key.to_owned(), content.clone()).await?;
    let info = store.head(key.to_owned()).await?;
    let read = store.get(key.to_owned()).await?;
    let whole = read.filter(|read| *read == content).and(info);
    whole.map(|info| info.modified).ok_or_else(|| {
        Error::new(Reason::StoreRefused, "what was written to the store is not what is read").hint(
            "see whether something between the server and the store caches or changes objects",
        )
    })
}

fn clock(store: SystemTime, server: SystemTime, checks: &mut Checks) {
    let apart = store.duration_since(server).unwrap_or_else(|earlier| earlier.duration());
    let message = format!("the store's is {} s apart", apart.as_secs());
    if apart <= SKEW {
        checks.ok("store_clock", message);
    } else {
        checks.warn(
            "store_clock",
            message,
            "set the clocks of both machines, with NTP for example",
        );
    }
}

#[cfg(test)]
mod tests {
    use switchback_proto::v1::CheckState;

    use super::*;

    #[test]
    fn clocks_may_be_apart_a_little_either_way() {
        let now = SystemTime::now();
        for (store, expected) in [
            (now, CheckState::Ok),
            (now - SKEW, CheckState::Ok),
            (now + SKEW + Duration::from_secs(1), CheckState::Warning),
            (now - SKEW - Duration::from_secs(1), CheckState::Warning),
        ] {
            let mut checks = Checks::default();
            clock(store, now, &mut checks);
            assert_eq!(checks.into_all()[0].state(), expected);
        }
    }
}
