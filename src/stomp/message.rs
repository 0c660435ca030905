//! A message that is no room's: on its way through a queue, or to one user's sessions.

use std::fmt;

/// Bytes that a message costs besides its text: its place in a queue, its allocations.
// Rounded up: the limits on queues bound memory.
const OVERHEAD_BYTES: usize = 128;

/// What `message-id` says of such a message: which server's life, and a number that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageId {
    /// Random, for each start of the server.
    pub(crate) seed: u64,
    pub(crate) number: u64,
}

impl MessageId {
    /// Reads what was written by `Display`.
    pub(crate) fn parse(text: &str) -> Option<MessageId> {
        let (seed, number) = text.split_once('-')?;
        let is_hex = seed.len() == 16 && seed.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_decimal = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if !is_hex || !is_decimal {
            return None;
        }
        Some(MessageId { seed: u64::from_str_radix(seed, 16).ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.seed, self.number)
    }
}

/// What the id of a GAP begins with.
pub(super) const GAP_ID: &str = "gap-";

/// Whether a room's message can have this id.
pub(super) fn is_room_message_id(id: &str) -> bool {
    let is_uuid = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_gap = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uuid || id.len() <= 64 && id.strip_prefix(GAP_ID).is_some_and(is_gap)
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueuedMessage {
    pub(crate) id: MessageId,
    /// The name of the user who sent it.
    pub(crate) sender: Box<str>,
    /// The sender's own headers: none that the server sets.
    pub(crate) headers: Box<[(Box<str>, Box<str>)]>,
    pub(crate) body: Box<[u8]>,
}

impl QueuedMessage {
    /// What it costs in memory, about.
    pub(crate) fn cost(&self) -> usize {
        cost_of(&self.headers, &self.body) + self.sender.len()
    }
}

/// What a message with these headers and this body costs.
pub(crate) fn cost_of(headers: &[(Box<str>, Box<str>)], body: &[u8]) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    OVERHEAD_BYTES + headers + body.len()
}

/// The way to one subscription, as queues see it.
pub(crate) trait Consumer {
    /// Hands a message over. False: there is no room for it at the moment.
    fn deliver(&self, message: &QueuedMessage, redelivered: bool) -> bool;
}

/// Names a subscription among those of all sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SubscriberKey {
    /// The session's id.
    pub(crate) session: u128,
    /// The session's number of it.
    pub(crate) number: u32,
}

#[cfg(test)]
mod tests {
    use super::MessageId;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for id in [MessageId { seed: 0, number: 0 }, MessageId { seed: u64::MAX, number: u64::MAX }] {
            assert_eq!(MessageId::parse(&id.to_string()), Some(id));
        }
        let cases = [
            "",
            "-",
            "0000000000000001-",
            "1-1",
            "0000000000000001-+1",
            "+000000000000001-1",
            "0000000000000001-99999999999999999999",
            "0000000000000001-1-1",
        ];
        for text in cases {
            assert_eq!(MessageId::parse(text), None, "{text}");
        }
    }
}
