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

#[cfg(test)]
#[cfg(feature = "auth")]
mod tests {
    use super::*;
    use crate::auth::{Authority, HmacAlgorithm, Issuer, Keys};
    use crate::http::HeadLimits;
    use crate::system::since_epoch;

    const SECRET: &[u8] = b"a secret of this test alone, long enough";
    const AWAITED_MAX: usize = 2;

    fn policy() -> TokenPolicy {
        let keys = Keys::secret(SECRET, HmacAlgorithm::Hs256).unwrap();
        let timeout = Duration::from_secs(5);
        TokenPolicy { authority: Authority::new(keys), timeout, awaited_max: AWAITED_MAX }
    }

    fn token() -> String {
        let issuer = Issuer::new(SECRET, HmacAlgorithm::Hs256, None, None);
        issuer.issue("alice", None, false, since_epoch(), Duration::from_secs(60)).unwrap()
    }

    fn request(token: Option<&str>) -> String {
        let field = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        format!("GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n")
    }

    fn peer_info() -> PeerInfo {
        PeerInfo { peer: "192.0.2.1:9".parse().unwrap(), secure: false, proxied: false, admin: false }
    }

    /// What is decided about a session, and of whom it is.
    fn decided(
        policy: Option<&TokenPolicy>,
        awaited: usize,
        vouched: bool,
        token: Option<&str>,
    ) -> Result<(Verdict, Option<String>), u16> {
        let text = request(token);
        let (head, _) = Head::parse(text.as_bytes(), 0, &HeadLimits::default()).unwrap().unwrap();
        let mut attributes = Attributes::default();
        if vouched {
            attributes.set(Identity::new("bob"));
        }
        let origins = Origins::SameOrigin;
        Admission::decide(policy, awaited, attributes, &head, &origins, &peer_info())
            .map(|Admission { attributes, verdict }| {
                (verdict, attributes.get::<Identity>().map(|identity| identity.user().to_owned()))
            })
            .map_err(|response| response.status().code())
    }

    #[test]
    fn a_session_is_admitted_awaited_or_rejected_by_its_token() {
        let (policy, token) = (policy(), token());
        let awaited = Verdict::Awaited { timeout: policy.timeout };
        let of = |user: &str| Some(user.to_owned());
        let rejected = Verdict::Rejected(TokenError::Malformed.message());
        let cases = [
            (None, 0, false, None, Ok((Verdict::Admitted, None))),
            (Some(&policy), 0, false, Some(&*token), Ok((Verdict::Admitted, of("alice")))),
            (Some(&policy), AWAITED_MAX, false, Some(&*token), Ok((Verdict::Admitted, of("alice")))),
            (Some(&policy), AWAITED_MAX, true, None, Ok((Verdict::Admitted, of("bob")))),
            (Some(&policy), 0, true, Some("nonsense"), Ok((Verdict::Admitted, of("bob")))),
            (Some(&policy), AWAITED_MAX - 1, false, None, Ok((awaited, None))),
            (Some(&policy), AWAITED_MAX, false, None, Err(503)),
            (Some(&policy), AWAITED_MAX, false, Some("nonsense"), Ok((rejected, None))),
        ];
        for (policy, awaited, vouched, token, expected) in cases {
            let decided = decided(policy, awaited, vouched, token);
            assert_eq!(decided, expected, "{awaited} {vouched} {token:?}");
        }
    }

    #[test]
    fn a_request_without_a_good_token_is_asked_for_one() {
        let (policy, good) = (policy(), token());
        for (token, status) in [(None, Some(401)), (Some("nonsense"), Some(401)), (Some(&*good), None)] {
            let (text, mut attributes) = (request(token), Attributes::default());
            let (head, _) = Head::parse(text.as_bytes(), 0, &HeadLimits::default()).unwrap().unwrap();
            let found = identify(&policy, &mut attributes, &head, &Origins::SameOrigin, &peer_info());
            assert_eq!(found.err().map(|response| response.status().code()), status, "{token:?}");
            assert_eq!(attributes.get::<Identity>().is_some(), status.is_none(), "{token:?}");
        }
    }
}
