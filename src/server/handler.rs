//! What an application answers.

use crate::http::{Head, Response};
use crate::reactor::{Arrival, Context, Disconnect};
use crate::ws::Message;

/// The application's side of an endpoint. One handler serves all sessions of its endpoint; what belongs to one session
/// is kept with [`Session::set_attribute`](super::Session::set_attribute).
///
/// All callbacks come from the reactor's thread, one at a time, and must not block: a slow one delays every connection.
/// A callback that panics costs its own session (closed with 1011), nobody else's.
pub trait Handler: Send + Sync + 'static {
    /// Decides about a correct opening handshake before it is accepted. An error is sent instead of the 101, and the
    /// connection is closed. Where tokens are asked for, it is called for whoever has a good one, or none yet: it must not
    /// tell those anything.
    ///
    /// # Errors
    /// The response that refuses.
    fn handshake(&self, head: &Head<'_>, arrival: &Arrival) -> Result<(), Response> {
        let _ = (head, arrival);
        Ok(())
    }

    /// A session begins. `head` is the request that it began with.
    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) {
        let _ = (cx, head);
    }

    /// A message came: complete, unmasked, text checked to be UTF-8. It is borrowed from the read buffer.
    fn message(&self, cx: &mut Context<'_>, message: Message<'_>);

    /// The alarm set with [`Context::set_alarm`] went off.
    fn alarm(&self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The session ended, in whatever way; called exactly once. Nothing can be sent any more.
    fn close(&self, cx: &mut Context<'_>, reason: Disconnect) {
        let _ = (cx, reason);
    }
}
