//! Where connections come from: proxies that speak for others, Unix sockets, sockets that were opened before.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::process::without_own_settings;
use crate::support::raw::{upgrade, upgrade_lines};
use crate::support::secure::{Certificate, tcp};
use crate::support::tokens::{SECRET, admin_token, bearer, token};
use crate::support::{PATIENCE, Raw, TestServer, eventually, now};
use foghorn::config::{Config, Secret};
use foghorn::proxy::Trusted;
use serde_json::Value;

fn trust(config: &mut Config, networks: &[&str]) {
    config.proxy.trusted =
        Trusted::new(networks.iter().map(|text| text.parse().expect("a network")).collect());
}

const HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n";
const ROOM: &str = "/ws/chat?roomId=r&username=u";

/// What has come through a proxy is told no addresses, unless a token says that it may know them.
fn guard(config: &mut Config) {
    config.auth.jwt_secret = Some(Secret::new(SECRET));
}

/// The addresses of those who are in room `r`.
fn addresses(ask: impl Fn(&[u8]) -> Vec<u8>) -> Vec<String> {
    let request = "GET /api/chat/rooms/r/online HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
    let request = format!("{request}{}\r\n", bearer(&admin_token()));
    let body: Value = serde_json::from_slice(&ask(request.as_bytes())).expect("JSON");
    let sessions = body["sessions"].as_array().unwrap_or_else(|| panic!("no sessions: {body}"));
    sessions.iter().map(|session| session["address"].as_str().expect("an address").to_owned()).collect()
}

/// A WebSocket in room `r`, after these bytes and with these fields; or what else was answered.
fn join(server: &TestServer, before: &[u8], fields: &str) -> (Raw, u16) {
    let mut raw = Raw::connect(server);
    raw.send(&[before, format!("{}{fields}\r\n", upgrade_lines(ROOM)).as_bytes()].concat());
    let status = raw.reply().status;
    if status == 101 {
        // Its own JOIN: it is in the room now.
        raw.frame();
    }
    (raw, status)
}

fn ask(server: &TestServer, before: &[u8], request: &[u8]) -> Vec<u8> {
    let mut raw = Raw::connect(server);
    raw.send(&[before, request].concat());
    raw.reply().body
}

#[test]
fn the_client_of_a_trusted_proxy_is_who_its_header_names() {
    for (trusted, expected) in [("127.0.0.0/8", "203.0.113.7:12345"), ("10.0.0.0/8", "127.0.0.1:")] {
        let server = TestServer::stored(|config| {
            trust(config, &[trusted]);
            guard(config);
            config.proxy.protocol = true;
        });
        let (_member, status) = join(&server, HEADER, &bearer(&token("u")));
        assert_eq!(status, 101);
        let addresses = addresses(|request| ask(&server, HEADER, request));
        assert!(addresses.len() == 1 && addresses[0].starts_with(expected), "{addresses:?}");
    }
}

#[test]
fn a_header_that_comes_byte_by_byte_hides_nothing_behind_it() {
    let server = TestServer::stored(|config| {
        trust(config, &["127.0.0.1"]);
        config.proxy.protocol = true;
    });
    let mut raw = Raw::connect(&server);
    raw.send_bytewise(HEADER);
    raw.send_bytewise(&upgrade("/echo"));
    assert_eq!(raw.reply().status, 101);
}

#[test]
fn a_connection_without_a_good_header_is_closed_and_a_late_one_too() {
    let server = TestServer::stored(|config| {
        config.proxy.protocol = true;
        config.limits.handshake_timeout = Duration::from_millis(300);
    });
    for bad in [&upgrade("/echo")[..], b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 ", b"", &[b'P'; 5000]]
    {
        let start = now();
        let mut raw = Raw::connect(&server);
        raw.send_anyway(bad);
        raw.expect_gone();
        assert!(start.elapsed() < PATIENCE);
        let mut cut = Raw::connect(&server);
        cut.send_anyway(bad);
        drop(cut.stream().shutdown(std::net::Shutdown::Write));
        cut.expect_gone();
    }
    assert_eq!(join(&server, HEADER, "").1, 101);
}

#[test]
fn a_header_comes_before_tls() {
    let certificate = Certificate::new();
    let server = TestServer::stored(|config| {
        certificate.configure(config);
        trust(config, &["127.0.0.1"]);
        guard(config);
        config.proxy.protocol = true;
    });
    let mut stream = tcp(server.tls_address());
    stream.write_all(HEADER).expect("the server takes it");
    let path = format!("{ROOM}&token={}", token("u"));
    let mut member = Raw::on(rustls::StreamOwned::new(certificate.connection(), stream)).upgraded(&path);
    member.frame();
    assert_eq!(addresses(|request| ask(&server, HEADER, request)), ["203.0.113.7:12345"]);
}

#[test]
fn addresses_are_limited_whoever_brings_the_connection() {
    let other = b"PROXY TCP4 203.0.113.8 10.0.0.1 1 80\r\n";
    let server = TestServer::stored(|config| {
        trust(config, &["127.0.0.1"]);
        config.proxy.protocol = true;
        config.limits.connections_per_ip = 2;
    });
    let _members = [join(&server, HEADER, ""), join(&server, HEADER, ""), join(&server, other, "")];
    assert_eq!((join(&server, HEADER, "").1, join(&server, other, "").1), (503, 101));

    let server = TestServer::stored(|config| {
        trust(config, &["127.0.0.1"]);
        config.limits.connections_per_ip = 2;
    });
    let named = |address: &str| join(&server, b"", &format!("X-Forwarded-For: {address}\r\n"));
    let first = named("203.0.113.7");
    let _others = [named("203.0.113.7"), named("203.0.113.8")];
    assert_eq!((named("203.0.113.7").1, named("203.0.113.8").1), (503, 101));
    assert_eq!(first.1, 101);
    drop(first);
    eventually("the place is free again", || named("203.0.113.7").1 == 101);
}

#[test]
fn a_request_through_a_trusted_proxy_is_its_clients() {
    for (trusted, expected) in [("127.0.0.1", "203.0.113.7:0"), ("10.0.0.0/8", "127.0.0.1:")] {
        let server = TestServer::stored(|config| trust(config, &[trusted]));
        let (_member, status) = join(&server, b"", "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n");
        assert_eq!(status, 101);
        let addresses = addresses(|request| ask(&server, b"", request));
        assert!(addresses.len() == 1 && addresses[0].starts_with(expected), "{addresses:?}");
    }
}

#[test]
fn the_scheme_is_told_in_many_ways_and_the_origin_check_follows() {
    let trusting = TestServer::stored(|config| trust(config, &["127.0.0.1"]));
    let other = TestServer::stored(|config| trust(config, &["10.0.0.0/8"]));
    let secure = [
        "X-Forwarded-Proto: wss\r\n",
        "X-Forwarded-Proto: WSS\r\n",
        "X-Forwarded-Proto: https, https\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n",
        "Forwarded: for=203.0.113.7;proto=https;by=127.0.0.1\r\n",
        "Forwarded: for=\"[2001:db8::1]:4711\";Proto=\"WSS\"\r\n",
        "X-Forwarded-For: 203.0.113.7, 127.0.0.1\r\nX-Forwarded-Proto: https, http\r\n",
    ];
    let plain = [
        "",
        "X-Forwarded-Proto: ws\r\n",
        "Forwarded: for=203.0.113.7;proto=http\r\n",
        // What stands before the word of the only proxy is its client's.
        "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https, http\r\n",
        "Forwarded: proto=https, for=203.0.113.7;proto=http\r\n",
    ];
    let status = |server: &TestServer, fields: &str, origin: &str| {
        join(server, b"", &format!("{fields}Origin: {origin}\r\n")).1
    };
    for (cases, own, foreign) in
        [(&secure[..], "https://h", "http://h"), (&plain[..], "http://h", "https://h")]
    {
        for fields in cases {
            let told = (status(&trusting, fields, own), status(&trusting, fields, foreign));
            assert_eq!(told, (101, 403), "{fields}");
            let unheard = (status(&other, fields, "http://h"), status(&other, fields, "https://h"));
            assert_eq!(unheard, (101, 403), "{fields}");
        }
    }
}

#[test]
fn the_scheme_of_the_own_origin_is_the_one_that_a_trusted_proxy_tells() {
    for (trusted, origin, status) in [
        ("127.0.0.1", "https://h", 101),
        ("127.0.0.1", "http://h", 403),
        ("10.0.0.0/8", "https://h", 403),
        ("10.0.0.0/8", "http://h", 101),
    ] {
        let server = TestServer::stored(|config| trust(config, &[trusted]));
        let fields = format!("X-Forwarded-Proto: https\r\nOrigin: {origin}\r\n");
        assert_eq!(join(&server, b"", &fields).1, status, "{origin} through {trusted}");
    }
}

/// A server process, killed when dropped.
struct Process {
    child: Child,
    /// What it says about where it listens.
    ready: String,
}

impl Process {
    /// Starts one; `socket` is its standard input, which the shell may make something else of before `exec`.
    fn start(shell: &str, socket: Option<OwnedFd>, arguments: &[&str]) -> Process {
        // The tests end with connections open.
        let shell = format!("export FOGHORN_LIMITS_CLOSE_TIMEOUT=100ms; {shell}");
        let script = format!("{shell} exec \"$0\" serve --memory --log warn \"$@\"");
        let mut command = Command::new("sh");
        let mut child = without_own_settings(&mut command)
            .args(["-c", &script, env!("CARGO_BIN_EXE_foghorn")])
            .args(arguments)
            .stdin(socket.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        Process { child, ready }
    }

    fn at(path: &Path) -> Process {
        Process::start("", None, &["--listen", &format!("unix:{}", path.display())])
    }

    fn signal(&mut self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -$1 \"$0\"", &pid, name]).status().expect("a shell");
        assert!(sent.success());
        self.child.wait().expect("its end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _no_zombie_stays = self.child.wait();
    }
}

fn unix(path: &Path) -> Raw<UnixStream> {
    let stream = UnixStream::connect(path).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    Raw::on(stream)
}

#[test]
fn a_unix_socket_serves_whom_its_mode_lets_in_and_is_gone_with_its_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("foghorn.sock");
    let mut server = Process::start(
        "umask 0; export FOGHORN_UNIX_MODE=600;",
        None,
        &["--listen", &format!("unix:{}", path.display())],
    );
    assert_eq!(server.ready, format!("unix:{}", path.display()));
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut member = unix(&path).upgraded(ROOM);
    member.frame();
    let addresses = addresses(|request| {
        let mut raw = unix(&path);
        raw.send(request);
        raw.reply().body
    });
    assert_eq!(addresses, ["127.0.0.1:0"]);
    server.signal("TERM");
    assert!(!path.exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("foghorn.sock");
    let mut killed = Process::at(&path);
    killed.signal("KILL");
    assert!(path.exists());
    let server = Process::at(&path);
    let _member = unix(&path).upgraded("/echo");
    let second = Process::at(&path);
    assert_eq!(second.ready, "", "somebody answers there");
    let _another = unix(&path).upgraded("/echo");
    drop(server);

    let file = directory.path().join("file");
    std::fs::write(&file, "kept").expect("a file");
    assert_eq!(Process::at(&file).ready, "");
    assert_eq!(std::fs::read(&file).expect("a file"), b"kept");
}

/// Makes the standard input a passed socket.
const PASS: &str = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$;";

#[test]
fn sockets_that_were_passed_take_the_place_of_others_and_outlive_the_server() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    for _ in 0..2 {
        let passed = OwnedFd::from(socket.try_clone().expect("a descriptor"));
        let mut server = Process::start(PASS, Some(passed), &["--listen", "127.0.0.1:1"]);
        assert_eq!(server.ready, format!("http://{address}"));
        let _member = Raw::over(tcp(address)).upgraded("/echo");
        server.signal("TERM");
    }

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("passed.sock");
    let socket = UnixListener::bind(&path).expect("a socket");
    let mut server = Process::start(PASS, Some(socket.into()), &[]);
    assert_eq!(server.ready, format!("unix:{}", path.display()));
    let _member = unix(&path).upgraded("/echo");
    server.signal("TERM");
    assert!(path.exists(), "it belongs to whoever has passed it");
}

#[test]
fn a_passed_socket_named_tls_speaks_tls() {
    let certificate = Certificate::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    let files = [certificate.certificate().display().to_string(), certificate.key().display().to_string()];
    let shell = format!("{PASS} export LISTEN_FDNAMES=tls;");
    let server = Process::start(
        &shell,
        Some(socket.into()),
        &["--tls-certificate", &files[0], "--tls-key", &files[1]],
    );
    assert_eq!(server.ready, format!("https://{address}"));
    let _member = Raw::on(certificate.connect(address)).upgraded("/echo");
}

#[test]
fn what_was_passed_has_to_be_a_listening_socket() {
    let (one, _other) = UnixStream::pair().expect("sockets");
    for socket in [OwnedFd::from(one), std::fs::File::open("/dev/null").expect("a file").into()] {
        assert_eq!(Process::start(PASS, Some(socket), &[]).ready, "");
    }
    let closed = "exec 3<&-; export LISTEN_FDS=1 LISTEN_PID=$$;";
    assert_eq!(Process::start(closed, None, &[]).ready, "");
}
