//! A room's messages as MESSAGE frames.

use super::codec::{Command, Escaping, FrameWriter, Version};
use super::error_frame::{TEXT, error_frame};
use super::message::GAP_ID;
use super::queues::AckMode;
use super::session::{ACK_SEPARATOR, Subscription};
use crate::server::{Encoding, Entry, Notice, Timestamp};
use crate::ws::{OpCode, encode};

/// Families of room encodings: what is escaped, and what is not. Both versions that escape share one, by the rules of the
/// older; the newer only adds the carriage return, which no header of a room's message needs.
const RAW: u32 = 0x5354_0000;
const ESCAPED: u32 = 0x5354_0001;

/// How one subscription is sent the messages of its room.
#[derive(Debug)]
pub(super) struct RoomEncoding {
    escaping: Escaping,
    version: Version,
    /// The lines that are this subscription's own, from the command on.
    label: Box<[u8]>,
    /// What its `ack` header says before a message's id, if it has one: the last line of the label, unfinished.
    ends_with_ack: bool,
}

impl RoomEncoding {
    pub(super) fn new(version: Version, subscription: &Subscription) -> RoomEncoding {
        let mut label = Vec::new();
        write_label(&mut label, version, subscription);
        let ends_with_ack = has_ack(version, subscription);
        if ends_with_ack {
            label.extend_from_slice(ack_prefix(subscription).as_bytes());
        }
        let escaping = if version == Version::V10 { Escaping::None } else { Escaping::V11 };
        RoomEncoding { escaping, version, label: label.into(), ends_with_ack }
    }
}

/// The first lines of a MESSAGE for a subscription.
pub(super) fn write_label(out: &mut Vec<u8>, version: Version, subscription: &Subscription) {
    let _unfinished = FrameWriter::new(out, Command::Message, Escaping::of(version))
        .header("subscription", &subscription.id)
        .header("destination", subscription.destination.text());
}

/// Whether messages of a subscription have an `ack` header.
pub(super) fn has_ack(version: Version, subscription: &Subscription) -> bool {
    version == Version::V12 && subscription.mode != AckMode::Auto
}

/// An `ack` header up to the message's id.
pub(super) fn ack_prefix(subscription: &Subscription) -> String {
    format!("ack:{}{ACK_SEPARATOR}", subscription.number)
}

/// Both begin with the message's id, so that the label can borrow it for its `ack` header.
const MESSAGE_ID: &str = "message-id";

impl Encoding for RoomEncoding {
    fn family(&self) -> u32 {
        if self.escaping == Escaping::None { RAW } else { ESCAPED }
    }

    fn label(&self) -> &[u8] {
        &self.label
    }

    fn encode(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let Some(chat) = entry.chat() else { return };
        let mut time = Vec::with_capacity(Timestamp::TEXT_BYTES);
        entry.at().encode(&mut time);
        FrameWriter::resume(out, self.escaping)
            .header(MESSAGE_ID, chat.id)
            .number("seq", entry.seq())
            .header("epoch", &format!("{:016x}", entry.epoch()))
            .header("sender", &chat.sender)
            .header("type", chat.kind.name())
            .header("timestamp", &String::from_utf8_lossy(&time))
            .optional("client-id", chat.client_id.as_deref())
            .optional("username", chat.username.as_deref())
            .optional("online", chat.online.map(|online| online.to_string()).as_deref())
            .header("content-type", TEXT)
            .body(chat.content.as_bytes());
    }

    fn address(&self, shared: &[u8], out: &mut Vec<u8>) {
        let ack = if self.ends_with_ack { id_line(shared) } else { &[] };
        let (header, len) = encode::header(OpCode::Text, self.label.len() + ack.len() + shared.len());
        for part in [&header[..len], &self.label, ack, shared] {
            out.extend_from_slice(part);
        }
    }

    fn notice(&self, notice: &Notice<'_>, out: &mut Vec<u8>) {
        let mut rest = Vec::new();
        match *notice {
            Notice::Gap { epoch, from, to, .. } => {
                let epoch = format!("{epoch:016x}");
                FrameWriter::resume(&mut rest, self.escaping)
                    .header(MESSAGE_ID, &format!("{GAP_ID}{epoch}-{from}-{to}"))
                    .header("type", "GAP")
                    .number("from", from)
                    .number("to", to)
                    .header("epoch", &epoch)
                    .body(b"");
                self.address(&rest, out);
            }
            Notice::Error { code, content, .. } => {
                let error = error_frame(code, content, None, Some(self.version), false);
                encode::frame(out, OpCode::Text, &error);
            }
            // No client needs it: the RECEIPT of a SUBSCRIBE tells the position, that of a SEND that it was stored.
            Notice::Welcome { .. } | Notice::Ack { .. } => {}
        }
    }
}

/// The value of the first line, and its line feed.
fn id_line(shared: &[u8]) -> &[u8] {
    let line = shared.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    line.get(MESSAGE_ID.len() + 1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stomp::destination::{Destination, Purpose};
    use crate::stomp::message::is_room_message_id;

    fn encoding(version: Version, mode: AckMode) -> RoomEncoding {
        let destination = Destination::parse("/topic/a:b", Purpose::Subscribe).unwrap();
        RoomEncoding::new(version, &Subscription { number: 7, id: "s\\1".into(), destination, mode })
    }

    fn addressed(version: Version, mode: AckMode) -> String {
        let mut out = Vec::new();
        encoding(version, mode).address(b"message-id:m\nseq:1\n\nhi\0", &mut out);
        assert_eq!((out[0], usize::from(out[1])), (0x81, out.len() - 2), "one text frame");
        String::from_utf8(out.split_off(2)).unwrap()
    }

    #[test]
    fn the_lines_of_a_subscription_come_before_those_of_its_room() {
        let rest = "message-id:m\nseq:1\n\nhi\0";
        let raw = format!("MESSAGE\nsubscription:s\\1\ndestination:/topic/a:b\n{rest}");
        let escaped = format!("MESSAGE\nsubscription:s\\\\1\ndestination:/topic/a\\cb\n{rest}");
        assert_eq!(addressed(Version::V10, AckMode::Client), raw);
        assert_eq!(addressed(Version::V11, AckMode::Client), escaped);
        assert_eq!(addressed(Version::V12, AckMode::Auto), escaped);
        let acknowledged = escaped.replace("message-id", "ack:7.m\nmessage-id");
        assert_eq!(addressed(Version::V12, AckMode::ClientIndividual), acknowledged);
    }

    #[test]
    fn what_is_escaped_alike_is_written_once() {
        let family = |version| encoding(version, AckMode::Auto).family();
        assert_eq!(family(Version::V11), family(Version::V12));
        assert_ne!(family(Version::V10), family(Version::V11));
    }

    #[test]
    fn a_gap_is_a_message_whose_id_can_be_acknowledged() {
        let (mut out, room) = (Vec::new(), "a:b");
        let gap = Notice::Gap { room, epoch: 255, from: 1, to: u64::MAX, at: Timestamp::from_micros(0) };
        encoding(Version::V12, AckMode::Client).notice(&gap, &mut out);
        let text = String::from_utf8_lossy(&out[4..]).into_owned();
        let id = "gap-00000000000000ff-1-18446744073709551615";
        let lines = format!("\nack:7.{id}\nmessage-id:{id}\ntype:GAP\nfrom:1\nto:18446744073709551615\n");
        assert!(text.contains(&lines) && text.ends_with("\ncontent-length:0\n\n\0"), "{text}");
        assert!(is_room_message_id(id));
        for other in [
            "",
            "gap",
            "gap-x",
            "m",
            "019c13ec-9e7b-7000-8000-00000000000",
            &format!("gap-{}", "0".repeat(61)),
        ] {
            assert!(!is_room_message_id(other), "{other}");
        }
    }
}
