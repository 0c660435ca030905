//! The store in MongoDB: as the others, and what others write to it.

use std::time::Duration;

use mongodb::{Client, Database};
use tokio::runtime::Runtime;

use super::*;
use crate::config::Secret;
use crate::store::entropy::random;

/// A database of a test's own, in the MongoDB that `MONGODB_URL` names; it is dropped with this.
pub(super) struct Scratch {
    runtime: Runtime,
    database: Database,
    url: String,
}

impl Scratch {
    pub(super) fn new() -> Scratch {
        let server = std::env::var("MONGODB_URL").expect("MONGODB_URL, which tests/mongo/run sets");
        let name = format!("foghorn_test_{:016x}", random());
        let (place, options) = server.split_once('?').unwrap_or((&server, ""));
        let (scheme, rest) = place.split_once("://").expect("a URL");
        let servers = rest.split('/').next().unwrap_or(rest);
        let url = format!("{scheme}://{servers}/{name}?{options}");
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(Client::with_uri_str(&url)).unwrap().database(&name);
        Scratch { runtime, database, url }
    }

    pub(super) fn location(&self) -> MongoDb {
        // Slow machines, and servers made for tests, answer late.
        MongoDb {
            url: Secret::new(&self.url),
            timeout: Duration::from_secs(20),
            lease: Duration::from_secs(60),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A server that was started for the tests is gone soon, and takes long to drop a database.
        if std::env::var_os("FOGHORN_MONGODB_KEEP").is_none() {
            drop(self.runtime.block_on(async { self.database.drop().await }));
        }
    }
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn a_database_answers_as_the_store_in_memory_does() {
    memory::assert_same(&Place::database(), &Place::Memory);
}
