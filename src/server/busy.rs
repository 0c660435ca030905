//! The server has too much to do for a question.

use std::fmt;

/// Too much waits for the reactor already: nothing was done, trying again later makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server is busy")
    }
}

impl std::error::Error for Busy {}
