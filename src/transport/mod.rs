//! Sockets and their write half.

mod identity;
mod outbound;
mod stream;
mod tls;
mod trust;

pub(crate) use identity::{Identity, IdentityError, IdentityFiles};
pub use outbound::SendError;
pub(crate) use outbound::{Flushed, Outbound};
pub(crate) use stream::{Arrived, Client, HERE, Stream, StreamRef};
pub(crate) use trust::Trust;
