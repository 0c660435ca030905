//! Calls into the application: a panic ends there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::http::{Problem, Response, Status};
use crate::reactor::{Context, Disconnect};
use crate::ws::CloseCode;

/// The callback panicked; the panic hook has reported it.
pub(super) struct Panicked;

/// Calls the application.
pub(super) fn contained<T>(callback: impl FnOnce() -> T) -> Result<T, Panicked> {
    // What a handler shares between sessions is behind its own locks, which know of the panic; the session it was
    // called for ends.
    catch_unwind(AssertUnwindSafe(callback)).map_err(|_reported| Panicked)
}

/// Ends a session whose handler panicked.
pub(super) fn fail(cx: &mut Context<'_>) {
    cx.close_because(CloseCode::INTERNAL, "handler failed", Disconnect::HandlerFailed);
}

/// The answer to a request whose handler panicked.
pub(super) fn handler_failed() -> Response {
    Problem::new(Status::INTERNAL_SERVER_ERROR, "the handler failed").response()
}
