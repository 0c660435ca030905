//! What a chat room says, read by its place in the room's log instead of by the publisher's count.

use super::payload_id::PayloadId;

/// How much of a payload is looked at. The load's own messages are shorter, so the number at their end is in it.
pub(super) const ENTRY_BYTES_MAX: usize = 512;

/// Bytes of content that leave room for everything else in an entry.
pub(super) const CONTENT_BYTES_MAX: usize = 256;

/// A frame of a chat room that concerns its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A stored message, with its stamp if the load has published it.
    Message {
        /// Its number in the room.
        seq: u64,
        /// `None` for notices.
        id: Option<PayloadId>,
    },
    /// The greeting: where the log stood when the member joined.
    Welcome {
        /// The log's name.
        epoch: u64,
        /// The number of the newest message.
        seq: u64,
    },
    /// The server has lost messages that the member asked for.
    Gap,
}

impl Entry {
    /// Reads a payload; `None` if it is none of these.
    pub(super) fn parse(payload: &[u8], content: impl FnOnce(&[u8]) -> Option<PayloadId>) -> Option<Entry> {
        if payload.starts_with(b"{\"type\":\"GAP\"") {
            return Some(Entry::Gap);
        }
        if payload.starts_with(b"{\"type\":\"WELCOME\"") {
            let epoch = after(payload, b",\"epoch\":\"")?.get(..16)?;
            let epoch = u64::from_str_radix(str::from_utf8(epoch).ok()?, 16).ok()?;
            return Some(Entry::Welcome { epoch, seq: number(after(payload, b",\"seq\":")?)? });
        }
        // The number stands at the end, behind whatever people have written.
        let seq = number(after(payload, b",\"seq\":")?)?;
        Some(Entry::Message { seq, id: content(payload) })
    }
}

/// What follows the last `key`.
fn after<'p>(payload: &'p [u8], key: &[u8]) -> Option<&'p [u8]> {
    let at = payload.windows(key.len()).rposition(|window| window == key)?;
    payload.get(at + key.len()..)
}

/// The number that `text` begins with; something must follow it, or it may have been cut off.
fn number(text: &[u8]) -> Option<u64> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    str::from_utf8(&text[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Entry> {
        Entry::parse(text.as_bytes(), |_| None)
    }

    #[test]
    fn the_frames_of_a_room_are_told_apart() {
        let message =
            r#"{"id":"1","roomId":"r","sender":"a","content":",\"seq\":9}","type":"MESSAGE","seq":170}"#;
        assert_eq!(parsed(message), Some(Entry::Message { seq: 170, id: None }));
        let with_id = r#"{"content":"x","seq":3,"clientId":"c"}"#;
        assert_eq!(parsed(with_id), Some(Entry::Message { seq: 3, id: None }));
        let welcome =
            r#"{"type":"WELCOME","roomId":"r","username":"u","epoch":"00000000000000ff","seq":4,"online":1}"#;
        assert_eq!(parsed(welcome), Some(Entry::Welcome { epoch: 255, seq: 4 }));
        assert_eq!(parsed(r#"{"type":"GAP","roomId":"r","from":1,"to":2}"#), Some(Entry::Gap));
        for other in ["", "HEARTBEAT", r#"{"type":"ERROR","code":"busy"}"#, r#"{"content":"x","seq":17"#] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
