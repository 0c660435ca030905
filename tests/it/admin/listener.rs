//! `admin.listen`: what is served there and nowhere else, and with which limits.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::support::process::without_own_settings;
use crate::support::raw::{Reply, upgrade};
use crate::support::secure::Certificate;
use crate::support::{ConfiguredProcess, PATIENCE, Raw, eventually};

const CONFIG: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()
}

fn ask(address: SocketAddr, path: &str) -> Reply {
    let mut raw = Raw::connect_to(address);
    raw.send(&request(path));
    raw.reply()
}

#[test]
fn what_is_for_operators_is_served_there_alone_and_nothing_else_is() {
    let server = ConfiguredProcess::start(CONFIG);
    let cases = [
        ("/metrics", 404, 200),
        ("/api/stats", 404, 200),
        ("/healthz", 200, 200),
        ("/readyz", 200, 200),
        ("/api/chat/rooms", 200, 200),
        ("/api/chat/rooms/r/online", 404, 404),
        ("/api/backup", 400, 404),
        ("/", 200, 404),
        ("/assets/chat.js", 200, 404),
        ("/echo", 426, 404),
        ("/ws/chat?roomId=r&username=u", 426, 404),
        ("/ws/stomp", 426, 404),
        ("/room", 426, 404),
        ("/poll/rooms/r", 200, 404),
        ("/nothing", 404, 404),
        ("/metrics/", 404, 404),
        ("//metrics", 404, 404),
    ];
    for (path, public, admin) in cases {
        assert_eq!(ask(server.address(), path).status, public, "{path} at the public address");
        assert_eq!(ask(server.admin_address(), path).status, admin, "{path} at the operators' address");
    }
    let mut raw = Raw::connect_to(server.admin_address());
    raw.send(&upgrade("/echo"));
    assert_eq!(raw.reply().status, 404, "an upgrade");
    raw.expect_end();
    // A room is the same wherever it is asked for.
    let body = r#"{"name":"r","createdBy":"u"}"#;
    let create = format!(
        "POST /api/chat/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut raw = Raw::connect_to(server.admin_address());
    raw.send(create.as_bytes());
    assert_eq!(raw.reply().status, 201);
    let rooms = String::from_utf8(ask(server.address(), "/api/chat/rooms").body).expect("text");
    assert!(rooms.contains(r#""name":"r""#), "{rooms}");
}

#[test]
fn without_a_listener_of_their_own_operators_come_in_like_everybody() {
    let server = ConfiguredProcess::start("");
    for path in ["/metrics", "/api/stats", "/healthz", "/"] {
        assert_eq!(ask(server.address(), path).status, 200, "{path}");
    }
}

#[test]
fn it_can_be_a_unix_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("admin.sock");
    let place = format!("unix:{}", path.display());
    let server = ConfiguredProcess::start(&format!("[admin]\nlisten = \"{place}\"\n"));
    assert_eq!(server.admin(), place);
    let ask = |bytes: &[u8]| {
        let stream = UnixStream::connect(&path).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut raw = Raw::on(stream);
        raw.send(bytes);
        raw.reply().status
    };
    assert_eq!(ask(&request("/metrics")), 200);
    assert_eq!(ask(&request("/echo")), 404);
    // Its peers are on this machine.
    let kick = "POST /api/chat/rooms/r/kick?username=u&ban=60s HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(ask(kick.as_bytes()), 200);
    drop(server);
}

#[test]
fn it_can_speak_tls() {
    let certificate = Certificate::new();
    let config = format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n[admin]\nlisten = \"tls:127.0.0.1:0\"\n",
        certificate.certificate(),
        certificate.key()
    );
    let server = ConfiguredProcess::start(&config);
    assert!(server.admin().starts_with("https://127.0.0.1:"), "{}", server.admin());
    let mut raw = Raw::on(certificate.connect(server.admin_address()));
    raw.send(&request("/metrics"));
    assert_eq!(raw.reply().status, 200);
}

#[test]
fn a_place_of_the_public_is_refused_and_the_key_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("foghorn.toml");
    let cases = [
        ("", "127.0.0.1:8080"),
        ("listen = \"0.0.0.0:8081\"\n", "127.0.0.1:8081"),
        ("listen = \"127.0.0.1:8081\"\n", "tls:127.0.0.1:8081"),
        ("listen = [\"127.0.0.1:1\", \"unix:/tmp/s\"]\n", "unix:/tmp/s"),
        ("listen = \"localhost:8081\"\n", "Localhost:8081"),
    ];
    for (public, admin) in cases {
        let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
        std::fs::write(&file, format!("{public}{tls}[admin]\nlisten = \"{admin}\"\n")).expect("a file");
        for arguments in [&["config", "check"][..], &["serve", "--memory", "--config"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_foghorn"));
            let output = without_own_settings(&mut command).args(arguments).arg(&file).output();
            let output = output.expect("the program");
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?} {admin}: {text}");
            assert!(text.contains("admin.listen") && text.contains(admin), "{text}");
        }
    }
}

#[test]
fn operators_get_in_when_the_public_is_full_and_have_a_limit_of_their_own() {
    let config = "[limits]\nconnections = 2\nconnections_per_ip = 2\n[admin]\nlisten = \"127.0.0.1:0\"\nconnections = 2\n";
    let server = ConfiguredProcess::start(config);
    let (public, admin) = (server.address(), server.admin_address());
    let kept = |address: SocketAddr| {
        let mut raw = Raw::connect_to(address);
        raw.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(raw.reply().status, 200, "{address}");
        raw
    };
    let refused = |address: SocketAddr| {
        let mut raw = Raw::connect_to(address);
        let reply = raw.reply();
        assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")), "{address}");
    };
    let members = [kept(public), kept(public)];
    refused(public);
    let operators = [kept(admin), kept(admin)];
    refused(admin);
    refused(public);
    drop(operators);
    let free = || {
        let mut raw = Raw::connect_to(admin);
        raw.send_anyway(&request("/metrics"));
        let reply = raw.reply();
        (reply.status == 200).then(|| String::from_utf8(reply.body).expect("text"))
    };
    let mut metrics = None;
    eventually("an operator's connection is free", || {
        metrics = free();
        metrics.is_some()
    });
    let metrics = metrics.expect("they came");
    let hits = |limit: &str| {
        let series = format!("foghorn_limit_hits_total{{limit=\"{limit}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(series.as_str()));
        line.and_then(|count| count.parse::<u64>().ok()).expect("a count")
    };
    assert!(hits("admin.connections") >= 1, "{metrics}");
    assert_eq!(hits("limits.connections"), 2, "{metrics}");
    // Nor do operators take a place of the public.
    let _operators = [kept(admin), kept(admin)];
    drop(members);
    eventually("the public is served again", || {
        let mut raw = Raw::connect_to(public);
        raw.send_anyway(&request("/healthz"));
        raw.reply().status == 200
    });
}

#[test]
fn operators_get_in_when_the_public_has_used_up_the_descriptors() {
    let server = ConfiguredProcess::with_descriptors(CONFIG, 64);
    let mut public = Vec::new();
    loop {
        let mut raw = Raw::connect_to(server.address());
        raw.send_anyway(&upgrade("/echo"));
        let Some(status) = raw.status_or_end() else { break };
        if status != 101 {
            break;
        }
        public.push(raw);
        assert!(public.len() < 64, "there are more connections than descriptors");
    }
    for path in ["/metrics", "/api/stats", "/healthz"] {
        assert_eq!(ask(server.admin_address(), path).status, 200, "{path}");
    }
    let several: Vec<_> = (0..4)
        .map(|_| {
            let mut raw = Raw::connect_to(server.admin_address());
            raw.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(raw.reply().status, 200);
            raw
        })
        .collect();
    drop(several);
    // The public gets no descriptor before operators have theirs back, and gets those after that.
    public.truncate(4);
    eventually("the public is served again", || {
        let mut raw = Raw::connect_to(server.address());
        raw.send_anyway(&upgrade("/echo"));
        raw.status_or_end() == Some(101)
    });
    assert_eq!(ask(server.admin_address(), "/metrics").status, 200);
}

#[test]
fn sizes_hold_as_everywhere_and_no_proxy_stands_before_it() {
    let config = "[limits]\nrequest_head_bytes = \"1 KiB\"\nhandshake_timeout = \"200ms\"\n[proxy]\nprotocol = true\ntrusted = [\"127.0.0.1\"]\n";
    let server = ConfiguredProcess::start(&format!("{config}{CONFIG}"));
    assert_eq!(ask(server.admin_address(), "/metrics").status, 200, "without a PROXY header");
    let mut raw = Raw::connect_to(server.admin_address());
    raw.send(format!("GET /metrics HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(2000)).as_bytes());
    assert_eq!(raw.reply().status, 431);
    let mut raw = Raw::connect_to(server.admin_address());
    raw.send(b"GET /metrics HTTP/1.1\r\nHost: h\r\n");
    assert_eq!(raw.reply().status, 408);
}

#[test]
fn how_many_operators_there_may_be_can_change_while_the_server_runs() {
    let server = ConfiguredProcess::start(CONFIG);
    let admin = server.admin_address();
    let _one = {
        let mut raw = Raw::connect_to(admin);
        raw.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(raw.reply().status, 200);
        raw
    };
    server.rewrite(&format!("{CONFIG}connections = 1\n"));
    server.signal("HUP");
    eventually("the second is refused", || {
        let mut raw = Raw::connect_to(admin);
        raw.send_anyway(&request("/healthz"));
        raw.reply().status == 503
    });
}
