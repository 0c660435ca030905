//! The same questions for all stores.

use std::any::Any;
use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use ::redis::Connection;

use super::server::Server;
use crate::cluster::{ClusterOptions, Joined, registry, start};
use crate::rooms::store_api::{Durability, RoomSettings, Stored, StoredPresence};
use crate::rooms::{Kind, Timestamp};
use crate::store::{
    Busy, Done, Import, Location, NewRoom, Options, PARTICIPANTS_MAX, RoomInfo, RoomQuery, Store, StoreError,
    StoreThreads,
};

const NOON: u64 = 1_769_860_800_000_000;

pub(super) fn at(number: u64) -> Timestamp {
    Timestamp::from_micros(NOON + number * 1_000)
}

pub(super) fn message(seq: u64) -> Stored {
    let presence = seq % 10 == 1;
    Stored {
        seq,
        at: at(seq),
        kind: if presence { Kind::Join } else { Kind::Message },
        sender: format!("user {}", seq % 7).into(),
        content: format!("message {seq} \u{1f32b}").into(),
        client_id: seq.is_multiple_of(2).then(|| format!("id-{seq}").into()),
        presence: presence.then(|| StoredPresence { username: format!("user {seq}").into(), online: seq }),
    }
}

pub(super) fn import(room: &str, after: Option<u64>, seqs: std::ops::RangeInclusive<u64>) -> Import {
    let messages = seqs.map(message).collect();
    Import { room: room.into(), about: None, id_epoch: None, after, messages, is_last: true }
}

/// A store that is asked.
enum Subject {
    Other(
        Store,
        #[expect(dead_code, reason = "ends the store")] StoreThreads,
        #[expect(dead_code, reason = "is removed at the end")] Box<dyn Any>,
    ),
    Redis(Box<Connection>, #[expect(dead_code, reason = "ends the server")] Server),
}

fn ask<T: Send + 'static>(
    request: impl FnOnce(Done<Result<T, StoreError>>) -> Result<(), Busy>,
) -> Result<T, StoreError> {
    let (answer, answered) = mpsc::sync_channel(1);
    request(Box::new(move |outcome| answer.send(outcome).unwrap())).unwrap();
    answered.recv_timeout(Duration::from_secs(60)).expect("an answer")
}

impl Subject {
    fn create(&mut self, room: NewRoom) -> Result<RoomInfo, StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.create_room(room, done)),
            Subject::Redis(conn, _) => registry::create_room(&mut **conn, room),
        }
    }

    fn room(&mut self, id: &str) -> Result<RoomInfo, StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.room(id, done)),
            Subject::Redis(conn, _) => registry::room(&mut **conn, id),
        }
    }

    fn rooms(&mut self, query: RoomQuery) -> Result<Vec<RoomInfo>, StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.rooms(query, done)),
            Subject::Redis(conn, _) => registry::rooms(&mut **conn, &query),
        }
    }

    fn delete(&mut self, id: &str) -> Result<(), StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.delete_room(id, done)).map(drop),
            Subject::Redis(conn, _) => registry::delete_room(&mut **conn, id).map(drop),
        }
    }

    fn join(&mut self, id: &str, user: &str) -> Result<RoomInfo, StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.join_participant(id, user, done)),
            Subject::Redis(conn, _) => registry::join_participant(&mut **conn, id, user),
        }
    }

    fn leave(&mut self, id: &str, user: &str) -> Result<RoomInfo, StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.leave_participant(id, user, done)),
            Subject::Redis(conn, _) => registry::leave_participant(&mut **conn, id, user),
        }
    }

    fn configure(&mut self, id: &str, settings: RoomSettings) -> Result<(), StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.configure_room(id, settings, done)),
            Subject::Redis(conn, _) => registry::configure_room(&mut **conn, id, &settings),
        }
    }

    fn import(&mut self, messages: Import) -> Result<u64, StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.import(messages, at(0), done)),
            Subject::Redis(conn, _) => registry::import(&mut **conn, &messages, at(0), &Options::default()),
        }
    }

    fn take_back(&mut self, room: &str) -> Result<(), StoreError> {
        match self {
            Subject::Other(store, ..) => ask(|done| store.take_back_import(room, done)),
            Subject::Redis(conn, _) => registry::take_back(&mut **conn, room, &Options::default()),
        }
    }
}

fn redis(protocol: u8) -> Subject {
    let server = Server::start();
    Subject::Redis(Box::new(server.connect(protocol)), server)
}

/// As a node sees it.
fn node() -> Subject {
    let server = Server::start();
    let minute = Duration::from_secs(60);
    let options = ClusterOptions {
        tls: crate::cluster::ClusterTls::default(),
        url: server.url(),
        timeout: minute,
        lease: minute,
        leave_notice: "{username} left".into(),
        store: Options::default(),
    };
    let Joined { store, threads, .. } = start(options).unwrap();
    Subject::Other(store, threads, Box::new(server))
}

fn memory() -> Subject {
    let (store, threads) = Store::open(Location::Memory, Options::default()).unwrap();
    Subject::Other(store, threads, Box::new(()))
}

fn disk() -> Subject {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::Directory(dir.path().to_owned());
    let (store, threads) = Store::open(location, Options::default()).unwrap();
    Subject::Other(store, threads, Box::new(dir))
}

/// What was answered, line by line.
#[derive(Default)]
struct Answers(String);

impl Answers {
    fn note<T: std::fmt::Debug>(&mut self, question: &str, answer: Result<T, StoreError>) {
        match answer {
            // Each names rooms its own way.
            Err(StoreError::OutOfOrder { expected, found, .. }) => {
                writeln!(self.0, "{question}: {found} where {expected} was due").unwrap();
            }
            answer => writeln!(self.0, "{question}: {answer:?}").unwrap(),
        }
    }
}

fn assert_alike(subjects: Vec<Subject>, questions: impl Fn(&mut Subject, &mut Answers)) -> String {
    let mut all: Vec<String> = Vec::new();
    for mut subject in subjects {
        let mut answers = Answers::default();
        questions(&mut subject, &mut answers);
        if let Some(first) = all.first() {
            let differing = first.lines().zip(answers.0.lines()).find(|(one, other)| one != other);
            assert!(*first == answers.0, "{differing:?}");
        }
        all.push(answers.0);
    }
    all.remove(0)
}

fn new_room(id: &str, by: &str, number: u64) -> NewRoom {
    NewRoom {
        id: Some(id.into()),
        name: format!("room {number}").into(),
        description: if number.is_multiple_of(3) { "" } else { "for tests" }.into(),
        created_by: (!by.is_empty()).then(|| by.into()),
        created_at: at(number),
        settings: RoomSettings::default(),
    }
}

fn lists(subject: &mut Subject, answers: &mut Answers) {
    // Names that mean something elsewhere, and the last there are.
    let mut ids: Vec<String> =
        ["{p1}", "a:1", "a:1:b", "rooms", "meta", "x", "r\u{1f32b}", "\u{10ffff}", "a b"]
            .map(Into::into)
            .into();
    ids.extend((0..300).map(|number| format!("room-{number:03}")));
    for (number, id) in ids.iter().enumerate() {
        let by = ["ann", "bob", "1:ann", ""][number % 4];
        answers.note("create", subject.create(new_room(id, by, number as u64)));
    }
    answers.note("taken", subject.create(new_room("room-007", "eve", 1)));
    answers.note("delete", subject.delete("room-100"));
    answers.note("delete", subject.delete("room-100"));
    let among: Box<[Box<str>]> =
        ["room-200", "nowhere", "a:1", "room-200", "{p1}", "room-100", "room-202"].map(Into::into).into();
    for limit in [0, 1, 7, 100, 1_000] {
        for after in
            [None, Some("a:1"), Some("room-09"), Some("room-100"), Some("room-299"), Some("\u{10ffff}")]
        {
            for participant in [None, Some("ann"), Some("1:ann"), Some("nobody"), Some("")] {
                for among in [None, Some(among.clone())] {
                    let question = format!("{limit} {after:?} {participant:?} {}", among.is_some());
                    let (after, participant) = (after.map(Into::into), participant.map(Into::into));
                    let query = RoomQuery { participant, limit, after, among };
                    let is_odd = limit == 0 && query.among.is_some();
                    let listed = subject.rooms(query);
                    assert!(limit > 0 || is_odd || listed == Ok(Vec::new()), "{question}");
                    if !is_odd {
                        answers.note(
                            &question,
                            listed.map(|rooms| rooms.into_iter().map(|room| room.id).collect::<Vec<_>>()),
                        );
                    }
                }
            }
        }
    }
    // Page by page, all of them come, each once.
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = subject.rooms(RoomQuery { limit: 13, after, ..RoomQuery::default() }).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page);
    }
    assert_eq!(seen.len(), ids.len() - 1);
    answers.note("all", Ok(seen));
    answers.note("again", subject.create(new_room("room-100", "eve", 999)));
    let query = RoomQuery { limit: 2, after: Some("room-099".into()), ..RoomQuery::default() };
    answers.note("in its old place", subject.rooms(query));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn rooms_are_created_listed_and_deleted_as_elsewhere() {
    assert_alike(vec![memory(), disk(), redis(2), redis(3), node()], lists);
}

fn participants(subject: &mut Subject, answers: &mut Answers) {
    answers.note("create", subject.create(new_room("lobby", "ann", 1)));
    for user in ["bob", "ann", "carol", "bob", "d:1", ""] {
        answers.note("join", subject.join("lobby", user));
    }
    for user in ["ann", "nobody", "ann"] {
        answers.note("leave", subject.leave("lobby", user));
    }
    answers.note("join", subject.join("lobby", "ann"));
    answers.note("join", subject.join("nowhere", "ann"));
    answers.note("leave", subject.leave("nowhere", "ann"));
    answers.note("room", subject.room("nowhere"));
    let settings = RoomSettings {
        durability: Some(Durability::Fsync),
        messages_max: Some(0),
        bytes_max: Some(1 << 40),
        age_max: Some(Duration::from_micros(90_000_001)),
    };
    answers.note("configure", subject.configure("lobby", settings));
    answers.note("configure", subject.configure("nowhere", settings));
    answers.note("room", subject.room("lobby"));
    answers.note("configure", subject.configure("lobby", RoomSettings::default()));
    answers.note("room", subject.room("lobby"));
    answers.note("delete", subject.delete("lobby"));
    let query = RoomQuery { participant: Some("bob".into()), limit: 9, ..RoomQuery::default() };
    answers.note("rooms of a participant", subject.rooms(query));
    answers.note("a new one", subject.create(new_room("lobby", "", 2)));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn participants_and_settings_are_as_elsewhere() {
    assert_alike(vec![memory(), disk(), redis(2), redis(3), node()], participants);
}

fn about(participants: u64) -> Box<RoomInfo> {
    Box::new(RoomInfo {
        id: "another".into(),
        name: "title".into(),
        description: "d".repeat(1_000).into(),
        created_by: Some("zoe".into()),
        participants: (0..participants)
            .map(|number| format!("a user of number {number:040}").into())
            .collect(),
        created_at: at(3),
        settings: RoomSettings { bytes_max: Some(7), ..RoomSettings::default() },
    })
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_has_so_many_participants_and_a_list_so_many_bytes() {
    let answers = assert_alike(vec![memory(), redis(2), redis(3), node()], |subject, answers| {
        for number in 0..9 {
            let about = Some(about(PARTICIPANTS_MAX));
            let import = Import { about, ..import(&format!("full {number}"), None, 1..=1) };
            answers.note("import", subject.import(import));
        }
        answers.note("one more", subject.join("full 0", "one more").map(drop));
        answers.note("the same", subject.join("full 0", &about(1).participants[0]).map(drop));
        let more = Import { about: Some(about(PARTICIPANTS_MAX + 1)), ..import("more", None, 1..=1) };
        answers.note("more", subject.import(more));
        let query = RoomQuery { limit: 12, after: Some("full".into()), ..RoomQuery::default() };
        let listed = subject.rooms(query).unwrap();
        assert!((2..9).contains(&listed.len()));
        answers.note("list", Ok(listed.len()));
        let query = RoomQuery { limit: 12, participant: Some("nobody".into()), ..RoomQuery::default() };
        answers.note("list", subject.rooms(query));
    });
    assert!(answers.contains("one more: Err(TooManyParticipants)"), "{answers}");
}

fn imports(subject: &mut Subject, answers: &mut Answers) {
    answers.note("nothing before the first", subject.import(import("lobby", None, 0..=3)));
    answers.note("room", subject.room("lobby"));
    answers.note("first", subject.import(import("lobby", None, 41..=50)));
    answers.note("next", subject.import(import("lobby", Some(50), 51..=60)));
    answers.note("again", subject.import(import("lobby", Some(50), 51..=60)));
    answers.note("hole", subject.import(import("lobby", Some(60), 62..=63)));
    answers.note("anew", subject.import(import("lobby", None, 1..=5)));
    let mut early = import("lobby", Some(60), 61..=61);
    early.messages[0].at = at(60);
    answers.note("not later", subject.import(early));
    let mut disordered = import("lobby", Some(60), 61..=62);
    disordered.messages[1].seq = 64;
    answers.note("a hole within", subject.import(disordered));
    answers
        .note("nothing", subject.import(Import { messages: Vec::new(), ..import("lobby", Some(60), 1..=1) }));
    answers.note("room", subject.room("lobby"));
    let known = Import { about: Some(about(3)), ..import("known", None, 1..=1) };
    answers.note("about", subject.import(known));
    answers.note("known", subject.room("known"));
    answers.note("create", subject.create(new_room("there", "ann", 5)));
    let there = Import { about: Some(about(3)), ..import("there", None, 7..=9) };
    answers.note("there", subject.import(there));
    answers.note("there", subject.room("there"));
    answers.note("empty", subject.import(Import { messages: Vec::new(), ..import("empty", None, 1..=1) }));
    answers.note("empty", subject.room("empty"));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn imports_are_as_elsewhere() {
    let answers = assert_alike(vec![disk(), redis(2), redis(3), node()], imports);
    assert!(answers.contains("anew: Err(RoomExists)"), "{answers}");
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn imports_are_taken_back_as_elsewhere() {
    let first = |room: &str| Import { is_last: false, ..import(room, None, 5..=10) };
    assert_alike(vec![disk(), redis(2), redis(3), node()], |subject, answers| {
        answers.note("create", subject.create(new_room("there", "ann", 5)));
        for room in ["there", "new", "whole"] {
            answers.note("import", subject.import(first(room)));
            answers.note("exists", subject.import(first(room)));
        }
        answers.note("last", subject.import(import("whole", Some(10), 11..=20)));
        for room in ["there", "new", "whole", "nowhere"] {
            answers.note("take back", subject.take_back(room));
            answers.note("room", subject.room(room));
        }
        answers.note("whole", subject.import(import("whole", None, 1..=2)));
        answers.note("there", subject.import(import("there", None, 1..=2)));
        answers.note("there", subject.take_back("there"));
        answers.note("there", subject.import(import("there", Some(2), 3..=4)));
    });
}
