//! Why there is no result.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::progress::Verdict;
use crate::handshake::client::ClientError;
use crate::ws::ProtocolError;

/// Why a run ended without a result.
#[derive(Debug)]
#[non_exhaustive]
pub enum BenchError {
    /// The URL cannot be used.
    Target(String, String),
    /// The parameters contradict each other.
    Plan(&'static str),
    /// The server cannot be started: its command and the reason.
    Spawn(String, String),
    /// A system call of the load generator itself failed.
    System(&'static str, io::Error),
    /// After this number of connections the next one could not be opened.
    Connect {
        /// Connections open by then.
        opened: usize,
        /// What the system said.
        error: io::Error,
    },
    /// The server did not accept the upgrade.
    Handshake(ClientError),
    /// A connection that should have stayed was lost.
    Lost {
        /// Its number.
        connection: usize,
        /// How.
        how: Lost,
    },
    /// Nothing came for too long, in this stage of the run.
    Silent(&'static str),
    /// There is a report, but it says nothing about the server.
    NoResult(Verdict),
    /// This is no report that can be read.
    Read(PathBuf, String),
    /// These reports cannot be compared.
    Compare(String),
    /// A report cannot be written.
    Write(PathBuf, io::Error),
}

/// How a connection ended.
#[derive(Debug)]
pub enum Lost {
    /// The server sent a Close frame.
    Closed,
    /// The connection ended.
    Ended,
    /// The system reported an error.
    Failed(io::Error),
    /// The server broke the protocol.
    Protocol(ProtocolError),
    /// The server refused the upgrade.
    Refused(ClientError),
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Target(url, why) => write!(f, "cannot use the URL {url}: {why}"),
            BenchError::Plan(why) => f.write_str(why),
            BenchError::Spawn(command, why) => write!(f, "cannot start the server `{command}`: {why}"),
            BenchError::System(what, error) => write!(f, "cannot {what}: {error}"),
            BenchError::Connect { opened, error } => {
                write!(f, "cannot open connection {}: {error}", opened + 1)?;
                if error.raw_os_error() == Some(24) {
                    f.write_str(" (raise the limit with `ulimit -n`)")?;
                }
                Ok(())
            }
            BenchError::Handshake(error) => write!(f, "the server did not upgrade: {error}"),
            BenchError::Lost { connection, how } => write!(f, "connection {connection} was lost: {how}"),
            BenchError::Silent(stage) => write!(f, "nothing came for too long while {stage}"),
            BenchError::NoResult(verdict) => write!(f, "{verdict}"),
            BenchError::Read(path, why) => write!(f, "cannot read {}: {why}", path.display()),
            BenchError::Compare(why) => f.write_str(why),
            BenchError::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for BenchError {}

impl BenchError {
    /// Whether what was asked for makes no sense, so that it would fail again.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            BenchError::Target(..) | BenchError::Plan(_) => true,
            BenchError::Spawn(..)
            | BenchError::System(..)
            | BenchError::Connect { .. }
            | BenchError::Handshake(_)
            | BenchError::Lost { .. }
            | BenchError::Silent(_)
            | BenchError::NoResult(_)
            | BenchError::Read(..)
            | BenchError::Compare(_)
            | BenchError::Write(..) => false,
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Closed => f.write_str("closed by the server"),
            Lost::Ended => f.write_str("ended by the server without a Close frame"),
            Lost::Failed(error) => write!(f, "{error}"),
            Lost::Protocol(error) => write!(f, "the server broke the protocol: {error}"),
            Lost::Refused(error) => write!(f, "{error}"),
        }
    }
}
