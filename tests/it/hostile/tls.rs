//! TLS that is none, breaks off, drips, floods, or says inside what nobody may say.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, ContentType, Error, SupportedProtocolVersion};

use super::arena::{Arena, MARK, connections, transcript};
use super::sealed::{Opener, Sealed};
use crate::support::frame::{BINARY, TEXT, masked, masked_close};
use crate::support::raw::upgrade;
use crate::support::secure::{Certificate, shake_hands, tcp, written};
use crate::support::{PATIENCE, eventually, now};

/// A warning that nobody needs to heed, and the end, before anything is encrypted.
const WARNING: &[u8] = b"\x15\x03\x03\x00\x02\x01\x5a";
const CLOSE_NOTIFY: &[u8] = b"\x15\x03\x03\x00\x02\x01\x00";

/// A record of this kind, not encrypted.
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).expect("at most 65,535 bytes");
    [&[kind, 3, 3][..], &len.to_be_bytes(), payload].concat()
}

/// A sound first record.
fn hello(certificate: &Certificate) -> Vec<u8> {
    written(&mut certificate.connection())
}

/// A first message that offers only this version, with no extension.
fn old_hello(version: [u8; 2], suites: &[u8]) -> Vec<u8> {
    let len = u16::try_from(suites.len()).expect("few");
    let body = [&version[..], &[7; 32], &[0], &len.to_be_bytes(), suites, &[1, 0]].concat();
    let len = u8::try_from(body.len()).expect("short");
    record(22, &[&[1, 0, 0, len][..], &body].concat())
}

/// What the server says before anything can be read: alerts by number, runs of records by kind.
fn records(mut bytes: Vec<u8>) -> String {
    let mut words: Vec<String> = Vec::new();
    while bytes.len() >= 5 {
        let len = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        let record: Vec<u8> = bytes.drain(..5 + len).collect();
        let word = match (record[0], &record[5..]) {
            (21, [_, description]) => format!("alert:{description}"),
            (22, _) => "hello".to_owned(),
            (23, _) => "sealed".to_owned(),
            (20, _) => continue,
            (_, _) => format!("no TLS: {}", record.escape_ascii()),
        };
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(" ") + &bytes.escape_ascii().to_string()
}

#[test]
fn what_is_no_tls_gets_an_alert_and_an_orderly_end() {
    let certificate = Certificate::new();
    let hello = hello(&certificate);
    let long = |len: &[u8]| [&b"\x16\x03\x01"[..], len].concat();
    let mut arena = Arena::secure("", &certificate);
    for (name, bytes, verdict) in [
        ("plain HTTP", upgrade("/echo"), "alert:50"),
        ("text", MARK.repeat(1000).into_bytes(), "alert:50"),
        ("zeros", vec![0; 1_000_000], "alert:50"),
        ("SSL 2", b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10\x07\0\xc0".repeat(10), "alert:50"),
        ("a record that is too long", long(b"\xff\xff").repeat(10_000), "alert:50"),
        ("one byte too long", long(b"\x48\x01").repeat(10_000), "alert:50"),
        ("an empty record", [long(b"\0\0"), vec![0; 100]].concat(), "alert:50"),
        ("a message of 16 MiB", [long(b"\x40\0\x01\xff\xff\xff"), vec![0; 100_000]].concat(), "alert:0"),
        ("data before the handshake", record(23, MARK.as_bytes()), "alert:10"),
        ("a heartbeat", record(24, b"\x01\x40\0"), "alert:50"),
        ("a message from a server", record(22, b"\x02\0\0\0"), "alert:50"),
        ("the end of a handshake", record(22, b"\x14\0\0\x0c123456789012"), "alert:10"),
        ("TLS 1.0", old_hello([3, 1], b"\xc0\x13"), "alert:40"),
        ("TLS 1.1", old_hello([3, 2], b"\xc0\x13"), "alert:40"),
        ("a version to come", old_hello([4, 0], b"\xc0\x2b"), "alert:40"),
        ("no cipher that is known", old_hello([3, 3], b"\0\x05\xfa\xfa"), "alert:40"),
        ("no cipher at all", old_hello([3, 3], b""), "alert:50"),
        ("a second hello", hello.repeat(2), "hello sealed"),
        ("data instead of the end", [hello.clone(), record(23, &[7; 100])].concat(), "hello sealed"),
        ("a flood of warnings", WARNING.repeat(100_000), "alert:0"),
        (
            "a flood of warnings in the handshake",
            [hello.clone(), WARNING.repeat(100_000)].concat(),
            "hello sealed",
        ),
        ("a flood of changes", [hello.clone(), record(20, b"\x01").repeat(10_000)].concat(), "hello sealed"),
        ("an alert of three bytes", record(21, b"\x01\0\0"), "alert:50"),
    ] {
        arena.engage(name, verdict, |_| (bytes.clone(), records));
    }
    arena.survives();
}

/// What a handshake is that comes to nothing: bytes behind which the client says no more.
fn unfinished(certificate: &Certificate) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let hello = hello(certificate);
    let pieces: Vec<u8> = hello[5..].chunks(7).flat_map(|piece| record(22, piece)).collect();
    vec![
        ("a byte", hello[..1].to_vec(), ""),
        ("half a header", hello[..3].to_vec(), ""),
        ("half a hello", hello[..hello.len() / 2].to_vec(), ""),
        ("half a hello in small records", pieces[..pieces.len() / 2].to_vec(), ""),
        ("a hello in small records", pieces, "hello sealed"),
        ("nothing but close_notify", CLOSE_NOTIFY.to_vec(), ""),
        ("a hello", hello, "hello sealed"),
    ]
}

#[test]
fn a_handshake_that_comes_to_nothing_ends_by_its_deadline() {
    let certificate = Certificate::new();
    let mut arena = Arena::secure("[limits]\ntls_timeout = \"400ms\"\n", &certificate);
    for (name, bytes, verdict) in unfinished(&certificate) {
        arena.engage(name, verdict, |_| (bytes.clone(), records));
    }
    assert!(arena.server.hits("tls_timeout") >= 18, "{}", arena.server.hits("tls_timeout"));
    arena.survives();
}

#[test]
fn a_handshake_that_drips_has_a_deadline_that_no_byte_moves() {
    let certificate = Certificate::new();
    let hello = hello(&certificate);
    let drips: Vec<u8> = hello[5..].iter().flat_map(|byte| record(22, &[*byte])).collect();
    let mut arena = Arena::secure("[limits]\ntls_timeout = \"500ms\"\n", &certificate);
    for (name, bytes) in [("bytes", &hello), ("records of a byte", &drips)] {
        let before = arena.server.hits("tls_timeout");
        let mut stream = tcp(arena.server.other_address());
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
        let (start, mut bytes) = (now(), bytes.iter());
        // Ends in order or not: what was sent last may have come too late.
        while !matches!(stream.read(&mut [0; 1]), Ok(0)) {
            let byte = bytes.next().expect("the deadline comes before the last byte");
            if stream.write_all(&[*byte]).is_err() {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{name}: it never ends");
            arena.witness();
        }
        assert!(start.elapsed() >= Duration::from_millis(450), "{name}: {:?}", start.elapsed());
        assert_eq!(arena.server.hits("tls_timeout"), before + 1, "{name}");
    }
    arena.survives();
}

/// A thousand connections whose handshake was begun: half of them have the server's answer, the others have yet to send a
/// part of their first message.
fn begun(arena: &mut Arena, hello: &[u8]) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for number in 0..1000 {
        let mut stream = tcp(arena.server.other_address());
        let bytes = if number % 2 == 0 { hello } else { &hello[..hello.len() / 2] };
        stream.write_all(bytes).expect("the server takes it");
        held.push(stream);
        if number % 100 == 0 {
            arena.witness();
        }
    }
    held
}

#[test]
fn a_thousand_handshakes_that_nobody_finishes_cost_little_and_keep_nobody_out() {
    const BYTES_EACH_MAX: usize = 16 << 10;
    let certificate = Certificate::new();
    let hello = hello(&certificate);
    let mut arena = Arena::secure("[limits]\ntls_timeout = \"5s\"\n", &certificate);
    for wave in 1..=2 {
        let before = arena.server.resident();
        let held = begun(&mut arena, &hello);
        let mut newcomer = certificate.connect(arena.server.other_address());
        let bytes = [upgrade("/echo"), masked_close(1000, "")].concat();
        newcomer.write_all(&bytes).expect("the server takes it");
        newcomer.read_to_end(&mut Vec::new()).expect("an end");
        drop(newcomer);
        eventually("all of them are there", || connections(&arena.server) == 1002);
        let each = arena.server.resident().saturating_sub(before) / held.len();
        println!("{each} bytes of memory for each handshake");
        assert!(each < BYTES_EACH_MAX, "{each} bytes");
        eventually("all of them have ended", || {
            arena.witness();
            connections(&arena.server) == 2
        });
        assert_eq!(arena.server.hits("tls_timeout"), wave * 1000);
        drop(held);
        if wave == 1 {
            arena.forget_memory();
        }
    }
    arena.survives();
}

/// An attack behind a handshake that both versions have.
fn inside(
    arena: &mut Arena,
    certificate: &Certificate,
    version: &'static SupportedProtocolVersion,
    name: &str,
    verdict: &str,
    attack: impl Fn(Sealed) -> Sealed,
) {
    let name = format!("{name}, {:?}", version.version);
    arena.engage(&name, verdict, |stream| {
        let (flight, opener) = attack(Sealed::begin(stream, certificate, version)).parts();
        (flight, move |bytes| Opener::words(opener, bytes))
    });
}

#[test]
fn what_nobody_may_say_inside_tls_is_answered_with_an_alert() {
    let certificate = Certificate::new();
    let mut arena = Arena::secure("", &certificate);
    let echo = [upgrade("/echo"), masked(TEXT, b"x"), masked_close(1000, "")].concat();
    let long = vec![0; 16 * 1024 + 1];
    for version in [&TLS12, &TLS13] {
        let mut fight = |name: &str, verdict: &str, attack: &dyn Fn(Sealed) -> Sealed| {
            inside(&mut arena, &certificate, version, name, verdict, attack);
        };
        fight("nothing wrong", "101 text:x close:1000 alert:0", &|sealed| sealed.data(&echo));
        fight("a changed record", "alert:20", &|sealed| sealed.data(&upgrade("/echo")).spoiled());
        fight("a record that is too long", "alert:22", &|sealed| {
            sealed.record(ContentType::ApplicationData, &long)
        });
        fight("not sealed", "alert:20", &|sealed| sealed.raw(&record(23, &upgrade("/echo"))));
        fight("an alert that is not sealed", "alert:20", &|sealed| sealed.raw(WARNING));
        fight("a fatal alert", "alert:0", &|sealed| sealed.record(ContentType::Alert, &[2, 80]).data(&echo));
        fight("a flood of warnings", "alert:0", &|sealed| {
            (0..1000).fold(sealed, |sealed, _| sealed.record(ContentType::Alert, &[1, 90]))
        });
        fight("a flood of nothing", "alert:0", &|sealed| {
            (0..10_000).fold(sealed, |sealed, _| sealed.record(ContentType::ApplicationData, b"")).data(&echo)
        });
        fight("a little of nothing", "101 text:x close:1000 alert:0", &|sealed| {
            (0..10).fold(sealed, |sealed, _| sealed.record(ContentType::ApplicationData, b"")).data(&echo)
        });
        fight("data behind close_notify", "alert:0", &|sealed| {
            sealed.record(ContentType::Alert, &[1, 0]).data(&echo)
        });
        fight("HTTP that is none", "400 alert:0", &|sealed| sealed.data(b"GET / HTTP/1.1\nHost: h\n\n"));
    }
    arena.survives();
}

#[test]
fn a_handshake_is_not_begun_anew() {
    let certificate = Certificate::new();
    let mut arena = Arena::secure("", &certificate);
    let again = old_hello([3, 3], b"\xcc\xa9");
    let echo = [upgrade("/echo"), masked(TEXT, b"x"), masked_close(1000, "")].concat();
    let again = |sealed: Sealed| sealed.record(ContentType::Handshake, &again[5..]);
    // No, and the connection goes on; whoever insists is cut off (RFC 5246 §7.2.2).
    inside(&mut arena, &certificate, &TLS12, "once", "101 text:x close:1000 alert:100 alert:0", |sealed| {
        again(sealed).data(&echo)
    });
    inside(&mut arena, &certificate, &TLS12, "twice", "alert:100 alert:0", |sealed| {
        again(again(sealed)).data(&echo)
    });
    inside(&mut arena, &certificate, &TLS12, "a thousand times", "alert:100 alert:0", |sealed| {
        (0..1000).fold(sealed, |sealed, _| again(sealed))
    });
    inside(&mut arena, &certificate, &TLS13, "once", "alert:10", |sealed| again(sealed).data(&echo));
    arena.survives();
}

/// What is heard on a connection in words, then the alert that ended it.
fn heard(mut connection: ClientConnection, bytes: Vec<u8>) -> String {
    let (mut bytes, mut plaintext, mut alert) = (&bytes[..], Vec::new(), String::new());
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes).expect("a slice");
        match connection.process_new_packets() {
            Ok(state) if state.peer_has_closed() => alert = " alert:0".to_owned(),
            Ok(_) => {}
            Err(Error::AlertReceived(description)) => {
                alert = format!(" alert:{}", u8::from(description));
                break;
            }
            Err(error) => alert = format!(" {error}"),
        }
        let _no_more = connection.reader().read_to_end(&mut plaintext);
    }
    transcript(plaintext) + &alert
}

#[test]
fn what_comes_with_the_end_of_the_handshake_is_answered_without_another_event() {
    let certificate = Certificate::new();
    let mut arena = Arena::secure("", &certificate);
    let mut verdict = "101".to_owned();
    for number in 0..1000 {
        verdict += &format!(" text:{number}");
    }
    arena.engage("a thousand records", &(verdict + " close:1000 alert:0"), |stream| {
        let mut connection = certificate.connection();
        connection.set_buffer_limit(None);
        shake_hands(&mut connection, stream);
        let mut say = |bytes: &[u8]| connection.writer().write_all(bytes).expect("room");
        say(&upgrade("/echo"));
        // A record each, more than is read at once together.
        (0..1000).for_each(|number| say(&masked(TEXT, format!("{number}").as_bytes())));
        say(&masked_close(1000, ""));
        (written(&mut connection), move |bytes| heard(connection, bytes))
    });
    arena.engage("one record of everything", "101 binary:16000 close:1000 alert:0", |stream| {
        let mut connection = certificate.connection();
        shake_hands(&mut connection, stream);
        let all = [upgrade("/echo"), masked(BINARY, &[7; 16_000]), masked_close(1000, "")].concat();
        connection.writer().write_all(&all).expect("room");
        (written(&mut connection), move |bytes| heard(connection, bytes))
    });
    arena.survives();
}

#[test]
fn new_keys_that_nothing_is_sealed_with_are_made_only_so_often() {
    let certificate = Certificate::new();
    let mut arena = Arena::secure("", &certificate);
    for (count, verdict) in [(10, "101 close:1000 alert:0"), (10_000, "alert:0")] {
        arena.engage("new keys", verdict, |stream| {
            let mut connection = certificate.connection();
            connection.set_buffer_limit(None);
            shake_hands(&mut connection, stream);
            let mut flight = written(&mut connection);
            for _ in 0..count {
                connection.refresh_traffic_keys().expect("TLS 1.3 can");
                flight.extend(written(&mut connection));
            }
            let all = [upgrade("/echo"), masked_close(1000, "")].concat();
            connection.writer().write_all(&all).expect("room");
            flight.extend(written(&mut connection));
            (flight, move |bytes| heard(connection, bytes))
        });
    }
    arena.survives();
}
