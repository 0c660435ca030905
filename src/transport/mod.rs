//! Sockets and their write half.

mod certificate;
mod outbound;
mod stream;
mod tally;
mod tls;
mod trust;

pub use certificate::CertificateError;
pub(crate) use certificate::{Certificate, CertificateFiles};
pub use outbound::SendError;
pub(crate) use outbound::{Flushed, Outbound, is_progress};
pub(crate) use stream::{Arrived, Client, HERE, Stream, StreamRef};
pub(crate) use tally::{Share, Tally};
pub(crate) use trust::Trust;
