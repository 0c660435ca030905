//! What stands in Redis after all that, and what others put there.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ::redis::{Commands, Connection, RedisResult, Value, cmd};

use super::alike::{at, import, message};
use super::server::{Server, eventually};
use crate::cluster::partition::Partition;
use crate::cluster::question::{Ask, Question};
use crate::cluster::registry::*;
use crate::rooms::store_api::RoomSettings;
use crate::rooms::{Ban, ID_EPOCH_BITS, Timestamp, content_digest};
use crate::store::{BanChange, Import, NewRoom, Options, RoomQuery, StoreError};
use crate::system::since_epoch;

fn start() -> (Server, Connection) {
    let server = Server::start();
    let conn = server.connect(3);
    (server, conn)
}

fn lobby() -> NewRoom {
    let (id, created_by) = (Some("lobby".into()), Some("ann".into()));
    NewRoom { id, created_by, name: "title".into(), created_at: at(0), ..NewRoom::default() }
}

/// Hears what is announced of a room.
struct Follower(BufReader<UnixStream>);

impl Follower {
    fn of(server: &Server, room: &str) -> Follower {
        let mut follower = Follower(BufReader::new(UnixStream::connect(server.socket()).unwrap()));
        follower.0.get_ref().set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(follower.0.get_mut(), "SSUBSCRIBE {}\r\n", Partition::of(room).channel(room)).unwrap();
        // Two texts, each after its length, and how many subscriptions there are.
        (0..6).for_each(|_| drop(follower.line()));
        follower
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().into()
    }

    fn hears(&mut self) -> String {
        (0..5).for_each(|_| drop(self.line()));
        let length: usize = self.line()[1..].parse().unwrap();
        let mut payload = vec![0; length + 2];
        self.0.read_exact(&mut payload).unwrap();
        payload.truncate(length);
        String::from_utf8(payload).unwrap()
    }
}

fn field(conn: &mut Connection, field: &str) -> String {
    conn.hget(Partition::of("lobby").room("lobby"), field).unwrap()
}

/// A room begins its life as the scripts of the log expect it.
#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_begins_with_all_that_its_log_needs() {
    let (_server, mut conn) = start();
    create_room(&mut conn, lobby()).unwrap();
    let fields = ["seq", "at", "tail", "gone", "made"].map(|name| field(&mut conn, name));
    assert_eq!(fields, ["0", "0", "1", "0", &at(0).micros().to_string()]);
    let generation: String = conn.hget(Partition::of("lobby").meta(), "gen").unwrap();
    assert!(generation.starts_with("1-") && generation == field(&mut conn, "gen"));
    let (uid, epoch) = (field(&mut conn, "uid"), field(&mut conn, "epoch"));
    assert!(uid != epoch && [&uid, &epoch].iter().all(|hex| hex.len() == 16), "{uid} {epoch}");
    let made = create_room(&mut conn, NewRoom { id: None, created_at: at(7), ..lobby() }).unwrap();
    assert_eq!((room(&mut conn, &made.id), made.id.len()), (Ok(made.clone()), 36));
    delete_room(&mut conn, "lobby").unwrap();
    create_room(&mut conn, lobby()).unwrap();
    assert!(field(&mut conn, "uid") != uid && field(&mut conn, "epoch") != epoch);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_deleted_room_leaves_nothing_behind_and_its_followers_hear_of_it() {
    let (server, mut conn) = start();
    let partition = Partition::of("lobby");
    create_room(&mut conn, lobby()).unwrap();
    join_participant(&mut conn, "lobby", "bob").unwrap();
    configure_room(&mut conn, "lobby", &RoomSettings { messages_max: Some(7), ..RoomSettings::default() })
        .unwrap();
    import_now(&mut conn, Import { is_last: false, ..import("lobby", None, 1..=20) });
    for (stay, node) in [("1", "aa"), ("2", "aa"), ("3", "bb")] {
        let _: () = conn.hset(partition.stays("lobby"), stay, format!("{node}|0|7|ann")).unwrap();
        let _: () = conn.hset(partition.rooms_of_node(node), "lobby", 1).unwrap();
    }
    let _: () = conn.hset(partition.users("lobby"), "ann", 3).unwrap();
    let mut follower = Follower::of(&server, "lobby");
    let uid = field(&mut conn, "uid");
    assert_eq!(delete_room(&mut conn, "lobby").as_deref(), Ok(&*uid));
    assert_eq!(follower.hears(), format!("D{uid}"));
    let keys: Vec<String> = cmd("KEYS").arg("*").query(&mut conn).unwrap();
    assert_eq!(keys, [partition.meta()]);
    assert_eq!(delete_room(&mut conn, "lobby"), Err(StoreError::NoSuchRoom));
}

/// In the form in which appends are announced, with no messages.
#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn an_import_tells_where_the_log_stands_and_so_does_its_end() {
    let (server, mut conn) = start();
    create_room(&mut conn, lobby()).unwrap();
    let mut follower = Follower::of(&server, "lobby");
    let told = |conn: &mut Connection, n: &str, next: &str| {
        let [uid, epoch, generation] = ["uid", "epoch", "gen"].map(|name| field(conn, name));
        let pieces = ["1", "", &uid, &epoch, &generation, n, next];
        let lengths = pieces.map(|piece| piece.len().to_string()).join(",");
        format!("{lengths}\n{}", pieces.concat())
    };
    import_now(&mut conn, Import { is_last: false, ..import("lobby", None, 1..=20) });
    assert_eq!(follower.hears(), told(&mut conn, "1", "21"));
    take_back(&mut conn, "lobby", &Options::default()).unwrap();
    assert_eq!(follower.hears(), told(&mut conn, "2", "1"));
}

fn import_now(conn: &mut Connection, messages: Import) -> u64 {
    super::super::import(conn, &messages, at(0), &Options::default()).unwrap()
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn imported_messages_stand_in_the_log_as_appended_ones_do() {
    let (_server, mut conn) = start();
    let id_epoch = Some(0x1234_5678_9abc_def0);
    import_now(&mut conn, Import { id_epoch, is_last: false, ..import("lobby", None, 41..=50) });
    import_now(&mut conn, import("lobby", Some(50), 51..=60));
    let partition = Partition::of("lobby");
    let log: Vec<(String, Vec<String>)> =
        cmd("XRANGE").arg(partition.stream("lobby")).arg("-").arg("+").query(&mut conn).unwrap();
    for ((id, fields), seq) in log.iter().zip(41..) {
        let said = message(seq);
        let at = said.at.micros().to_string();
        let kind = if said.presence.is_some() { "j" } else { "m" };
        let mut expected = vec!["a", &at, "t", kind, "s", &said.sender, "c", &said.content];
        expected.extend(said.client_id.iter().flat_map(|id| ["i", &**id]));
        let online = said.presence.as_ref().map(|presence| presence.online.to_string());
        if let (Some(presence), Some(online)) = (&said.presence, &online) {
            expected.extend(["u", &*presence.username, "o", &**online]);
        }
        assert_eq!(
            (id, &fields.iter().map(|field| &**field).collect::<Vec<_>>()),
            (&format!("{seq}-0"), &expected)
        );
    }
    assert_eq!(log.len(), 20);
    let fields = ["seq", "at", "tail", "gone"].map(|name| field(&mut conn, name));
    assert_eq!(fields, ["60", &at(60).micros().to_string(), "41", "0"]);
    let epoch = u64::from_str_radix(&field(&mut conn, "epoch"), 16).unwrap();
    assert_eq!(epoch & ID_EPOCH_BITS, 0x9abc_def0 & ID_EPOCH_BITS);
    let imports: u64 = conn.zcard(partition.imports()).unwrap();
    let changes: u64 = conn.hget(partition.meta(), "n").unwrap();
    assert_eq!((imports, changes), (0, 2));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn an_import_keeps_no_more_than_the_room_does() {
    let (_server, mut conn) = start();
    create_room(&mut conn, lobby()).unwrap();
    let epoch = field(&mut conn, "epoch");
    configure_room(&mut conn, "lobby", &RoomSettings { messages_max: Some(7), ..RoomSettings::default() })
        .unwrap();
    import_now(&mut conn, import("lobby", None, 1..=20));
    let fields = ["seq", "tail", "gone"].map(|name| field(&mut conn, name));
    assert_eq!(fields, ["20", "14", &at(13).micros().to_string()]);
    let length: u64 = cmd("XLEN").arg(Partition::of("lobby").stream("lobby")).query(&mut conn).unwrap();
    assert_eq!(length, 7);
    // Whoever was in the room by then had better read it anew.
    assert!(field(&mut conn, "epoch") != epoch);
    let general = Options {
        retention: crate::store::Retention { messages_max: Some(3), ..Default::default() },
        ..Options::default()
    };
    super::super::import(&mut conn, &import("other", None, 1..=20), at(0), &general).unwrap();
    let length: u64 = cmd("XLEN").arg(Partition::of("other").stream("other")).query(&mut conn).unwrap();
    assert_eq!(length, 3);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn ids_of_late_messages_are_known_until_the_import_is_taken_back() {
    let (_server, mut conn) = start();
    create_room(&mut conn, lobby()).unwrap();
    let mut late = Import { is_last: false, ..import("lobby", None, 1..=10) };
    let now = Timestamp::from_unix(since_epoch());
    for (message, left) in late.messages.iter_mut().zip((0..10).rev()) {
        // One in four minutes, and ids are remembered for two.
        message.at = now.earlier_by(Duration::from_secs(30 * left));
    }
    let (second, tenth) = (late.messages[1].clone(), late.messages[9].clone());
    import_now(&mut conn, late);
    let (partition, uid) = (Partition::of("lobby"), field(&mut conn, "uid"));
    let key = |id: &str, sender: &str| partition.client_id(&uid, sender, id);
    let known: Option<String> = conn.get(key("id-10", &tenth.sender)).unwrap();
    let expected = format!("10 {} {:016x}", tenth.at.micros(), content_digest(&tenth.content));
    assert_eq!(known, Some(expected));
    let left: i64 = conn.pttl(key("id-10", &tenth.sender)).unwrap();
    assert!((1..=120_000).contains(&left), "{left}");
    assert!(!conn.exists::<_, bool>(key("id-2", &second.sender)).unwrap());
    take_back(&mut conn, "lobby", &Options::default()).unwrap();
    assert!(!conn.exists::<_, bool>(key("id-10", &tenth.sender)).unwrap());
    assert!(!conn.exists::<_, bool>(partition.stream("lobby")).unwrap());
    assert_eq!(["seq", "at", "tail"].map(|name| field(&mut conn, name)), ["0", "0", "1"]);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn imports_that_are_not_continued_are_taken_back() {
    let (_server, mut conn) = start();
    let begun = |room: &str| Import { is_last: false, ..import(room, None, 1..=3) };
    import_now(&mut conn, begun("left"));
    import_now(&mut conn, import("whole", None, 1..=3));
    let hour = Duration::from_secs(3_600);
    assert_eq!(take_back_overdue(&mut conn, hour, &Options::default()), Ok(Vec::new()));
    assert_eq!(take_back_overdue(&mut conn, Duration::ZERO, &Options::default()), Ok(vec!["left".into()]));
    assert_eq!(room(&mut conn, "left"), Err(StoreError::NoSuchRoom));
    assert_eq!(take_back_overdue(&mut conn, Duration::ZERO, &Options::default()), Ok(Vec::new()));
    assert!(room(&mut conn, "whole").is_ok());
}

fn ban(room: &str, user: &str, left: Duration) -> Ban {
    Ban { room: room.into(), user: user.into(), left }
}

fn banned(conn: &mut Connection) -> Vec<(String, String, u64)> {
    let bans = bans(conn).unwrap().into_iter();
    // Seconds that are left, rounded up.
    let mut bans: Vec<_> =
        bans.map(|ban| (ban.room.into(), ban.user.into(), ban.left.as_secs() + 1)).collect();
    bans.sort();
    bans
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn bans_last_as_long_as_they_were_given_by_the_clock_of_redis() {
    let (_server, mut conn) = start();
    let year = Duration::from_secs(365 * 86_400);
    let keep = |conn: &mut Connection, ban| change_bans(conn, BanChange::Keep(ban)).unwrap();
    keep(&mut conn, ban("lobby", "eve", Duration::from_secs(10)));
    keep(&mut conn, ban("lobby", "eve", year));
    keep(&mut conn, ban("lobby", "mallory", Duration::MAX));
    keep(&mut conn, ban("1:a", "2:b", year));
    keep(&mut conn, ban("brief", "eve", Duration::from_millis(1)));
    let names = |bans: &[(String, String, u64)]| -> Vec<String> {
        bans.iter().map(|(room, user, _)| format!("{room}/{user}")).collect()
    };
    eventually(|| (banned(&mut conn).len() == 3).then_some(()));
    let found = banned(&mut conn);
    assert_eq!(names(&found), ["1:a/2:b", "lobby/eve", "lobby/mallory"]);
    assert!((year.as_secs() - 100..=year.as_secs() + 1).contains(&found[1].2), "{found:?}");
    // What another node says of an older ban changes nothing.
    let bans = vec![ban("lobby", "eve", Duration::from_secs(1))];
    let ended = vec![ban("lobby", "eve", Duration::ZERO), ban("brief", "eve", Duration::ZERO)];
    change_bans(&mut conn, BanChange::Note { bans, ended }).unwrap();
    assert_eq!(banned(&mut conn).len(), 3);
    // What has ended goes.
    assert!(!conn.exists::<_, bool>(Partition::of("brief").bans()).unwrap());
    for user in ["eve", "nobody"] {
        change_bans(&mut conn, BanChange::Lift { room: "lobby".into(), user: user.into() }).unwrap();
    }
    assert_eq!(names(&banned(&mut conn)), ["1:a/2:b", "lobby/mallory"]);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn more_bans_than_a_page_are_all_read() {
    let (_server, mut conn) = start();
    for number in 0..2_500 {
        let change = BanChange::Keep(ban("lobby", &number.to_string(), Duration::from_secs(3_600)));
        change_bans(&mut conn, change).unwrap();
    }
    let mut users: Vec<u64> = bans(&mut conn).unwrap().iter().map(|ban| ban.user.parse().unwrap()).collect();
    users.sort_unstable();
    assert_eq!(users, (0..2_500).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn scripts_that_redis_forgot_are_told_again() {
    let (_server, mut conn) = start();
    create_room(&mut conn, lobby()).unwrap();
    let _: () = cmd("SCRIPT").arg("FLUSH").query(&mut conn).unwrap();
    let everything = RoomQuery { limit: 9, ..RoomQuery::default() };
    assert_eq!(rooms(&mut conn, &everything).unwrap().len(), 1);
    let _: () = cmd("SCRIPT").arg("FLUSH").query(&mut conn).unwrap();
    assert_eq!(join_participant(&mut conn, "lobby", "bob").unwrap().participants.len(), 2);
}

/// The answers, as far as there may be any: what others wrote is no reason to end.
#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn what_others_wrote_is_an_error_and_no_more() {
    let (_server, mut conn) = start();
    let partition = Partition::of("lobby");
    let is_unavailable = |outcome: Result<(), StoreError>| matches!(outcome, Err(StoreError::Unavailable(_)));
    let (hash, joined) = (partition.room("lobby"), partition.participants("lobby"));
    let spoils: [(&str, &str, &[&[u8]]); 7] = [
        ("SET", &hash, &[b"x"]),
        ("HSET", &hash, &[b"made", b"noon"]),
        ("HSET", &hash, &[b"uid", b"\xff"]),
        ("HSET", &hash, &[b"title", b"\xff"]),
        ("HSET", &hash, &[b"settings", b"{"]),
        ("SET", &joined, &[b"x"]),
        ("ZADD", &joined, &[b"0", b"\xff"]),
    ];
    let everything = RoomQuery { limit: 9, ..RoomQuery::default() };
    for (name, key, args) in spoils {
        let _: () = cmd("FLUSHALL").query(&mut conn).unwrap();
        create_room(&mut conn, lobby()).unwrap();
        let mut command = cmd(name);
        command.arg(key);
        for arg in args {
            command.arg(*arg);
        }
        let _: Value = command.query(&mut conn).unwrap();
        let what = format!("{name} {key} {args:?}");
        assert!(is_unavailable(room(&mut conn, "lobby").map(drop)), "{what}");
        assert!(is_unavailable(rooms(&mut conn, &everything).map(drop)), "{what}");
    }
    for key in [partition.rooms(), partition.bans(), partition.imports()] {
        let _: () = conn.set(key, "x").unwrap();
    }
    assert!(is_unavailable(rooms(&mut conn, &everything).map(drop)));
    assert!(is_unavailable(bans(&mut conn).map(drop)));
    assert!(is_unavailable(take_back_overdue(&mut conn, Duration::ZERO, &Options::default()).map(drop)));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_redis_that_is_gone_is_an_error() {
    let (mut server, mut conn) = start();
    create_room(&mut conn, lobby()).unwrap();
    server.kill();
    assert!(matches!(room(&mut conn, "lobby"), Err(StoreError::Unavailable(_))));
    assert!(matches!(rooms(&mut conn, &RoomQuery::default()), Ok(rooms) if rooms.is_empty()));
    assert!(matches!(bans(&mut conn), Err(StoreError::Unavailable(_))));
}

/// Counts round trips.
struct Counted(Connection, usize);

impl Ask for Counted {
    fn ask_each(&mut self, questions: &[Question]) -> Vec<RedisResult<Value>> {
        self.1 += 1;
        self.0.ask_each(questions)
    }
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_page_takes_few_round_trips_wherever_its_rooms_are() {
    let (_server, mut conn) = start();
    let spread: Vec<String> = (0..5_000).map(|number| format!("room-{number:05}")).collect();
    let mut pipe = ::redis::pipe();
    let crowded = (0..).map(|number| format!("s-{number:08}")).filter(|id| Partition::of(id).index() == 7);
    for id in spread.into_iter().chain(crowded.take(3_000)) {
        let partition = Partition::of(&id);
        pipe.cmd("ZADD").arg(partition.rooms()).arg(0).arg(&id).ignore();
        pipe.cmd("HSET")
            .arg(partition.room(&id))
            .arg("uid")
            .arg("0123456789abcdef")
            .arg("made")
            .arg(7)
            .ignore();
    }
    let _: () = pipe.query(&mut conn).unwrap();
    let mut conn = Counted(conn, 0);
    let page = |limit, after: &str| RoomQuery { limit, after: Some(after.into()), ..RoomQuery::default() };
    rooms(&mut conn, &page(1, "")).unwrap();
    for (query, trips_max) in [(page(1_000, ""), 4), (page(100, "room-04"), 4), (page(1_000, "s"), 12)] {
        conn.1 = 0;
        assert_eq!(rooms(&mut conn, &query).unwrap().len(), query.limit);
        assert!(conn.1 <= trips_max, "{} round trips for {query:?}", conn.1);
    }
}
