//! Where a test's store is.

use tempfile::TempDir;

use crate::store::{Location, Options, Store, StoreThreads};

/// Where a test's store is; gone with it.
pub(super) enum Place {
    Memory,
    Directory(TempDir),
    #[cfg(feature = "mongodb")]
    Database(super::mongo::Scratch),
}

impl Place {
    pub(super) fn directory() -> Place {
        Place::Directory(tempfile::tempdir().unwrap())
    }

    #[cfg(feature = "mongodb")]
    pub(super) fn database() -> Place {
        Place::Database(super::mongo::Scratch::new())
    }

    /// An empty one of the same kind.
    pub(super) fn another(&self) -> Place {
        match self {
            Place::Memory => Place::Memory,
            Place::Directory(_) => Place::directory(),
            #[cfg(feature = "mongodb")]
            Place::Database(_) => Place::database(),
        }
    }

    fn location(&self) -> Location {
        match self {
            Place::Memory => Location::Memory,
            Place::Directory(directory) => Location::Directory(directory.path().to_owned()),
            #[cfg(feature = "mongodb")]
            Place::Database(database) => Location::MongoDb(database.location()),
        }
    }

    /// Opens the store that is there.
    pub(super) fn open(&self, options: Options) -> (Store, StoreThreads) {
        Store::open(self.location(), options).unwrap()
    }
}
