//! Where the engine is, and how long it is waited for.

use std::path::PathBuf;
use std::time::Duration;

use crate::store::{Options, Store, StoreThreads};
use crate::transport::{CertificateError, Trust};

/// A node that has joined a cluster.
pub struct Joined {
    /// Its way to the rooms.
    pub store: Store,
    /// What runs for it; dropping it ends that.
    pub threads: StoreThreads,
    /// What an operator should know: what can be lost, and when.
    pub warnings: Vec<String>,
}

/// How a node takes part in a cluster.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// Where the engine is. Never printed with its password.
    ///
    /// A server, or some nodes of a Redis Cluster: `redis://[user:password@]host[:port][,host[:port]…][/database]`.
    /// Sentinels: `redis-sentinel://[user:password@]host[:port][,…][/database][?sentinel_username=…&sentinel_password=…]#master`,
    /// where `master` is the name that they give it. Over TLS: `rediss://` and `rediss-sentinel://`.
    pub url: String,
    /// Whom TLS believes, and who this node is.
    pub tls: ClusterTls,
    /// Within this a publisher hears that the engine does not answer.
    pub timeout: Duration,
    /// For so long a node is believed to be there without a sign of it.
    pub lease: Duration,
    /// What is said of a user whose node is gone; `{username}` stands for the name.
    pub leave_notice: String,
    /// What a room keeps that does not say, how long ids are remembered, how much of a log comes with an opened room.
    pub store: Options,
}

/// TLS on the way to the engine.
#[derive(Clone, Debug, Default)]
pub struct ClusterTls {
    /// The certificates by which those of the engine have to be signed (PEM); `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// What this node shows where it is asked who it is: its certificate and the private key of that (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClusterTls {
    /// Whom connections believe; the name of the server comes later.
    pub(super) fn trust(&self) -> Result<Trust, CertificateError> {
        const ANY: &str = "redis";
        let trust = match &self.ca {
            Some(file) => Trust::of_file(file, ANY),
            #[cfg(feature = "cli")]
            None => Trust::of_system(ANY),
            #[cfg(not(feature = "cli"))]
            None => {
                let unnamed = "no file names the certificates that are believed".to_owned();
                Err(CertificateError::new(std::path::Path::new(ANY), unnamed))
            }
        };
        match &self.identity {
            Some((certificate, key)) => trust?.identified(certificate, key),
            None => trust,
        }
    }
}
