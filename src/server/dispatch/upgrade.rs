//! The opening handshake of an endpoint.

use super::Dispatch;
use crate::auth;
use crate::handshake;
use crate::http::{Head, Response};
use crate::reactor::{PeerInfo, Route};
use crate::server::auth::admission::{Admission, Verdict};
use crate::server::contained::{Panicked, contained, handler_failed};
use crate::server::endpoint::Endpoint;

/// Maximum length of a message of a session whose user is not known: a token (8 KiB at most) and a little more.
const UNKNOWN_MESSAGE_BYTES: usize = 16 * 1024;

const _: () = assert!(UNKNOWN_MESSAGE_BYTES > auth::TOKEN_BYTES_MAX);

impl Dispatch {
    /// Accepts the handshake, or gives the response that refuses it.
    pub(super) fn upgrade<'s>(
        &'s self,
        number: u16,
        endpoint: &'s Endpoint,
        head: &Head<'_>,
        peer_info: &PeerInfo,
    ) -> Result<Route<'s, Admission>, Response> {
        let rules = self.rules.now();
        let origins = rules.origins_of(head.path(), endpoint.origins.as_ref());
        let handshake_rules = handshake::Rules {
            origins,
            subprotocols: &endpoint.subprotocols,
            subprotocol_required: endpoint.subprotocol_required,
            secure: peer_info.secure,
            deflate: endpoint.deflate.unwrap_or(self.deflate).then_some(self.deflate_terms),
        };
        let mut accepted = handshake::accept(head, &handshake_rules).map_err(|error| {
            tracing::debug!(peer = %peer_info.peer, %error, "handshake refused");
            error.response()
        })?;
        // A browser ends a connection that agrees on none of what it offered, so this is agreed on with or without keys.
        if accepted.subprotocol.is_none() && auth::offers_subprotocol(head) {
            accepted.subprotocol = Some(auth::SUBPROTOCOL);
        }
        let attributes = self.intercept(head, peer_info).map_err(Response::close)?;
        let (policy, awaited) = (rules.token_policy.as_ref(), self.authentication.awaited_count());
        let admission = Admission::decide(policy, awaited, attributes, head, origins, peer_info)?;
        let message_bytes = endpoint.message_bytes_max(&rules.limits);
        let message_bytes_max = match admission.verdict {
            Verdict::Admitted => message_bytes,
            Verdict::Awaited { .. } | Verdict::Rejected(_) => message_bytes.min(UNKNOWN_MESSAGE_BYTES),
        };
        // The handler's answer may tell something: a client with a bad token does not get one.
        if !matches!(admission.verdict, Verdict::Rejected(_)) {
            contained(|| endpoint.handler.handshake(head, peer_info))
                .unwrap_or_else(|Panicked| Err(handler_failed()))
                .map_err(Response::close)?;
        }
        let rate_limits = endpoint.rate_limits(&rules.limits);
        Ok(Route::Upgrade { endpoint: number, accepted, message_bytes_max, rate_limits, admission })
    }
}
