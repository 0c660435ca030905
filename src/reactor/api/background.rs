//! Work of the application that is too long for one turn of the loop.

use std::fmt;
use std::sync::Arc;

use crate::reactor::connection::table::Key;
use crate::reactor::session::context::Context;
use crate::reactor::state::Turn;

/// Work that a handler spreads over several turns, so that the other connections are served in between. All calls come
/// from the reactor's thread.
pub(crate) trait Background: fmt::Debug + Send + Sync {
    /// Does a part of the work. Called once in each turn, until it returns false: nothing is left.
    fn advance(&self) -> bool;

    /// Whether the session must not be read before more of the work is done: what it asks for would have to wait.
    fn holds(&self, session: u128) -> bool;
}

impl Context<'_> {
    /// Has `work` [advanced](Background::advance) in each turn from now on, for as long as it says.
    pub(crate) fn go_on_in_background(&mut self, work: Arc<dyn Background>) {
        let known = &mut self.turn.background;
        if !known.iter().any(|other| Arc::ptr_eq(other, &work)) {
            known.push(work);
        }
    }
}

impl Turn {
    /// Does the parts of this turn.
    pub(crate) fn advance_background(&mut self) {
        self.background.retain(|work| work.advance());
    }

    /// Whether some of the work has to be done before this session is read.
    #[inline]
    pub(crate) fn is_held_by_background(&self, key: Key) -> bool {
        !self.background.is_empty() && {
            let session = self.session_id(key);
            self.background.iter().any(|work| work.holds(session))
        }
    }
}
