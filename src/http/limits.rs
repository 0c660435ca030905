//! What a request head may cost.

/// The most header fields a limit can allow: the parser's table lies on the stack (8 KiB).
pub const HEADERS_MAX: usize = 256;

/// Limits of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, its last empty line included.
    pub head_bytes: usize,
    /// Number of header fields, at most [`HEADERS_MAX`].
    pub headers: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        // As Apache: 100 fields, 8 KiB for the target. Twice that for the whole, so that a long target leaves room for cookies.
        HeadLimits { head_bytes: 16 * 1024, headers: 100, target_bytes: 8 * 1024 }
    }
}
