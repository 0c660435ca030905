//! An urgent byte (RFC 9293 §3.8.5) cuts reads short; nothing behind it is left lying.

use std::io::Write;

use socket2::SockRef;

use crate::support::frame::{BINARY, masked};
use crate::support::secure::Certificate;
use crate::support::{Raw, TestServer, eventually};

#[test]
fn what_is_behind_an_urgent_byte_is_read_though_no_event_tells_of_it() {
    let server = TestServer::start();
    for round in 0..50 {
        let mut raw = Raw::open(&server, "/echo");
        let message = masked(BINARY, format!("hello {round}").as_bytes());
        // While the server is busy with this, all the rest arrives: it hears of it once.
        let long = vec![b'x'; 3 << 20];
        raw.send(&masked(BINARY, &long));
        let stream = raw.stream().try_clone().expect("a socket");
        // One at a time: the kernel makes an earlier one that was not passed over a byte of the stream.
        raw.send(&message);
        SockRef::from(&stream).send_out_of_band(b"!").expect("an urgent byte");
        raw.send(&message);
        (&stream).write_all(&message[..4]).expect("the server takes it");
        raw.send(&message[4..]);
        assert_eq!(raw.frame().payload.len(), long.len());
        for _ in 0..3 {
            assert_eq!(raw.frame().payload, format!("hello {round}").as_bytes());
        }
    }
}

#[test]
fn an_urgent_byte_between_requests_and_inside_tls_is_passed_over() {
    let certificate = Certificate::new();
    let server = TestServer::stored(|config| certificate.configure(config));
    for _ in 0..50 {
        let mut raw = Raw::connect(&server);
        let request = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
        raw.send(request);
        SockRef::from(raw.stream()).send_out_of_band(b"!").expect("an urgent byte");
        raw.send(request);
        assert_eq!((raw.reply().status, raw.reply().status), (200, 200));
    }
    eventually("all are gone", || server.handle().rooms().connections() == 0);
}
