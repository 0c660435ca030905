//! Sockets and their write half.

mod outbound;
mod stream;
mod tally;

pub use outbound::SendError;
pub(crate) use outbound::{Flushed, Outbound, is_progress};
pub(crate) use stream::Stream;
pub(crate) use tally::{Share, Tally};
