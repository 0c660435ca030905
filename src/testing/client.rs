//! A client without a socket: bytes in, events out.

use crate::handshake::client::{self, ClientError, ClientKey};
use crate::http::HeaderError;
use crate::ws::{
    self, Close, CloseCode, Decoder, Incoming, Input, Message, OpCode, Phase, ProtocolError, Role, encode,
};

/// Bytes of a message at most, from a server that is trusted.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// Bytes of a ping at most (RFC 6455 §5.5).
const PING_BYTES_MAX: usize = 125;

/// The request that a client begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    target: String,
    subprotocols: Vec<String>,
    headers: Vec<(String, String)>,
}

impl Opening {
    /// A WebSocket at this path, with the query after `?`.
    #[must_use]
    pub fn new(target: &str) -> Opening {
        Opening { target: target.into(), ..Opening::default() }
    }

    /// Offers a subprotocol, after the ones offered before.
    #[must_use]
    pub fn subprotocol(mut self, name: &str) -> Opening {
        self.subprotocols.push(name.into());
        self
    }

    /// Adds a header field: `Origin`, `Authorization`, `Cookie`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Opening {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The request as bytes.
    fn encode(&self, host: &str, key: &ClientKey) -> Result<Vec<u8>, HeaderError> {
        let offered = self.subprotocols.join(", ");
        let mut headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if !offered.is_empty() {
            headers.push(("Sec-WebSocket-Protocol", &offered));
        }
        client::request(host, &self.target, key, &headers)
    }
}

/// What a client has received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server has accepted the opening handshake, and chosen this subprotocol.
    Opened(Option<String>),
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping; its pong is in the output already.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The server closes, with this code and reason, or answers the client's own Close frame. Nothing comes after it.
    Closed(Option<CloseCode>, String),
    /// The server's answer to the opening handshake is no acceptance. Nothing comes after it.
    Refused(ClientError),
    /// The server broke the protocol. Nothing comes after it.
    Failed(ProtocolError),
}

/// A WebSocket client without I/O: it is given the bytes that have come, and has others that are to be sent.
///
/// ```
/// use foghorn::testing::{Client, Event, Opening};
///
/// let mut client = Client::new("chat.example", &Opening::new("/ws?room=1"), 7)?;
/// let request = client.take_output();
/// assert!(request.starts_with(b"GET /ws?room=1 HTTP/1.1\r\nHost: chat.example\r\n"));
///
/// // The answer of a server that has not read the key:
/// let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
/// assert!(matches!(client.receive(answer)[..], [Event::Refused(_)]));
/// # Ok::<(), foghorn::testing::HeaderError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    state: State,
    masks: Masks,
    output: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// The answer has not come whole.
    Opening { key: ClientKey, offered: Vec<String>, answer: Vec<u8> },
    /// Frames in both directions.
    Open(ws::Connection),
    /// Nothing that arrives matters any more.
    Over,
}

impl Client {
    /// A client that wants to be let in; its request is the first output. Nonce and masking keys are made of `seed`, so that
    /// the same seed gives the same bytes.
    ///
    /// # Errors
    /// [`HeaderError`] if target or header fields cannot stand in a request.
    pub fn new(host: &str, opening: &Opening, seed: u64) -> Result<Client, HeaderError> {
        let mut masks = Masks(seed);
        let mut nonce = [0; 16];
        for part in nonce.chunks_exact_mut(4) {
            part.copy_from_slice(&masks.next());
        }
        let key = ClientKey::new(nonce);
        let output = opening.encode(host, &key)?;
        let state = State::Opening { key, offered: opening.subprotocols.clone(), answer: Vec::new() };
        Ok(Client { state, masks, output })
    }

    /// Takes bytes that have come, however they were cut; returns what they mean. Pings and the server's Close frame are
    /// answered by the way.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut bytes = bytes.to_vec();
        if let State::Opening { key, offered, answer } = &mut self.state {
            answer.append(&mut bytes);
            let offered: Vec<_> = offered.iter().map(String::as_str).collect();
            match client::verify(answer, key, &offered) {
                Ok(None) => return events,
                Ok(Some((accepted, len))) => {
                    events.push(Event::Opened(accepted.subprotocol.map(str::to_owned)));
                    bytes = answer.split_off(len);
                    let decoder = Decoder::new(Role::Client, MESSAGE_BYTES_MAX);
                    self.state = State::Open(ws::Connection::new(decoder));
                }
                Err(error) => {
                    events.push(Event::Refused(error));
                    self.state = State::Over;
                }
            }
        }
        self.read_frames(&mut bytes, &mut events);
        events
    }

    fn read_frames(&mut self, bytes: &mut [u8], events: &mut Vec<Event>) {
        let State::Open(connection) = &mut self.state else { return };
        let mut input = Input::new(bytes);
        while let Some(incoming) = connection.poll(&mut input) {
            let (answer, event) = match incoming {
                Incoming::Message(Message::Text(text)) => (None, Event::Text(text.into())),
                Incoming::Message(Message::Binary(payload)) => (None, Event::Binary(payload.into())),
                Incoming::Ping(payload) => {
                    (Some((OpCode::Pong, payload.to_vec())), Event::Ping(payload.into()))
                }
                Incoming::Pong(payload) => (None, Event::Pong(payload.into())),
                Incoming::Close { close: Close { code, reason }, answer } => {
                    (answer.then(|| close_frame(code, "")), Event::Closed(code, reason.into()))
                }
                Incoming::Failed { error, answer } => {
                    (answer.then(|| close_frame(Some(error.close_code()), "")), Event::Failed(error))
                }
            };
            if let Some((opcode, payload)) = answer {
                encode::masked(&mut self.output, opcode, &payload, self.masks.next());
            }
            events.push(event);
        }
        if connection.phase() == Phase::Closed {
            self.state = State::Over;
        }
    }

    /// Sends a text message. False, here and below, if the client was not let in yet, or is closing: then nothing is sent.
    pub fn send_text(&mut self, text: &str) -> bool {
        self.send(OpCode::Text, text.as_bytes())
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, payload: &[u8]) -> bool {
        self.send(OpCode::Binary, payload)
    }

    /// Sends a ping; payload beyond 125 bytes is cut off.
    pub fn ping(&mut self, payload: &[u8]) -> bool {
        self.send(OpCode::Ping, &payload[..payload.len().min(PING_BYTES_MAX)])
    }

    /// Begins the closing handshake; without a code, with an empty Close frame.
    pub fn close(&mut self, code: Option<CloseCode>, reason: &str) -> bool {
        let (opcode, payload) = close_frame(code, reason);
        let sent = self.send(opcode, &payload);
        if let State::Open(connection) = &mut self.state {
            connection.close_sent();
        }
        sent
    }

    /// The bytes that are to be sent, in order, and are no longer kept here.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether nothing that arrives matters any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn send(&mut self, opcode: OpCode, payload: &[u8]) -> bool {
        let is_open = matches!(&self.state, State::Open(connection) if connection.phase() == Phase::Open);
        if is_open {
            encode::masked(&mut self.output, opcode, payload, self.masks.next());
        }
        is_open
    }
}

/// A Close frame's opcode and payload.
fn close_frame(code: Option<CloseCode>, reason: &str) -> (OpCode, Vec<u8>) {
    /// What an unmasked control frame has before its payload.
    const HEADER_BYTES: usize = 2;
    let mut frame = Vec::new();
    encode::close(&mut frame, code, reason);
    (OpCode::Close, frame.split_off(HEADER_BYTES))
}

/// Keys that look random and are not: in a test no proxy between client and server has to be kept from guessing them.
#[derive(Debug)]
struct Masks(u64);

impl Masks {
    fn next(&mut self) -> [u8; 4] {
        // The constants of SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let [a, b, c, d, ..] = (mixed ^ (mixed >> 27)).to_be_bytes();
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::every_split::every_split;
    use crate::handshake::{Origins, Rules, accept};
    use crate::http::{Head, HeadLimits};

    /// A server's 101 for the request, if it speaks these subprotocols.
    fn accepted(request: &[u8], spoken: &[&str]) -> Vec<u8> {
        let (head, len) = Head::parse(request, 0, &HeadLimits::default()).unwrap().unwrap();
        assert_eq!(len, request.len());
        let spoken: Vec<_> = spoken.iter().map(|name| (*name).to_owned()).collect();
        let rules = Rules {
            origins: &Origins::SameOrigin,
            subprotocols: &spoken,
            subprotocol_required: false,
            secure: false,
            deflate: None,
        };
        let mut answer = Vec::new();
        accept(&head, &rules).unwrap().encode(&mut answer);
        answer
    }

    fn client() -> Client {
        Client::new("h", &Opening::new("/ws").subprotocol("a").subprotocol("b"), 1).unwrap()
    }

    fn open() -> Client {
        let mut client = client();
        let answer = accepted(&client.take_output(), &["b"]);
        assert_eq!(client.receive(&answer), [Event::Opened(Some("b".into()))]);
        client
    }

    /// What a server reads in the client's frames.
    fn read(mut frames: Vec<u8>) -> Vec<String> {
        let mut connection = ws::Connection::new(Decoder::new(Role::Server, 1 << 20));
        let mut input = Input::new(&mut frames);
        let mut seen = Vec::new();
        while let Some(incoming) = connection.poll(&mut input) {
            seen.push(format!("{incoming:?}"));
        }
        seen
    }

    #[test]
    fn the_same_events_come_however_the_bytes_are_cut() {
        let frames = b"\x81\x02hi\x82\x01\x07\x89\x01?\x8a\x00\x88\x05\x03\xe8bye\x81\x01x";
        let answer = [&accepted(&client().take_output(), &["b"])[..], frames].concat();
        let (events, output, over) = every_split(&answer, |pieces| {
            let mut client = client();
            client.take_output();
            let events: Vec<_> = pieces.iter().flat_map(|piece| client.receive(piece)).collect();
            (events, read(client.take_output()), client.is_over())
        });
        let expected = [
            Event::Opened(Some("b".into())),
            Event::Text("hi".into()),
            Event::Binary(vec![7]),
            Event::Ping(b"?".to_vec()),
            Event::Pong(vec![]),
            Event::Closed(Some(CloseCode::NORMAL), "bye".into()),
        ];
        assert_eq!((&events[..], over), (&expected[..], true));
        assert_eq!(output.len(), 2, "a pong and a Close frame: {output:?}");
        assert!(output[0].starts_with("Pong([63])") && output[1].contains("CloseCode(1000)"), "{output:?}");
    }

    #[test]
    fn what_is_sent_reads_back_at_the_server() {
        let mut client = open();
        assert!(client.send_text("hi") && client.send_binary(&[7]) && client.ping(&[1; 200]));
        assert!(client.close(Some(CloseCode::GOING_AWAY), "bye") && !client.send_text("late"));
        let read = read(client.take_output());
        assert_eq!(read[..2], ["Message(Text(\"hi\"))", "Message(Binary([7]))"]);
        assert_eq!(read[2], format!("Ping({:?})", [1; 125]));
        assert!(read[3].contains("1001") && read[3].contains("bye") && read.len() == 4, "{read:?}");
        assert_eq!(
            client.receive(b"\x88\x02\x03\xe9"),
            [Event::Closed(Some(CloseCode::GOING_AWAY), "".into())]
        );
        assert!(client.take_output().is_empty() && client.is_over(), "an answer is not answered");
    }

    #[test]
    fn nothing_is_sent_before_the_server_has_said_yes() {
        let mut client = client();
        client.take_output();
        assert!(!client.send_text("early") && !client.close(None, "") && client.take_output().is_empty());
        let events = client.receive(b"HTTP/1.1 403 Forbidden\r\n\r\n\x81\x00");
        assert!(matches!(events[..], [Event::Refused(ClientError::Refused(_))]), "{events:?}");
        assert!(client.is_over() && client.receive(b"\x81\x00").is_empty());
    }

    #[test]
    fn a_broken_rule_ends_it_with_the_code_of_that_rule() {
        let mut client = open();
        assert_eq!(client.receive(b"\x83\x00\x81\x00"), [Event::Failed(ProtocolError::ReservedOpcode)]);
        assert!(read(client.take_output())[0].contains("CloseCode(1002)") && client.is_over());
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_no_two_frames_the_same_mask() {
        let output = |seed| Client::new("h", &Opening::new("/"), seed).unwrap().take_output();
        assert_eq!(output(1), output(1));
        assert_ne!(output(1), output(2));
        let mut masks = Masks(0);
        assert_ne!(masks.next(), masks.next());
    }

    #[test]
    fn nothing_given_can_add_to_the_request() {
        let refused = |opening: Opening| Client::new("h", &opening, 0).is_err();
        assert!(refused(Opening::new("/ HTTP/1.1\r\nX: y")));
        assert!(refused(Opening::new("/").header("X", "y\r\nZ: z")));
        assert!(refused(Opening::new("/").subprotocol("a\r\nZ: z")));
    }
}
