//! Sockets and their write half.

mod outbound;
mod stream;

pub use outbound::SendError;
pub(crate) use outbound::{Flushed, Outbound};
pub(crate) use stream::Stream;
