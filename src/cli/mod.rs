//! The command line: the only place that knows of arguments, environment, standard output and exit status.
//!
//! | file | subject |
//! |---|---|
//! | this one | the arguments, and which command they mean |
//! | `failure` | why a command failed, and its exit status |
//! | `serve` | the server: configuration, log, reload |
//! | `start`, `signals` | what the log says first; what signals do |
//! | `joining` | a node joins its cluster, also one whose Redis does not answer yet |
//! | `socket_activation`, `service_manager` | sockets of a service manager; what it is told |
//! | `log` | the log, on standard error |
//! | `config` | `foghorn config`: a configuration is checked, the default one printed |
//! | `token` | `foghorn token`: a signed token |
//! | `export`, `import` | a room as JSON Lines, out of a store and into one, without a server |
//! | `room_line`, `message_line`, `line_value` | the lines of an export: about the room, one message; the values in both |
//! | `offline`, `interrupt` | the store without a server; what a signal does to a command |
//! | `backup`, `restore` | a copy of everything that a running server has stored, and back |
//! | `carry` | all rooms of one store into another |
//! | `tail` | `foghorn tail`: follows a room |
//! | `top` | `foghorn top`: what a server does, live |
//! | `remote`, `live` | a running server as commands see it; commands that go on until they are told to end |
//! | `escape` | text of others, in which nothing is raw |
//! | `bench` | `foghorn bench`: the load engine |

#[cfg(feature = "store")]
mod backup;
#[cfg(feature = "bench")]
mod bench;
#[cfg(feature = "store")]
mod carry;
mod config;
mod escape;
#[cfg(feature = "store")]
mod export;
mod failure;
#[cfg(feature = "store")]
mod import;
#[cfg(feature = "store")]
mod interrupt;
#[cfg(feature = "redis")]
mod joining;
#[cfg(feature = "store")]
mod line_value;
mod live;
mod log;
#[cfg(feature = "store")]
mod message_line;
#[cfg(feature = "store")]
mod offline;
mod remote;
#[cfg(feature = "store")]
mod restore;
#[cfg(feature = "store")]
mod room_line;
mod serve;
mod service_manager;
mod signals;
mod socket_activation;
mod start;
mod tail;
#[cfg(feature = "auth")]
mod token;
mod top;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::failure::{Failure, USAGE, cannot_print};
#[cfg(feature = "bench")]
use crate::bench::BenchError;

/// A WebSocket room server on raw sockets.
#[derive(Debug, Parser)]
#[command(name = "foghorn", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<CliCommand>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Serve (what happens without a command, too)
    Serve(serve::ServeArgs),
    #[cfg(feature = "bench")]
    /// Put a server under load and see what it is capable of
    Bench(bench::BenchArgs),
    #[cfg(feature = "store")]
    /// Write a room's log as JSON Lines
    Export(export::ExportArgs),
    #[cfg(feature = "store")]
    /// Read a room's log from JSON Lines
    Import(import::ImportArgs),
    #[cfg(feature = "store")]
    /// Fetch a copy of everything that a running server has stored
    Backup(backup::BackupArgs),
    #[cfg(feature = "store")]
    /// Make a data directory of such a copy; every room begins a new epoch
    Restore(restore::RestoreArgs),
    /// Follow a room: print what is said in it, until told to end
    Tail(tail::TailArgs),
    /// Show what a running server does, live
    Top(top::TopArgs),
    #[cfg(feature = "auth")]
    /// Print a signed token (JWT) for a server that asks for one
    Token(token::TokenArgs),
    /// Check a configuration file, or print the default one
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether a file is fine, or what is wrong with it and where
    Check {
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Print every key with its default and a comment
    Default,
}

/// What was asked of the load generator makes no sense, or it failed.
#[cfg(feature = "bench")]
fn bench_failure(error: BenchError) -> Failure {
    if error.is_usage() { Failure::usage(error.to_string()) } else { Failure::from(error) }
}

/// Runs the command that `arguments` (the program's name first) ask for. Errors go to standard error as one line.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            let _nowhere_to_complain = error.print();
            return ExitCode::from(USAGE);
        }
        // Help and version are the command's whole work.
        Err(text) => return end(text.print().map_err(cannot_print)),
    };
    let done = match arguments.command.unwrap_or(CliCommand::Serve(arguments.serve)) {
        CliCommand::Serve(arguments) => serve::run(&arguments),
        #[cfg(feature = "bench")]
        CliCommand::Bench(arguments) => bench::run(arguments).map_err(bench_failure),
        #[cfg(feature = "store")]
        CliCommand::Export(arguments) => export::run(&arguments),
        #[cfg(feature = "store")]
        CliCommand::Import(arguments) => import::run(&arguments),
        #[cfg(feature = "store")]
        CliCommand::Backup(arguments) => backup::run(&arguments),
        #[cfg(feature = "store")]
        CliCommand::Restore(arguments) => restore::run(&arguments),
        CliCommand::Tail(arguments) => tail::run(arguments),
        CliCommand::Top(arguments) => top::run(arguments),
        #[cfg(feature = "auth")]
        CliCommand::Token(arguments) => token::run(arguments),
        CliCommand::Config(ConfigCommand::Check { file }) => config::check(&file),
        CliCommand::Config(ConfigCommand::Default) => config::print_default(),
    };
    end(done)
}

/// Says what failed, if something did. A reader that does not read does not keep the command from ending.
fn end(done: Result<(), Failure>) -> ExitCode {
    let status = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { text, status }) => {
            log::say(&format_args!("{}: {text}", Arguments::command().get_name()));
            ExitCode::from(status)
        }
    };
    log::finish(log::LAST_LINES);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
