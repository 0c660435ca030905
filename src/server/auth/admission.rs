//! What becomes of a request and of an opening handshake, decided from its head.

use std::time::Duration;

use super::policy::TokenPolicy;
use crate::auth::{Identity, TokenError};
use crate::handshake::Origins;
use crate::http::{Head, Problem, Response, Status};
use crate::reactor::{Attributes, PeerInfo};

/// What becomes of a session, decided before its 101.
#[derive(Debug)]
pub(in crate::server) struct Admission {
    /// What is attached to the session.
    pub(in crate::server) attributes: Attributes,
    pub(in crate::server) verdict: Verdict,
}

/// Whether a session is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Verdict {
    /// The handler hears of it.
    Admitted,
    /// It has to send a token first, within `timeout`.
    Awaited { timeout: Duration },
    /// It is closed with 4401, which a web page can see, other than the status of a refused upgrade.
    Rejected(&'static str),
}

impl Admission {
    /// Decides about the session that an opening handshake asks for, while `awaited` others have yet to send a token.
    /// `attributes` are from the interceptors.
    pub(in crate::server) fn decide(
        policy: Option<&TokenPolicy>,
        awaited: usize,
        mut attributes: Attributes,
        head: &Head<'_>,
        origins: &Origins,
        peer_info: &PeerInfo,
    ) -> Result<Admission, Response> {
        let vouched = attributes.get::<Identity>().is_some();
        let Some(policy) = policy.filter(|_| !vouched) else {
            return Ok(Admission { attributes, verdict: Verdict::Admitted });
        };
        let verdict = match policy.identify(head, origins, peer_info.secure) {
            Ok(Some(identity)) => {
                attributes.set(identity);
                Verdict::Admitted
            }
            Ok(None) if awaited >= policy.awaited_max => return Err(too_many_awaited()),
            Ok(None) => Verdict::Awaited { timeout: policy.timeout },
            Err(error) => {
                tracing::debug!(peer = %peer_info.peer, %error, "token refused");
                Verdict::Rejected(error.message())
            }
        };
        Ok(Admission { attributes, verdict })
    }
}

/// Attaches to a request who sent it, unless an interceptor has vouched for that.
///
/// # Errors
/// The response that asks for a token.
pub(in crate::server) fn identify(
    policy: &TokenPolicy,
    attributes: &mut Attributes,
    head: &Head<'_>,
    origins: &Origins,
    peer_info: &PeerInfo,
) -> Result<(), Response> {
    if attributes.get::<Identity>().is_some() {
        return Ok(());
    }
    let identity = policy.identify(head, origins, peer_info.secure);
    let identity = identity.and_then(|identity| identity.ok_or(TokenError::Missing));
    attributes.set(identity.map_err(|error| {
        tracing::debug!(peer = %peer_info.peer, %error, "token refused");
        let response = Problem::new(Status::UNAUTHORIZED, error.message()).response();
        // The answer is to this request's token: no cache may give it to the next one.
        response.header("WWW-Authenticate", error.challenge()).header("Cache-Control", "no-store")
    })?);
    Ok(())
}

fn too_many_awaited() -> Response {
    let problem = Problem::new(Status::SERVICE_UNAVAILABLE, "too many sessions wait for a token");
    // Those that wait are gone after `auth.timeout`, seconds as a rule: one is the least that the field can say.
    problem.response().header("Retry-After", "1").close().limited_by("auth.pending_connections")
}
