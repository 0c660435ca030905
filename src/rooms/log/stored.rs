//! Messages from the store, written into a log.

use super::frames::Log;
use crate::rooms::message::chat::Envelope;
use crate::rooms::message::stored::Stored;

/// Appends a message from the store to a log that it follows.
pub(in crate::rooms) fn encode_stored(log: &mut Log, room: &str, epoch: u64, stored: &Stored) {
    let envelope = Envelope::of(room, epoch, stored);
    log.append(stored.at, |out| envelope.encode(out));
}
