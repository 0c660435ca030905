//! Sockets and their write half.
//!
//! | module | subject |
//! |---|---|
//! | [`outbound`] | the write half of a connection, shared by all threads |
//! | [`stream`] | a socket, encrypted or not |
//! | [`outcome`] | what one read or write came to |
//! | [`tls`] | TLS on one connection, certificates, and which servers a client believes |
//! | [`memory_budget`] | what waits in memory for all connections together |

mod memory_budget;
mod outbound;
mod outcome;
mod stream;
mod tls;

pub(crate) use memory_budget::{Charge, MemoryBudget};
pub use outbound::SendError;
pub(crate) use outbound::{Flushed, Outbound, Progress};
pub(crate) use outcome::Arrived;
pub(crate) use stream::{Client, HERE, Stream, StreamRef};
pub use tls::CertificateError;
pub(crate) use tls::{Certificate, CertificateFiles, Trust};
