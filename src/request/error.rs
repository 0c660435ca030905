//! What is wrong with what a request says.

use std::fmt;

/// What is wrong with a name, a number or a position. Its text is the reason in a Close frame, or the detail of a problem
/// document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryError {
    Malformed,
    Missing(&'static str),
    TooLong(&'static str),
    ControlCharacter(&'static str),
    Reserved(&'static str),
    Invisible(&'static str),
    NotANumber(&'static str),
    NotATime,
    NotAnEpoch,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueryError::Malformed => f.write_str("the query is not percent-encoded UTF-8"),
            QueryError::Missing(name) => write!(f, "{name} is missing"),
            QueryError::TooLong(name) => write!(f, "{name} is too long"),
            QueryError::ControlCharacter(name) => write!(f, "{name} has a control character"),
            QueryError::Reserved(name) => write!(f, "{name} is a name that means something else"),
            QueryError::Invisible(name) => write!(f, "{name} has nothing that can be seen"),
            QueryError::NotANumber(name) => write!(f, "{name} is not a number"),
            QueryError::NotATime => f.write_str("since is not a time"),
            QueryError::NotAnEpoch => f.write_str("epoch is not an epoch"),
        }
    }
}
