//! Authentication of a session: its states, and every transition between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::policy::TokenPolicy;
use crate::auth::{Identity, TokenError};
use crate::http::{HEADERS_MAX, Head, HeadLimits};
use crate::reactor::{Attributes, Context, Key, SessionEnd};
use crate::server::contained::{Panicked, contained, fail};
use crate::server::handler::{AnyHandler, Credentials};
use crate::ws::{CloseCode, Message};

/// How far a session has come: what [`Context::identity`] and [`Authentication`] know of it together. Its handler hears
/// of it once it is exempt or authenticated. Each state's end is handed to the reactor with the session's terms.
///
/// ```text
/// opening handshake
///  ├─ tokens are not asked for ─────────► Exempt
///  ├─ no token ──► Awaited ──a good token as the first message──┐
///  │                  │                                         ▼
///  ├─ a good token, or an interceptor vouched ────────► Authenticated ──a token of the same user,─┐
///  │                  │                                   │     ▲       no room less              │
///  │                  │ `auth.timeout`, a bad token,      │     └───────────────────────────────┘
///  │                  │ another message                   │ the identity's end, any other token
///  │                  ▼                                   ▼
///  └─ a bad token ──► closed with 4401 ◄──────────────────┘
/// ```
#[derive(Debug)]
enum AuthState<'c> {
    /// No token is asked for.
    Exempt,
    /// The client has to send a token with its first message. The handler has not heard of the session. Ends after
    /// `auth.timeout`.
    Awaited,
    /// It is this user's. Ends when the [identity expires](Identity::expiry).
    Authenticated(&'c Arc<Identity>),
}

/// Authentication of all sessions: the owner of their states.
#[derive(Debug)]
pub(in crate::server) struct Authentication {
    /// Whether tokens are asked for. It stays as it is: a reload that would change it is refused.
    is_on: bool,
    /// The sessions in [`AuthState::Awaited`]. Invariant: none of them has an identity, and none is there without `is_on`.
    awaited: HashMap<Key, Awaited>,
}

/// What is kept of a session that has yet to send a token, to be shown to its handler.
#[derive(Debug)]
pub(in crate::server) struct Awaited {
    /// The request that it began with.
    request: Vec<u8>,
    /// What the interceptors have attached to it.
    pub(in crate::server) attributes: Attributes,
}

/// What becomes of a message.
#[derive(Debug)]
pub(in crate::server) enum Examined {
    /// The handler gets it.
    ForHandler,
    /// It was dealt with here.
    Done,
    /// It carries a token, to be [presented](Authentication::present).
    Token(Credentials),
}

/// What a token has changed.
#[derive(Debug)]
pub(in crate::server) enum TokenOutcome {
    /// It was no good one, and the session is closed.
    Refused,
    /// The session goes on as the same user's.
    Renewed,
    /// The session has proved its user, and its handler is to hear of it.
    Proved(Awaited),
}

impl Authentication {
    pub(in crate::server) fn new(is_on: bool) -> Authentication {
        Authentication { is_on, awaited: HashMap::new() }
    }

    /// Whether tokens are asked for.
    pub(in crate::server) fn is_on(&self) -> bool {
        self.is_on
    }

    /// How many sessions have yet to send a token.
    pub(in crate::server) fn awaited_count(&self) -> usize {
        self.awaited.len()
    }

    fn state<'c>(&self, cx: &'c Context<'_>) -> AuthState<'c> {
        match cx.identity() {
            Some(identity) => AuthState::Authenticated(identity),
            None if self.awaited.contains_key(&cx.key) => AuthState::Awaited,
            None => AuthState::Exempt,
        }
    }

    /// Begins to wait for the session's token.
    pub(in crate::server) fn wait(
        &mut self,
        cx: &mut Context<'_>,
        head: &Head<'_>,
        attributes: Attributes,
        timeout: Duration,
    ) {
        debug_assert!(self.is_on, "a token is waited for that nobody asks for");
        debug_assert!(attributes.get::<Identity>().is_none(), "a token is waited for of a user who is known");
        let before = self.awaited.insert(cx.key, Awaited { request: head.to_bytes(), attributes });
        debug_assert!(before.is_none(), "a session of before was not forgotten at its end");
        cx.set_terms(None, SessionEnd::After(timeout), None);
    }

    /// The session is this user's from now on, and takes messages of up to `message_bytes_max` bytes.
    pub(in crate::server) fn authenticate(
        &self,
        cx: &mut Context<'_>,
        identity: Arc<Identity>,
        message_bytes_max: usize,
    ) {
        debug_assert!(!self.awaited.contains_key(&cx.key), "a session is known and waited for");
        let end = identity.expiry().map_or(SessionEnd::Never, SessionEnd::At);
        cx.set_terms(Some(identity), end, Some(message_bytes_max));
    }

    /// Decides what becomes of a message.
    pub(in crate::server) fn examine(
        &mut self,
        cx: &mut Context<'_>,
        handler: &dyn AnyHandler,
        message: &Message<'_>,
    ) -> Examined {
        if !self.is_on {
            return Examined::ForHandler;
        }
        let Ok(credentials) = contained(|| handler.credentials(message)) else {
            fail(cx);
            return Examined::Done;
        };
        match (self.state(cx), credentials) {
            (AuthState::Awaited | AuthState::Authenticated(_), Some(credentials)) => {
                Examined::Token(credentials)
            }
            (AuthState::Authenticated(_), None) => withhold(cx, handler, message),
            (AuthState::Awaited, None) => {
                self.refuse_message(cx, handler, "the first message must be a token");
                Examined::Done
            }
            (AuthState::Exempt, _) => {
                debug_assert!(false, "tokens are asked for, and not of this session");
                Examined::ForHandler
            }
        }
    }

    /// Takes a token that a message carried. `message_bytes_max` is the limit for messages of a session whose user is known.
    pub(in crate::server) fn present(
        &mut self,
        cx: &mut Context<'_>,
        handler: &dyn AnyHandler,
        credentials: &Credentials,
        policy: &TokenPolicy,
        message_bytes_max: usize,
    ) -> TokenOutcome {
        let identity = match policy.verify(&credentials.token) {
            Ok(identity) => identity,
            Err(error) => {
                tracing::debug!(session = %format_args!("{:032x}", cx.id()), %error, "token refused");
                self.refuse_message(cx, handler, error.message());
                return TokenOutcome::Refused;
            }
        };
        if matches!(self.state(cx), AuthState::Authenticated(known) if !identity.renews(known)) {
            let reason = "the token is another user's, or allows less than the one before";
            self.refuse_message(cx, handler, reason);
            return TokenOutcome::Refused;
        }
        let identity = Arc::new(identity);
        match self.awaited.remove(&cx.key) {
            Some(Awaited { request, attributes }) => {
                TokenOutcome::Proved(Awaited { request, attributes: attributes.with_shared(identity) })
            }
            None => {
                self.authenticate(cx, identity.clone(), message_bytes_max);
                cx.attach(Attributes::default().with_shared(identity));
                TokenOutcome::Renewed
            }
        }
    }

    /// Ends a session with 4401 for what its message said.
    fn refuse_message(&mut self, cx: &mut Context<'_>, handler: &dyn AnyHandler, reason: &str) {
        let _said_or_panicked = contained(|| handler.refused(cx, reason));
        self.refuse(cx, reason);
    }

    /// Ends a session with 4401.
    pub(in crate::server) fn refuse(&mut self, cx: &mut Context<'_>, reason: &str) {
        self.forget(cx);
        cx.close(CloseCode::UNAUTHENTICATED, reason);
    }

    /// Ends a session whose terms have come to their end.
    pub(in crate::server) fn end(&mut self, cx: &mut Context<'_>) {
        let reason = match self.state(cx) {
            AuthState::Authenticated(_) => TokenError::Expired.message(),
            AuthState::Awaited | AuthState::Exempt => "no token came in time",
        };
        self.refuse(cx, reason);
    }

    /// The session has ended, or is about to: nothing is waited for any more. Called at each end.
    pub(in crate::server) fn forget(&mut self, cx: &Context<'_>) {
        self.awaited.remove(&cx.key);
    }
}

impl Awaited {
    /// The request that the session began with.
    pub(in crate::server) fn head(&self) -> Option<Head<'_>> {
        // It was parsed before, so it parses again, whatever the limits are by now.
        let limits = HeadLimits { head_bytes: usize::MAX, headers: HEADERS_MAX, target_bytes: usize::MAX };
        let parsed = Head::parse(&self.request, 0, &limits);
        debug_assert!(matches!(parsed, Ok(Some(_))), "a head that was kept does not parse: {parsed:?}");
        parsed.ok().flatten().map(|(head, _)| head)
    }
}

/// Keeps back what was meant to be a token.
fn withhold(cx: &mut Context<'_>, handler: &dyn AnyHandler, message: &Message<'_>) -> Examined {
    let withheld = contained(|| {
        let withholds = handler.withholds(message);
        if withholds {
            handler.withheld(cx, *message);
        }
        withholds
    });
    match withheld {
        Ok(true) => Examined::Done,
        Ok(false) => Examined::ForHandler,
        Err(Panicked) => {
            fail(cx);
            Examined::Done
        }
    }
}
