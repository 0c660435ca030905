//! Where attacks take place: a server process with small limits, a witness that is served all the while, and what
//! holds for every attack.

#![expect(clippy::panic, reason = "a helper fails the test that calls it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::frame::{BINARY, CLOSE, Frame, PING, PONG, TEXT, masked, masked_close};
use crate::support::raw::{upgrade, upgrade_lines};
use crate::support::secure::{Certificate, tcp};
use crate::support::tokens::admin_token;
use crate::support::{ConfiguredProcess, PATIENCE, Raw, eventually, now};

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
    pub(crate) bytes: Vec<u8>,
    verdict: String,
}

/// An attack; the verdict in words, as [`transcript`] has them.
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

/// What bytes go over.
pub(crate) trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// A server, and what it was like before anybody attacked it.
pub(crate) struct Arena {
    pub(crate) server: ConfiguredProcess,
    /// Where the attacks go.
    target: SocketAddr,
    witness: Raw<Box<dyn Wire>>,
    resident: usize,
    descriptors: usize,
    /// Decides where attacks are cut.
    seed: u64,
}

impl Arena {
    /// A server with this configuration, used a little already.
    pub(crate) fn new(config: &str) -> Arena {
        let server = ConfiguredProcess::start(config);
        let address = server.address();
        Arena::around(server, address, "/echo", || Box::new(tcp(address)))
    }

    /// As [`Arena::new`], with keys: the witness has a token, signed with the secret of the tests unless it is brought along.
    pub(crate) fn guarded(config: &str, token: Option<String>) -> Arena {
        let token = token.unwrap_or_else(admin_token);
        let server = ConfiguredProcess::start(config).asked_with(&token);
        let address = server.address();
        Arena::around(server, address, &format!("/echo?token={token}"), || Box::new(tcp(address)))
    }

    /// As [`Arena::new`], with this certificate: attacks and witness come to the port for TLS.
    pub(crate) fn secure(config: &str, certificate: &Certificate) -> Arena {
        let (file, key) = (certificate.certificate(), certificate.key());
        let config = format!("[tls]\ncertificate = {file:?}\nkey = {key:?}\n{config}");
        let server = ConfiguredProcess::listening(&config, "127.0.0.1:0,tls:127.0.0.1:0");
        let address = server.other_address();
        Arena::around(server, address, "/echo", || Box::new(certificate.connect(address)))
    }

    fn around(
        server: ConfiguredProcess,
        target: SocketAddr,
        path: &str,
        connect: impl Fn() -> Box<dyn Wire>,
    ) -> Arena {
        for _ in 0..20 {
            for bytes in [&b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"[..], &upgrade(path)] {
                let mut stream = connect();
                stream.write_all(bytes).expect("the server takes it");
                stream.write_all(&masked_close(1000, "")).expect("the server takes it");
                stream.read_to_end(&mut Vec::new()).expect("an end");
            }
        }
        let witness = Raw::on(connect()).upgraded(path);
        eventually("only the witness is left", || connections(&server) == 2);
        let (resident, descriptors) = (server.resident(), server.descriptors());
        Arena { server, target, witness, resident, descriptors, seed: 0x2545_f491_4f6c_dd1d }
    }

    /// Takes the server's memory as it is for what it began with: an allocator keeps what it once got, which must do for
    /// the same again.
    pub(crate) fn forget_memory(&mut self) {
        self.resident = self.server.resident();
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
        for Attack { name, bytes, verdict } in attacks {
            self.engage(name, verdict, |_| (bytes.clone(), transcript));
        }
    }

    /// An attack comes in each delivery, and gets its verdict. On each connection `begin` does what comes before the bytes
    /// that it returns; what it returns with them tells in words what was heard.
    pub(crate) fn engage<W: FnOnce(Vec<u8>) -> String>(
        &mut self,
        name: &str,
        verdict: &str,
        begin: impl Fn(&mut TcpStream) -> (Vec<u8>, W),
    ) {
        for delivery in DELIVERIES {
            let mut stream = tcp(self.target);
            let (bytes, words) = begin(&mut stream);
            let mut reader = stream.try_clone().expect("a second handle");
            // Reads all the while, or the server would have reason not to read.
            let reading = std::thread::spawn(move || hear(&mut reader));
            self.deliver(&stream, &bytes, delivery);
            let (heard, end) = reading.join().expect("it reads");
            let said = words(heard);
            assert_eq!([&*said, end].join(" ").trim(), verdict, "{name}, {delivery:?}");
            self.witness();
        }
    }

    fn deliver(&mut self, mut stream: &TcpStream, bytes: &[u8], delivery: Delivery) {
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
                self.seed ^= self.seed << 13;
                self.seed ^= self.seed >> 7;
                self.seed ^= self.seed << 17;
                let at = usize::try_from(self.seed % bytes.len() as u64).expect("small");
                let (first, second) = bytes.split_at(at);
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
    server.stats()["connections"].as_u64().expect("a number")
}

/// All bytes up to the end of the connection, and `reset` if that is not an orderly one.
pub(crate) fn hear(stream: &mut TcpStream) -> (Vec<u8>, &'static str) {
    let (start, mut bytes, mut chunk) = (now(), Vec::new(), vec![0; 65_536]);
    loop {
        // A server that goes on for ever is heard of as well.
        assert!(start.elapsed() < 2 * PATIENCE, "no end; heard {}", bytes.escape_ascii());
        match stream.read(&mut chunk) {
            Ok(0) => return (bytes, ""),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (bytes, "reset"),
            Err(error) => panic!("no end: {error}; heard {}", bytes.escape_ascii()),
        }
    }
}

/// What a client hears in words: the status of each response; after a 101 each frame, texts in full if they are short. A
/// token that was refused is so for a reason, in parentheses.
pub(crate) fn transcript(mut bytes: Vec<u8>) -> String {
    let mut words = Vec::new();
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
    words.join(" ")
}

fn response_word(bytes: &mut Vec<u8>) -> Option<String> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let lowercase = head.to_lowercase();
    let len = lowercase.lines().find_map(|line| line.strip_prefix("content-length: "));
    let len: usize = len.map_or(Some(0), |len| len.parse().ok())?;
    let mut word = head.get(9..12)?.to_owned();
    if word == "401" {
        let reason = head.split_once("error_description=\"").and_then(|(_, rest)| rest.split_once('"'));
        word += &format!(" ({})", reason.map_or("no token", |(reason, _)| reason));
    }
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
        CLOSE => match frame.close_code() {
            Some(4401) => format!("close:4401 ({})", String::from_utf8_lossy(&frame.payload[2..])),
            Some(code) => format!("close:{code}"),
            None => "close:empty".to_owned(),
        },
        TEXT => format!("text:{}", short(&frame.payload)),
        BINARY => format!("binary:{}", short(&frame.payload)),
        PONG => format!("pong:{}", short(&frame.payload)),
        first => format!("{first:02x}:{}", short(&frame.payload)),
    })
}
