//! Which web pages may ask, and how their browser is told (Fetch standard, "CORS protocol").

use super::refusal::Refusal;
use crate::http::{Head, Origins, Problem, Response, Status};
use crate::server::Request;

/// Request header fields that a page may set.
const HEADERS_ALLOWED: &str = "Authorization, Content-Type, Idempotency-Key, If-None-Match";
/// Response header fields that a page may see, besides the harmless ones.
const HEADERS_EXPOSED: &str = "ETag, Foghorn-Position, Location, Retry-After";
/// How long a browser may remember that it asked, in seconds.
const MAX_AGE: &str = "600";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access<'r> {
    /// No web page.
    Client,
    /// A page of this origin, which is let in.
    Page {
        /// As it stands in the request.
        origin: &'r str,
        /// Whether everybody is let in, so that nobody may bring cookies.
        anybody: bool,
    },
    /// A page that is not let in.
    Stranger,
}

impl<'r> Access<'r> {
    pub(super) fn of(origins: &Origins, request: &Request<'r>) -> Access<'r> {
        let head = request.head;
        let Ok(origin) = head.fields().only("Origin") else { return Access::Stranger };
        let Some(origin) = origin else { return Access::Client };
        if origins.allows(Some(origin), head.host().unwrap_or_default(), request.arrival.secure) {
            Access::Page { origin, anybody: *origins == Origins::Any }
        } else {
            Access::Stranger
        }
    }

    /// Refuses strangers.
    pub(super) fn demand(&self) -> Result<(), Refusal> {
        match self {
            Access::Client | Access::Page { .. } => Ok(()),
            Access::Stranger => Err(Problem::new(Status::FORBIDDEN, "this origin is not allowed").into()),
        }
    }

    /// The header fields that let the page see the answer.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let Access::Page { origin, anybody } = self else { return Vec::new() };
        let exposed = ("Access-Control-Expose-Headers", HEADERS_EXPOSED.to_owned());
        if *anybody {
            return vec![("Access-Control-Allow-Origin", "*".to_owned()), exposed];
        }
        let credentials = ("Access-Control-Allow-Credentials", "true".to_owned());
        vec![("Access-Control-Allow-Origin", (*origin).to_owned()), credentials, exposed]
    }

    /// Answers `OPTIONS` on a path with these methods: what may be done, to a browser that asks for a page whether that
    /// page may do it.
    pub(super) fn options(&self, head: &Head<'_>, allow: String) -> Result<Response, Refusal> {
        self.demand()?;
        let response = Response::new(Status::NO_CONTENT).header("Allow", allow.clone());
        if head.header("Access-Control-Request-Method").is_none() {
            return Ok(response);
        }
        Ok(response
            .header("Access-Control-Allow-Methods", allow)
            .header("Access-Control-Allow-Headers", HEADERS_ALLOWED)
            .header("Access-Control-Max-Age", MAX_AGE))
    }
}
