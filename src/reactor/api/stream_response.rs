//! Responses that do not end: they follow a room.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::http::Response;
use crate::rooms::{Encoding, Start};

/// A response whose body goes on, with the messages of a chat room as an [`Encoding`] writes them, until either side ends
/// the connection.
pub struct StreamResponse {
    pub(crate) head: Response,
    pub(crate) room: Box<str>,
    pub(crate) user: Box<str>,
    pub(crate) encoding: Arc<dyn Encoding>,
    pub(crate) start: Start,
    pub(crate) welcome: bool,
    pub(crate) beat: Option<(Duration, &'static [u8])>,
    pub(crate) until: Option<Duration>,
}

impl StreamResponse {
    /// Follows `room`, from the next message on. The status and the fields of `head` come first; its body is not sent.
    #[must_use]
    pub fn new(head: Response, room: &str, encoding: Arc<dyn Encoding>) -> StreamResponse {
        let (room, user, start) = (room.into(), "".into(), Start::Live);
        StreamResponse { head, room, user, encoding, start, welcome: false, beat: None, until: None }
    }

    /// Begins elsewhere in the room's log.
    #[must_use]
    pub fn start(mut self, start: Start) -> StreamResponse {
        self.start = start;
        self
    }

    /// Whether to begin with a WELCOME.
    #[must_use]
    pub fn welcome(mut self, welcome: bool) -> StreamResponse {
        self.welcome = welcome;
        self
    }

    /// The user it belongs to: it ends when that user is kicked out of the room.
    #[must_use]
    pub fn user(mut self, user: &str) -> StreamResponse {
        self.user = user.into();
        self
    }

    /// Sends these bytes every `interval`, so that proxies and the client see that the connection lives.
    #[must_use]
    pub fn beat(mut self, interval: Duration, bytes: &'static [u8]) -> StreamResponse {
        self.beat = (!interval.is_zero()).then_some((interval, bytes));
        self
    }

    /// Ends at this time since 1970, if any.
    #[must_use]
    pub fn until(mut self, time: Option<Duration>) -> StreamResponse {
        self.until = time;
        self
    }
}

impl fmt::Debug for StreamResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamResponse").field("room", &self.room).finish_non_exhaustive()
    }
}
