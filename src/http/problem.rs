//! Errors of the REST interface as problem details (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use serde_core::ser::{Serialize, SerializeMap, Serializer};

use super::response::Response;
use super::status::Status;

/// What went wrong, for a program and for the person behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: Status,
    kind: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: Cow<'static, str>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
}

/// The members in the order they are written, `retryAfter` in milliseconds.
struct Members<'p>(&'p Problem);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let problem = self.0;
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("type", &*problem.kind)?;
        members.serialize_entry("title", &*problem.title)?;
        members.serialize_entry("status", &problem.status.code())?;
        if !problem.detail.is_empty() {
            members.serialize_entry("detail", &*problem.detail)?;
        }
        if let Some(code) = problem.code {
            members.serialize_entry("code", code)?;
        }
        if let Some(time) = problem.retry_after {
            members.serialize_entry("retryAfter", &u64::try_from(time.as_millis()).unwrap_or(u64::MAX))?;
        }
        members.end()
    }
}

impl Problem {
    /// A problem that says no more than its status does, and in `detail` what was wrong this time. An empty detail
    /// is left out.
    pub fn new(status: Status, detail: impl Into<Cow<'static, str>>) -> Problem {
        let (kind, title) = (Cow::Borrowed("about:blank"), Cow::Borrowed(status.reason()));
        Problem { status, kind, title, detail: detail.into(), code: None, retry_after: None }
    }

    /// The word by which programs know it (`code`).
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Problem {
        self.code = Some(code);
        self
    }

    /// When to try again: `retryAfter` in milliseconds, and the header field `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Problem {
        self.retry_after = Some(time);
        self
    }

    /// Gives the problem a type of its own, a URI reference, and the title all problems of that type share.
    #[must_use]
    pub fn kind(mut self, uri: impl Into<Cow<'static, str>>, title: impl Into<Cow<'static, str>>) -> Problem {
        self.kind = uri.into();
        self.title = title.into();
        self
    }

    /// The response that carries it.
    pub fn response(&self) -> Response {
        let response = match serde_json::to_vec(&Members(self)) {
            Ok(json) => Response::new(self.status).body("application/problem+json", json),
            // Strings and numbers always serialise; if ever not, the status still says what counts.
            Err(_) => Response::new(self.status),
        };
        match self.retry_after {
            // The field has whole seconds (RFC 9110 §10.2.3).
            Some(time) => response.header("Retry-After", time.as_millis().div_ceil(1000).to_string()),
            None => response,
        }
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Response {
        problem.response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ResponseFraming;

    fn body(problem: &Problem) -> String {
        let mut out = Vec::new();
        let reply = ResponseFraming { head_only: false, keep_alive: false };
        problem.response().encode(&mut out, reply, "Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("Content-Type: application/problem+json\r\n"), "{text}");
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[test]
    fn a_problem_has_the_members_of_the_rfc() {
        let problem = Problem::new(Status::NOT_FOUND, "no room \"a\nb\"");
        assert_eq!(
            body(&problem),
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no room \"a\nb\""}"#
        );
    }

    #[test]
    fn a_problem_may_have_a_code_and_a_time_to_come_back() {
        let busy = Problem::new(Status::SERVICE_UNAVAILABLE, "");
        let busy = busy.code("unavailable").retry_after(Duration::from_millis(1500));
        assert_eq!(
            body(&busy),
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable","retryAfter":1500}"#
        );
        let mut out = Vec::new();
        let reply = ResponseFraming { head_only: false, keep_alive: false };
        busy.response().encode(&mut out, reply, "Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert!(String::from_utf8(out).unwrap().contains("\r\nRetry-After: 2\r\n"));
    }

    #[test]
    fn a_problem_may_have_its_own_type() {
        let problem = Problem::new(Status::BAD_REQUEST, "").kind("/problems/limit", "limit out of range");
        assert_eq!(body(&problem), r#"{"type":"/problems/limit","title":"limit out of range","status":400}"#);
    }
}
