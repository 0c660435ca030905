//! Why a request was not done, as a response.

use std::time::Duration;

use crate::http::{Problem, Response, Status};
use crate::limit_hits::Limit;
use crate::request::{QueryError, answer};
use crate::rooms::PostError;
use crate::store::StoreError;
use crate::{server, store};

/// When a client may try again.
// Full queues and a disk that hesitates are over within a second as a rule; sooner, repeats would add to what is too
// much.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const MILLISECOND: Duration = Duration::from_millis(1);

/// The answer to a request that is not done.
#[derive(Debug)]
pub(super) struct ApiError(Response);

impl ApiError {
    pub(super) fn new(response: Response) -> ApiError {
        ApiError(response)
    }

    pub(super) fn no_such_room() -> ApiError {
        Problem::new(Status::NOT_FOUND, "there is no such room").code("not_found").into()
    }

    /// What is named by the query or the head is wrong.
    pub(super) fn malformed(detail: impl Into<String>) -> ApiError {
        Problem::new(Status::BAD_REQUEST, detail.into()).into()
    }

    /// A field of the body is wrong.
    pub(super) fn field(name: &str, rule: impl std::fmt::Display) -> ApiError {
        Problem::new(Status::UNPROCESSABLE_CONTENT, format!("{name} {rule}")).into()
    }

    /// The user who asks may not do this (RFC 6750 §3.1).
    pub(super) fn forbidden(detail: &'static str) -> ApiError {
        let challenge =
            format!("Bearer realm=\"foghorn\", error=\"insufficient_scope\", error_description=\"{detail}\"");
        let problem = Problem::new(Status::FORBIDDEN, detail).code("forbidden");
        ApiError(problem.response().header("WWW-Authenticate", challenge))
    }

    /// The user who asks, or for whom it is done, is banned from the room.
    pub(super) fn banned() -> ApiError {
        answer::banned().into()
    }

    /// Nothing can be done at the moment.
    pub(super) fn unavailable(detail: &'static str) -> ApiError {
        Problem::new(Status::SERVICE_UNAVAILABLE, detail).code("unavailable").retry_after(RETRY_AFTER).into()
    }

    /// A message is longer than any may be.
    pub(super) fn too_large(field: &str, bytes_max: usize) -> ApiError {
        let detail = format!("{field} is longer than {bytes_max} bytes");
        Problem::new(Status::CONTENT_TOO_LARGE, detail).code("too_large").into()
    }

    pub(super) fn too_many_new_rooms() -> ApiError {
        let problem = Problem::new(Status::TOO_MANY_REQUESTS, "too many rooms are being created");
        let response = problem.code("rate_limited").retry_after(RETRY_AFTER).response();
        ApiError(response.limited_by(Limit::RoomCreations.full_key()))
    }

    /// The client may publish again after this time.
    pub(super) fn too_many_messages(retry_after: Duration) -> ApiError {
        let problem = Problem::new(Status::TOO_MANY_REQUESTS, "too many messages are being published");
        // What is told in milliseconds must not come out as nothing to wait for.
        let response = problem.code("rate_limited").retry_after(retry_after.max(MILLISECOND)).response();
        ApiError(response.limited_by(Limit::Messages.full_key()))
    }

    /// There are as many bans as there may be: this one was not made.
    pub(super) fn too_many_bans() -> ApiError {
        let problem =
            Problem::new(Status::SERVICE_UNAVAILABLE, "there are too many bans").code("unavailable");
        ApiError(problem.retry_after(RETRY_AFTER).response().limited_by(Limit::Bans.full_key()))
    }

    pub(super) fn busy() -> ApiError {
        ApiError::unavailable("the server has too much to do")
    }

    pub(super) fn response(self) -> Response {
        self.0
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> ApiError {
        ApiError(problem.response())
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> ApiError {
        match error {
            QueryError::TooLong(_)
            | QueryError::ControlCharacter(_)
            | QueryError::Reserved(_)
            | QueryError::Invisible(_) => {
                Problem::new(Status::UNPROCESSABLE_CONTENT, error.to_string()).into()
            }
            QueryError::Malformed
            | QueryError::Missing(_)
            | QueryError::NotANumber(_)
            | QueryError::NotATime
            | QueryError::NotAnEpoch => ApiError::malformed(error.to_string()),
        }
    }
}

impl From<store::Busy> for ApiError {
    fn from(_: store::Busy) -> ApiError {
        ApiError::busy()
    }
}

impl From<server::Busy> for ApiError {
    fn from(_: server::Busy) -> ApiError {
        ApiError::busy()
    }
}

impl From<PostError> for ApiError {
    fn from(error: PostError) -> ApiError {
        match error {
            PostError::NoSuchRoom => ApiError::no_such_room(),
            PostError::Unavailable => ApiError::unavailable("the message cannot be stored at the moment"),
            PostError::Busy | PostError::NoReceiver => ApiError::busy(),
            PostError::Banned => ApiError::banned(),
            PostError::IdReused => {
                Problem::new(Status::UNPROCESSABLE_CONTENT, error.text()).code(error.code()).into()
            }
        }
    }
}

impl From<StoreError> for ApiError {
    /// The reasons that the store gives are for the log: they may name files.
    fn from(error: StoreError) -> ApiError {
        match error {
            StoreError::NoSuchRoom => ApiError::no_such_room(),
            StoreError::RoomExists | StoreError::TooManyParticipants => {
                Problem::new(Status::CONFLICT, error.to_string()).into()
            }
            StoreError::Malformed => ApiError::malformed(error.to_string()),
            StoreError::Unavailable(_) | StoreError::Stopped => {
                ApiError::unavailable("the store is unavailable at the moment")
            }
            StoreError::Failed(_) => {
                ApiError::unavailable("the store accepts nothing until the server is restarted")
            }
            StoreError::RoomDamaged { .. } => ApiError::unavailable("what is stored of the room is damaged"),
            StoreError::Damaged(_) | StoreError::OutOfOrder { .. } => {
                tracing::error!(%error, "a request failed");
                Problem::new(Status::INTERNAL_SERVER_ERROR, "what was asked for is damaged").into()
            }
        }
    }
}
