//! What web pages may ask of the interface.

use super::error::ApiError;
use crate::http::{Access, Head, Response};
use crate::request::answer;

/// Request header fields that a page may set.
const HEADERS_ALLOWED: &str = "Authorization, Content-Type, Idempotency-Key, If-None-Match";

/// Answers `OPTIONS` on a path with these methods: what may be done, to a browser that asks for a page whether that page
/// may do it.
pub(super) fn options(access: &Access<'_>, head: &Head<'_>, allow: String) -> Result<Response, ApiError> {
    answer::refuse_strangers(access)?;
    let response = answer::options(allow.clone());
    let asks_for_page = head.header("Access-Control-Request-Method").is_some();
    Ok(if asks_for_page { answer::preflight(response, allow, HEADERS_ALLOWED) } else { response })
}
