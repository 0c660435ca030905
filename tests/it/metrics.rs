//! `/metrics`: each counter agrees with what clients did, and nobody is named.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;

use super::support::frame::{self, Frame};
use super::support::process::Process;
use super::support::raw::{ask, upgrade_lines};
use super::support::tokens::{SECRET, bearer, token};
use super::support::{ConfiguredProcess, PATIENCE, Raw, eventually};

/// One scrape.
struct Scrape {
    /// The whole response, head and body.
    response: String,
    values: BTreeMap<String, f64>,
    /// Name and type of each metric.
    types: BTreeMap<String, String>,
}

const REQUEST: &str = "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

impl Scrape {
    fn of(address: SocketAddr) -> Scrape {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.write_all(REQUEST.as_bytes()).expect("the server takes it");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("an answer of text");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        let (mut values, mut types) = (BTreeMap::new(), BTreeMap::new());
        for line in body.lines() {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                let (name, kind) = described.split_once(' ').expect("a type");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let value = value.parse().expect("a number");
                assert!(values.insert(series.to_owned(), value).is_none(), "{line}");
            }
        }
        Scrape { response, values, types }
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.values.get(series).expect(series)
    }

    /// A series that need not be there before it is counted for the first time.
    fn count(&self, series: &str) -> f64 {
        self.values.get(series).copied().unwrap_or(0.0)
    }

    /// All series of one metric, added up.
    fn sum(&self, name: &str) -> f64 {
        let of_metric = |series: &&String| series.split('{').next() == Some(name);
        self.values.iter().filter(|(series, _)| of_metric(series)).map(|(_, value)| value).sum()
    }
}

/// The bytes of a frame of the server.
fn frame_bytes(frame: &Frame) -> usize {
    let header = match frame.payload.len() {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    header + frame.payload.len()
}

fn say(content: &str) -> Vec<u8> {
    frame::masked(frame::TEXT, json!({ "content": content }).to_string().as_bytes())
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("a small number"))
}

/// So many members of one room, and what they were sent until all had joined: messages and bytes.
fn members(address: SocketAddr, count: usize) -> (Vec<Raw>, usize, usize) {
    let (mut members, mut messages, mut bytes) = (Vec::<Raw>::new(), 0, 0);
    for number in 0..count {
        members.push(Raw::open_at(address, &format!("/ws/chat?roomId=zebra&username=quagga{number}")));
        for member in &mut members {
            bytes += frame_bytes(&member.frame());
            messages += 1;
        }
    }
    (members, messages, bytes)
}

fn deliveries_agree(config: &str) {
    const MEMBERS: usize = 10;
    /// Not more on their way than sockets hold: a member that lags is another test's.
    const AT_ONCE: usize = 100;
    let wanted: usize =
        std::env::var("FOGHORN_METRICS_MESSAGES").map_or(500, |text| text.parse().expect("a number"));
    let count = wanted / AT_ONCE * AT_ONCE;
    let server = ConfiguredProcess::start(config);
    let (mut members, mut messages, mut bytes) = members(server.address(), MEMBERS);
    for round in 0..count / AT_ONCE {
        for number in 0..AT_ONCE {
            members[number % MEMBERS].send(&say(&format!("okapi {round} {number}")));
        }
        for member in &mut members {
            for _ in 0..AT_ONCE {
                bytes += frame_bytes(&member.frame());
                messages += 1;
            }
        }
    }
    let scrape = Scrape::of(server.address());
    assert_eq!(messages, MEMBERS * (MEMBERS + 1) / 2 + MEMBERS * count);
    assert_eq!(scrape.value("foghorn_deliveries_total"), as_f64(messages));
    assert_eq!(scrape.value("foghorn_delivery_bytes_total"), as_f64(bytes));
    assert_eq!(scrape.value("foghorn_sent_messages_total"), as_f64(messages));
    assert_eq!(scrape.value("foghorn_received_messages_total"), as_f64(count));
    assert_eq!(scrape.value("foghorn_published_messages_total"), as_f64(count + MEMBERS));
    assert_eq!(scrape.value("foghorn_members"), as_f64(MEMBERS));
    assert_eq!(scrape.value("foghorn_rooms"), 1.0);
    assert_eq!(scrape.value("foghorn_member_lag_messages_count"), as_f64(MEMBERS));
    assert_eq!(scrape.value("foghorn_member_lag_messages_bucket{le=\"0\"}"), as_f64(MEMBERS));
    assert_eq!(scrape.value("foghorn_handshakes_total{status=\"101\"}"), as_f64(MEMBERS));
    assert_eq!(scrape.value("foghorn_connections{kind=\"websocket\"}"), as_f64(MEMBERS));
    assert_eq!(scrape.value("foghorn_connections_accepted_total"), as_f64(MEMBERS + 1));
    assert!(scrape.value("foghorn_memory_bytes{kind=\"windows\"}") > 0.0);
    assert!(scrape.value("foghorn_reactor_turns_total") >= 1.0);
    // The same figures as JSON, in which the scrape counts as well.
    let (status, stats) = ask(server.address(), "GET", "/api/stats", None);
    assert_eq!(status, 200);
    let traffic = &stats["traffic"];
    assert_eq!(traffic["deliveries"], messages);
    assert_eq!((&traffic["messagesSent"], &traffic["messagesReceived"]), (&json!(messages), &json!(count)));
    assert_eq!(traffic["accepted"], MEMBERS + 2);
    the_way_is_counted(&scrape, &stats["way"], count + MEMBERS, messages);
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert!(stats["uptime"].is_u64() && stats["memory"]["resident"].as_u64() > Some(1 << 20), "{stats}");
    for name in ["zebra", "quagga", "okapi"] {
        assert!(!scrape.response.contains(name), "{name} is named");
    }
}

/// How long messages took from step to step: each is counted where it should be.
fn the_way_is_counted(scrape: &Scrape, way: &serde_json::Value, published: usize, deliveries: usize) {
    let counted = |step: &str| scrape.value(&format!("foghorn_{step}_seconds_count"));
    let (published, deliveries) = (as_f64(published), as_f64(deliveries));
    // The last few count with the next batch, and the next pump, that is timed; what waited for the room to be opened was not
    // published by the turn that read it.
    let taken = counted("read_to_shard");
    assert!((published - 65.0..=published).contains(&taken), "{taken} of {published}");
    assert_eq!(counted("shard_to_commit"), published, "they were delivered, so they are stored");
    let sent = counted("commit_to_send");
    assert!((deliveries - 1024.0..=deliveries).contains(&sent), "{sent} of {deliveries}");
    for (key, name) in [
        ("readToShard", "read_to_shard"),
        ("shardToCommit", "shard_to_commit"),
        ("commitToSend", "commit_to_send"),
    ] {
        let counts = way[key]["counts"].as_array().expect("counts");
        let sum: f64 = counts.iter().filter_map(serde_json::Value::as_f64).sum();
        assert_eq!(sum, counted(name), "{name}");
        assert!(scrape.value(&format!("foghorn_{name}_seconds_sum")) > 0.0, "{name}");
    }
}

#[test]
fn deliveries_agree_with_what_members_received() {
    deliveries_agree("");
}

#[test]
fn deliveries_agree_where_all_workers_send_to_a_room_together() {
    deliveries_agree("workers = 2\n[rooms]\nlane_members = 5\n");
}

#[test]
fn deliveries_agree_where_the_reactor_runs_the_rooms() {
    deliveries_agree("workers = 0\n");
}

#[test]
fn what_a_room_tells_one_member_counts_as_sent_and_not_as_delivered() {
    let server = ConfiguredProcess::start("");
    let address = server.address();
    let before = Scrape::of(address);
    let kind = |frame: &Frame| {
        let value: serde_json::Value = serde_json::from_slice(&frame.payload).expect("JSON");
        value["type"].as_str().expect("a type").to_owned()
    };
    // An epoch that is none: what it may have missed is told.
    let path = "/ws/chat?roomId=zebra&username=quagga&hello=1&sinceSeq=7&epoch=0123456789abcdef";
    let mut member = Raw::open_at(address, path);
    let greeting: Vec<_> = (0..3).map(|_| kind(&member.frame())).collect();
    assert_eq!(greeting, ["WELCOME", "GAP", "JOIN"]);
    let joined = Scrape::of(address);
    let grown = |series, after: &Scrape, before: &Scrape| after.value(series) - before.value(series);
    assert_eq!(grown("foghorn_sent_messages_total", &joined, &before), 3.0);
    assert_eq!(grown("foghorn_deliveries_total", &joined, &before), 1.0);
    let (mut bytes, mut kinds) = (0, Vec::new());
    let again = r#"{"content":"c","id":"1"}"#;
    for text in ["no JSON", again, again] {
        member.send(&frame::masked(frame::TEXT, text.as_bytes()));
        let frame = member.frame();
        bytes += frame_bytes(&frame);
        kinds.push(kind(&frame));
    }
    assert_eq!(kinds, ["ERROR", "MESSAGE", "ACK"]);
    let after = Scrape::of(address);
    assert_eq!(grown("foghorn_sent_messages_total", &after, &joined), 3.0);
    assert_eq!(grown("foghorn_sent_bytes_total", &after, &joined), as_f64(bytes + joined.response.len()));
    assert_eq!(grown("foghorn_deliveries_total", &after, &joined), 1.0);
}

#[test]
fn bytes_of_both_directions_agree_to_the_last_one() {
    let server = ConfiguredProcess::start("");
    let mut client = Raw::open_at(server.address(), "/echo");
    let before = Scrape::of(server.address());
    let (mut sent, mut received) = (0, 0);
    // The longest goes to the socket without being gathered with others.
    for len in [0, 1, 125, 126, 5_000, 70_000] {
        for _ in 0..10 {
            let frame = frame::masked(frame::BINARY, &vec![7; len]);
            sent += frame.len();
            client.send(&frame);
            let echo = client.frame();
            assert_eq!(echo.payload.len(), len);
            received += frame_bytes(&echo);
        }
    }
    let after = Scrape::of(server.address());
    let grown = |series| after.value(series) - before.value(series);
    assert_eq!(grown("foghorn_received_bytes_total"), as_f64(sent + REQUEST.len()));
    assert_eq!(grown("foghorn_sent_bytes_total"), as_f64(received + before.response.len()));
    assert_eq!(grown("foghorn_received_messages_total"), 60.0);
    assert_eq!(grown("foghorn_sent_messages_total"), 60.0);
    assert_eq!(grown("foghorn_deliveries_total"), 0.0);
    assert_eq!(grown("foghorn_http_responses_total{status=\"200\"}"), 1.0);
}

#[test]
fn ends_of_sessions_agree_by_cause_and_code() {
    let server = ConfiguredProcess::start("");
    let address = server.address();
    let mut by_clients = BTreeMap::from([(1005, 0.0)]);
    for (code, times) in [(1000_u16, 3), (1001, 2), (4321, 2), (3000, 1), (4999, 1), (1013, 1)] {
        for _ in 0..times {
            let mut client = Raw::open_at(address, "/echo");
            client.send(&frame::masked(frame::CLOSE, &code.to_be_bytes()));
            client.expect_close(code);
        }
        by_clients.insert(code, f64::from(times));
    }
    let mut client = Raw::open_at(address, "/echo");
    client.send(&frame::masked(frame::CLOSE, b""));
    assert_eq!(client.frame().first, frame::CLOSE);
    // A frame without a mask; a text that is none; a message that is too long; a room without a name; a kick.
    let mut client = Raw::open_at(address, "/echo");
    client.send(&[frame::TEXT, 0]);
    client.expect_close(1002);
    let mut client = Raw::open_at(address, "/echo");
    client.send(&frame::masked(frame::TEXT, b"\xff"));
    client.expect_close(1007);
    let mut client = Raw::open_at(address, "/ws/chat?roomId=r&username=u");
    assert_eq!(client.frame().first, frame::TEXT);
    client.send(&frame::masked(frame::TEXT, &[b'x'; 65_537]));
    client.expect_close(1009);
    Raw::open_at(address, "/ws/chat?username=u").expect_close(1008);
    let mut client = Raw::open_at(address, "/ws/chat?roomId=k&username=u");
    assert_eq!(client.frame().first, frame::TEXT);
    assert_eq!(ask(address, "POST", "/api/chat/rooms/k/kick?username=u", None).0, 200);
    client.expect_close(4001);
    drop(Raw::open_at(address, "/echo"));
    let closed = |cause, code| format!("foghorn_sessions_closed_total{{cause=\"{cause}\",code=\"{code}\"}}");
    eventually("a connection that was lost is counted", || {
        Scrape::of(address).value(&closed("lost", "1006")) > 0.0
    });
    let scrape = Scrape::of(address);
    for (cause, code, count) in [
        ("client", "1000", 3.0),
        ("client", "1001", 2.0),
        ("client", "1005", 1.0),
        ("client", "1013", 1.0),
        ("client", "other", 4.0),
        ("protocol", "1002", 1.0),
        ("protocol", "1007", 1.0),
        ("protocol", "1009", 1.0),
        ("server", "1008", 1.0),
        ("server", "4001", 1.0),
        ("lost", "1006", 1.0),
    ] {
        assert_eq!(scrape.count(&closed(cause, code)), count, "{cause} {code}: {}", scrape.response);
    }
    assert_eq!(scrape.sum("foghorn_sessions_closed_total"), 17.0);
    assert_eq!(scrape.value("foghorn_handshakes_total{status=\"101\"}"), 17.0);
    assert_eq!(scrape.value("foghorn_connections{kind=\"websocket\"}"), 0.0);
    assert_eq!(scrape.value("foghorn_limit_hits_total{limit=\"limits.message_bytes\"}"), 1.0);
    let closes = &ask(address, "GET", "/api/stats", None).1["closes"];
    assert_eq!(
        (&closes["1000"], &closes["1008"], &closes["other"]),
        (&json!(3), &json!(1), &json!(4)),
        "{closes}"
    );
}

#[test]
fn refusals_agree_by_status() {
    let server = ConfiguredProcess::start("[limits]\nconnections = 5\n");
    let address = server.address();
    let refused = |lines: &str, status: u16| {
        let mut raw = Raw::connect_to(address);
        raw.send(format!("{lines}\r\n").as_bytes());
        assert_eq!(raw.reply().status, status, "{lines}");
    };
    let (good, other) = (upgrade_lines("/echo"), upgrade_lines("/nowhere"));
    for _ in 0..3 {
        refused(&format!("{good}Origin: http://elsewhere.example\r\n"), 403);
    }
    refused(&other, 404);
    refused(&other, 404);
    refused(&good.replace("Version: 13", "Version: 12"), 426);
    refused(&good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400);
    // No handshakes: a page that is not there, and bytes that are no request.
    refused("GET /nothing HTTP/1.1\r\nHost: h\r\n", 404);
    refused("nonsense\r\n", 400);
    // Those that were refused have gone first.
    eventually("nobody is left", || Scrape::of(address).value("foghorn_connections{kind=\"other\"}") <= 1.0);
    let held: Vec<_> = (0..5).map(|_| Raw::open_at(address, "/echo")).collect();
    let mut one_more = Raw::connect_to(address);
    assert_eq!(one_more.reply().status, 503);
    drop((held, one_more));
    eventually("there is room again", || {
        let (status, stats) = ask(address, "GET", "/api/stats", None);
        status == 200 && stats["connections"] == 1
    });
    let scrape = Scrape::of(address);
    for (status, count) in [(101, 5.0), (403, 3.0), (404, 2.0), (426, 1.0), (400, 1.0), (401, 0.0)] {
        let series = format!("foghorn_handshakes_total{{status=\"{status}\"}}");
        assert_eq!(scrape.value(&series), count, "{series}");
    }
    for (status, least) in [(403, 3.0), (404, 3.0), (400, 2.0), (503, 1.0)] {
        let count = scrape.value(&format!("foghorn_http_responses_total{{status=\"{status}\"}}"));
        // Also who asked while there was no room yet was told so.
        assert!(if status == 503 { count >= least } else { count == least }, "{status}: {count}");
    }
    assert!(scrape.value("foghorn_limit_hits_total{limit=\"limits.connections\"}") >= 1.0);
}

#[test]
fn whoever_scrapes_needs_no_token_and_everybody_else_does() {
    let server = ConfiguredProcess::start(&format!("[auth]\njwt_secret = \"{SECRET}\"\n"));
    let address = server.address();
    assert_eq!(ask(address, "GET", "/metricsfile", None).0, 401);
    assert_eq!(ask(address, "GET", "/api/stats", None).0, 401);
    assert_eq!(ask(address, "POST", "/metrics", None).0, 405);
    let mut raw = Raw::connect_to(address);
    raw.send(b"HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    let reply = raw.reply_to_head();
    assert_eq!((reply.status, reply.header("Cache-Control")), (200, Some("no-store")));
    let mut raw = Raw::connect_to(address);
    raw.send(format!("GET /metricsfile HTTP/1.1\r\nHost: h\r\n{}\r\n", bearer(&token("ann"))).as_bytes());
    assert_eq!(raw.reply().status, 404);
    // A session with a bad token is accepted, since a page could not see why not, and closed.
    Raw::open_at(address, "/ws/chat?roomId=r&username=u&token=a.b.c").expect_close(4401);
    let scrape = Scrape::of(address);
    assert_eq!(scrape.value("foghorn_http_responses_total{status=\"401\"}"), 2.0);
    assert_eq!(scrape.value("foghorn_sessions_closed_total{cause=\"server\",code=\"4401\"}"), 1.0);
}

#[test]
fn a_scrape_shows_the_token_that_is_configured_and_a_reload_changes_it() {
    let config = |token: &str| format!("[metrics]\ntoken = \"{token}\"\n");
    let server = ConfiguredProcess::with_log(&config("first-s3cret"), "debug");
    let scrape = |fields: &str| {
        let mut raw = Raw::connect_to(server.address());
        raw.send(format!("GET /metrics HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
        raw.reply()
    };
    for fields in
        ["", "Authorization: Basic first-s3cret\r\n", &bearer("wr0ng-s3cret"), "X: first-s3cret\r\n"]
    {
        let reply = scrape(fields);
        assert_eq!(reply.status, 401, "{fields}");
        assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer realm=\"foghorn metrics\""), "{fields}");
        assert_eq!(reply.header("Cache-Control"), Some("no-store"), "{fields}");
        assert!(!String::from_utf8_lossy(&reply.body).contains("s3cret"), "{fields}");
    }
    assert_eq!(scrape(&bearer("first-s3cret")).status, 200);
    // What is no scrape is told so, with or without it, and nothing else asks for it.
    assert_eq!(ask(server.address(), "POST", "/metrics", None).0, 405);
    assert_eq!(ask(server.address(), "GET", "/api/stats", None).0, 200);
    server.rewrite(&config("second-s3cret"));
    server.signal("HUP");
    eventually("the new token counts", || scrape(&bearer("second-s3cret")).status == 200);
    assert_eq!(scrape(&bearer("first-s3cret")).status, 401);
    server.rewrite("");
    server.signal("HUP");
    eventually("no token is asked for", || scrape("").status == 200);
    let log = server.log();
    assert!(log.contains("/metrics") && !log.contains("s3cret"), "{log}");
}

#[test]
fn commits_agree_with_what_was_published() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Process::serve(directory.path());
    let mut member = Raw::open_at(server.address(), "/ws/chat?roomId=r&username=u");
    assert_eq!(member.frame().first, frame::TEXT);
    for number in 0..200 {
        member.send(&say(&number.to_string()));
    }
    (0..200).for_each(|_| assert_eq!(member.frame().first, frame::TEXT));
    let scrape = Scrape::of(server.address());
    assert_eq!(scrape.value("foghorn_published_messages_total"), 201.0);
    assert_eq!(scrape.value("foghorn_store_commit_messages_sum"), 201.0);
    let commits = scrape.value("foghorn_store_commit_messages_count");
    assert!((2.0..=202.0).contains(&commits), "{commits}");
    assert_eq!(scrape.value("foghorn_store_commit_seconds_count"), commits);
    assert!(scrape.value("foghorn_store_commit_seconds_sum") > 0.0);
    assert_eq!(scrape.value("foghorn_store_commit_seconds_bucket{le=\"+Inf\"}"), commits);
    for series in ["foghorn_unstored_messages", "foghorn_store_queue_jobs", "foghorn_store_queue_bytes"] {
        assert_eq!(scrape.value(series), 0.0, "{series}");
    }
    assert_eq!(scrape.value("foghorn_store_healthy"), 1.0);
    let (_, stats) = ask(server.address(), "GET", "/api/stats", None);
    assert_eq!(stats["commits"]["messages"], 201, "{stats}");
    assert!(stats["commits"]["microsMean"].as_u64() > Some(0), "{stats}");
}

#[test]
fn event_streams_are_counted_while_they_last() {
    let server = ConfiguredProcess::start("");
    let mut stream = Raw::connect_to(server.address());
    stream.send(b"GET /sse/rooms/r HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(stream.reply_to_head().status, 200);
    let streams = || Scrape::of(server.address()).value("foghorn_connections{kind=\"stream\"}");
    assert_eq!(streams(), 1.0);
    drop(stream);
    eventually("the stream is gone", || streams() == 0.0);
}

#[test]
fn the_page_of_metrics_names_exactly_what_there_is() {
    let server = ConfiguredProcess::start("");
    let scrape = Scrape::of(server.address());
    let labels = |name: &str| -> BTreeSet<String> {
        let of_metric =
            scrape.values.keys().filter_map(|series| series.strip_prefix(name)?.strip_prefix('{'));
        let labels = of_metric.flat_map(|rest| rest.split("\",").filter_map(|label| label.split('=').next()));
        labels.map(str::to_owned).collect()
    };
    let shown: BTreeSet<_> = scrape
        .types
        .iter()
        .map(|(name, kind)| {
            (name.clone(), kind.clone(), labels(name).into_iter().collect::<Vec<_>>().join(", "))
        })
        .collect();
    let page = include_str!("../../docs/metrics.md");
    // Those of a cluster are in `src/metrics/tests.rs`.
    let rows = page.lines().filter(|line| line.starts_with("| `foghorn_") || line.starts_with("| `process_"));
    let rows = rows.filter(|line| !line.starts_with("| `foghorn_cluster_"));
    let named: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            (cells[1].clone(), cells[2].clone(), cells[3].clone())
        })
        .collect();
    let only = |one: &BTreeSet<_>, other: &BTreeSet<_>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&shown, &named), [], "the page does not have these");
    assert_eq!(only(&named, &shown), [], "the server does not have these");
}

#[test]
fn alerts_and_dashboard_ask_for_what_there_is() {
    let server = ConfiguredProcess::start("");
    let scrape = Scrape::of(server.address());
    let mut known: BTreeSet<String> =
        scrape.values.keys().filter_map(|series| series.split('{').next()).map(str::to_owned).collect();
    // A node of a cluster has these, as `src/metrics/tests.rs` sees to.
    for row in include_str!("../../docs/metrics.md").lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once('`').unwrap_or_default();
        if !name.starts_with("foghorn_cluster_") {
            continue;
        }
        let parts: &[&str] =
            if rest.starts_with(" | histogram |") { &["_count", "_sum", "_bucket"] } else { &[""] };
        known.extend(parts.iter().map(|part| format!("{name}{part}")));
    }
    for text in [
        include_str!("../../deploy/prometheus/alerts.yml"),
        include_str!("../../deploy/prometheus/grafana.json"),
        include_str!("../../docs/metrics.md"),
    ] {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let mut asked = words.filter(|word| word.starts_with("foghorn_") || word.starts_with("process_"));
        let unknown = asked.find(|name| {
            let parts = ["", "_count", "_sum", "_bucket"].map(|part| format!("{name}{part}"));
            parts.iter().all(|name| !known.contains(name.as_str()))
        });
        assert_eq!(unknown, None);
    }
}
