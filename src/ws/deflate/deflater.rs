//! From a payload to a compressed frame.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

use super::{FLUSH_TAIL, History, WindowBits};
use crate::ws::encode;
use crate::ws::header::RSV1;
use crate::ws::message::OpCode;

/// The smallest window that the compressor knows. It never refers back further than 250 bytes then (it keeps 262 of
/// the 512 for looking ahead), which a receiver with the smallest window of all can follow.
const COMPRESSOR_BITS_MIN: u8 = 9;

/// Windows of 9 to 15 bits.
const WINDOWS: usize = 7;

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

    /// Appends a compressed frame that is smaller than the plain one, or nothing.
    fn append(&self, out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], context: &[u8]) -> bool {
        let start = out.len();
        // The header has to be written before the length is known; it can only turn out shorter than this.
        let (_, room) = encode::header(opcode, payload.len());
        out.resize(start + room + payload.len(), 0);
        let Some(len) = self.compress(payload, &mut out[start + room..], context) else {
            out.truncate(start);
            return false;
        };
        let (mut header, header_len) = encode::header(opcode, len);
        header[0] |= RSV1;
        out.copy_within(start + room..start + room + len, start + header_len);
        out[start..start + header_len].copy_from_slice(&header[..header_len]);
        out.truncate(start + header_len + len);
        true
    }

    /// Compresses `payload` into `space`, without the tail that is not sent. `None` if there is no room for it.
    fn compress(&self, payload: &[u8], space: &mut [u8], context: &[u8]) -> Option<usize> {
        let bits = self.window.get().max(COMPRESSOR_BITS_MIN);
        COMPRESSORS.with_borrow_mut(|compressors| {
            let place = compressors.get_mut(usize::from(bits - COMPRESSOR_BITS_MIN))?;
            let compressor = place.get_or_insert_with(|| Compressor::new(self.level, bits));
            if compressor.level != self.level {
                *compressor = Compressor::new(self.level, bits);
            }
            compressor.compress(payload, space, context)
        })
    }
}

struct Compressor {
    stream: Compress,
    level: Level,
}

impl Compressor {
    fn new(level: Level, bits: u8) -> Compressor {
        let stream = Compress::new_with_window_bits(Compression::new(level.0.into()), false, bits);
        Compressor { stream, level }
    }

    fn compress(&mut self, payload: &[u8], space: &mut [u8], context: &[u8]) -> Option<usize> {
        self.stream.reset();
        if !context.is_empty() {
            self.stream.set_dictionary(context).ok()?;
        }
        self.stream.compress(payload, space, FlushCompress::Sync).ok()?;
        let taken = usize::try_from(self.stream.total_in()).ok()?;
        let given = usize::try_from(self.stream.total_out()).ok()?;
        // Without a byte to spare, the flush may not have come to its end.
        if taken < payload.len() || given == space.len() {
            return None;
        }
        space[..given].strip_suffix(&FLUSH_TAIL).map(<[u8]>::len)
    }
}
