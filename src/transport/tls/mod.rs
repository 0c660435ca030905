//! TLS (feature `tls`), and what stands in its place in a program without it.
//!
//! | file | subject |
//! |---|---|
//! | `session` | TLS on one connection |
//! | `files` | where certificate and key are kept, and why they cannot be used |
//! | `certificate` | how the server shows who it is |
//! | `trust` | whom a client believes |
//! | `absent` | in a program without TLS: the same types, without a value |

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod certificate;
mod files;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod trust;

#[cfg(not(feature = "tls"))]
pub(crate) use absent::{Certificate, Trust};
#[cfg(not(feature = "tls"))]
pub(super) use absent::{Error, Tls};
#[cfg(feature = "tls")]
pub(crate) use {certificate::Certificate, trust::Trust};
#[cfg(feature = "tls")]
pub(super) use {rustls::Error, session::Tls};

pub use files::CertificateError;
pub(crate) use files::CertificateFiles;
