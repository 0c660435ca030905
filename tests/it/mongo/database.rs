//! A database of the test's own, and a server of it that can be paused and killed.

use std::future::IntoFuture;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use foghorn::config::Secret;
use foghorn::store::MongoDb;
use mongodb::bson::Document;
use mongodb::{Client, Collection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::process::Process;
use crate::support::{self, eventually};

/// How long a server waits for the database, and how long it is believed to be there, in these tests: machines may be slow.
const TIMEOUT: &str = "60s";
const LEASE: &str = "60s";

/// Another database for each test.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database, as another program sees it; it is dropped with this.
pub(super) struct Database {
    runtime: Runtime,
    client: Client,
    name: String,
    url: String,
}

impl Database {
    /// One in the MongoDB that `MONGODB_URL` names.
    pub(super) fn new() -> Database {
        Database::at(&std::env::var("MONGODB_URL").expect("MONGODB_URL, which tests/mongo/run sets"))
    }

    pub(super) fn at(server: &str) -> Database {
        let name = format!("foghorn_it_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (place, options) = server.split_once('?').unwrap_or((server, ""));
        let (scheme, rest) = place.split_once("://").unwrap();
        let servers = rest.split('/').next().unwrap();
        let url = format!("{scheme}://{servers}/{name}?{options}");
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(Client::with_uri_str(&url)).unwrap();
        Database { runtime, client, name, url }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn location(&self) -> MongoDb {
        let (timeout, lease) = (Duration::from_secs(60), Duration::from_secs(240));
        MongoDb { url: Secret::new(&self.url), timeout, lease }
    }

    pub(super) fn collection(&self, name: &str) -> Collection<Document> {
        self.client.database(&self.name).collection(name)
    }

    /// Waits for an answer.
    pub(super) fn ask<T>(&self, question: impl IntoFuture<Output = mongodb::error::Result<T>>) -> T {
        self.runtime.block_on(async { question.await }).unwrap()
    }

    pub(super) fn gather(&self, find: mongodb::action::Find<'_, Document>) -> Vec<Document> {
        self.ask(async {
            let (mut cursor, mut found) = (find.await?, Vec::new());
            while cursor.advance().await? {
                found.push(cursor.deserialize_current()?);
            }
            Ok(found)
        })
    }

    /// A server whose rooms are there.
    pub(super) fn serve(&self) -> Process {
        serve(&self.url)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that was started for the tests is gone soon, and takes long to drop a database.
        if std::env::var_os("FOGHORN_MONGODB_KEEP").is_some() {
            return;
        }
        let database = self.client.database(&self.name);
        let dropping =
            async { tokio::time::timeout(Duration::from_secs(5), database.drop().into_future()).await };
        let _its_server_may_be_gone = self.runtime.block_on(dropping);
    }
}

/// A server whose rooms are at this URL.
pub(super) fn serve(url: &str) -> Process {
    serve_with(url, TIMEOUT, LEASE)
}

/// The same, which waits no longer than this for the database, and is believed to be there for so long.
pub(super) fn serve_with(url: &str, timeout: &str, lease: &str) -> Process {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), format!("[store]\ntimeout = \"{timeout}\"\nlease = \"{lease}\"\n"))
        .unwrap();
    Process::serve_with(&["--store", url, "--config", config.path().to_str().unwrap()])
}

/// A running server of databases; it is killed when this is dropped.
pub(super) struct DatabaseServer {
    child: Option<Child>,
    port: u16,
    files: TempDir,
}

impl DatabaseServer {
    pub(super) fn start() -> DatabaseServer {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = DatabaseServer { child: None, port, files: tempfile::tempdir().unwrap() };
        server.run();
        server
    }

    /// Starts it again, with what is on its disk.
    pub(super) fn run(&mut self) {
        let program = std::env::var("FOGHORN_MONGODB_SERVER").expect("tests/mongo/run names it");
        let child = Command::new(program)
            .args(["--port", &self.port.to_string(), "--log-level", "ERROR", "--sync-on-commit"])
            .arg("--storage-path")
            .arg(self.files.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("a server of databases");
        self.child = Some(child);
        eventually("a database that answers", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub(super) fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}", self.port)
    }

    pub(super) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Answers no more, and loses nothing.
    pub(super) fn pause(&self) {
        let id = self.child.as_ref().expect("it runs").id();
        support::signal(id, "STOP");
        eventually("all its threads stand still", || {
            let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
            let stats =
                tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok());
            stats.into_iter().all(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
        });
    }

    pub(super) fn resume(&self) {
        support::signal(self.child.as_ref().expect("it runs").id(), "CONT");
    }
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended_already = child.kill();
            let _no_zombie_stays = child.wait();
        }
    }
}
