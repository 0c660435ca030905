//! A program without any feature: a server, a handler, a relay room, over real sockets.
//!
//! `cargo test --no-default-features --lib --test minimal`

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use foghorn::config::{Config, Listen, Secret};
use foghorn::http::Head;
use foghorn::server::{Context, Endpoint, Handler, JoinRequest, Router, Server};
use foghorn::ws::Message;

const PATIENCE: Duration = Duration::from_secs(20);

/// Whatever one member says, all are sent.
struct Hall;

impl Handler for Hall {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
        cx.join(JoinRequest::relay("hall")).unwrap();
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        let hall = *cx.memberships().first().unwrap();
        match message {
            Message::Text(text) => cx.publish_text(hall, text, None).unwrap(),
            Message::Binary(bytes) => cx.publish_binary(hall, bytes).unwrap(),
        }
    }
}

struct Member(TcpStream);

impl Member {
    fn join(server: SocketAddr) -> Member {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET /hall HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Member(stream)
    }

    /// A short text, masked with zeros.
    fn say(&mut self, text: &str) {
        let len = u8::try_from(text.len()).unwrap();
        assert!(len < 126);
        let frame = [&[0x81, 0x80 | len, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        assert!(head[0] == 0x81 && head[1] < 126, "{head:?}");
        let mut payload = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut payload).unwrap();
        String::from_utf8(payload).unwrap()
    }
}

#[test]
fn members_of_a_relay_room_hear_each_other() {
    let router = Router::new().endpoint("/hall", Endpoint::new(Hall));
    let server = Server::builder().listen((Ipv4Addr::LOCALHOST, 0).into()).router(router).start().unwrap();
    let (address, handle) = (server.addresses()[0], server.handle());
    let running = thread::spawn(move || server.run());
    let (mut ann, mut bob) = (Member::join(address), Member::join(address));
    for text in ["is anybody here?", "", "yes"] {
        ann.say(text);
        assert_eq!((ann.hear(), bob.hear()), (text.to_owned(), text.to_owned()));
    }
    drop((ann, bob));
    handle.shutdown();
    running.join().unwrap().unwrap();
}

#[test]
fn an_option_of_a_feature_that_is_not_there_keeps_the_server_from_starting() {
    let mut tls = Config::default();
    let place: Listen = "tls:127.0.0.1:0".parse().unwrap();
    (tls.listen, tls.tls.certificate, tls.tls.key) =
        (vec![place], Some("c.pem".into()), Some("k.pem".into()));
    let mut auth = Config::default();
    auth.auth.jwt_secret = Some(Secret::new("a secret that is long enough for HS256"));
    let mut stomp = Config::default();
    stomp.stomp.queues += 1;
    let cases = [
        ("tls", cfg!(feature = "tls"), tls),
        ("auth", cfg!(feature = "auth"), auth),
        ("stomp", cfg!(feature = "stomp"), stomp),
    ];
    for (feature, is_there, config) in cases {
        let checked = config.check().map_err(|error| error.to_string());
        let said = checked.as_ref().err().is_some_and(|error| {
            error.contains(&format!("this program was built without the feature `{feature}`"))
        });
        assert_eq!((checked.is_ok(), said), (is_there, !is_there), "{feature}: {checked:?}");
    }
}
