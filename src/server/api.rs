//! HTTP beside the WebSockets: requests with bodies, answered at once or later.

use std::fmt;
use std::sync::Arc;

use super::rooms::Rooms;
use crate::auth::Identity;
use crate::config::Config;
use crate::http::{Head, Origins, Response, is_local};
use crate::reactor::{Attributes, InboxSender, PeerInfo, ReactorMessage, Ticket};

pub use crate::reactor::{Answer, Fallback, StreamResponse};

/// A complete request.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'r> {
    /// Its head.
    pub head: &'r Head<'r>,
    /// Its body, decoded.
    pub body: &'r [u8],
    /// Where it came from.
    pub peer_info: &'r PeerInfo,
    /// The server's rooms.
    pub rooms: &'r Rooms,
    /// What is attached to it.
    pub attributes: &'r Attributes,
    /// The web pages that may ask at this path.
    pub origins: &'r Origins,
    /// Bytes of a message at most, as `limits.message_bytes` is now.
    pub message_bytes: usize,
}

impl Request<'_> {
    /// Whether it was sent on this machine, and not by a web page of another site. Where no tokens are asked for, such a request
    /// may do what an administrator may.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let PeerInfo { peer, secure, proxied, .. } = *self.peer_info;
        is_local(self.head, peer, proxied, secure)
    }

    /// Who asks, if that was proved.
    #[must_use]
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.attributes.get()
    }
}

/// Answers the requests below one path.
///
/// The calls come from the reactor's thread and must not block: what takes time goes elsewhere with the [`Responder`].
pub trait Api: Send + Sync + 'static {
    /// Whether this request needs a token, where tokens are asked for. A browser's `OPTIONS` never does.
    fn needs_token(&self, head: &Head<'_>) -> bool {
        let _ = head;
        true
    }

    /// The configuration was read anew; what is taken over of it holds for later requests.
    fn reconfigure(&self, config: &Config) {
        let _ = config;
    }

    /// Answers a request, or keeps the responder and returns [`Answer::Pending`].
    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer;
}

/// Answers one request, later and from any thread. The connection reads nothing while it waits; one that is never
/// answered gets 503 after `limits.message_timeout`.
pub struct Responder {
    pub(super) inbox: InboxSender,
    pub(super) ticket: Ticket,
}

impl Responder {
    /// Sends the answer; waits while the reactor is flooded. Not for the reactor's own thread: return
    /// [`Answer::Now`] there.
    pub fn respond(self, response: Response) {
        self.inbox.post(ReactorMessage::Response(self.ticket, response));
    }

    /// Sends an answer that goes on with the messages of a room; as [`Responder::respond`].
    pub fn follow(self, follow: StreamResponse) {
        self.inbox.post(ReactorMessage::Stream(self.ticket, Box::new(follow)));
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}
