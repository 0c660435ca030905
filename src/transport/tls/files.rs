//! The files of certificate and key, and why they cannot be used.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where certificate and key are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// The certificate and its chain, in this order (PEM).
    pub(crate) certificate: PathBuf,
    /// The key of the certificate (PEM).
    pub(crate) key: PathBuf,
}

/// Why certificate and key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateError {
    path: PathBuf,
    problem: String,
}

impl CertificateError {
    pub(crate) fn new(path: &Path, problem: String) -> CertificateError {
        CertificateError { path: path.to_owned(), problem }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl std::error::Error for CertificateError {}
