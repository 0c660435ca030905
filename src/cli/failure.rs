//! Why a command failed: a line for people, and an exit status for scripts.

use std::any::Any;
use std::io;

use crate::config::ConfigError;

/// The exit status of a command that could not start or go on.
pub(super) const FAILURE: u8 = 1;
/// The exit status of a command whose arguments or configuration make no sense. Clap's own, so that scripts need to know one.
pub(super) const USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) status: u8,
}

impl Failure {
    /// The command could not start or go on.
    pub(super) fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), status: FAILURE }
    }

    /// The arguments, the environment or the configuration make no sense.
    pub(super) fn usage(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), status: USAGE }
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        // `?` turns every error into a failure; a configuration error is the user's, wherever it surfaces.
        let is_configuration = (&error as &dyn Any).is::<ConfigError>();
        Failure { text: error.to_string(), status: if is_configuration { USAGE } else { FAILURE } }
    }
}

/// Standard output could not be written: the system's reason alone does not say to what.
pub(super) fn cannot_print(error: io::Error) -> Failure {
    Failure::new(format!("cannot write to standard output: {error}"))
}
