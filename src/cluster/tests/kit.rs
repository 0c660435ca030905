//! A Redis that can be stopped and emptied; nodes; what a node was shown.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tempfile::TempDir;

use crate::cluster::{ClusterOptions, ClusterTls, Joined, start};
use crate::rooms::store_api::{
    Numbering, Opened, Page, PageRequest, Placed, ReadFrom, Record, RecordBatch, RecordPresence, RecordText,
    RoomId, StayId, Stored,
};
use crate::rooms::{Kind, LogUpdate, Timestamp};
use crate::store::{Done, Options, Store, StoreError, StoreThreads};
use crate::system::instant;

/// How long a node is believed to be there.
pub(super) const LEASE: Duration = Duration::from_secs(5);

/// How long anything is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
pub(super) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = instant() + PATIENCE;
    while !is_so() {
        assert!(instant() < until, "it never came to: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A port that is free, and that no connection is given: Redis cannot be told to pick one, and must get it again later.
pub(super) fn free_port() -> u16 {
    loop {
        let port = 10_000 + u16::try_from(crate::system::random() % 22_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server of the test's own.
pub(super) struct Redis {
    child: Option<Child>,
    pub(super) port: u16,
    pub(super) files: TempDir,
    more: Vec<String>,
}

impl Redis {
    pub(super) fn start() -> Redis {
        Redis::with(Vec::new)
    }

    /// With other arguments besides, which may have ports among them.
    pub(super) fn with(more: impl Fn() -> Vec<String>) -> Redis {
        loop {
            let (port, files) = (free_port(), tempfile::tempdir().unwrap());
            let mut redis = Redis { child: None, port, files, more: more() };
            // Somebody else may have taken a port meanwhile.
            if redis.is_started() {
                return redis;
            }
        }
    }

    /// The value of another argument.
    pub(super) fn argument(&self, name: &str) -> &str {
        &self.more[self.more.iter().position(|argument| argument == name).unwrap() + 1]
    }

    /// Starts it again, with what is on its disk.
    pub(super) fn run(&mut self) {
        assert!(self.is_started(), "it does not start again");
    }

    fn is_started(&mut self) -> bool {
        let server = std::env::var("FOGHORN_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let child = Command::new(server)
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--loglevel",
                "warning",
            ])
            .args(["--appendonly", "no", "--maxmemory-policy", "noeviction", "--daemonize", "no"])
            .arg("--dir")
            .arg(self.files.path())
            .args(&self.more)
            .stdout(Stdio::null())
            .spawn()
            .expect("a Redis: tests/cluster/run installs one");
        self.child = Some(child);
        let mut has_ended = false;
        eventually("a Redis that answers", || {
            let answered =
                self.connect().and_then(|mut redis| redis::cmd("PING").query::<String>(&mut redis));
            has_ended = self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
            has_ended || answered.is_ok_and(|answer| answer == "PONG")
        });
        !has_ended
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection()
    }

    /// Has it do something.
    pub(super) fn command(&self, words: &[&str]) -> redis::Value {
        self.try_command(words).unwrap()
    }

    /// As [`Redis::command`], where that may be refused.
    pub(super) fn try_command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.connect()?)
    }

    pub(super) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -\"$1\" \"$0\"", &pid, name]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended_already = child.kill();
            let _no_zombie_stays = child.wait();
        }
    }
}

/// What a node was shown of one room.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) epochs: Vec<u64>,
    /// Of the last epoch, what came in it.
    pub(super) messages: Vec<Stored>,
    /// Where the epoch began here.
    pub(super) from: u64,
    pub(super) is_deleted: bool,
}

impl View {
    fn open(&mut self, opened: &Opened) {
        assert!(!self.epochs.contains(&opened.epoch), "an epoch began twice");
        self.epochs.push(opened.epoch);
        self.messages = opened.recent.clone();
        self.from = opened.head - opened.recent.len() as u64;
    }

    pub(super) fn head(&self) -> u64 {
        self.from + self.messages.len() as u64
    }

    fn news(&mut self, news: LogUpdate) {
        match news {
            LogUpdate::Messages(messages) => {
                assert!(!messages.is_empty());
                for message in messages {
                    assert_eq!(message.seq, self.head() + 1, "messages are dense");
                    let last = self.messages.last().map_or(Timestamp::default(), |last| last.at);
                    assert!(message.at > last, "times grow");
                    self.messages.push(message);
                }
            }
            LogUpdate::Epoch(opened) => self.open(&opened),
            LogUpdate::Deleted => self.is_deleted = true,
        }
    }

    pub(super) fn contents(&self) -> Vec<&str> {
        self.messages.iter().map(|message| &*message.content).collect()
    }
}

/// A room as a node follows it.
#[derive(Clone)]
pub(super) struct Followed {
    pub(super) id: RoomId,
    pub(super) users: u64,
    view: Arc<Mutex<View>>,
}

impl Followed {
    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap()
    }

    pub(super) fn wait_for(&self, head: u64) {
        eventually(&format!("message {head}"), || self.view().head() >= head);
    }
}

/// A node without its sockets.
pub(super) struct Node {
    pub(super) store: Store,
    _threads: StoreThreads,
}

pub(super) fn options(url: String) -> ClusterOptions {
    let (timeout, lease) = (Duration::from_secs(2), LEASE);
    ClusterOptions {
        url,
        tls: ClusterTls::default(),
        timeout,
        lease,
        leave_notice: "{username} LEAVE".into(),
        store: Options::default(),
    }
}

/// Asks and waits for the answer.
pub(super) fn ask<T: Send + 'static>(ask: impl FnOnce(Done<T>) -> Result<(), crate::store::Busy>) -> T {
    let (sender, answer) = std::sync::mpsc::sync_channel(1);
    ask(Box::new(move |found| sender.send(found).unwrap())).unwrap();
    answer.recv_timeout(PATIENCE).expect("an answer")
}

impl Node {
    pub(super) fn start(redis: &Redis) -> Node {
        Node::with(options(redis.url()))
    }

    pub(super) fn with(options: ClusterOptions) -> Node {
        let Joined { store, threads, .. } = start(options).unwrap();
        Node { store, _threads: threads }
    }

    pub(super) fn try_follow(&self, name: &str, create: bool) -> Result<Followed, StoreError> {
        let view = Arc::new(Mutex::new(None::<(RoomId, View)>));
        // The first news may come before the test has the answer.
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        let shared = Arc::new(Mutex::new(View::default()));
        let (heard, opened_here) = (shared.clone(), shared.clone());
        drop(view);
        let follower = Arc::new(move |_id, news| heard.lock().unwrap().news(news));
        let done = Box::new(move |opened: Result<Opened, StoreError>| {
            if let Ok(opened) = &opened {
                opened_here.lock().unwrap().open(opened);
            }
            sender.send(opened).unwrap();
        });
        self.store.open_and_follow(name, create, follower, Timestamp::default(), done).unwrap();
        let opened = answer.recv_timeout(PATIENCE).expect("an answer")?;
        let Numbering::Store { users } = opened.numbering else { panic!("the store numbers") };
        Ok(Followed { id: opened.id, users, view: shared })
    }

    pub(super) fn follow(&self, name: &str) -> Followed {
        self.try_follow(name, true).unwrap()
    }

    pub(super) fn append(&self, batch: RecordBatch) -> Vec<Placed> {
        ask(|done| self.store.append(batch, done).map_err(|_| crate::store::Busy::default())).unwrap().placed
    }

    pub(super) fn say(&self, room: &Followed, content: &str) -> Placed {
        self.append(said(room.id, content, None))[0]
    }

    pub(super) fn read(&self, room: RoomId, from: ReadFrom) -> Result<Page, StoreError> {
        let request = PageRequest {
            from,
            messages_max: 1_000,
            bytes_max: 1 << 20,
            newest_first: false,
            before: None,
            now: Timestamp::default(),
        };
        ask(|done| self.store.read(room, request, done))
    }
}

/// One message.
pub(super) fn said(room: RoomId, content: &str, client_id: Option<&str>) -> RecordBatch {
    let mut batch = RecordBatch::default();
    let sender = RecordText::store(&mut batch.text, "ann");
    let content = RecordText::store(&mut batch.text, content);
    let client_id = client_id.map(|id| RecordText::store(&mut batch.text, id));
    let (at, kind) = (Timestamp::default(), Kind::Message);
    batch.records.push(Record { room, seq: 0, at, kind, sender, content, client_id, presence: None });
    batch
}

/// A stay begins or ends.
pub(super) fn told(room: RoomId, kind: Kind, user: &str, stay: u64) -> RecordBatch {
    let mut batch = RecordBatch::default();
    let sender = RecordText::store(&mut batch.text, "SYSTEM");
    let content = RecordText::store(&mut batch.text, &format!("{user} {}", kind.name()));
    let username = RecordText::store(&mut batch.text, user);
    let presence =
        Some(RecordPresence { username, online: 0, stay: Some(StayId(stay)), session_id: u128::from(stay) });
    let at = Timestamp::default();
    batch.records.push(Record { room, seq: 0, at, kind, sender, content, client_id: None, presence });
    batch
}

/// Says it until it is stored, under an id so that it is stored once.
pub(super) fn say_until_stored(node: &Node, room: &Followed, content: &str) -> u64 {
    let until = instant() + PATIENCE;
    loop {
        match node.append(said(room.id, content, Some(content)))[0] {
            Placed::At(seq) | Placed::Repeat { seq, is_same: true, .. } => return seq,
            Placed::Unavailable | Placed::NotStored => assert!(instant() < until, "it is never stored"),
            placed @ (Placed::Repeat { .. } | Placed::Nothing) => panic!("{placed:?}"),
        }
    }
}
