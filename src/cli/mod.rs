//! The command line: the only place that knows of arguments, environment, standard output and exit status.

mod bench;
mod config;
mod export;
mod import;
mod offline;
mod passed;
mod serve;
mod token;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Could not start, or could not go on.
const FAILURE: u8 = 1;
/// The arguments make no sense.
const USAGE: u8 = 2;

/// A WebSocket room server on raw sockets.
#[derive(Debug, Parser)]
#[command(name = "foghorn", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (what happens without a command, too)
    Serve(serve::Arguments),
    /// Put a server under load and see what it is capable of
    Bench(bench::BenchArgs),
    /// Write a room's log as JSON Lines
    Export(export::Arguments),
    /// Read a room's log from JSON Lines
    Import(import::Arguments),
    /// Print a signed token (JWT) for a server that asks for one
    Token(token::Arguments),
    /// Check a configuration file, or print the default one
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether a file is fine, or what is wrong with it and where
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print every key with its default and a comment
    Default,
}

/// Why a command failed: one line for people.
#[derive(Debug)]
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}

/// Runs the command that `arguments` (the program's name first) ask for. Errors go to standard error as one line.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _nowhere_to_complain = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let done = match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Bench(arguments) => bench::run(arguments).map_err(Failure::from),
        Command::Export(arguments) => export::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Token(arguments) => token::run(arguments),
        Command::Config(ConfigCommand::Check { file }) => config::check(&file),
        Command::Config(ConfigCommand::Default) => config::print_default(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            let name = Arguments::command().get_name().to_owned();
            let _nowhere_to_complain = writeln!(io::stderr(), "{name}: {text}");
            ExitCode::from(FAILURE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
