//! What the reactor asks of the application above it.

use super::api::answer::Answer;
use super::api::attributes::Attributes;
use super::api::disconnect::Disconnect;
use super::api::peer_info::PeerInfo;
use super::api::ticket::Ticket;
use super::api::timer::Timer;
use super::api::user_state::UserState;
use super::limits::RateLimits;
use super::session::context::Context;
use crate::config::Config;
use crate::handshake::Accepted;
use crate::http::{Head, Response};
use crate::ws::Message;

/// What to do with a request, decided from its head. `A` is what the service decides about a session.
#[derive(Debug)]
pub(crate) enum Route<'s, A> {
    /// Answer at once; a body that comes with it is read and dropped.
    Respond(Response),
    /// Read the body, up to a limit, then ask [`Service::respond`].
    ReadBody {
        /// Bytes of the body at most.
        bytes_max: usize,
        /// What is attached to the request.
        attributes: Attributes,
    },
    /// Become a WebSocket.
    Upgrade {
        /// Which of the service's endpoints it belongs to.
        endpoint: u16,
        /// The answer to the handshake.
        accepted: Accepted<'s>,
        /// Bytes of a message at most.
        message_bytes_max: usize,
        /// What becomes of the session, for [`Service::open`].
        admission: A,
        /// What a session may send in a time.
        rate_limits: RateLimits,
    },
}

/// The application: everything that the reactor does not know. All calls come from the reactor's thread and must not
/// block.
pub(crate) trait Service: Send + 'static {
    /// What becomes of a session, decided before its 101.
    type Admission;

    /// Decides what to do with a request.
    fn route(&mut self, head: &Head<'_>, peer_info: &PeerInfo) -> Route<'_, Self::Admission>;

    /// Answers a request whose body was read, at once or later by a [`ReactorMessage::Response`](crate::reactor::ReactorMessage) with `ticket`.
    fn respond(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        peer_info: &PeerInfo,
        attributes: &Attributes,
        ticket: Ticket,
    ) -> Answer;

    /// A session begins; its 101 is on the way. `head` is the request that it began with.
    fn open(&mut self, cx: &mut Context<'_>, head: &Head<'_>, admission: Self::Admission);

    /// A message came. Not called after the session was closed.
    fn message(&mut self, cx: &mut Context<'_>, message: Message<'_>);

    /// A timer set by [`Context::set_timer`] went off.
    fn timer(&mut self, cx: &mut Context<'_>, timer: Timer);

    /// A thread of the application has something for the session.
    fn event(&mut self, cx: &mut Context<'_>, event: UserState);

    /// The end that its terms name has come ([`Context::set_terms`]).
    fn overdue(&mut self, cx: &mut Context<'_>);

    /// The configuration was read anew.
    fn reconfigure(&mut self, config: &Config);

    /// The user and the room that the log names if a session of this endpoint, of which the handler keeps this, ends badly;
    /// unless its request names them.
    fn names<'s>(&self, endpoint: u16, state: &'s UserState) -> (Option<&'s str>, Option<&'s str>);

    /// The session ended; called exactly once. Nothing can be sent any more.
    fn close(&mut self, cx: &mut Context<'_>, reason: Disconnect);
}
