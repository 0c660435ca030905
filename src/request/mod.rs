//! What the requests of all applications have in common, in every protocol. Without I/O and without a clock.
//!
//! | file | subject |
//! |---|---|
//! | `names` | names of rooms and users; the ids that clients give their messages |
//! | `position` | where in a room's log a request begins, and where an answer ends |
//! | `rights` | in whose name something is done |
//! | `answer` | header fields of answers: for one client alone, for web pages |
//! | `error` | what is wrong with a name, a number or a position |

pub(crate) mod answer;
mod error;
pub(crate) mod names;
pub(crate) mod position;
pub(crate) mod rights;

pub(crate) use error::QueryError;
