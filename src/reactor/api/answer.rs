//! The answer to a request, given at once or later.

use std::time::Duration;

use super::stream_response::StreamResponse;
use crate::http::Response;

/// The answer to a request whose body was read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// This one.
    Now(Response),
    /// It comes later, through the request's responder; the connection waits for it.
    Pending,
    /// The same, and if none has come after this time, the other answer is sent.
    PendingUntil(Duration, Fallback),
    /// One that goes on with the messages of a room.
    Stream(Box<StreamResponse>),
}

/// The answer to a request if no other has come in time. It is made when it is needed.
pub struct Fallback(pub(crate) Box<dyn FnOnce() -> Response + Send>);

impl Fallback {
    /// What `make` says.
    pub fn new(make: impl FnOnce() -> Response + Send + 'static) -> Fallback {
        Fallback(Box::new(make))
    }

    /// Makes it.
    pub(crate) fn make(self) -> Response {
        (self.0)()
    }
}

impl std::fmt::Debug for Fallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}
