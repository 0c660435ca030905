//! The one helper behind every byte-level test: cutting the same bytes differently must never change what is
//! read from them.

use std::fmt::Debug;

use crate::cut::cut;

/// How many pseudo-random cuttings are tried after the systematic ones.
const RANDOM_CUTTINGS: u64 = 64;

/// Where cutting at every position would read more bytes than this in all, only every n-th cut is tried, so that
/// a test stays quick: every cut up to 2 KiB.
const TWO_PIECES_BYTES_MAX: usize = 1 << 22;

/// Reads `wire` whole, then in every two pieces (one of them empty at the ends), byte by byte, and in
/// pseudo-random pieces; asserts that `read` returns the same each time, and returns that.
///
/// `read` is handed the pieces in order and starts from a fresh state each time.
pub(crate) fn every_split<T: PartialEq + Debug>(wire: &[u8], mut read: impl FnMut(&[&[u8]]) -> T) -> T {
    let whole = read(&[wire]);

    let cut_step = wire.len() * wire.len() / TWO_PIECES_BYTES_MAX + 1;
    for at in (0..=wire.len()).step_by(cut_step) {
        let (head, tail) = wire.split_at(at);
        assert_eq!(read(&[head, tail]), whole, "cut at {at} of {}", wire.len());
    }

    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(read(&bytes), whole, "byte by byte");

    for seed in 0..RANDOM_CUTTINGS {
        let pieces = cut(wire, seed);
        assert_eq!(read(&pieces), whole, "cuts from seed {seed}: {:?}", lengths(&pieces));
    }
    whole
}

fn lengths(pieces: &[&[u8]]) -> Vec<usize> {
    pieces.iter().map(|piece| piece.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::every_split;

    #[test]
    fn a_reader_that_joins_its_pieces_passes() {
        let joined = every_split(b"the same bytes", |pieces| pieces.concat());
        assert_eq!(joined, b"the same bytes");
    }

    #[test]
    #[should_panic(expected = "cut at")]
    fn a_reader_that_sees_the_cuts_is_caught() {
        every_split(b"the same bytes", |pieces| pieces.len());
    }

    #[test]
    #[should_panic(expected = "byte by byte")]
    fn a_reader_that_fails_only_on_single_bytes_is_caught() {
        every_split(b"the same bytes", |pieces| pieces.iter().all(|piece| piece.len() == 1));
    }
}
