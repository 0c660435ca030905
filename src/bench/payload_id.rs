//! The number in a message of the load, and its letters.

/// Length of a stamp.
pub(super) const PAYLOAD_ID_BYTES: usize = 16;

/// The publisher of the messages that show that a room is complete.
pub(super) const PROBE: u32 = u32::MAX;
/// What the stamp of such a message begins with.
pub(super) const PROBE_LETTERS: &str = "OOOOOOOO";
/// The number of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PayloadId {
    /// Who sent it, counted over all rooms.
    pub(super) publisher: u32,
    /// Which of the publisher's messages it is, from 0.
    pub(super) number: u32,
}

/// `@` to `O` stand for the sixteen values of four bits.
const LETTERS: u64 = u64::from_be_bytes([b'@'; 8]);
const LETTER_BITS: u64 = u64::from_be_bytes([0xf0; 8]);

impl PayloadId {
    /// The stamp as it stands in a payload.
    pub(super) fn letters(self) -> [u8; PAYLOAD_ID_BYTES] {
        let mut letters = [0; PAYLOAD_ID_BYTES];
        letters[..8].copy_from_slice(&spread(self.publisher));
        letters[8..].copy_from_slice(&spread(self.number));
        letters
    }

    pub(super) fn parse(letters: &[u8]) -> Option<PayloadId> {
        let (publisher, rest) = letters.split_first_chunk()?;
        let number = rest.first_chunk()?;
        Some(PayloadId { publisher: gather(*publisher)?, number: gather(*number)? })
    }
}

/// Eight groups of four bits, the highest first.
fn spread(value: u32) -> [u8; 8] {
    let mut bits = u64::from(value);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    (bits | LETTERS).to_be_bytes()
}

fn gather(letters: [u8; 8]) -> Option<u32> {
    let letters = u64::from_be_bytes(letters);
    if letters & LETTER_BITS != LETTERS {
        return None;
    }
    let mut bits = letters & !LETTER_BITS;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits >> 16) & 0xffff_ffff;
    u32::try_from(bits).ok()
}
