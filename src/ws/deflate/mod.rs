//! Compressed messages: permessage-deflate (RFC 7692), without I/O.
//!
//! A message is compressed alone, or refers back to what was sent before it (*context takeover*). What it may refer to
//! is nothing but the last bytes of the earlier messages, so a context is kept as just those bytes, its [`History`]:
//! the compressors themselves, which are large, belong to threads and never to connections.
//!
//! | file | subject |
//! |---|---|
//! | `history` | windows, histories, and what both directions share |
//! | `inflater` | from a compressed message to its payload, piece by piece |
//! | `deflater` | from a payload to a compressed frame |

mod deflater;
mod history;
mod inflater;
#[cfg(test)]
mod tests;

pub use deflater::{Deflate, Level};
pub use history::{History, WindowBits};
pub(in crate::ws) use inflater::Inflation;
