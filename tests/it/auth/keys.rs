//! Keys of each kind, read anew while the server runs; and that no token is ever written down.

use std::path::{Path, PathBuf};

use foghorn::config::{Config, Secret};
use foghorn::server::{Router, Server};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::client::*;
use crate::support::process::run;
use crate::support::raw::upgrade_lines;
use crate::support::{ConfiguredProcess, Raw, TestServer, eventually};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

fn alice() -> serde_json::Value {
    json!({ "sub": "alice" })
}

fn p256(name: &str, kid: Option<&str>) -> String {
    signed(&alice(), Algorithm::ES256, kid, &EncodingKey::from_ec_pem(&pem(name)).unwrap())
}

fn is_let_in(server: &TestServer, token: &str) -> bool {
    ask(server, "GET", "/api/chat/rooms", &bearer(token), None).status == 200
}

#[test]
fn each_kind_of_key_file_lets_in_who_was_signed_for_with_it() {
    let rsa = EncodingKey::from_rsa_pem(&pem("rsa.pem")).unwrap();
    let ed25519 = EncodingKey::from_ed_pem(&pem("ed25519.pem")).unwrap();
    let tokens = [
        ("rsa.pub.pem", signed(&alice(), Algorithm::RS256, Some("rsa"), &rsa)),
        ("p256-one.pub.pem", p256("p256-one.pem", Some("one"))),
        ("ed25519.pub.pem", signed(&alice(), Algorithm::EdDSA, Some("ed"), &ed25519)),
    ];
    for (own, _) in &tokens {
        let server =
            TestServer::whole(|config| config.auth.jwt_public_key_file = Some(file(own)), |router| router);
        for (other, token) in &tokens {
            assert_eq!(is_let_in(&server, token), own == other, "{own} {other}");
        }
        let confused = signed(&alice(), Algorithm::HS256, None, &EncodingKey::from_secret(&pem(own)));
        assert!(!is_let_in(&server, &confused), "{own}");
    }
    let set =
        TestServer::whole(|config| config.auth.jwks_file = Some(file("set.jwks.json")), |router| router);
    for (name, token) in &tokens {
        assert!(is_let_in(&set, token), "{name}");
    }
    assert!(
        !is_let_in(&set, &p256("p256-one.pem", None)) && !is_let_in(&set, &p256("p256-one.pem", Some("two")))
    );
}

#[test]
fn a_server_does_not_start_without_its_keys() {
    let refusal = |change: &dyn Fn(&mut Config)| {
        let builder = Server::builder().configure(change).router(Router::new());
        builder.listen("127.0.0.1:0".parse().unwrap()).start().unwrap_err().to_string()
    };
    let private = file("rsa.pem");
    let text = refusal(&|config| config.auth.jwt_public_key_file = Some(private.clone()));
    assert_eq!(
        text,
        format!(
            "cannot start: {} is a private key; only the public key belongs here (openssl pkey -pubout)",
            private.display()
        )
    );
    let text = refusal(&|config| config.auth.jwks_file = Some("no/such.json".into()));
    assert!(text.starts_with("cannot start: no/such.json cannot be read: "), "{text}");
}

#[test]
fn keys_are_changed_under_a_running_server_and_a_bad_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    std::fs::write(&path, pem("p256-one.pub.pem")).unwrap();
    let mut config = Config::default();
    config.auth.jwt_public_key_file = Some(path.clone());
    let auth = config.auth.clone();
    let server = TestServer::whole(|config| config.auth = auth, |router| router);
    let (one, two) = (p256("p256-one.pem", None), p256("p256-two.pem", None));
    let mut session = open(&server, CHAT, &bearer(&one));
    expect_welcome(&mut session, "alice");
    assert!(is_let_in(&server, &one) && !is_let_in(&server, &two));
    std::fs::write(&path, b"nonsense").unwrap();
    let error = server.handle().reload(&config).unwrap_err().to_string();
    assert!(error.ends_with("key.pem is not a public key in PEM (-----BEGIN PUBLIC KEY-----)"), "{error}");
    assert!(is_let_in(&server, &one) && !is_let_in(&server, &two));
    let off = server.handle().reload(&Config::default()).unwrap_err().to_string();
    assert_eq!(off, "authentication is turned on or off by a restart only");
    assert!(!is_let_in(&server, "x"));
    std::fs::write(&path, pem("p256-two.pub.pem")).unwrap();
    server.handle().reload(&config).unwrap();
    assert!(!is_let_in(&server, &one) && is_let_in(&server, &two));
    // Whoever is in stays in, and renews with the new key.
    session.send(&auth_message(&two));
    say(&mut session, r#"{"content":"here"}"#);
    expect_message(&mut session, "here");
}

/// The status of a request to a server in a process of its own.
fn status(server: &ConfiguredProcess, path: &str, fields: &str) -> u16 {
    let mut raw = Raw::connect_to(server.address());
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
    raw.reply().status
}

#[test]
fn sighup_reads_keys_and_origins_anew_and_says_in_one_line_if_it_could_not() {
    let config = |secret: &str, origin: &str| {
        format!("[auth]\njwt_secret = \"{secret}\"\n[origins.endpoints]\n\"/echo\" = \"{origin}\"\n")
    };
    let server = ConfiguredProcess::start(&config(SECRET, "http://one"));
    let other = "another secret of the tests, and longer than a hash";
    let new = signed(&alice(), Algorithm::HS256, None, &EncodingKey::from_secret(other.as_bytes()));
    let let_in = |token: &str| status(&server, "/api/chat/rooms", &bearer(token)) == 200;
    let upgrade = |origin: &str| {
        let mut raw = Raw::connect_to(server.address());
        raw.send(format!("{}Origin: {origin}\r\n\r\n", upgrade_lines("/echo")).as_bytes());
        raw.reply().status
    };
    assert!(let_in(&token("alice")) && !let_in(&new));
    assert_eq!((upgrade("http://one"), upgrade("http://two")), (101, 403));
    server.rewrite("[auth]\njwt_secret = 7\n");
    server.signal("HUP");
    server.rewrite(&config(other, "http://two"));
    // The two may be taken for one, so the file was good again before the second.
    server.signal("HUP");
    eventually("the new key counts", || let_in(&new));
    assert!(!let_in(&token("alice")));
    assert_eq!((upgrade("http://one"), upgrade("http://two")), (403, 101));
    server.rewrite("[auth]\njwt_secret = 7\n[origins]\nallowed = \"nonsense\"\n");
    server.signal("HUP");
    std::thread::yield_now();
    assert!(let_in(&new) && upgrade("http://two") == 101);
    let mut log = String::new();
    eventually("the log says why", || {
        log = server.logged();
        log.contains("auth.jwt_secret: expected text in quotes")
    });
    for line in log.lines() {
        assert!(line.contains("ERROR") && line.contains("nothing was read anew"), "{line}");
    }
    assert!(!log.contains(SECRET) && !log.contains(other), "{log}");
}

#[test]
fn no_token_and_no_secret_is_ever_logged() {
    let server = ConfiguredProcess::with_log(
        &format!("[auth]\njwt_secret = \"{SECRET}\"\ntimeout = \"200ms\"\n"),
        "trace",
    );
    let (good, bad) = (token("alice"), token_of(&json!({ "sub": "bob", "exp": 1 })));
    for token in [&good, &bad] {
        status(&server, "/api/stats", &bearer(token));
        status(&server, &format!("/api/chat/rooms?token={token}"), "");
        status(&server, &format!("/nowhere?token={token}"), &format!("Cookie: foghorn_token={token}\r\n"));
        for (path, fields) in [
            (CHAT.to_owned(), bearer(token)),
            (format!("{CHAT}&token={token}"), String::new()),
            (CHAT.to_owned(), format!("Sec-WebSocket-Protocol: foghorn.jwt, {token}\r\n")),
            (CHAT.to_owned(), format!("Cookie: foghorn_token={token}\r\nOrigin: http://evil\r\n")),
            (format!("{CHAT}&username=%1b[31m%0aeve&token={token}"), String::new()),
        ] {
            let mut raw = Raw::connect_to(server.address());
            raw.send(format!("{}{fields}\r\n", upgrade_lines(&path)).as_bytes());
            raw.reply();
        }
        let mut raw = Raw::connect_to(server.address());
        raw.send(format!("{}\r\n", upgrade_lines(CHAT)).as_bytes());
        assert_eq!(raw.reply().status, 101);
        raw.send(&auth_message(token));
        raw.frame();
        // Renewed once, with a token that is no good.
        raw.send_anyway(&auth_message(&bad));
    }
    eventually("the log tells of refusals", || {
        let log = server.logged();
        log.matches("the token has expired").count() >= 5 && log.contains("session ended")
    });
    let log = server.logged();
    for secret in [&*good, &*bad, SECRET] {
        let parts = secret.split('.').filter(|part| part.len() > 20 && !part.starts_with("eyJ0eXAi"));
        for part in parts {
            assert!(!log.contains(part), "{log}");
        }
    }
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!log.contains(control), "{log:?}");
}

#[test]
fn the_command_prints_tokens_that_a_server_takes() {
    let server = server();
    let printed = |arguments: &[&str]| {
        let output = run(&[&["token", "--secret", SECRET], arguments].concat(), b"");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let stats = |token: &str| ask(&server, "GET", "/api/stats", &bearer(token), None).status;
    assert!(is_let_in(&server, &printed(&["--sub", "alice"])));
    assert_eq!(stats(&printed(&["--sub", "alice", "--ttl", "1min"])), 403);
    assert_eq!(stats(&printed(&["--sub", "alice", "--admin"])), 200);
    let limited = bearer(&printed(&["--sub", "alice", "--room", "r", "--room", "s"]));
    expect_welcome(&mut open(&server, CHAT, &limited), "alice");
    expect_refusal(&mut open(&server, "/ws/chat?roomId=t", &limited), 1008);
    for (arguments, status) in [
        (&["token", "--sub", "alice"][..], 2),
        (&["token", "--secret", "s", "--sub", ""], 2),
        (&["token", "--secret", "", "--sub", "a"], 2),
        (&["token", "--secret", "s"], 2),
        (&["token", "--secret", "s", "--sub", "a", "--ttl", "0s"], 2),
        (&["token", "--secret", "s", "--sub", "a", "--ttl", "soon"], 2),
        (&["token", "--secret", "s", "--sub", "a", "--room", ""], 2),
        (&["token", "--secret", "s", "--sub", "a", "--room", "r", "--room", "system"], 2),
        (&["token", "--secret", "s", "--sub", "a", "--room", "a\u{202e}b"], 2),
        (&["token", "--secret", "s", "--sub", "a", "--room", &"r".repeat(129)], 2),
    ] {
        let output = run(arguments, b"");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("foghorn.toml");
    std::fs::write(&file, format!("[auth]\njwt_secret = \"{SECRET}\"\naudience = \"a\"\n")).unwrap();
    let output = run(&["token", "--sub", "alice", "--config", file.to_str().unwrap()], b"");
    let token = String::from_utf8(output.stdout).unwrap();
    assert!(!is_let_in(&server, token.trim()));
    let server = server_with(|config| config.auth.audience = Some("a".into()));
    assert!(is_let_in(&server, token.trim()));
}

#[test]
fn the_load_generator_brings_a_token_along() {
    let server = server();
    let url = format!("ws://{}", server.address());
    let bench = |token: &str| {
        let load = ["fanout", &url, "--chat", "--members", "3", "--seconds", "0.2", "--warmup", "0"];
        run(&[&["bench"], &load[..], &["--token", token]].concat(), b"")
    };
    let output = bench(&token("alice"));
    assert!(output.status.success(), "{}", output.stderr.escape_ascii());
    let bad = bench("bad.bad.bad");
    assert!(!bad.status.success());
    assert!(!bad.stderr.windows(11).any(|window| window == b"bad.bad.bad"), "{}", bad.stderr.escape_ascii());
}

#[test]
fn a_secret_is_not_shown_with_its_configuration() {
    let mut config = Config::default();
    config.auth.jwt_secret = Some(Secret::new(SECRET));
    assert!(!format!("{config:?}").contains(SECRET));
}
