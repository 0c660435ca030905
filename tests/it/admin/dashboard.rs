//! `/admin`: the page, who may see it and its data, what a dashboard is told and what it can do.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::frame::{self, TEXT};
use crate::support::raw::{Reply, upgrade_lines};
use crate::support::tokens::{SECRET, admin_token, bearer, token};
use crate::support::{ConfiguredProcess, Raw, eventually};

fn get(address: SocketAddr, path: &str, fields: &str) -> Reply {
    let mut raw = Raw::connect_to(address);
    raw.send(format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n").as_bytes());
    raw.reply()
}

const LOCAL: &str = "Host: localhost\r\n";

/// A dashboard's session.
struct Dashboard {
    raw: Raw,
    number: u64,
}

impl Dashboard {
    fn open(address: SocketAddr) -> Dashboard {
        let mut raw = Raw::connect_to(address);
        let lines = upgrade_lines("/admin/live").replace("Host: h\r\n", LOCAL);
        raw.send(format!("{lines}\r\n").as_bytes());
        assert_eq!(raw.reply().status, 101);
        Dashboard { raw, number: 0 }
    }

    /// The next message of this type; others are left out.
    fn next(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.raw.frame();
            if frame.first != TEXT {
                continue;
            }
            let value: Value = serde_json::from_slice(&frame.payload).expect("JSON");
            if value["type"] == kind {
                return value;
            }
        }
    }

    /// The answer to a question, of this type.
    fn ask(&mut self, mut question: Value, kind: &str) -> Value {
        self.number += 1;
        question["number"] = json!(self.number);
        self.raw.send(&frame::masked(TEXT, question.to_string().as_bytes()));
        let answer = self.next(kind);
        assert_eq!(answer["number"], self.number, "{answer}");
        answer
    }
}

fn member(address: SocketAddr, room: &str, user: &str) -> Raw {
    let mut raw = Raw::open_at(address, &format!("/ws/chat?roomId={room}&username={user}"));
    assert_eq!(raw.frame().first, TEXT, "its own JOIN");
    raw
}

#[test]
fn the_page_and_its_files_ask_no_other_host_and_run_nothing_else() {
    let server = ConfiguredProcess::start("");
    let page = get(server.address(), "/admin", LOCAL);
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("Content-Security-Policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
    let text = String::from_utf8(page.body).expect("text");
    let files = text.split(['"']).filter(|part| part.starts_with("admin/"));
    let mut count = 0;
    for file in files {
        assert_eq!(get(server.address(), &format!("/{file}"), LOCAL).status, 200, "{file}");
        count += 1;
    }
    assert!(count >= 5, "{text}");
    assert!(!text.contains("://") && !text.contains("<style") && !text.contains(" style="), "{text}");
    let licence = get(server.address(), "/admin/assets/uplot/LICENSE", LOCAL);
    assert!(String::from_utf8_lossy(&licence.body).contains("MIT License"));
    for path in
        ["/admin/", "/admin/assets/", "/admin/assets/../me", "/administrator", "/admin/rooms//recording"]
    {
        assert_eq!(get(server.address(), path, LOCAL).status, 404, "{path}");
    }
    let mut raw = Raw::connect_to(server.address());
    raw.send(format!("POST /admin HTTP/1.1\r\n{LOCAL}\r\n").as_bytes());
    let reply = raw.reply();
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn without_keys_everything_below_it_is_for_this_machine_alone() {
    let server = ConfiguredProcess::start("");
    let live = |fields: &str| {
        let mut raw = Raw::connect_to(server.address());
        let lines = upgrade_lines("/admin/live").replace("Host: h\r\n", fields);
        raw.send(format!("{lines}\r\n").as_bytes());
        raw.reply().status
    };
    let files = ["/admin", "/admin/assets/admin.js", "/admin/me"];
    let port = server.address().port();
    for (fields, let_through) in [
        (LOCAL.to_owned(), true),
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"), true),
        ("Host: evil.test\r\n".to_owned(), false),
        ("Host: evil.test\r\nOrigin: http://evil.test\r\n".to_owned(), false),
        ("Host: localhost\r\nOrigin: http://evil.test\r\n".to_owned(), false),
        ("Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n".to_owned(), false),
        ("Host: localhost\r\nForwarded: for=127.0.0.1\r\n".to_owned(), false),
        ("Host: localhost\r\nX-Real-IP: 127.0.0.1\r\n".to_owned(), false),
        ("Host: localhost\r\nVia: 1.1 proxy\r\n".to_owned(), false),
    ] {
        for path in files {
            let expected = if let_through { 200 } else { 403 };
            assert_eq!(get(server.address(), path, &fields).status, expected, "{path} {fields}");
        }
        // A room that is not there; who is refused does not learn that.
        let expected = if let_through { 404 } else { 403 };
        let recording = get(server.address(), "/admin/rooms/r/recording", &fields);
        assert_eq!(recording.status, expected, "{fields}");
        assert_eq!(live(&fields), if let_through { 101 } else { 403 }, "{fields}");
    }
}

#[test]
fn with_keys_the_page_is_open_and_its_data_need_an_administrator_of_all_rooms() {
    let server = ConfiguredProcess::start(&format!("[auth]\njwt_secret = \"{SECRET}\"\n"));
    let address = server.address();
    let anywhere = "Host: dash.example\r\nVia: 1.1 proxy\r\n";
    assert_eq!(get(address, "/admin", anywhere).status, 200);
    assert_eq!(get(address, "/admin/assets/admin.js", anywhere).status, 200);
    for (fields, status) in [
        (String::new(), 401),
        (bearer("a.b.c"), 401),
        (bearer(&token("ann")), 403),
        (bearer(&admin_token()), 200),
    ] {
        assert_eq!(get(address, "/admin/me", &format!("{anywhere}{fields}")).status, status, "{fields}");
        let recording = get(address, "/admin/rooms/r/recording", &format!("{anywhere}{fields}")).status;
        assert_eq!(recording, if status == 200 { 404 } else { status }, "{fields}");
    }
    let live = |token: &str| Raw::open_at(address, &format!("/admin/live?token={token}"));
    live("a.b.c").expect_close(4401);
    live(&token("ann")).expect_close(4403);
    let mut admin = Dashboard { raw: live(&admin_token()), number: 0 };
    assert!(admin.next("stats")["connections"].is_u64());
}

#[test]
fn where_operators_have_a_listener_it_is_served_there_alone() {
    let server = ConfiguredProcess::start("[admin]\nlisten = \"127.0.0.1:0\"\n");
    for path in ["/admin", "/admin/me", "/admin/assets/admin.js", "/admin/live"] {
        assert_eq!(get(server.address(), path, LOCAL).status, 404, "{path}");
    }
    assert_eq!(get(server.admin_address(), "/admin", LOCAL).status, 200);
    let stats = Dashboard::open(server.admin_address()).next("stats");
    assert_eq!(stats["connections"], 1);
}

#[test]
fn a_dashboard_is_told_figures_again_and_again() {
    let server = ConfiguredProcess::start("");
    let mut dashboard = Dashboard::open(server.address());
    let first = dashboard.next("stats");
    let mut ann = member(server.address(), "r", "ann");
    ann.send(&frame::masked(TEXT, br#"{"content":"hello"}"#));
    ann.frame();
    eventually("what has happened is told", || {
        let stats = dashboard.next("stats");
        assert!(stats["uptimeMicros"].as_u64() > first["uptimeMicros"].as_u64(), "{stats}");
        stats["messages"] == 2 && stats["traffic"]["deliveries"] == 2
    });
    // Several dashboards have the same figures.
    let mut other = Dashboard::open(server.address());
    assert_eq!(other.next("stats")["members"], 1);
}

#[test]
fn rooms_and_members_are_found_and_ended_sessions_told() {
    // With threads for rooms, and without.
    for config in ["workers = 3\n", "workers = 0\n"] {
        finds_and_is_told(&ConfiguredProcess::start(config));
    }
}

fn finds_and_is_told(server: &ConfiguredProcess) {
    let address = server.address();
    let members: Vec<_> = [("Lobby", "ann"), ("Lobby", "bob"), ("cellar", "cid")]
        .map(|(room, user)| member(address, room, user))
        .into();
    let mut dashboard = Dashboard::open(address);
    let rooms = dashboard.ask(json!({ "type": "rooms", "search": "" }), "rooms");
    let names: Vec<_> = rooms["rooms"].as_array().expect("rooms").iter().map(|room| &room["room"]).collect();
    assert_eq!(
        (names, &rooms["matched"]),
        (vec![&json!("Lobby"), &json!("cellar")], &json!(2)),
        "most members first"
    );
    assert_eq!(rooms["rooms"][0]["members"], 2, "{rooms}");
    let rooms = dashboard.ask(json!({ "type": "rooms", "search": "LOB" }), "rooms");
    assert_eq!(rooms["matched"], 1, "{rooms}");
    let found = dashboard.ask(json!({ "type": "members", "search": "", "room": "Lobby" }), "members");
    assert_eq!(found["matched"], 2, "{found}");
    let found = dashboard.ask(json!({ "type": "members", "search": "CI" }), "members");
    let cid = &found["members"][0];
    assert_eq!((&cid["username"], &cid["room"], &cid["lag"]), (&json!("cid"), &json!("cellar"), &json!(0)));
    assert!(cid["address"].as_str().expect("an address").starts_with("127.0.0.1:"), "{cid}");
    for text in ["{}", "[", r#"{"type":"rooms","number":1}"#] {
        dashboard.raw.send(&frame::masked(TEXT, text.as_bytes()));
        assert!(dashboard.next("error")["content"].is_string(), "{text}");
    }
    drop(members);
    let mut told = Vec::new();
    while told.len() < 3 {
        let ended = dashboard.next("ended");
        told.extend(ended["sessions"].as_array().expect("sessions").clone());
    }
    for session in &told {
        assert_eq!((&session["code"], &session["path"]), (&json!(1006), &json!("/ws/chat")), "{session}");
        assert!(session["reason"].as_str().expect("a reason").contains("lost"), "{session}");
    }
    let mut users: Vec<_> =
        told.iter().map(|session| session["username"].as_str().expect("a user")).collect();
    users.sort_unstable();
    assert_eq!(users, ["ann", "bob", "cid"]);
}

#[test]
fn sessions_in_no_room_are_found_and_disconnected() {
    for config in ["workers = 3\n", "workers = 0\n"] {
        finds_sessions_in_no_room(&ConfiguredProcess::start(config));
    }
}

fn finds_sessions_in_no_room(server: &ConfiguredProcess) {
    let address = server.address();
    let _ann = member(address, "Lobby", "ann");
    let mut stomp = Raw::open_at(address, "/ws/stomp");
    stomp.send(&frame::masked(TEXT, b"CONNECT\naccept-version:1.2\nhost:h\nlogin:Stella\npasscode:x\n\n\0"));
    assert_eq!(stomp.frame().first, TEXT, "CONNECTED");
    stomp.send(&frame::masked(TEXT, b"SUBSCRIBE\nid:1\ndestination:/queue/jobs\nreceipt:1\n\n\0"));
    assert_eq!(stomp.frame().first, TEXT, "RECEIPT");
    let mut echo = Raw::open_at(address, "/echo?username=Ella");
    let mut peer = Raw::open_at(address, "/room?roomId=studio");
    let mut relay = Raw::open_at(address, "/ws/raw?roomId=pipe");
    relay.send(&frame::masked(TEXT, b"there"));
    assert_eq!(relay.frame().first, TEXT);
    let mut dashboard = Dashboard::open(address);
    let mut people = |search: &str| {
        let found = dashboard.ask(json!({ "type": "members", "search": search }), "members");
        let members = found["members"].as_array().expect("members").clone();
        assert_eq!(found["matched"], members.len(), "{found}");
        members
    };
    let where_of = |person: &Value| {
        let text = |key: &str| person[key].as_str().unwrap_or_default().to_owned();
        [text("username"), text("room"), text("path"), text("kind")].join("|")
    };
    let mut all: Vec<_> = people("").iter().map(where_of).collect();
    assert!(all[..3].iter().all(|person| !person.starts_with('|')), "who has a name comes first: {all:?}");
    all.sort_unstable();
    let wanted = [
        "Ella||/echo|",
        "Stella||/ws/stomp|",
        "ann|Lobby||chat",
        "|pipe||relay",
        "|studio|/room|",
        "||/admin/live|",
    ];
    assert_eq!(all, wanted, "each session once");
    assert_eq!(people("ELLA").len(), 2);
    let found = people("ella");
    let (ella, stella) = (&found[0], &found[1]);
    assert_eq!((&ella["lag"], &ella["connectedAt"]), (&json!(0), &Value::Null), "{ella}");
    let addressed = people(ella["address"].as_str().expect("an address"));
    assert_eq!((addressed.len(), &addressed[0]), (1, ella));
    let identified = people(stella["sessionId"].as_str().expect("an id"));
    assert_eq!((identified.len(), &identified[0]), (1, stella));
    let of_room = json!({ "type": "members", "search": "", "room": "studio" });
    let session = |person: &Value| person["session"].as_str().expect("a name").to_owned();
    let of_peer = people("").iter().find(|person| person["path"] == "/room").map(session);
    let sessions = [session(ella), session(stella), of_peer.expect("the peer")];
    assert_eq!(dashboard.ask(of_room, "members")["matched"], 0, "it is no room with members");
    for session in sessions {
        let question = json!({ "type": "disconnect", "session": session });
        assert_eq!(dashboard.ask(question, "done")["closed"], 1);
    }
    for raw in [&mut echo, &mut stomp, &mut peer] {
        assert_eq!(close_code(raw), 4001);
    }
    eventually("they are found no more", || {
        let found = dashboard.ask(json!({ "type": "members", "search": "ella" }), "members");
        found["matched"] == 0
    });
}

#[test]
fn a_search_goes_through_many_sessions_while_others_are_served() {
    let server = ConfiguredProcess::start("[limits]\nconnections_per_ip = 1000\n");
    let address = server.address();
    // More than one part.
    let idle: Vec<_> =
        (0..300).map(|number| Raw::open_at(address, &format!("/ws/sink?username=u{number}"))).collect();
    let mut dashboard = Dashboard::open(address);
    let found = dashboard.ask(json!({ "type": "members", "search": "u" }), "members");
    assert_eq!(
        (&found["matched"], found["members"].as_array().map(Vec::len)),
        (&json!(idle.len()), Some(100))
    );
    let found = dashboard.ask(json!({ "type": "members", "search": "u299" }), "members");
    assert_eq!(found["members"][0]["username"], "u299");
    // Of many searches at once the newest is answered, and nothing of the others stays behind.
    let mut echo = Raw::open_at(address, "/echo");
    for number in 100..140 {
        let question = json!({ "type": "members", "number": number, "search": "u1" });
        dashboard.raw.send(&frame::masked(TEXT, question.to_string().as_bytes()));
    }
    echo.send(&frame::masked(TEXT, b"ahoy"));
    assert_eq!(echo.frame().payload, b"ahoy");
    while dashboard.next("members")["number"] != 139 {}
    drop(idle);
    eventually("all are gone", || {
        dashboard.ask(json!({ "type": "members", "search": "u1" }), "members")["matched"] == 0
    });
}

#[test]
fn sessions_are_disconnected_and_rooms_emptied() {
    let server = ConfiguredProcess::start("");
    let address = server.address();
    let [mut ann, mut bob, mut cid] = ["ann", "bob", "cid"].map(|user| member(address, "r", user));
    let mut dashboard = Dashboard::open(address);
    let found = dashboard.ask(json!({ "type": "members", "search": "ann" }), "members");
    let session = found["members"][0]["session"].as_str().expect("a name").to_owned();
    let disconnect = |dashboard: &mut Dashboard, session: &str, kind: &str| {
        dashboard.ask(json!({ "type": "disconnect", "session": session }), kind)
    };
    // Another session's id under this connection is not this session.
    let forged = format!("{}{}", &session[..17], "0".repeat(32));
    assert_eq!(disconnect(&mut dashboard, &forged, "done")["closed"], 0);
    assert!(disconnect(&mut dashboard, "nonsense", "error")["content"].is_string());
    assert_eq!(disconnect(&mut dashboard, &session, "done")["closed"], 1);
    assert_eq!(close_code(&mut ann), 4001);
    eventually("it is gone", || disconnect(&mut dashboard, &session, "done")["closed"] == 0);
    let close = |dashboard: &mut Dashboard, room: &str| {
        dashboard.ask(json!({ "type": "closeSessions", "room": room }), "done")["closed"].clone()
    };
    assert_eq!(close(&mut dashboard, "another"), 0);
    assert_eq!(close(&mut dashboard, "r"), 2);
    assert_eq!((close_code(&mut bob), close_code(&mut cid)), (4001, 4001));
}

/// The code of the Close frame behind whatever comes before it.
fn close_code(raw: &mut Raw) -> u16 {
    loop {
        let frame = raw.frame();
        if frame.first == frame::CLOSE {
            return u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
        }
    }
}

#[test]
fn a_room_tells_what_it_has_recorded() {
    for config in ["workers = 3\n", "workers = 0\n"] {
        tells_what_it_has_recorded(&ConfiguredProcess::start(config));
    }
}

fn tells_what_it_has_recorded(server: &ConfiguredProcess) {
    let mut ann = member(server.address(), "r", "ann");
    for number in 0..300 {
        ann.send(&frame::masked(TEXT, json!({ "content": format!("m{number}") }).to_string().as_bytes()));
    }
    (0..300).for_each(|_| assert_eq!(ann.frame().first, TEXT));
    let reply = get(server.address(), "/admin/rooms/r/recording", LOCAL);
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("application/jsonl")));
    assert_eq!(reply.header("Cache-Control"), Some("no-store"));
    let text = String::from_utf8(reply.body).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["room"], &lines[0]["kind"]), (&json!("r"), &json!("chat")));
    // A bounded number, and the newest.
    assert!((20..300).contains(&lines.len()), "{}", lines.len());
    let last = lines.iter().rfind(|line| line["direction"] == "in").expect("a message");
    assert_eq!((&last["username"], &last["message"]["content"]), (&json!("ann"), &json!("m299")), "{last}");
    assert!(lines.iter().any(|line| line["direction"] == "out" && line["deliveries"].as_u64() > Some(0)));
    assert_eq!(get(server.address(), "/admin/rooms/r/recording?kind=relay", LOCAL).status, 404);
    assert_eq!(get(server.address(), "/admin/rooms/r/recording?kind=other", LOCAL).status, 400);
    assert_eq!(get(server.address(), "/admin/rooms/%zz/recording", LOCAL).status, 400);
}

#[test]
fn recorders_can_be_switched_off() {
    let server = ConfiguredProcess::start("[admin]\nrecorder_bytes = 0\n");
    let _ann = member(server.address(), "r", "ann");
    let reply = get(server.address(), "/admin/rooms/r/recording", LOCAL);
    let text = String::from_utf8(reply.body).expect("text");
    assert_eq!((reply.status, text.lines().count()), (200, 1), "{text}");
    assert_eq!(server.stats()["memory"]["recorders"], 0);
}
