//! What web pages may ask of the interface.

use super::error::ApiError;
use crate::http::{Access, Head, Problem, Response, Status};

/// Request header fields that a page may set.
const HEADERS_ALLOWED: &str = "Authorization, Content-Type, Idempotency-Key, If-None-Match";
/// How long a browser may remember that it asked, in seconds.
const MAX_AGE: &str = "600";

/// Refuses strangers.
pub(super) fn require(access: &Access<'_>) -> Result<(), ApiError> {
    match access {
        Access::Client | Access::Page { .. } => Ok(()),
        Access::Stranger => Err(Problem::new(Status::FORBIDDEN, "this origin is not allowed").into()),
    }
}

/// Answers `OPTIONS` on a path with these methods: what may be done, to a browser that asks for a page whether that page
/// may do it.
pub(super) fn options(access: &Access<'_>, head: &Head<'_>, allow: String) -> Result<Response, ApiError> {
    require(access)?;
    let response = Response::new(Status::NO_CONTENT).header("Allow", allow.clone());
    if head.header("Access-Control-Request-Method").is_none() {
        return Ok(response);
    }
    Ok(response
        .header("Access-Control-Allow-Methods", allow)
        .header("Access-Control-Allow-Headers", HEADERS_ALLOWED)
        .header("Access-Control-Max-Age", MAX_AGE))
}
