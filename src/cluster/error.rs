//! Why a node could not join its cluster, and what a fault of Redis is to those who ask.

use std::fmt;

use redis::RedisError;

use crate::store::StoreError;

/// Why a node could not join its cluster.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClusterError {
    /// The URL is not one of a Redis server.
    Url(String),
    /// There is no answer.
    Unreachable {
        /// Host and port.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// Redis answers and is not as it has to be.
    Unfit {
        /// Host and port.
        address: String,
        /// What is wrong, and how to mend it.
        reason: String,
    },
    /// The certificates that TLS needs cannot be used.
    Tls(crate::transport::CertificateError),
    /// The system has no thread for it.
    Threads(std::io::Error),
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterError::Url(reason) => write!(
                f,
                "the URL of the cluster is not understood: {reason} (it is redis://[user:password@]host[:port][,host…][/database], \
                 rediss://… over TLS, or redis-sentinel://[user:password@]host[:port][,host…][/database]#master)"
            ),
            ClusterError::Unreachable { address, reason } => write!(
                f,
                "Redis at {address} does not answer: {reason} (is it running, and does it let this machine in?)"
            ),
            ClusterError::Unfit { address, reason } => {
                write!(f, "Redis at {address} cannot be used: {reason}")
            }
            ClusterError::Tls(error) => write!(f, "{error}"),
            ClusterError::Threads(error) => {
                write!(f, "a thread of the cluster could not be started: {error}")
            }
        }
    }
}

impl std::error::Error for ClusterError {}

/// Bytes of what Redis says that are passed on.
pub(super) const REASON_BYTES_MAX: usize = 200;

/// What Redis says, for people.
pub(super) fn reason(error: &RedisError) -> String {
    one_line(&error.to_string())
}

/// What goes to logs, and may be anything.
pub(super) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    line.truncate(line.floor_char_boundary(REASON_BYTES_MAX));
    line
}

/// Redis cannot be asked at the moment, or answers with an error.
pub(super) fn unavailable(error: &RedisError) -> StoreError {
    StoreError::Unavailable(format!("Redis: {}", reason(error)).into())
}

/// What was made of an answer.
pub(super) fn understood<T>(read: redis::RedisResult<T>) -> Result<T, StoreError> {
    read.map_err(|error| unavailable(&error))
}

/// Redis answers with something that was not asked for.
pub(super) fn not_understood(what: &str) -> RedisError {
    RedisError::from((redis::ErrorKind::UnexpectedReturnType, "not understood", what.to_owned()))
}

/// Whether an error says that there is nothing wrong but that nobody answers, or not yet.
pub(super) fn may_pass(error: &RedisError) -> bool {
    use redis::ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, TryAgain};
    // TLS that goes wrong does so again.
    let is_flawed = io_kind(error) == Some(std::io::ErrorKind::InvalidData);
    error.is_io_error() && !is_flawed
        || matches!(error.kind(), redis::ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | TryAgain))
        || error.kind() == redis::ErrorKind::UnexpectedReturnType
}

/// What kind of fault of the connection it is, if it is one.
pub(super) fn io_kind(error: &RedisError) -> Option<std::io::ErrorKind> {
    type Inner = std::sync::Arc<dyn std::error::Error + Send + Sync>;
    let inner = std::error::Error::source(error)?.downcast_ref::<Inner>()?;
    inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn faults_of_a_connection_are_told_apart() {
        let fault = |kind: ErrorKind| RedisError::from(std::io::Error::from(kind));
        assert_eq!(io_kind(&fault(ErrorKind::Interrupted)), Some(ErrorKind::Interrupted));
        assert_eq!(io_kind(&not_understood("x")), None);
        assert!(may_pass(&fault(ErrorKind::ConnectionRefused)) && !may_pass(&fault(ErrorKind::InvalidData)));
    }
}
