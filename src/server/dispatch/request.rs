//! Requests for an API: admitted by their head, answered when their body has come.

use std::sync::Arc;

use super::Dispatch;
use crate::handshake::Origins;
use crate::http::{Access, BodyFraming, Head, Method, Problem, Response, Status};
use crate::reactor::{Answer, Attributes, Fallback, PeerInfo, Route, Ticket};
use crate::server::api::{Api, Request, Responder};
use crate::server::auth::admission::{Admission, identify};
use crate::server::contained::{Panicked, contained, handler_failed};
use crate::server::rules::Rules;

/// What the head of a request has led to, kept with it until its body has come: the request is answered by the rules that
/// it was admitted by, and neither the router nor the rules are asked twice. Who asks is attached as an
/// [`Identity`](crate::auth::Identity).
struct FoundRequest {
    api: Arc<dyn Api>,
    rules: Arc<Rules>,
    origins: Arc<Origins>,
}

impl Dispatch {
    /// Has the body of a request read, or gives the response that sends it away.
    pub(super) fn admit_request<'s>(
        &self,
        api: &Arc<dyn Api>,
        head: &Head<'_>,
        peer_info: &PeerInfo,
    ) -> Result<Route<'s, Admission>, Response> {
        let rules = self.rules.now();
        let origins = rules.shared_origins_of(head.path());
        let access = Access::of(&origins, head, peer_info.secure);
        let mut attributes = self.intercept(head, peer_info).map_err(|response| access.apply(response))?;
        // A browser asks with `OPTIONS`, and without a token, whether a page may ask. A route that panics stays closed.
        let needs_token =
            head.method() != Method::Options && contained(|| api.needs_token(head)).unwrap_or(true);
        if let Some(policy) = rules.token_policy.as_ref().filter(|_| needs_token) {
            identify(policy, &mut attributes, head, &origins, peer_info)
                .map_err(|response| access.apply(response))?;
        }
        if has_encoded_body(head) {
            let problem =
                Problem::new(Status::UNSUPPORTED_MEDIA_TYPE, "the body must not have a Content-Encoding");
            return Err(access.apply(problem.response().header("Accept-Encoding", "identity")));
        }
        let bytes_max = rules.limits.body_bytes;
        attributes.set(FoundRequest { api: api.clone(), rules, origins });
        Ok(Route::ReadBody { bytes_max, attributes })
    }

    /// Has the API answer that the head has led to.
    pub(super) fn answer(
        &self,
        head: &Head<'_>,
        body: &[u8],
        peer_info: &PeerInfo,
        attributes: &Attributes,
        ticket: Ticket,
    ) -> Answer {
        let Some(found) = attributes.get::<FoundRequest>() else {
            debug_assert!(false, "a request is answered that was not admitted");
            return Answer::Now(handler_failed());
        };
        let FoundRequest { api, rules, origins } = &*found;
        let (rooms, message_bytes) = (&self.rooms, rules.limits.message_bytes);
        let request = Request { head, body, peer_info, rooms, attributes, origins, message_bytes };
        let responder = Responder { inbox: self.inbox.clone(), ticket };
        match contained(|| api.call(&request, responder)) {
            Ok(Answer::PendingUntil(after, otherwise)) => {
                let or_failure =
                    || contained(|| otherwise.make()).unwrap_or_else(|Panicked| handler_failed());
                Answer::PendingUntil(after, Fallback::new(or_failure))
            }
            Ok(answer) => answer,
            Err(Panicked) => Answer::Now(handler_failed()),
        }
    }
}

/// Whether there is a body that would have to be decoded first (RFC 9110 §8.4).
fn has_encoded_body(head: &Head<'_>) -> bool {
    let mut codings =
        head.fields().values("Content-Encoding").flat_map(|value| value.split(|&byte| byte == b','));
    let is_none = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    head.body_framing() != BodyFraming::None && !codings.all(|coding| is_none(coding.trim_ascii()))
}
