//! The public ids of messages: UUIDs that sort by time.

use crate::rooms::timestamp::Timestamp;

/// What of an epoch is in the ids of a log's messages. A new epoch of the same log differs in the other bits.
pub(crate) const ID_EPOCH_BITS: u64 = 0xffff_ffff;

/// 2^64 divided by the golden ratio.
// Odd, so that no two numbers of a log come to the same bits; this one, so that neighbours differ in many.
const ID_ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The bits of a UUID behind its variant (RFC 9562).
const ID_BITS: u64 = u64::MAX >> 2;

/// What of the epoch is in the id of message `seq`, if it is such an id.
pub(crate) fn id_epoch(id: &str, seq: u64) -> Option<u64> {
    let digits: String = id.chars().filter(|digit| *digit != '-').collect();
    let value = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32 && id.len() == 36)?;
    let low = u64::try_from(value & u128::from(ID_BITS)).ok()?;
    Some((low ^ seq.wrapping_mul(ID_ODD)) & ID_BITS).filter(|epoch| epoch & !ID_EPOCH_BITS == 0)
}

/// The id of message `seq`, as clients see it.
#[cfg(feature = "mongodb")]
pub(crate) fn message_id(at: Timestamp, epoch: u64, seq: u64) -> String {
    let mut text = Vec::new();
    push_id(&mut text, at, epoch, seq);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends a UUID (RFC 9562, version 7) that sorts by time: 48 bits of milliseconds, the microseconds within, and 62
/// bits that differ for each message of a log (`seq` times an odd number) and from log to log (the lower half of
/// `epoch`, which a log keeps under every later epoch: a message has one id for good).
pub(super) fn push_id(out: &mut Vec<u8>, at: Timestamp, epoch: u64, seq: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let (millis, micros) = (at.micros() / 1000, at.micros() % 1000);
    let high = (millis << 16) | 0x7000 | (micros << 2);
    let low = (epoch & ID_EPOCH_BITS ^ seq.wrapping_mul(ID_ODD)) & ID_BITS | (1 << 63);
    let value = u128::from(high) << 64 | u128::from(low);
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let mut nibbles = value.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for place in text.iter_mut().filter(|place| **place == b'0') {
        *place = HEX[usize::from(nibbles.next().unwrap_or(0))];
    }
    out.extend_from_slice(&text);
}
