//! Pseudo-random cuts, for tests and fuzz targets.

/// Cuts `bytes` into pseudo-random pieces, the same ones for the same seed: up to 15 bytes each for odd seeds, of
/// any size for even ones, empty ones among them.
pub(crate) fn cut(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut random = SplitMix(seed);
    let piece_max = if seed % 2 == 1 { 15 } else { bytes.len() };
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.up_to(piece_max.min(rest.len())));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// SplitMix64: the same numbers in every run.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    /// A number from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(max).expect("a length fits 64 bits") + 1;
        usize::try_from((z ^ (z >> 31)) % bound).expect("not above max")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_what_was_cut() {
        let bytes: Vec<u8> = (0..200).collect();
        for seed in 0..100 {
            assert_eq!(cut(&bytes, seed).concat(), bytes);
        }
        assert_ne!(cut(&bytes, 1), cut(&bytes, 3));
    }
}
