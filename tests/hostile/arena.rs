//! Where attacks take place: a server process with small limits, a witness that is served all the while, and what
//! holds for every attack.

#![expect(clippy::panic, reason = "a helper fails the test that calls it")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::frame::{BINARY, CLOSE, Frame, PING, PONG, TEXT, masked, masked_close};
use crate::support::raw::{upgrade, upgrade_lines};
use crate::support::{ConfiguredProcess, PATIENCE, Raw, eventually};

/// What attacks write into their texts; the log must not repeat it.
pub(crate) const MARK: &str = "ATTACK";

/// Memory that a server may have more of after a hundred attacks than before, for what its allocator keeps.
const RESIDENT_MORE_MAX: usize = 4 << 20;

/// The ways in which an attack's bytes come.
const DELIVERIES: [Delivery; 3] = [Delivery::Whole, Delivery::Bytewise, Delivery::Cut];

/// Of long attacks so many bytes come one by one, at each end.
const BYTEWISE: usize = 600;

#[derive(Clone, Copy, Debug)]
enum Delivery {
    Whole,
    Bytewise,
    Cut,
}

/// Bytes that a client sends on a fresh connection, and all that it gets until the end of that connection.
pub(crate) struct Attack {
    name: String,
    bytes: Vec<u8>,
    verdict: String,
}

/// An attack; the verdict in words, as [`Transcript`] has them.
pub(crate) fn attack(name: &str, bytes: impl Into<Vec<u8>>, verdict: &str) -> Attack {
    Attack { name: name.to_owned(), bytes: bytes.into(), verdict: verdict.to_owned() }
}

/// An attack behind an upgrade in the same bytes. If the server has nothing against it, a Close frame ends it.
pub(crate) fn frames(name: &str, bytes: impl AsRef<[u8]>, verdict: &str) -> Attack {
    let bytes = [&upgrade("/echo"), bytes.as_ref(), &masked_close(1000, "")].concat();
    attack(name, bytes, &format!("101 {verdict}"))
}

/// As [`frames`], after compression was agreed on.
pub(crate) fn compressed(name: &str, bytes: impl AsRef<[u8]>, verdict: &str) -> Attack {
    let head = format!("{}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", upgrade_lines("/echo"));
    let bytes = [head.as_bytes(), bytes.as_ref(), &masked_close(1000, "")].concat();
    attack(name, bytes, &format!("101 {verdict}"))
}

/// A server, and what it was like before anybody attacked it.
pub(crate) struct Arena {
    pub(crate) server: ConfiguredProcess,
    witness: Raw,
    resident: usize,
    descriptors: usize,
}

impl Arena {
    /// A server with this configuration, used a little already.
    pub(crate) fn new(config: &str) -> Arena {
        let server = ConfiguredProcess::start(config);
        for _ in 0..20 {
            for bytes in [&b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"[..], &upgrade("/echo")] {
                let mut stream = TcpStream::connect(server.address()).expect("a connection");
                stream.write_all(bytes).expect("the server takes it");
                stream.write_all(&masked_close(1000, "")).expect("the server takes it");
                stream.read_to_end(&mut Vec::new()).expect("an end");
            }
        }
        let witness = Raw::open_at(server.address(), "/echo");
        eventually("only the witness is left", || connections(&server) == 2);
        let (resident, descriptors) = (server.resident(), server.descriptors());
        Arena { server, witness, resident, descriptors }
    }

    /// The witness is served.
    pub(crate) fn witness(&mut self) {
        self.witness.send(&masked(TEXT, b"am I served?"));
        loop {
            let frame = self.witness.frame();
            if frame.first != PING {
                return assert_eq!(frame, Frame::text("am I served?"));
            }
            self.witness.send(&masked(PONG, &frame.payload));
        }
    }

    /// Each attack comes in each delivery, and gets its verdict.
    pub(crate) fn fight(&mut self, attacks: &[Attack]) {
        let mut seed = 0x2545_f491_4f6c_dd1d;
        for Attack { name, bytes, verdict } in attacks {
            for delivery in DELIVERIES {
                let stream = TcpStream::connect(self.server.address()).expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
                stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
                let mut reader = stream.try_clone().expect("a second handle");
                // Reads all the while, or the server would have reason not to read.
                let reading = std::thread::spawn(move || transcript(&mut reader));
                self.deliver(&stream, bytes, delivery, &mut seed);
                let heard = reading.join().expect("it reads");
                assert_eq!(&heard, verdict, "{name}, {delivery:?}");
                self.witness();
            }
        }
    }

    fn deliver(&mut self, mut stream: &TcpStream, bytes: &[u8], delivery: Delivery, seed: &mut u64) {
        // The server may have closed already.
        let mut send = |bytes: &[u8]| drop(stream.write_all(bytes));
        match delivery {
            Delivery::Whole => send(bytes),
            Delivery::Bytewise => {
                let (first, rest) = bytes.split_at(BYTEWISE.min(bytes.len()));
                let (middle, last) = rest.split_at(rest.len().saturating_sub(BYTEWISE));
                first.iter().for_each(|byte| send(&[*byte]));
                send(middle);
                last.iter().for_each(|byte| send(&[*byte]));
            }
            Delivery::Cut => {
                *seed ^= *seed << 13;
                *seed ^= *seed >> 7;
                *seed ^= *seed << 17;
                let (first, second) =
                    bytes.split_at(usize::try_from(*seed % bytes.len() as u64).expect("small"));
                send(first);
                // By now the server has had a turn.
                self.witness();
                send(second);
            }
        }
    }

    /// What holds after all attacks: the process lives and serves, nothing of them is left, and the log has at most one
    /// line, without their bytes.
    pub(crate) fn survives(mut self) {
        self.witness();
        eventually("descriptors are as before", || self.server.descriptors() <= self.descriptors);
        eventually("memory is as before", || self.server.resident() <= self.resident + RESIDENT_MORE_MAX);
        let log = self.server.log();
        assert!(log.lines().count() <= 1, "{log}");
        assert!(!log.contains(MARK) && !log.contains(char::REPLACEMENT_CHARACTER), "{log}");
        let is_control = |c: char| c.is_control() && c != '\n';
        assert!(!log.contains(is_control), "{}", log.escape_debug());
    }
}

/// Connections of the server, that of the question included.
pub(crate) fn connections(server: &ConfiguredProcess) -> u64 {
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    let request = b"GET /api/stats HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("the server takes it");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("an answer");
    let (_, body) = reply.split_once("\r\n\r\n").expect("a head");
    let stats: serde_json::Value = serde_json::from_str(body).expect("JSON");
    stats["connections"].as_u64().expect("a number")
}

/// Everything up to the end of the connection in words: the status of each response; after a 101 each frame, texts in
/// full if they are short; `reset` if the end is not an orderly one.
fn transcript(stream: &mut TcpStream) -> String {
    let (mut bytes, mut words) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; 65_536];
    let end = loop {
        match stream.read(&mut chunk) {
            Ok(0) => break None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break Some("reset".to_owned()),
            Err(error) => panic!("no end: {error}; heard {}", bytes.escape_ascii()),
        }
    };
    let mut is_websocket = false;
    while !bytes.is_empty() {
        let word = if is_websocket { frame_word(&mut bytes) } else { response_word(&mut bytes) };
        let Some(word) = word else {
            words.push(format!("cut off: {}", bytes.escape_ascii()));
            break;
        };
        is_websocket |= word == "101";
        words.push(word);
    }
    words.extend(end);
    words.join(" ")
}

fn response_word(bytes: &mut Vec<u8>) -> Option<String> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?.to_lowercase();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let len: usize = len.map_or(Some(0), |len| len.parse().ok())?;
    let word = head.get(9..12)?.to_owned();
    if bytes.len() < end + len {
        return None;
    }
    bytes.drain(..end + len);
    Some(word)
}

fn frame_word(bytes: &mut Vec<u8>) -> Option<String> {
    let frame = Frame::take(bytes)?;
    let short = |payload: &[u8]| {
        if payload.len() <= 20 { payload.escape_ascii().to_string() } else { payload.len().to_string() }
    };
    Some(match frame.first {
        CLOSE => format!("close:{}", frame.close_code().map_or("empty".to_owned(), |code| code.to_string())),
        TEXT => format!("text:{}", short(&frame.payload)),
        BINARY => format!("binary:{}", short(&frame.payload)),
        PONG => format!("pong:{}", short(&frame.payload)),
        first => format!("{first:02x}:{}", short(&frame.payload)),
    })
}
