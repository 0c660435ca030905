//! Why a server does not start, does not go on, keeps its old configuration, or does nothing at the moment.

use std::fmt;

use super::auth::keys::KeysError;
use crate::config::ConfigError;
use crate::reactor::{RunFailure, StartFailure};
use crate::transport::CertificateError;

/// Why a running server keeps its old configuration.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// A value is out of its range.
    Config(ConfigError),
    /// The keys of tokens cannot be had.
    Keys(KeysError),
    /// Certificate or key cannot be used.
    Certificate(CertificateError),
    /// Tokens are asked for and were not, or the reverse: a slip must not open a server to every client.
    Switched,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadError::Config(error) => error.fmt(f),
            ReloadError::Keys(error) => error.fmt(f),
            ReloadError::Certificate(error) => error.fmt(f),
            ReloadError::Switched => f.write_str("authentication is turned on or off by a restart only"),
        }
    }
}

impl std::error::Error for ReloadError {}

/// Why a server could not be started.
#[derive(Debug)]
pub struct StartError(pub(super) Cause);

#[derive(Debug)]
pub(super) enum Cause {
    Reactor(StartFailure),
    Keys(KeysError),
    Config(ConfigError),
    Thread(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Reactor(StartFailure::Listen(addr, error)) => {
                write!(f, "cannot listen on {addr}: {error} (name another address with --listen)")
            }
            Cause::Reactor(StartFailure::Passed(number, error)) => {
                write!(f, "cannot listen on socket {number} of those that were passed: {error}")
            }
            Cause::Thread(error) => write!(f, "cannot start a thread: {error}"),
            Cause::Reactor(StartFailure::NoCertificate) => {
                f.write_str("cannot speak TLS: tls.certificate and tls.key are not set")
            }
            Cause::Reactor(StartFailure::Certificate(error)) => write!(f, "cannot speak TLS: {error}"),
            Cause::Reactor(StartFailure::System(error)) => write!(f, "cannot start: {error}"),
            Cause::Keys(error) => write!(f, "cannot start: {error}"),
            Cause::Config(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a running server had to stop.
#[derive(Debug)]
pub struct RunError(pub(super) RunFailure);

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            RunFailure::Poll(error) => write!(f, "cannot wait for events: {error}"),
            RunFailure::ShardGone => f.write_str("a shard's thread has died; its panic was reported before"),
        }
    }
}

impl std::error::Error for RunError {}
