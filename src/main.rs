//! The `foghorn` command: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    foghorn::cli::run(std::env::args_os())
}
