//! `foghorn config check` and `foghorn config default`.

use std::io::{self, Write};
use std::path::Path;

use super::Failure;
use crate::config::Config;
use crate::server::check_keys;

/// Loads the file as `serve` would, without the environment, and the keys that it names.
pub(super) fn check(file: &Path) -> Result<(), Failure> {
    check_keys(&Config::load(Some(file), [], &[])?)?;
    writeln!(io::stdout(), "{} is fine", file.display())?;
    Ok(())
}

pub(super) fn print_default() -> Result<(), Failure> {
    io::stdout().write_all(Config::default().to_toml().as_bytes())?;
    Ok(())
}
