//! TLS as a client sees it that nobody here wrote. What such a client must not do is in `hostile`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use crate::support::frame::{self, Frame};
use crate::support::raw::upgrade_lines;
use crate::support::secure::{self, Bytewise, Certificate, Secure, tcp};
use crate::support::{Chat, ConfiguredProcess, Coverage, Raw, TestServer, eventually};
use foghorn::bench::{self, Believed, Pace, Plan, Protocol, Rooms, Target, Wait, Workload};
use foghorn::config::Config;
use rustls::version::TLS13;
use rustls::{ProtocolVersion, StreamOwned};
use serde_json::Value;

fn start(certificate: &Certificate) -> TestServer {
    TestServer::with(|config| certificate.configure(config))
}

/// What a connection reads to its end, which must be an orderly one: no reset.
fn read_to_end(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an orderly end");
    bytes
}

fn assert_echoes(raw: &mut Raw<impl Read + Write>, payload: &[u8]) {
    raw.send(&frame::masked(frame::BINARY, payload));
    assert!(raw.frame() == Frame::new(frame::BINARY, payload), "{} bytes", payload.len());
}

#[test]
fn both_versions_carry_messages_of_all_sizes() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    let address = server.tls_address();
    for (stream, version) in [
        (certificate.connect(address), ProtocolVersion::TLSv1_3),
        (certificate.connect_1_2(address), ProtocolVersion::TLSv1_2),
    ] {
        let mut raw = Raw::on(stream).upgraded("/echo");
        assert_eq!(raw.stream().conn.protocol_version(), Some(version));
        for len in [0, 1, 125, 16_384 - 4, 16_384, 100_000, 3_000_000] {
            assert_echoes(&mut raw, &vec![7; len]);
        }
    }
}

#[test]
fn http_1_1_is_agreed_on_and_a_client_that_wants_only_http_2_is_refused() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    let raw = certificate.open(&server, "/echo");
    assert_eq!(raw.stream().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let client = certificate.client(&TLS13, &["h2"]);
    let mut stream = StreamOwned::new(secure::connection(&client), tcp(server.tls_address()));
    let error =
        stream.write_all(b"x").and_then(|()| stream.read(&mut [0; 1])).expect_err("no protocol in common");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn pages_of_the_same_origin_are_those_that_came_over_https() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    for (origin, tls, status) in [
        ("https://h", true, 101),
        ("http://h", true, 403),
        ("http://h", false, 101),
        ("https://h", false, 403),
    ] {
        let request = format!("{}Origin: {origin}\r\n\r\n", upgrade_lines("/echo"));
        let reply = if tls {
            let mut raw = Raw::on(certificate.connect(server.tls_address()));
            raw.send(request.as_bytes());
            raw.reply()
        } else {
            let mut raw = Raw::connect(&server);
            raw.send(request.as_bytes());
            raw.reply()
        };
        assert_eq!(reply.status, status, "{origin}, TLS: {tls}");
    }
}

#[test]
fn bytes_that_come_one_by_one_are_as_good_as_others() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    let stream = StreamOwned::new(certificate.connection(), Bytewise(tcp(server.tls_address())));
    let mut raw = Raw::on(stream).upgraded("/echo");
    assert_echoes(&mut raw, b"one by one");
    assert_echoes(&mut raw, &[1; 3000]);
}

#[test]
fn keys_can_be_changed_at_any_time() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    let mut raw = certificate.open(&server, "/echo");
    for round in 0..40 {
        raw.stream_mut().conn.refresh_traffic_keys().expect("TLS 1.3 can");
        assert_echoes(&mut raw, &[round; 100]);
    }
}

#[test]
fn an_orderly_end_is_announced_in_both_directions() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    let mut raw = certificate.open(&server, "/echo");
    raw.send(&frame::masked_close(1000, ""));
    // Without close_notify before the end of the stream this would be an error.
    raw.expect_close(1000);

    let mut raw = certificate.open(&server, "/echo");
    raw.stream_mut().conn.send_close_notify();
    raw.stream_mut().flush().expect("the server takes it");
    raw.expect_end();
}

#[test]
fn an_end_that_was_not_announced_ends_the_session() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    let mut witness = Chat::join(&server, "r", "witness");
    let mut raw = certificate.open(&server, "/ws/chat?roomId=r&username=cut");
    witness.expect("JOIN");
    // Half a message, and the end of the stream where a record could follow.
    raw.send(&frame::masked(frame::TEXT, b"{\"content\":\"half\"}")[..9]);
    raw.stream().sock.shutdown(Shutdown::Write).expect("a connection");
    assert_eq!(witness.expect("LEAVE")["content"], "cut left");
}

#[test]
fn one_connection_too_many_is_told_so_over_tls() {
    let certificate = Certificate::new();
    let server = TestServer::with(|config| {
        certificate.configure(config);
        config.limits.connections = 1;
    });
    let _first = certificate.open(&server, "/echo");
    let mut second = Raw::on(certificate.connect(server.tls_address()));
    second.stream_mut().flush().expect("a handshake");
    let reply = second.reply();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    second.expect_end();
}

#[test]
fn a_shutdown_ends_sessions_and_handshakes_in_order() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    // Accepted before the session is open, since it comes before it.
    let waiting = tcp(server.tls_address());
    let mut raw = certificate.open(&server, "/echo");
    server.begin_shutdown();
    raw.expect_close(1001);
    read_to_end(waiting);
    server.join();
}

fn shown(stream: &Secure) -> Vec<u8> {
    stream.conn.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").to_vec()
}

#[test]
fn a_new_certificate_is_shown_to_newcomers_while_the_others_go_on() {
    let mut certificate = Certificate::new();
    let server = start(&certificate);
    let mut members: Vec<_> =
        (0..4).map(|number| certificate.open(&server, &format!("/ws/raw?roomId={number}"))).collect();
    for round in 0..3 {
        let old = certificate.der.clone();
        certificate.renew();
        let mut config = Config::default();
        certificate.configure(&mut config);
        server.handle().reload(&config).expect("good files");
        eventually("the new certificate is shown", || {
            for member in &mut members {
                member.send(&frame::masked(frame::TEXT, b"under load"));
                assert_eq!(member.frame(), Frame::text("under load"), "round {round}");
            }
            let mut stream = certificate.connect(server.tls_address());
            match stream.flush() {
                Ok(()) => shown(&stream) == certificate.der.to_vec(),
                // The old one, which this client does not trust any more.
                Err(_) => false,
            }
        });
        assert_eq!(shown(members[0].stream()) == old.to_vec(), round == 0);
    }
}

#[test]
fn a_bad_file_keeps_the_old_certificate_and_is_said_once() {
    let certificate = Certificate::new();
    let config =
        format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", certificate.certificate(), certificate.key());
    let server = ConfiguredProcess::listening(&config, "tls:127.0.0.1:0");
    std::fs::write(certificate.certificate(), "not a certificate").expect("a file");
    server.signal("HUP");
    for _ in 0..20 {
        let mut raw = Raw::on(certificate.connect(server.address())).upgraded("/echo");
        assert_echoes(&mut raw, b"the old one");
    }
    eventually("the log says so", || server.logged().contains("nothing was read anew"));
    let log = server.log();
    assert!(log.contains("certificate.pem: holds no certificate"), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn a_certificate_that_has_expired_is_not_taken_over_and_is_named() {
    let certificate = Certificate::new();
    let config =
        format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", certificate.certificate(), certificate.key());
    let server = ConfiguredProcess::listening(&config, "tls:127.0.0.1:0");
    certificate.expire();
    server.signal("HUP");
    eventually("the log says so", || server.logged().contains("certificate.pem: has expired on 2020-01-01"));
    assert!(server.logged().contains("nothing was read anew"), "{}", server.logged());
    let mut raw = Raw::on(certificate.connect(server.address())).upgraded("/echo");
    assert_echoes(&mut raw, b"the old one");
}

#[test]
fn one_that_is_in_use_already_is_named_and_keeps_nothing_else_from_changing() {
    let certificate = Certificate::new();
    certificate.expire();
    let config =
        format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", certificate.certificate(), certificate.key());
    let server = ConfiguredProcess::listening(&config, "tls:127.0.0.1:0");
    eventually("the log says so", || server.logged().lines().count() == 1);
    server.signal("HUP");
    eventually("the log says so again", || server.logged().lines().count() == 2);
    let log = server.log();
    assert_eq!(log.matches("certificate.pem: has expired on 2020-01-01").count(), 2, "{log}");
    assert!(!log.contains("nothing was read anew"), "{log}");
}

#[test]
fn a_server_without_its_certificate_does_not_start() {
    let certificate = Certificate::new();
    let (file, key) = (certificate.certificate(), certificate.key());
    let other = Certificate::new();
    let run = |file: &std::path::Path, key: &std::path::Path| {
        let paths = [file.display().to_string(), key.display().to_string()];
        let arguments = [
            "serve",
            "--memory",
            "--listen",
            "tls:127.0.0.1:0",
            "--tls-certificate",
            &paths[0],
            "--tls-key",
            &paths[1],
        ];
        let output = crate::support::process::run(&arguments, b"");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("text")
    };
    let missing = file.with_file_name("missing.pem");
    for (file, key, problem) in [
        (&file, &other.key(), "certificate.pem: does not go with the key in "),
        (&missing, &key, "missing.pem: cannot be read: "),
        (&key, &key, "key.pem: holds no certificate"),
        (&file, &file, "certificate.pem: holds no private key"),
    ] {
        let error = run(file, key);
        assert!(error.starts_with("foghorn: cannot speak TLS: ") && error.contains(problem), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_member_that_does_not_read_over_tls_delays_nobody_and_misses_nothing() {
    let certificate = Certificate::new();
    let server = TestServer::stored(|config| {
        certificate.configure(config);
        config.rooms.window_bytes = 64 * 1024;
    });
    let path = "/ws/chat?roomId=r&username=";
    let mut slow = certificate.open(&server, &format!("{path}slow"));
    let mut secure = certificate.open(&server, &format!("{path}secure"));
    let mut plain = Chat::enter(&server, "r", "plain", "");
    let content = "x".repeat(20_000);
    let mut stalled_at = 0;
    for number in 0..1000 {
        plain.say(&format!("{number} {content}"));
        let heard = loop {
            let value: Value = serde_json::from_slice(&secure.frame().payload).expect("JSON");
            if value["type"] == "MESSAGE" {
                break value;
            }
        };
        assert!(heard["content"].as_str().is_some_and(|text| text.starts_with(&format!("{number} "))));
        stalled_at = heard["seq"].as_u64().expect("a number");
    }
    let first: Value = serde_json::from_slice(&slow.frame().payload).expect("JSON");
    let mut coverage = Coverage::from(first["seq"].as_u64().expect("a number") + 1);
    while coverage.next <= stalled_at {
        coverage.take(&serde_json::from_slice(&slow.frame().payload).expect("JSON"));
    }
    assert_eq!(coverage.gaps, 0, "all of it is in the store");
}

#[test]
fn the_load_engine_speaks_tls_to_whom_it_trusts() {
    let certificate = Certificate::new();
    let server = start(&certificate);
    let plan = Plan {
        workload: Workload::Fanout(Rooms {
            rooms: 2,
            members: 20,
            publishers: 2,
            stalled: 1,
            pace: Pace::Window(8),
        }),
        protocol: Protocol::Text,
        size: 3000,
        warmup: Duration::ZERO,
        measure: Duration::from_millis(200),
        wait: Wait::Sleep,
        server: None,
        database: None,
    };
    let url = format!("wss://{}", server.tls_address());
    let run = |authority: Believed| {
        let target = Target::parse_trusting(&url, "/ws/raw?roomId={room}", &authority).expect("a target");
        bench::run(&plan, &target, &mut |_| ())
    };
    for authority in [Believed::File(certificate.certificate()), Believed::Anybody] {
        let report = run(authority).expect("a report");
        assert!(
            report.verdict.is_result() && report.faults.is_none(),
            "{:?} {:?}",
            report.verdict,
            report.faults
        );
    }
    let stranger = Certificate::new();
    assert!(run(Believed::File(stranger.certificate())).is_err(), "nobody vouches for it");
}
