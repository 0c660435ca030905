//! What an operator meets: the command line, the log, signals; all with real processes.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod abuse;
mod command_line;
mod endings;
mod log;
mod process;
mod refusals;
mod service_manager;
mod signals;
mod tail;
mod tls;
mod top;
