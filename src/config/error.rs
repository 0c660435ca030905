//! Why a configuration is refused: where, which key, and how to mend it.

use std::fmt;

/// A configuration that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) origin: Origin,
    /// The key in question; `None` if the file as a whole could not be read.
    pub(super) key: Option<String>,
    /// What is wrong, and what would be right.
    pub(super) problem: String,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The file itself.
    File { path: String },
    /// A line of the file, counted from 1.
    Line { path: String, line: usize },
    /// A variable of the environment.
    Variable { name: String },
    /// An option on the command line.
    Flag { name: String },
    /// The program's own code.
    Program,
}

impl ConfigError {
    pub(super) fn new(origin: Origin, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { origin, key: Some(key.to_owned()), problem: problem.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path } => f.write_str(path),
            Origin::Line { path, line } => write!(f, "{path}:{line}"),
            Origin::Variable { name } => write!(f, "environment variable {name}"),
            Origin::Flag { name } => write!(f, "option {name}"),
            Origin::Program => f.write_str("configuration"),
        }
    }
}
