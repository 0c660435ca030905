//! Redis, which may answer and announce anything.

/// Reads an input as an announcement and as an answer to each script.
pub fn redis(input: &[u8]) {
    crate::cluster::hostile::read(input);
}
