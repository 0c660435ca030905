//! Compressed messages through the decoder, over every split, and frames through both directions.
//!
//! | file | subject |
//! |---|---|
//! | `streams` | what a compressed message may be: the examples of the RFC, contexts, fragments, streams that end |
//! | `inflating` | inflating within limits: turns, lengths, text that is impossible |
//! | `deflating` | what is compressed here, at every level and window |

mod deflating;
mod inflating;
mod streams;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::{Deflate, History, Level, WindowBits};
use crate::every_split::every_split;
use crate::ws::deflate::history::FLUSH_TAIL;
use crate::ws::{CloseCode, Decoder, Event, Input, Message, OpCode, ProtocolError, Role, encode};

const LIMIT: usize = 70_000;
const BITS_8: WindowBits = WindowBits::new(8).unwrap();
const DEFLATE: Deflate = Deflate { level: Level::FASTEST, threshold_bytes: 0, window: WindowBits::MAX };

type Read = (Vec<(OpCode, Vec<u8>)>, Option<ProtocolError>);

/// The messages and pings that a client reads, and the error that ended it.
fn read_with(mut decoder: Decoder, pieces: &[&[u8]]) -> Read {
    let mut seen = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            match decoder.poll(&mut input) {
                Ok(Some(Event::Message(Message::Text(text)))) => seen.push((OpCode::Text, text.into())),
                Ok(Some(Event::Message(Message::Binary(bytes)))) => {
                    seen.push((OpCode::Binary, bytes.into()));
                }
                Ok(Some(Event::Ping(payload))) => seen.push((OpCode::Ping, payload.into())),
                Ok(Some(other @ (Event::Pong(_) | Event::Close(_)))) => panic!("{other:?}"),
                Ok(None) => break,
                Err(error) => return (seen, Some(error)),
            }
        }
    }
    (seen, None)
}

fn alone() -> Decoder {
    Decoder::new(Role::Client, LIMIT).with_deflate(None)
}

fn referring() -> Decoder {
    Decoder::new(Role::Client, LIMIT).with_deflate(Some(WindowBits::MAX))
}

fn texts(texts: &[&str]) -> Read {
    (texts.iter().map(|text| (OpCode::Text, text.as_bytes().to_vec())).collect(), None)
}

/// A compressed message as another end might send it, in one frame.
fn compressed(payload: &[u8], level: u32) -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(level), false);
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 8 + 100);
    stream.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
    framed(out.strip_suffix(&FLUSH_TAIL).unwrap())
}

/// A binary frame with RSV1 around what is compressed already.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode::binary(&mut frame, body);
    frame[0] |= 0x40;
    frame
}

/// JSON as a chat has it, `len` bytes of it.
fn chat(len: usize, seed: usize) -> Vec<u8> {
    let lines = (seed..).flat_map(|number| {
        format!("{{\"sender\":\"user{number}\",\"content\":\"hello number {}\"}}", number * 7919).into_bytes()
    });
    lines.take(len).collect()
}
