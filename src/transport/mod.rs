//! Sockets and their write half.
//!
//! | module | subject |
//! |---|---|
//! | [`outbound`] | the write half of a connection, shared by all threads |
//! | [`stream`] | a socket, encrypted or not |
//! | [`outcome`] | what one read or write came to |
//! | [`tls`] | TLS on one connection |
//! | [`certificate`], [`trust`] | how a server shows who it is, and which servers a client believes |
//! | [`memory_budget`] | what waits in memory for all connections together |

mod certificate;
mod memory_budget;
mod outbound;
mod outcome;
mod stream;
mod tls;
mod trust;

pub use certificate::CertificateError;
pub(crate) use certificate::{Certificate, CertificateFiles};
pub(crate) use memory_budget::{Charge, MemoryBudget};
pub use outbound::SendError;
pub(crate) use outbound::{Flushed, Outbound, Progress};
pub(crate) use outcome::Arrived;
pub(crate) use stream::{Client, HERE, Stream, StreamRef};
pub(crate) use trust::Trust;
