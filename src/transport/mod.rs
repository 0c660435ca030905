//! Sockets and their write half.

mod outbound;
mod stream;

pub use outbound::{Flushed, Outbound, SendError};
pub use stream::Stream;
