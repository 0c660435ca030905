//! `foghorn config check` and `foghorn config default`.

use std::io::{self, Write};
use std::path::Path;

use super::Failure;
use crate::config::Config;

/// Loads the file as `serve` would, without the environment.
pub(super) fn check(file: &Path) -> Result<(), Failure> {
    Config::load(Some(file), [], &[])?;
    writeln!(io::stdout(), "{} is fine", file.display())?;
    Ok(())
}

pub(super) fn print_default() -> Result<(), Failure> {
    io::stdout().write_all(Config::default().to_toml().as_bytes())?;
    Ok(())
}
