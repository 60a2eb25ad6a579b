//! Stores of backups: one suite that a directory and every S3-compatible server pass, and what
//! goes wrong with each.

mod directory;
mod faults;
mod refused;
mod s3;
mod suite;

use std::sync::Arc;

use switchback_server::{
    config::Secret,
    object_store::{self, Access, ObjectStore, S3Options, StoreUrl},
};
use switchback_tests::store::{KEY_ID, Place, S3Server, SECRET};

pub(crate) type Store = Arc<dyn ObjectStore>;

/// A store at a place of an S3-compatible server.
pub(crate) fn open(place: &Place) -> Store {
    open_with(place, S3Options::default())
}

/// The same with options.
pub(crate) fn open_with(place: &Place, options: S3Options) -> Store {
    let access = Access {
        endpoint: place.endpoint.clone(),
        key_id: KEY_ID.into(),
        key: Secret::new(SECRET),
    };
    let url = StoreUrl::parse(&place.url).expect("a place");
    object_store::open(&url, &S3Options { access: Some(access), ..options })
}

/// What the suite needs of a kind of store.
pub(crate) enum Kind {
    Directory,
    Moto,
    Garage,
}

impl Kind {
    /// A store that is empty, and what keeps it; `None` where there is none of this kind.
    pub(crate) async fn open(&self) -> Option<(Store, Option<tempfile::TempDir>)> {
        match self {
            Self::Directory => {
                let (directory, store) = directory::store();
                Some((store, Some(directory)))
            }
            Self::Moto => Some((open(&S3Server::shared().await.place().await), None)),
            Self::Garage => Some((open(&S3Server::garage().await?.place().await), None)),
        }
    }
}
