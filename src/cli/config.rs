//! The configuration of a command; `foghorn config check` and `foghorn config default`.

use std::io::{self, Read, Write};
use std::path::Path;

use super::failure::{Failure, cannot_print};
use crate::config::{Config, ConfigError, Flag, own_variables};
use crate::server::check_keys;

/// The file of this name is standard input.
const STANDARD_INPUT: &str = "-";

/// The configuration of a command: its file, the environment, its flags.
pub(super) fn load(file: Option<&Path>, flags: &[Flag<'_>]) -> Result<Config, ConfigError> {
    Config::load(file, own_variables(std::env::vars_os())?, flags)
}

/// Loads the file as `serve` would, without the environment, and the keys that it names.
pub(super) fn check(file: &Path) -> Result<(), Failure> {
    let is_input = file == Path::new(STANDARD_INPUT);
    let config = if is_input { from_standard_input()? } else { Config::load(Some(file), [], &[])? };
    check_keys(&config)?;
    let name = if is_input { "standard input".into() } else { file.display().to_string() };
    writeln!(io::stdout(), "{name} is fine").map_err(cannot_print)
}

fn from_standard_input() -> Result<Config, Failure> {
    let mut text = Vec::new();
    let cannot = |why: &dyn std::fmt::Display| Failure::new(format!("standard input cannot be read: {why}"));
    io::stdin().lock().read_to_end(&mut text).map_err(|error| cannot(&error))?;
    let text = String::from_utf8(text).map_err(|error| Failure::usage(cannot(&error).text))?;
    Ok(Config::parse("standard input", &text)?)
}

pub(super) fn print_default() -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let text = Config::default().to_toml();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(cannot_print)
}
