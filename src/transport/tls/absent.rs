//! A program without TLS: what would be encrypted cannot be begun, so that none of these types has a value.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use super::files::{CertificateError, CertificateFiles};
use crate::system::Socket;
use crate::transport::outcome::{Arrived, Taken};

/// Why TLS is not begun: it is not even tried.
pub(in crate::transport) type Error = Infallible;

#[derive(Debug)]
pub(in crate::transport) enum Tls {}

impl Tls {
    pub(in crate::transport) fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub(in crate::transport) fn read(&self, _: &Socket, _: &mut [u8]) -> io::Result<Arrived> {
        match *self {}
    }

    pub(in crate::transport) fn take_fault(&self) -> Option<Box<str>> {
        match *self {}
    }

    pub(in crate::transport) fn write(&self, _: &Socket, _: &[u8], _: &[u8]) -> io::Result<Taken> {
        match *self {}
    }

    pub(in crate::transport) fn flush(&self, _: &Socket) -> io::Result<Taken> {
        match *self {}
    }

    pub(in crate::transport) fn finish(&self, _: &Socket) -> io::Result<Taken> {
        match *self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Certificate {}

impl Certificate {
    pub(crate) fn load(files: &CertificateFiles) -> Result<Certificate, CertificateError> {
        Err(absent(&files.certificate))
    }

    pub(in crate::transport) fn begin(&self) -> Result<Tls, Error> {
        match *self {}
    }

    pub(crate) fn is_same_as(&self, _: &Certificate) -> bool {
        match *self {}
    }

    pub(crate) fn check_dates(&self) -> Result<(), CertificateError> {
        match *self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Trust {}

impl Trust {
    pub(crate) fn of_file(authority: &Path, _: &str) -> Result<Trust, CertificateError> {
        Err(absent(authority))
    }

    #[cfg(feature = "cli")]
    pub(crate) fn of_system(server: &str) -> Result<Trust, CertificateError> {
        Err(absent(Path::new(server)))
    }

    #[cfg(feature = "redis")]
    pub(crate) fn for_server(&self, _: &str) -> Result<Trust, CertificateError> {
        match *self {}
    }

    #[cfg(feature = "redis")]
    pub(crate) fn identified(self, _: &Path, _: &Path) -> Result<Trust, CertificateError> {
        match self {}
    }

    pub(crate) fn blind(server: &str) -> Result<Trust, CertificateError> {
        Err(absent(Path::new(server)))
    }

    pub(in crate::transport) fn begin(&self) -> Result<Tls, Error> {
        match *self {}
    }
}

fn absent(path: &Path) -> CertificateError {
    CertificateError::new(path, "is of no use: this program was built without the feature `tls`".to_owned())
}
