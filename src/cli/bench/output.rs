//! The files that reports are written to.

use std::fs;
use std::io;
use std::path::Path;

use crate::bench::BenchError;

pub(super) fn write(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<(), BenchError> {
    bytes.and_then(|bytes| fs::write(path, bytes)).map_err(|error| BenchError::Write(path.to_owned(), error))
}
