//! What happens to a session, told to the handler of its endpoint.

use super::Dispatch;
use crate::auth::Identity;
use crate::config::Config;
use crate::http::Head;
use crate::reactor::{Attributes, Context, Disconnect, SessionEnd, UserState};
use crate::server::auth::admission::{Admission, Verdict};
use crate::server::auth::session::{Examined, TokenOutcome};
use crate::server::contained::{Panicked, contained, fail};
use crate::server::handler::{AnyHandler, Credentials, Names};
use crate::ws::Message;

impl Dispatch {
    /// Does with a session that begins what was decided before its 101.
    pub(super) fn admit(&mut self, cx: &mut Context<'_>, head: &Head<'_>, admission: Admission) {
        let Admission { attributes, verdict } = admission;
        match verdict {
            Verdict::Admitted => self.begin(cx, head, attributes),
            Verdict::Rejected(reason) => self.authentication.refuse(cx, reason),
            Verdict::Awaited { timeout } => self.authentication.wait(cx, head, attributes, timeout),
        }
    }

    /// Opens an admitted session: calls the interceptors, then the handler.
    fn begin(&self, cx: &mut Context<'_>, head: &Head<'_>, attributes: Attributes) {
        let Some(endpoint) = self.router.endpoint_of(cx.endpoint()) else { return };
        if endpoint.remember_handshake {
            cx.session_of(head);
        }
        if let Some(identity) = attributes.get::<Identity>() {
            let message_bytes_max = endpoint.message_bytes_max(&self.rules.now().limits);
            self.authentication.authenticate(cx, identity, message_bytes_max);
        }
        cx.attach(attributes);
        for interceptor in &self.router.interceptors.0 {
            if contained(|| interceptor.after(cx, head)).is_err() {
                fail(cx);
            }
            if !cx.is_open() {
                // No handler has heard of it: the log does not name it as a user's.
                return cx.set_terms(None, SessionEnd::Never, None);
            }
        }
        match contained(|| endpoint.handler.open(cx, head)) {
            Ok(state) => cx.keep_user_state(Some(state)),
            Err(Panicked) => fail(cx),
        }
    }

    /// Whether the handler is to be shown a message, where tokens are asked for. What is for the session's authentication
    /// is dealt with.
    pub(super) fn is_for_handler(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> bool {
        let Some(endpoint) = self.router.endpoint_of(cx.endpoint()) else { return false };
        match self.authentication.examine(cx, &*endpoint.handler, message) {
            Examined::ForHandler => true,
            Examined::Done => false,
            Examined::Token(credentials) => {
                self.take_token(cx, &credentials);
                !credentials.is_all && cx.is_open()
            }
        }
    }

    fn take_token(&mut self, cx: &mut Context<'_>, credentials: &Credentials) {
        let Some(endpoint) = self.router.endpoint_of(cx.endpoint()) else { return };
        let rules = self.rules.now();
        let Some(policy) = &rules.token_policy else {
            debug_assert!(false, "tokens are asked for without keys");
            return;
        };
        let message_bytes_max = endpoint.message_bytes_max(&rules.limits);
        let handler = &*endpoint.handler;
        match self.authentication.present(cx, handler, credentials, policy, message_bytes_max) {
            TokenOutcome::Refused | TokenOutcome::Renewed => {}
            TokenOutcome::Proved(awaited) => {
                if let Some(head) = awaited.head() {
                    self.begin(cx, &head, awaited.attributes.clone());
                }
            }
        }
    }

    /// Calls the handler of the session's endpoint, if the session was opened; a panic ends the session.
    pub(super) fn call(
        &self,
        cx: &mut Context<'_>,
        callback: impl FnOnce(&dyn AnyHandler, &mut Context<'_>, &mut UserState),
    ) {
        let Some(endpoint) = self.router.endpoint_of(cx.endpoint()) else { return };
        let Some(mut state) = cx.take_user_state() else { return };
        if contained(|| callback(&*endpoint.handler, cx, &mut state)).is_err() {
            fail(cx);
        }
        cx.keep_user_state(Some(state));
    }

    /// Tells all handlers and APIs of a configuration that was read anew.
    pub(super) fn hand_on(&self, config: &Config) {
        for endpoint in &self.router.endpoints {
            let _it_keeps_what_it_has = contained(|| endpoint.handler.reconfigure(config));
        }
        for api in self.router.apis() {
            let _it_keeps_what_it_has = contained(|| api.reconfigure(config));
        }
    }

    /// The user and the room that the handler names.
    pub(super) fn names_in<'s>(
        &self,
        endpoint: u16,
        state: &'s UserState,
    ) -> (Option<&'s str>, Option<&'s str>) {
        let Some(endpoint) = self.router.endpoint_of(endpoint) else { return (None, None) };
        let names = contained(|| endpoint.handler.names(state)).unwrap_or_else(|Panicked| Names::default());
        (names.user, names.room)
    }

    /// Tells the handler of the end, if it has heard of the session.
    pub(super) fn end(&mut self, cx: &mut Context<'_>, reason: Disconnect) {
        tracing::debug!(session = %format_args!("{:032x}", cx.id()), %reason, "session ended");
        self.authentication.forget(cx);
        if let (Some(state), Some(endpoint)) = (cx.take_user_state(), self.router.endpoint_of(cx.endpoint()))
        {
            let _the_session_has_ended_anyway = contained(|| endpoint.handler.close(cx, state, reason));
        }
    }
}
