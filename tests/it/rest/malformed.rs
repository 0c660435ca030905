//! Whatever is sent, it is never the server that failed.

use std::collections::BTreeMap;

use serde_json::json;

use super::client::{Reply, TestServer};

/// Requests made from one seed.
const ROUNDS: usize = 3_000;

/// Segments of paths, sound and not.
const SEGMENTS: &[&str] = &[
    "api",
    "chat",
    "rooms",
    "messages",
    "join",
    "leave",
    "online",
    "kick",
    "stats",
    "healthz",
    "",
    ".",
    "..",
    "%2e%2e",
    "%00",
    "%",
    "%zz",
    "%ff",
    "%ed%a0%80",
    "a%2Fb",
    "nowhere",
    "-1",
    "18446744073709551616",
    "';--",
    "{id}",
];

/// What follows a room.
const PARTS: &[&str] =
    &["messages", "messages", "messages", "messages", "join", "leave", "online", "kick", "x"];

/// Names of parameters, and values for them.
const NAMES: &[&str] = &["limit", "before", "after", "since", "participant", "username", "ban", "x", "%", ""];
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "1000",
    "1001",
    "-1",
    "1.5",
    "1e9",
    "+1",
    "NaN",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "2026-01-31T12:00:00Z",
    "2026-01-31",
    "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "-9999-01-01T00:00:00Z",
    "%00",
    "%ff",
    "%",
    "%F0%9F%98%80",
    "60s",
    "99999999999999d",
    "null",
    "[]",
    "a&a",
    "alice",
];

const BODIES: &[&str] = &[
    "",
    " ",
    "{}",
    "[]",
    "null",
    "0",
    "\"x\"",
    "{",
    "}",
    "{\"name\"",
    "{\"name\":",
    "{\"name\":\"r\",\"createdBy\":\"a\"",
    "{\"name\":\"r\",\"createdBy\":\"a\"}",
    "{\"name\":\"r\",\"createdBy\":\"a\",\"name\":\"s\"}",
    "{\"sender\":\"a\",\"content\":\"c\"}",
    "{\"sender\":\"a\",\"content\":\"c\",\"id\":\"i\"}",
    "{\"sender\":\"\\u0000\",\"content\":\"c\"}",
    "{\"sender\":\"a\",\"content\":\"\\ud800\"}",
    "{\"sender\":1e999,\"content\":[[[[{}]]]]}",
    "{\"sender\":\"a\",\"content\":-0}",
    "\u{feff}{}",
    "{\"\":\"\"}",
    "{\"sender\":{\"sender\":\"a\"},\"content\":true}",
    "name=r&createdBy=a",
    "<x/>",
    "\u{0}\u{1}\u{2}",
];

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get",
    "X",
];

const HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "application/json"),
    ("Content-Type", "application/json; charset=utf-16"),
    ("Content-Type", ";;;"),
    ("Content-Type", ""),
    ("Idempotency-Key", "\""),
    ("Idempotency-Key", "k"),
    ("If-None-Match", "\"\",W/,*,,"),
    ("Origin", "null"),
    ("Origin", "://"),
    ("Access-Control-Request-Method", "\t"),
    ("Accept", "image/png"),
    ("Authorization", "Bearer x"),
];

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33;
        usize::try_from(mixed).unwrap() % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    /// A path that leads somewhere, more often than not, with a query that means something, more often than not.
    fn target(&mut self, room: &str) -> String {
        let path = match self.roll(8) {
            0 => format!("/api/{}/{}/{}", self.pick(SEGMENTS), self.pick(SEGMENTS), self.pick(SEGMENTS)),
            1 => format!("/api/chat/rooms/{}", self.pick(SEGMENTS)),
            2 => format!("/api/chat/rooms/{}/{}", self.pick(SEGMENTS), self.pick(PARTS)),
            3 => self.pick(&["/api/chat/rooms", "/api/stats", "/healthz", "/readyz"]).to_owned(),
            _ => format!("/api/chat/rooms/{room}/{}", self.pick(PARTS)),
        };
        let pairs = (0..self.roll(4)).map(|_| format!("{}={}", self.pick(NAMES), self.pick(VALUES)));
        let query = pairs.collect::<Vec<_>>().join("&");
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    fn headers(&mut self) -> Vec<(&'static str, &'static str)> {
        let json = (self.roll(2) == 0).then_some(HEADERS[0]);
        let others: Vec<_> = (0..self.roll(3)).map(|_| self.pick(HEADERS)).collect();
        json.into_iter().chain(others).collect()
    }
}

/// An answer that blames the client, or does what was asked; with a body that is what it says it is.
fn is_sound(reply: &Reply, method: &str) -> bool {
    let allowed =
        matches!(reply.status, 200 | 201 | 204 | 304 | 400 | 403 | 404 | 405 | 409 | 413 | 415 | 422);
    if !allowed || method == "HEAD" || reply.body.is_empty() {
        return allowed;
    }
    match reply.status {
        200 | 201 => reply.json().is_object() || reply.json().is_array(),
        _ => !reply.problem().is_empty(),
    }
}

#[test]
fn requests_at_random_are_answered_without_a_failure() {
    let server = TestServer::start();
    let mut witness = server.member("witness", "carol");
    let room = server.new_room();
    let mut connection = server.connect();
    let (mut dice, mut seen) = (Dice(7), BTreeMap::<u16, usize>::new());
    for round in 0..ROUNDS {
        let (method, path, body) = (dice.pick(METHODS), dice.target(&room), dice.pick(BODIES));
        let headers = dice.headers();
        let reply = connection.ask_with(method, &path, &headers, body.as_bytes());
        assert!(is_sound(&reply, method), "round {round}: {method} {path} {headers:?} {body:?}\n{reply:?}");
        *seen.entry(reply.status).or_default() += 1;
        if reply.header("Connection") == Some("close") {
            connection = server.connect();
        }
    }
    let kinds = [200, 201, 204, 400, 403, 404, 405, 415, 422];
    assert!(kinds.iter().all(|status| seen.contains_key(status)), "the dice are too dull: {seen:?}");

    witness.say(&json!({ "content": "still served" }));
    assert_eq!(witness.next()["content"], "still served");
    server.get("/healthz").expect(200);
}

/// Every path, with the method that takes parameters there.
const QUESTIONS: &[(&str, &str)] = &[
    ("GET", ""),
    ("GET", "/{room}"),
    ("GET", "/{room}/messages"),
    ("GET", "/{room}/online"),
    ("POST", "/{room}/join"),
    ("POST", "/{room}/leave"),
    ("POST", "/{room}/kick"),
];

#[test]
fn every_parameter_with_every_value_is_answered_without_a_failure() {
    let server = TestServer::start();
    let room = server.new_room();
    let mut connection = server.connect();
    for (method, path) in QUESTIONS {
        let path = format!("/api/chat/rooms{}", path.replace("{room}", &room));
        for (name, value) in NAMES.iter().flat_map(|name| VALUES.iter().map(move |value| (name, value))) {
            let target = format!("{path}?{name}={value}");
            let reply = connection.ask(method, &target);
            assert!(is_sound(&reply, method), "{method} {target}\n{reply:?}");
        }
    }
}

/// Values of every kind that JSON has, and texts that mean something somewhere.
const JSON: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e999",
    "9007199254740992",
    "18446744073709551615",
    "18446744073709551616",
    "\"\"",
    "\" \"",
    "\"fsync\"",
    "\"30d\"",
    "\"99999999999999999999d\"",
    "\"\\u0000\"",
    "\"\\ud83c\\udf2b\"",
    "\"\\ud800\"",
    "[]",
    "[null]",
    "{}",
    "{\"messages\":-1}",
    "{\"messages\":{\"messages\":1}}",
    "{\"bytes\":1,\"bytes\":1}",
    "{\"age\":\"0\",\"bytes\":0,\"messages\":0}",
    "nothing",
    "",
];

#[test]
fn every_field_with_every_kind_of_value_is_answered_without_a_failure() {
    let server = TestServer::start();
    let room = [("name", "\"r\""), ("createdBy", "\"a\"")];
    let fields = ["name", "createdBy", "description", "durability", "retention"];
    post_every_value(&server, "/api/chat/rooms", &room, &fields);
    let message = [("sender", "\"a\""), ("content", "\"c\"")];
    let path = format!("/api/chat/rooms/{}/messages", server.new_room());
    post_every_value(&server, &path, &message, &["sender", "content", "id"]);
}

/// Puts every value into each of these fields of a body that is sound otherwise.
fn post_every_value(server: &TestServer, path: &str, sound: &[(&str, &str)], names: &[&str]) {
    let mut connection = server.connect();
    for (name, value) in names.iter().flat_map(|name| JSON.iter().map(move |value| (name, value))) {
        let fields = sound.iter().copied().filter(|(sound, _)| sound != name).chain([(*name, *value)]);
        let fields = fields.map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>();
        let body = format!("{{{}}}", fields.join(","));
        let json = [("Content-Type", "application/json")];
        let reply = connection.ask_with("POST", path, &json, body.as_bytes());
        let verdict = matches!(reply.status, 201 | 400 | 422);
        assert!(verdict && is_sound(&reply, "POST"), "{path} {body}\n{reply:?}");
    }
}

#[test]
fn depth_and_size_cost_nothing() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let json = [("Content-Type", "application/json")];
    let cases = [
        ("[".repeat(1 << 20), 400),
        (format!("{{\"name\":{}", "[".repeat(1 << 19)), 400),
        (format!("{{\"x\":{}{},\"name\":\"r\"}}", "[".repeat(100_000), "]".repeat(100_000)), 0),
        (format!("{{{}\"name\":\"r\"}}", "\"x\":0,".repeat(100_000)), 422),
        (format!("{{\"name\":\"{}\"}}", "\\u0041".repeat(100_000)), 422),
    ];
    for (body, status) in cases {
        let reply = connection.ask_with("POST", "/api/chat/rooms", &json, body.as_bytes());
        let expected = if status == 0 { matches!(reply.status, 400 | 422) } else { reply.status == status };
        assert!(expected, "{} for {}…", reply.status, &body[..20]);
    }
    let long = "a".repeat(6_000);
    for path in [format!("/api/chat/rooms/{long}"), format!("/api/chat/rooms?participant={long}")] {
        assert!((400..500).contains(&connection.ask("GET", &path).status), "{}…", &path[..40]);
    }
}
