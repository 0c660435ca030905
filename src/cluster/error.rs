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
    /// The system has no thread for it.
    Threads(std::io::Error),
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterError::Url(reason) => write!(
                f,
                "the URL of the cluster is not understood: {reason} (it is redis://[user:password@]host[:port][/database])"
            ),
            ClusterError::Unreachable { address, reason } => write!(
                f,
                "Redis at {address} does not answer: {reason} (is it running, and does it let this machine in?)"
            ),
            ClusterError::Unfit { address, reason } => {
                write!(f, "Redis at {address} cannot be used: {reason}")
            }
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

/// Redis answers with something that was not asked for.
pub(super) fn not_understood(what: &str) -> RedisError {
    RedisError::from((redis::ErrorKind::UnexpectedReturnType, "not understood", what.to_owned()))
}
