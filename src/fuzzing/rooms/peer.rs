//! A peer that takes as many bytes as it is told to.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use flate2::{Decompress, FlushDecompress};

use crate::rooms::log::Slice;
use crate::rooms::{Peer, Sent};

/// The write half of a connection, as the shard sees it and as the test reads it.
#[derive(Clone, Debug, Default)]
pub(super) struct ScriptedPeer(Rc<RefCell<Half>>);

#[derive(Debug, Default)]
struct Half {
    /// What the other side has received and was not looked at yet.
    received: Vec<u8>,
    /// Bytes that it takes before it is full.
    room: usize,
    /// Full: what waits is the rest of a frame, then replies.
    waiting: Option<Vec<u8>>,
    /// A room was refused and has to be resumed.
    room_waits: bool,
    closed: bool,
    /// It takes compressed frames.
    inflates: bool,
}

impl Peer for ScriptedPeer {
    fn send(&self, slice: &Slice<'_>) -> Sent {
        let mut half = self.0.borrow_mut();
        if half.closed {
            return Sent::Closed;
        }
        if half.waiting.is_some() {
            half.room_waits = true;
            return Sent::Blocked { frames: 0 };
        }
        let bytes = slice.bytes();
        let written = half.room.min(bytes.len());
        half.received.extend_from_slice(&bytes[..written]);
        half.room -= written;
        if written == bytes.len() {
            return Sent::All;
        }
        let (frames, end) = slice.cut(written);
        assert!(end >= written && frames <= slice.frames());
        half.waiting = Some(bytes[written..end.max(written)].to_vec());
        half.room_waits = true;
        Sent::Blocked { frames }
    }

    fn reply(&self, frames: &[u8], _messages: u64) {
        let mut half = self.0.borrow_mut();
        match &mut half.waiting {
            Some(waiting) => waiting.extend_from_slice(frames),
            None => half.received.extend_from_slice(frames),
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

impl ScriptedPeer {
    /// The other side reads: `room` bytes more can be sent. True if a room waits for that.
    pub(super) fn drain(&self, room: usize) -> bool {
        let mut half = self.0.borrow_mut();
        half.room = room;
        if let Some(waiting) = half.waiting.take() {
            half.received.extend_from_slice(&waiting);
        }
        std::mem::take(&mut half.room_waits)
    }

    /// It takes compressed frames from now on.
    pub(super) fn inflate(&self) {
        self.0.borrow_mut().inflates = true;
    }

    /// The connection is closing.
    pub(super) fn close(&self) {
        self.0.borrow_mut().closed = true;
    }

    /// As [`ScriptedPeer::next_frame`], and leaves it there.
    pub(super) fn peek_frame(&self) -> Option<Vec<u8>> {
        let received = self.0.borrow().received.clone();
        let frame = self.next_frame();
        self.0.borrow_mut().received = received;
        frame
    }

    /// The payload of the next whole frame that the other side has received.
    pub(super) fn next_frame(&self) -> Option<Vec<u8>> {
        let Half { received, inflates, .. } = &mut *self.0.borrow_mut();
        let (header, len) = match *received.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes(received.get(2..4)?.try_into().ok()?))),
            len => (2, usize::from(len)),
        };
        let is_deflated = received[0] & 0x40 != 0;
        assert!(*inflates || !is_deflated, "a compressed frame for a member that cannot read it");
        assert!(matches!(received[0] & !0x40, 0x81 | 0x82) && header + len < 70_000, "frames got mixed up");
        if received.len() < header + len {
            return None;
        }
        let rest = received.split_off(header + len);
        let frame = std::mem::replace(received, rest);
        Some(if is_deflated { inflated(&frame[header..]) } else { frame[header..].to_vec() })
    }
}

/// One message by itself.
fn inflated(body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(100_000);
    let whole = [body, &[0x00, 0x00, 0xff, 0xff]].concat();
    let inflated = Decompress::new(false).decompress_vec(&whole, &mut payload, FlushDecompress::Sync);
    assert!(inflated.is_ok() && payload.len() > body.len(), "compressed for nothing");
    payload
}
