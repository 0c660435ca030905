//! Which part of the cluster a room belongs to.
//!
//! All keys and channels of a room have the tag of its partition in braces, so that Redis Cluster keeps them in one slot
//! and a script may touch all of them. Nodes of all versions must come to the same partition: what is here never changes.

/// How many partitions there are.
pub(super) const PARTITIONS: usize = 256;

/// The numbers of the tags: `p` and the number of partition `i` hash to one of the slots `64 i` to `64 i + 63`.
// Of each such range the smallest number. So any division of the slots that gives each master a range of them, as all
// tools make it, gives it its share of the partitions.
const TAGS: [u16; PARTITIONS] = [
    267, 68, 263, 117, 473, 60, 477, 64, 73, 460, 77, 278, 100, 274, 104, 270, 51, 442, 55, 446, 59, 256,
    126, 252, 245, 131, 241, 135, 451, 42, 249, 46, 406, 15, 402, 11, 212, 166, 216, 19, 175, 201, 171, 205,
    320, 209, 179, 411, 157, 223, 28, 227, 24, 437, 20, 433, 238, 3, 420, 7, 230, 144, 234, 140, 266, 69,
    262, 116, 472, 61, 476, 65, 72, 461, 76, 279, 101, 275, 105, 271, 50, 443, 54, 447, 58, 257, 127, 253,
    244, 130, 240, 134, 450, 43, 248, 47, 407, 14, 403, 10, 213, 167, 217, 18, 174, 200, 170, 204, 321, 208,
    178, 410, 156, 222, 29, 226, 25, 436, 21, 432, 239, 2, 421, 6, 231, 145, 235, 141, 111, 265, 115, 261,
    62, 471, 66, 269, 462, 71, 466, 75, 276, 79, 272, 106, 440, 53, 258, 57, 254, 120, 250, 124, 48, 247,
    137, 243, 40, 453, 44, 457, 17, 218, 13, 400, 164, 210, 160, 214, 203, 177, 207, 173, 417, 322, 413, 326,
    221, 155, 225, 151, 229, 26, 431, 22, 1, 426, 5, 422, 9, 232, 39, 236, 110, 264, 114, 260, 63, 470, 67,
    268, 463, 70, 467, 74, 277, 78, 273, 107, 441, 52, 259, 56, 255, 121, 251, 125, 49, 246, 136, 242, 41,
    452, 45, 456, 16, 219, 12, 401, 165, 211, 161, 215, 202, 176, 206, 172, 416, 323, 412, 327, 220, 154,
    224, 150, 228, 27, 430, 23, 0, 427, 4, 423, 8, 233, 38, 237,
];

/// Slots in the range that a partition is in.
const SLOTS_EACH: u16 = 64;

/// The slot of keys with this tag.
fn slot(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| (crc << 1) ^ ((crc >> 15) * 0x1021))
    });
    crc % 16_384
}

/// One of the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Partition(u8);

impl Partition {
    /// The partition of the room of this name.
    pub(super) fn of(room: &str) -> Partition {
        // FNV-1a, and the last steps of MurmurHash3, since in FNV the last bytes do not reach all bits.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in room.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        let [high, ..] = hash.to_be_bytes();
        Partition(high)
    }

    /// All of them, in their order.
    pub(super) fn all() -> impl ExactSizeIterator<Item = Partition> + Clone {
        (0..=u8::MAX).map(Partition)
    }

    /// Its place among all.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Those that may have their keys in one of these slots.
    pub(super) fn within(first: u16, last: u16) -> impl Iterator<Item = Partition> {
        let index = |slot: u16| u8::try_from(slot / SLOTS_EACH).unwrap_or(u8::MAX);
        (index(first)..=index(last)).map(Partition)
    }

    /// The one whose keys are in this slot, if there is any.
    pub(super) fn in_slot(slot: u16) -> Option<Partition> {
        let partition = Partition(u8::try_from(slot / SLOTS_EACH).ok()?);
        (partition.slot() == slot).then_some(partition)
    }

    /// The slot of its tag, as the specification of Redis Cluster has it: CRC-16/XMODEM.
    pub(super) fn slot(self) -> u16 {
        slot(&format!("p{}", self.tag()))
    }

    /// The number in its tag.
    pub(super) fn tag(self) -> u16 {
        TAGS[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_spread_evenly_over_the_slots() {
        // An example of the specification.
        assert_eq!(slot("123456789"), 0x31c3);
        for partition in Partition::all() {
            assert_eq!(usize::from(partition.slot()) / 64, partition.index());
            assert_eq!(Partition::in_slot(partition.slot()), Some(partition));
            assert_eq!(Partition::in_slot(partition.slot() ^ 1), None);
        }
    }

    #[test]
    fn rooms_are_spread_evenly_over_the_partitions() {
        let mut rooms = [0_usize; PARTITIONS];
        (0..25_600).for_each(|number| rooms[Partition::of(&format!("room-{number}")).index()] += 1);
        assert!(rooms.iter().all(|rooms| (50..200).contains(rooms)), "{rooms:?}");
    }

    #[test]
    fn a_room_is_in_the_partition_where_other_versions_look_for_it() {
        let partitions = ["", "lobby", "r\u{1f32b}"].map(|room| Partition::of(room).index());
        assert_eq!(partitions, [239, 180, 97]);
    }
}
