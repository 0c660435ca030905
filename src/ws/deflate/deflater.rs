//! From a payload to a compressed frame.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

use super::history::{FLUSH_TAIL, History, WindowBits};
use crate::ws::encode;
use crate::ws::header::RSV1;
use crate::ws::message::OpCode;

/// The smallest window that the compressor knows. It never refers back further than 250 bytes then (it keeps 262 of
/// the 512 for looking ahead), which a receiver with the smallest window of all can follow.
const COMPRESSOR_BITS_MIN: u8 = 9;

/// Windows of 9 to 15 bits.
const WINDOWS: usize = 7;

/// A compressor that needed more space than this for one message gives it back.
const SPACE_BYTES_KEPT: usize = 256 * 1024;

thread_local! {
    /// This thread's compressors, one for each window that was ever asked for: up to some 300 KiB each, shared by all
    /// connections.
    static COMPRESSORS: RefCell<[Option<Compressor>; WINDOWS]> = const { RefCell::new([const { None }; WINDOWS]) };
}

/// How hard to compress, from 1 (fast) to 9 (small).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// The fastest.
    pub const FASTEST: Level = Level(1);

    /// A level from 1 to 9.
    pub const fn new(level: u8) -> Option<Level> {
        if matches!(level, 1..=9) { Some(Level(level)) } else { None }
    }
}

/// How the messages of one direction are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// How hard.
    pub level: Level,
    /// Messages with less payload are sent as they are: they gain little or nothing.
    pub threshold_bytes: usize,
    /// How far back the receiver remembers.
    pub window: WindowBits,
}

impl Deflate {
    /// Appends one unmasked frame with a whole message: compressed if that makes it smaller, otherwise as
    /// [`encode::frame`]. With a `history`, the message may refer to the ones before it and is noted there.
    ///
    /// Control frames are never compressed (RFC 7692 §6).
    pub fn frame(&self, out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], history: Option<&mut History>) {
        let context = history.as_deref().map_or(&[][..], History::bytes);
        if opcode.is_control()
            || payload.len() < self.threshold_bytes
            || !self.append(out, opcode, payload, context)
        {
            return encode::frame(out, opcode, payload);
        }
        if let Some(history) = history {
            history.note(payload);
        }
    }

    /// Appends a compressed frame, unless that would not be smaller.
    fn append(&self, out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], context: &[u8]) -> bool {
        let bits = self.window.get().max(COMPRESSOR_BITS_MIN);
        COMPRESSORS.with_borrow_mut(|compressors| {
            let Some(place) = compressors.get_mut(usize::from(bits - COMPRESSOR_BITS_MIN)) else {
                return false;
            };
            let known = place.take().filter(|compressor| compressor.level == self.level);
            let mut compressor = known.unwrap_or_else(|| Compressor::new(self.level, bits));
            let Some(body) = compressor.compress(payload, context) else { return false };
            let is_smaller = body.len() < payload.len();
            if is_smaller {
                let (mut header, header_len) = encode::header(opcode, body.len());
                header[0] |= RSV1;
                out.reserve(header_len + body.len());
                out.extend_from_slice(&header[..header_len]);
                out.extend_from_slice(body);
            }
            compressor.give_back_space();
            // Only what came to its end is used again: the compressor keeps traces of anything else over a reset.
            *place = Some(compressor);
            is_smaller
        })
    }
}

struct Compressor {
    stream: Compress,
    level: Level,
    space: Vec<u8>,
}

impl Compressor {
    fn new(level: Level, bits: u8) -> Compressor {
        let stream = Compress::new_with_window_bits(Compression::new(level.0.into()), false, bits);
        Compressor { stream, level, space: Vec::new() }
    }

    /// One message, without the tail that is not sent. `None` if the compressor does not do what it should.
    fn compress(&mut self, payload: &[u8], context: &[u8]) -> Option<&[u8]> {
        self.space.resize(compressed_bytes_max(payload.len()).max(self.space.len()), 0);
        self.stream.reset();
        if !context.is_empty() {
            self.stream.set_dictionary(context).ok()?;
        }
        self.stream.compress(payload, &mut self.space, FlushCompress::Sync).ok()?;
        let taken = usize::try_from(self.stream.total_in()).ok()?;
        let given = usize::try_from(self.stream.total_out()).ok()?;
        // Without a byte to spare, the flush may not have come to its end.
        let is_complete = taken == payload.len() && given < self.space.len();
        self.space.get(..given).filter(|_| is_complete)?.strip_suffix(&FLUSH_TAIL)
    }

    fn give_back_space(&mut self) {
        if self.space.len() > SPACE_BYTES_KEPT {
            self.space = Vec::new();
        }
    }
}

/// Maximum size of what a compressor makes of this number of bytes: at worst codes of nine bits, and the ends of blocks.
const fn compressed_bytes_max(payload_len: usize) -> usize {
    payload_len + payload_len / 8 + 64
}
