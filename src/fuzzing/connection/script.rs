//! What a client does, read from an input.

use std::time::Duration;

use super::super::Numbers;
use crate::ws::{OpCode, encode};

/// Bytes of a script at most; what would go beyond is left out.
// More than a turn's budget of input, and few enough that an input is played in milliseconds.
const BYTES_MAX: usize = 512 * 1024;
const ACTS_MAX: usize = 200;

macro_rules! upgrade {
    ($target:literal, $more:literal) => {
        concat!(
            "GET ",
            $target,
            " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            $more,
            "\r\n"
        )
    };
}

/// Requests that an input names by their number.
const REQUESTS: &[&str] = &[
    upgrade!("/echo", ""),
    upgrade!("/echo", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
    upgrade!("/ws/echo", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"),
    upgrade!("/ws/chat?roomId=r&username=u&hello=1", ""),
    upgrade!("/ws/chat?roomId=r&username=u&history=3", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
    upgrade!("/ws/raw?roomId=r", ""),
    upgrade!("/ws/json", "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"),
    upgrade!("/ws/sink", ""),
    upgrade!("/ws/time", ""),
    upgrade!("/echo", "Origin: http://elsewhere\r\n"),
    upgrade!("/echo", "Content-Length: 1\r\n"),
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n",
    "OPTIONS /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nt: u\r\n\r\n",
    "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n",
    "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    "POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
];

/// One thing that a client does.
#[derive(Debug)]
pub(super) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    StopReading,
    Read,
    /// It says that nothing more will come.
    Finish,
}

/// What a client does, one after the other.
#[derive(Debug)]
pub(super) struct Script {
    acts: Vec<Act>,
    reads_all: bool,
}

impl Script {
    /// Every input is a script. Sends that follow each other are one.
    pub(super) fn read(input: &[u8]) -> Script {
        let mut script = Script { acts: Vec::new(), reads_all: true };
        let mut numbers = Numbers(input);
        let mut last = Vec::new();
        while !numbers.is_empty() && script.acts.len() < ACTS_MAX {
            match numbers.next() % 12 {
                0..=2 => last = frame(&mut numbers),
                3 => last = chat_message(&mut numbers),
                4 => last = masked(&mut numbers),
                5 => last = numbers.take().to_vec(),
                6 => {
                    last = REQUESTS[usize::from(numbers.next()) % REQUESTS.len()].into();
                }
                7 => {
                    for _ in 0..numbers.next() {
                        script.send(&last);
                    }
                    continue;
                }
                8 => {
                    script.acts.push(Act::Wait(Duration::from_millis(u64::from(numbers.next()) * 20)));
                    continue;
                }
                9 => {
                    script.reads_all = false;
                    script.acts.push(Act::StopReading);
                    continue;
                }
                10 => {
                    script.acts.push(Act::Read);
                    continue;
                }
                _ => {
                    script.acts.push(Act::Finish);
                    break;
                }
            }
            script.send(&last);
        }
        script
    }

    pub(super) fn acts(&self) -> &[Act] {
        &self.acts
    }

    /// Whether the client takes whatever is sent to it.
    pub(super) fn reads_all(&self) -> bool {
        self.reads_all
    }

    /// Bytes that are sent.
    pub(super) fn bytes(&self) -> usize {
        let sent = self.acts.iter().map(|act| match act {
            Act::Send(bytes) => bytes.len(),
            Act::Wait(_) | Act::StopReading | Act::Read | Act::Finish => 0,
        });
        sent.sum()
    }

    /// Whether a room may send something to the client.
    pub(super) fn is_in_room(&self) -> bool {
        self.sends(b"/ws/raw") || self.sends(b"/ws/chat")
    }

    /// Whether this is among what is sent.
    pub(super) fn sends(&self, bytes: &[u8]) -> bool {
        let mut sent = self.acts.iter().filter_map(|act| match act {
            Act::Send(sent) => Some(sent),
            Act::Wait(_) | Act::StopReading | Act::Read | Act::Finish => None,
        });
        sent.any(|sent| sent.windows(bytes.len()).any(|window| window == bytes))
    }

    fn send(&mut self, more: &[u8]) {
        if self.bytes() + more.len() > BYTES_MAX {
            return;
        }
        match self.acts.last_mut() {
            Some(Act::Send(bytes)) => bytes.extend_from_slice(more),
            _ => self.acts.push(Act::Send(more.to_vec())),
        }
    }
}

/// A whole frame of any kind: text, binary and control frames, and others.
fn masked(numbers: &mut Numbers<'_>) -> Vec<u8> {
    let first = numbers.next();
    let mut frame = frame(numbers);
    frame[0] = first;
    frame
}

/// A frame that is as it should be, perhaps of a fragmented message.
fn frame(numbers: &mut Numbers<'_>) -> Vec<u8> {
    let kind = numbers.next();
    let opcodes =
        [OpCode::Text, OpCode::Binary, OpCode::Continuation, OpCode::Ping, OpCode::Pong, OpCode::Close];
    let opcode = opcodes[usize::from(kind & 7) % opcodes.len()];
    let payload = numbers.take();
    let payload = if opcode.is_control() { &payload[..payload.len().min(125)] } else { payload };
    let mut frame = Vec::new();
    encode::masked(&mut frame, opcode, payload, [kind, 1, 2, 3]);
    if kind & 0x40 != 0 && !opcode.is_control() {
        frame[0] &= 0x7f;
    }
    if kind & 0x80 != 0 && matches!(opcode, OpCode::Text | OpCode::Binary) {
        frame[0] |= 0x40;
    }
    frame
}

fn chat_message(numbers: &mut Numbers<'_>) -> Vec<u8> {
    let content = String::from_utf8_lossy(numbers.take());
    let text = serde_json::json!({ "content": content }).to_string();
    let mut frame = Vec::new();
    encode::masked(&mut frame, OpCode::Text, text.as_bytes(), [0; 4]);
    frame
}
