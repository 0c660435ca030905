//! Header fields that answers share, and the answers to browsers that ask on behalf of a page.

use std::borrow::Cow;

use crate::http::{Access, CorsFields, Problem, Response, Status};
use crate::rooms::PostError;

/// How long a browser may remember what it was told about a path, in seconds: a change of `origins` is believed after
/// that.
const PREFLIGHT_AGE_MAX: &str = "600";

/// An answer for the page that asks, which is never taken for another type than it says.
pub(crate) fn for_page(cors: &CorsFields, response: Response) -> Response {
    cors.apply(response.header("X-Content-Type-Options", "nosniff"))
}

/// An answer for this client alone, and not for later.
pub(crate) fn no_store(cors: &CorsFields, response: Response) -> Response {
    for_page(cors, response).header("Cache-Control", "no-store")
}

/// Refuses the pages of strangers.
pub(crate) fn refuse_strangers(access: &Access<'_>) -> Result<(), Problem> {
    match access {
        Access::Client | Access::Page { .. } => Ok(()),
        Access::Stranger => Err(Problem::new(Status::FORBIDDEN, "this origin is not allowed")),
    }
}

/// The answer to `OPTIONS` on a path with these methods.
pub(crate) fn options(allow: impl Into<Cow<'static, str>>) -> Response {
    Response::new(Status::NO_CONTENT).header("Allow", allow)
}

/// Adds to it what a page may ask: with these methods and these header fields (Fetch standard, "CORS-preflight fetch").
pub(crate) fn preflight(
    options: Response,
    methods: impl Into<Cow<'static, str>>,
    fields: &'static str,
) -> Response {
    options
        .header("Access-Control-Allow-Methods", methods)
        .header("Access-Control-Allow-Headers", fields)
        .header("Access-Control-Max-Age", PREFLIGHT_AGE_MAX)
}

/// The user who asks, or for whom it is done, is banned from the room.
pub(crate) fn banned() -> Problem {
    let error = PostError::Banned;
    Problem::new(Status::FORBIDDEN, error.text()).code(error.code())
}
