//! Work of the application that is too long for one turn of the loop.

use std::fmt;

/// Work that a handler spreads over several turns, so that the other connections are served in between. All calls come
/// from the reactor's thread.
pub(crate) trait Background: fmt::Debug + Send + Sync {
    /// Does a part of the work. Called once in each turn, until it returns false: nothing is left.
    fn advance(&self) -> bool;

    /// Whether the session must not be read before more of the work is done: what it asks for would have to wait.
    fn holds(&self, session: u128) -> bool;
}
