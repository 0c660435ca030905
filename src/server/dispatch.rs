//! From the reactor's calls to the handlers, with panics contained.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::api::{Api, Request, Responder};
use super::handler::{AnyHandler, Credentials, Names};
use super::rooms::Rooms;
use super::router::{Endpoint, Router, Target};
use super::rules::{CurrentRules, Rules};
use super::settings::window_bits;
use crate::auth::{self, Identity, TokenError};
use crate::config::{self, Config};
use crate::handshake::{self, DeflateTerms, Intent, Origins};
use crate::http::{Access, BodyFraming, HEADERS_MAX, Head, HeadLimits, Method, Problem, Response, Status};
use crate::reactor::{
    Admission, Answer, Attributes, AuthState, Context, Disconnect, Fallback, InboxSender, PeerInfo,
    RateLimits, Route, Service, Ticket, Timer, UserState, Verdict,
};
use crate::ws::{CloseCode, Message};

/// Bytes of a message at most before anybody knows whose it is: a token and a little more.
const UNKNOWN_MESSAGE_BYTES: usize = 16 * 1024;

/// What can be asked of a page.
const PAGE_METHODS: &str = "GET, HEAD, OPTIONS";

/// The reactor's service: the router and what holds for all endpoints.
#[derive(Debug)]
pub(super) struct Dispatch {
    router: Router,
    rules: CurrentRules,
    /// Sessions that have yet to send a token.
    awaited: usize,
    deflate: bool,
    deflate_terms: DeflateTerms,
    inbox: InboxSender,
    rooms: Rooms,
}

impl Dispatch {
    pub(super) fn new(
        router: Router,
        config: &Config,
        rules: CurrentRules,
        inbox: &InboxSender,
        rooms: Rooms,
    ) -> Dispatch {
        Dispatch {
            router,
            rules,
            awaited: 0,
            deflate: config.deflate.enabled,
            deflate_terms: deflate_terms(&config.deflate),
            inbox: inbox.clone(),
            rooms,
        }
    }

    pub(super) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    fn upgrade<'s>(
        &'s self,
        number: u16,
        endpoint: &'s Endpoint,
        head: &Head<'_>,
        arrival: &PeerInfo,
    ) -> Result<Route<'s>, Response> {
        let rules = self.rules.now();
        let origins = rules.origins_of(head.path(), endpoint.origins.as_ref());
        let handshake_rules = handshake::Rules {
            origins,
            subprotocols: &endpoint.subprotocols,
            subprotocol_required: endpoint.subprotocol_required,
            secure: arrival.secure,
            deflate: endpoint.deflate.unwrap_or(self.deflate).then_some(self.deflate_terms),
        };
        let mut accepted = handshake::accept(head, &handshake_rules).map_err(|error| {
            tracing::debug!(peer = %arrival.peer, %error, "handshake refused");
            error.response()
        })?;
        // A browser ends a connection that agrees on none of what it offered, so this is agreed on with or without keys.
        if accepted.subprotocol.is_none() && auth::offers_subprotocol(head) {
            accepted.subprotocol = Some(auth::SUBPROTOCOL);
        }
        let admission = self.admission(&rules, origins, head, arrival)?;
        let message_bytes = message_bytes_of(endpoint, &rules.limits);
        let message_bytes_max = match admission.verdict {
            Verdict::Admitted => message_bytes,
            Verdict::Pending | Verdict::Rejected(_) => message_bytes.min(UNKNOWN_MESSAGE_BYTES),
        };
        if !matches!(admission.verdict, Verdict::Rejected(_)) {
            contained(|| endpoint.handler.handshake(head, arrival))
                .unwrap_or_else(|Panicked| Err(handler_failed()))
                .map_err(Response::close)?;
        }
        let rate_limits = ration_of(endpoint, &rules.limits);
        Ok(Route::Upgrade { endpoint: number, accepted, message_bytes_max, rate_limits, admission })
    }

    /// Has the interceptors look at a request.
    fn intercept(&self, head: &Head<'_>, arrival: &PeerInfo) -> Result<Attributes, Response> {
        let mut attributes = Attributes::default();
        for interceptor in &self.router.interceptors.0 {
            contained(|| interceptor.before(head, arrival, &mut attributes))
                .unwrap_or_else(|Panicked| Err(handler_failed()))?;
        }
        Ok(attributes)
    }

    /// Decides about the session that an opening handshake asks for.
    fn admission(
        &self,
        rules: &Rules,
        origins: &Origins,
        head: &Head<'_>,
        arrival: &PeerInfo,
    ) -> Result<Admission, Response> {
        let mut attributes = self.intercept(head, arrival).map_err(Response::close)?;
        let vouched = attributes.get::<Identity>().is_some();
        let Some(token_policy) = rules.token_policy.as_ref().filter(|_| !vouched) else {
            return Ok(Admission { attributes, verdict: Verdict::Admitted });
        };
        let verdict = match token_policy.identify(head, origins, arrival.secure) {
            Ok(Some(identity)) => {
                attributes.set(identity);
                Verdict::Admitted
            }
            Ok(None) if self.awaited >= token_policy.pending_max => {
                let problem = Problem::new(Status::SERVICE_UNAVAILABLE, "too many sessions wait for a token");
                let response = problem.response().header("Retry-After", "1").close();
                return Err(response.limited_by("auth.pending_connections"));
            }
            Ok(None) => Verdict::Pending,
            Err(error) => {
                tracing::debug!(peer = %arrival.peer, %error, "token refused");
                Verdict::Rejected(error.message())
            }
        };
        Ok(Admission { attributes, verdict })
    }

    /// Decides about a request for an api: what is attached to it, or the response that sends it away.
    fn admit_request(
        &self,
        api: &Arc<dyn Api>,
        rules: Arc<Rules>,
        head: &Head<'_>,
        arrival: &PeerInfo,
    ) -> Result<Attributes, Response> {
        let origins = rules.origins_of(head.path(), None);
        let access = Access::of(origins, head, arrival.secure);
        let mut attributes = self.intercept(head, arrival).map_err(|response| access.apply(response))?;
        // A browser asks with `OPTIONS`, and without a token, whether a page may ask.
        let needs_token =
            head.method() != Method::Options && contained(|| api.needs_token(head)).unwrap_or(true);
        let token_policy = rules.token_policy.as_ref().filter(|_| needs_token);
        if let Some(token_policy) = token_policy
            && attributes.get::<Identity>().is_none()
        {
            let identity = token_policy.identify(head, origins, arrival.secure);
            let identity = identity.and_then(|identity| identity.ok_or(TokenError::Missing));
            attributes.set(identity.map_err(|error| {
                tracing::debug!(peer = %arrival.peer, %error, "token refused");
                let response = Problem::new(Status::UNAUTHORIZED, error.message()).response();
                let response = response.header("WWW-Authenticate", error.challenge());
                access.apply(response.header("Cache-Control", "no-store"))
            })?);
        }
        if has_encoded_body(head) {
            let problem =
                Problem::new(Status::UNSUPPORTED_MEDIA_TYPE, "the body must not have a Content-Encoding");
            return Err(access.apply(problem.response().header("Accept-Encoding", "identity")));
        }
        attributes.set(Found { api: api.clone(), rules });
        Ok(attributes)
    }

    /// Lets the application hear of a session that nothing stands in the way of any more.
    fn begin(&self, cx: &mut Context<'_>, head: &Head<'_>, attributes: Attributes) {
        let Some(endpoint) = self.router.endpoints.get(usize::from(cx.endpoint())) else { return };
        if endpoint.remember_handshake {
            cx.session_of(head);
        }
        if let Some(identity) = attributes.get::<Identity>() {
            cx.authenticate(identity, message_bytes_of(endpoint, &self.rules.now().limits));
        }
        cx.attach(attributes);
        for interceptor in &self.router.interceptors.0 {
            if contained(|| interceptor.after(cx, head)).is_err() {
                fail(cx);
            }
            if !cx.is_open() {
                return cx.mark_rejected();
            }
        }
        match contained(|| endpoint.handler.open(cx, head)) {
            Ok(state) => cx.keep_user_state(Some(state)),
            Err(Panicked) => fail(cx),
        }
    }

    /// Deals with the message of a session that has a guard, if it is for that. False: it is for the application.
    fn guard(&mut self, cx: &mut Context<'_>, message: &Message<'_>) -> bool {
        let Some(endpoint) = self.router.endpoints.get(usize::from(cx.endpoint())) else { return false };
        let Ok(token) = contained(|| endpoint.handler.credentials(message)) else {
            fail(cx);
            return true;
        };
        let (known, token) = match (cx.auth(), token) {
            (None, None) => return false,
            (Some(AuthState::Authenticated(_)), None) => return self.withhold(cx, message),
            (Some(AuthState::Pending(_) | AuthState::Rejected), None) => {
                self.refuse_message(cx, "the first message must be a token");
                return true;
            }
            (Some(AuthState::Authenticated(identity)), Some(token)) => (Some(identity.clone()), token),
            (None | Some(AuthState::Pending(_) | AuthState::Rejected), Some(token)) => (None, token),
        };
        let rules = self.rules.now();
        // Without keys, whoever vouched for the user has no use for tokens.
        let Some(token_policy) = &rules.token_policy else { return false };
        let Credentials { token, is_all } = token;
        match (token_policy.verify(&token), known) {
            (Err(error), _) => {
                tracing::debug!(session = %format_args!("{:032x}", cx.id()), %error, "token refused");
                self.refuse_message(cx, error.message());
            }
            (Ok(identity), Some(known)) if !identity.renews(&known) => {
                self.refuse_message(cx, "the token is another user's, or allows less than the one before");
            }
            (Ok(identity), Some(_) | None) => {
                self.know(cx, identity);
                return is_all || !cx.is_open();
            }
        }
        true
    }

    /// Keeps back what was meant to be a token. False: it is for the application.
    fn withhold(&self, cx: &mut Context<'_>, message: &Message<'_>) -> bool {
        let Some(endpoint) = self.router.endpoints.get(usize::from(cx.endpoint())) else { return false };
        // Without keys, whoever vouched for the user has no use for tokens.
        if self.rules.now().token_policy.is_none() {
            return false;
        }
        let withheld = contained(|| {
            let withholds = endpoint.handler.withholds(message);
            if withholds {
                endpoint.handler.withheld(cx, *message);
            }
            withholds
        });
        withheld.unwrap_or_else(|Panicked| {
            fail(cx);
            true
        })
    }

    /// A session has proved whose it is, for the first time or again.
    fn know(&mut self, cx: &mut Context<'_>, identity: Identity) {
        let Some(endpoint) = self.router.endpoints.get(usize::from(cx.endpoint())) else { return };
        let identity = Arc::new(identity);
        let Some(hold) = cx.take_pending_auth() else {
            cx.authenticate(identity.clone(), message_bytes_of(endpoint, &self.rules.now().limits));
            return cx.attach(Attributes::default().with_shared(identity));
        };
        self.awaited -= 1;
        let limits = HeadLimits { head_bytes: usize::MAX, headers: HEADERS_MAX, target_bytes: usize::MAX };
        // It was parsed before, so it parses again.
        if let Ok(Some((head, _))) = Head::parse(&hold.request, 0, &limits) {
            self.begin(cx, &head, hold.attributes.with_shared(identity));
        }
    }

    /// Ends a session with 4401 for what its message said.
    fn refuse_message(&mut self, cx: &mut Context<'_>, reason: &str) {
        if let Some(endpoint) = self.router.endpoints.get(usize::from(cx.endpoint())) {
            let _said_or_panicked = contained(|| endpoint.handler.refused(cx, reason));
        }
        self.refuse(cx, reason);
    }

    /// Ends a session with 4401.
    fn refuse(&mut self, cx: &mut Context<'_>, reason: &str) {
        self.forget_awaited(cx);
        cx.reject(reason);
    }

    fn forget_awaited(&mut self, cx: &Context<'_>) {
        if let Some(AuthState::Pending(_)) = cx.auth() {
            self.awaited -= 1;
        }
    }

    /// Calls the handler of the session's endpoint, if the session was opened; a panic ends the session.
    fn call(
        &self,
        cx: &mut Context<'_>,
        callback: impl FnOnce(&dyn AnyHandler, &mut Context<'_>, &mut UserState),
    ) {
        let Some(endpoint) = self.router.endpoints.get(usize::from(cx.endpoint())) else { return };
        let Some(mut state) = cx.take_user_state() else { return };
        if contained(|| callback(&*endpoint.handler, cx, &mut state)).is_err() {
            fail(cx);
        }
        cx.keep_user_state(Some(state));
    }
}

/// What `route` found for a request, kept with it until its body has come: the request is answered by the rules that it
/// was admitted by, and neither the router nor the rules are asked twice.
struct Found {
    api: Arc<dyn Api>,
    rules: Arc<Rules>,
}

/// What a session at the endpoint may send.
fn ration_of(endpoint: &Endpoint, limits: &config::Limits) -> RateLimits {
    let messages = endpoint.messages_per_second.unwrap_or(limits.messages_per_second);
    let bytes = endpoint.bytes_per_second.unwrap_or(limits.bytes_per_second);
    RateLimits::new(messages, bytes, limits.burst)
}

fn message_bytes_of(endpoint: &Endpoint, limits: &config::Limits) -> usize {
    endpoint.message_bytes.unwrap_or(limits.message_bytes)
}

/// Whether there is a body that would have to be decoded first (RFC 9110 §8.4).
fn has_encoded_body(head: &Head<'_>) -> bool {
    let mut codings =
        head.fields().values("Content-Encoding").flat_map(|value| value.split(|&byte| byte == b','));
    let is_none = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    head.body_framing() != BodyFraming::None && !codings.all(|coding| is_none(coding.trim_ascii()))
}

fn handler_failed() -> Response {
    Problem::new(Status::INTERNAL_SERVER_ERROR, "the handler failed").response()
}

impl Service for Dispatch {
    fn route(&mut self, head: &Head<'_>, arrival: &PeerInfo) -> Route<'_> {
        let answer = match self.router.find(head.path()) {
            // About the server as a whole (RFC 9110 §9.3.7); load balancers ask so.
            _ if head.path() == "*" => {
                Response::new(Status::NO_CONTENT).header("Allow", "GET, HEAD, POST, DELETE, OPTIONS")
            }
            None => Problem::new(Status::NOT_FOUND, "there is nothing at this path").response(),
            Some(Target::Endpoint(number)) => {
                let Some(endpoint) = self.router.endpoints.get(usize::from(*number)) else {
                    return Route::Respond(Response::new(Status::INTERNAL_SERVER_ERROR));
                };
                return self.upgrade(*number, endpoint, head, arrival).unwrap_or_else(Route::Respond);
            }
            Some(Target::Api(api)) if handshake::intent(head) == Intent::Http => {
                let rules = self.rules.now();
                let bytes_max = rules.limits.body_bytes;
                return self
                    .admit_request(api, rules, head, arrival)
                    .map_or_else(Route::Respond, |attributes| Route::ReadBody { bytes_max, attributes });
            }
            Some(Target::Api(_)) => {
                Problem::new(Status::NOT_FOUND, "there is no WebSocket at this path").response()
            }
            Some(Target::Page(page)) if Router::reads(head.method()) => page.clone(),
            Some(Target::Page(_)) if head.method() == Method::Options => {
                Response::new(Status::NO_CONTENT).header("Allow", PAGE_METHODS)
            }
            Some(Target::Page(_)) => Problem::new(Status::METHOD_NOT_ALLOWED, "this page can only be read")
                .response()
                .header("Allow", PAGE_METHODS),
        };
        // Whoever wanted to leave HTTP may have sent frames behind the request: they must not be read as requests.
        let wanted_upgrade = handshake::intent(head) == Intent::Upgrade;
        Route::Respond(if wanted_upgrade { answer.close() } else { answer })
    }

    fn respond(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        arrival: &PeerInfo,
        attributes: &Attributes,
        ticket: Ticket,
    ) -> Answer {
        let Some(found) = attributes.get::<Found>() else { return Answer::Now(handler_failed()) };
        let Found { api, rules } = &*found;
        let origins = rules.origins_of(head.path(), None);
        let (rooms, message_bytes) = (&self.rooms, rules.limits.message_bytes);
        let request = Request { head, body, arrival, rooms, attributes, origins, message_bytes };
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

    fn open(&mut self, cx: &mut Context<'_>, head: &Head<'_>, admission: Admission) {
        match admission.verdict {
            Verdict::Admitted => self.begin(cx, head, admission.attributes),
            Verdict::Rejected(reason) => cx.reject(reason),
            Verdict::Pending => {
                let timeout = self
                    .rules
                    .now()
                    .token_policy
                    .as_ref()
                    .map_or(Duration::ZERO, |token_policy| token_policy.timeout);
                self.awaited += 1;
                cx.await_auth(head, admission.attributes, timeout);
            }
        }
    }

    fn message(&mut self, cx: &mut Context<'_>, message: Message<'_>) {
        if cx.auth().is_none() || !self.guard(cx, &message) {
            self.call(cx, |handler, cx, state| handler.message(cx, state, message));
        }
    }

    fn timer(&mut self, cx: &mut Context<'_>, timer: Timer) {
        self.call(cx, |handler, cx, state| handler.timer(cx, state, timer));
    }

    fn event(&mut self, cx: &mut Context<'_>, event: UserState) {
        self.call(cx, |handler, cx, state| handler.event(cx, state, event));
    }

    fn overdue(&mut self, cx: &mut Context<'_>) {
        let known = matches!(cx.auth(), Some(AuthState::Authenticated(_)));
        self.refuse(cx, if known { TokenError::Expired.message() } else { "no token came in time" });
    }

    fn reconfigure(&mut self, config: &Config) {
        for endpoint in &self.router.endpoints {
            let _it_keeps_what_it_has = contained(|| endpoint.handler.reconfigure(config));
        }
    }

    fn names<'s>(&self, endpoint: u16, state: &'s UserState) -> (Option<&'s str>, Option<&'s str>) {
        let Some(endpoint) = self.router.endpoints.get(usize::from(endpoint)) else { return (None, None) };
        let names = contained(|| endpoint.handler.names(state)).unwrap_or_else(|Panicked| Names::default());
        (names.user, names.room)
    }

    fn close(&mut self, cx: &mut Context<'_>, reason: Disconnect) {
        tracing::debug!(session = %format_args!("{:032x}", cx.id()), %reason, "session ended");
        self.forget_awaited(cx);
        if let (Some(state), Some(endpoint)) =
            (cx.take_user_state(), self.router.endpoints.get(usize::from(cx.endpoint())))
        {
            let _the_session_has_ended_anyway = contained(|| endpoint.handler.close(cx, state, reason));
        }
    }
}

fn deflate_terms(config: &config::Compression) -> DeflateTerms {
    DeflateTerms {
        server_takeover: config.server_context_takeover,
        client_takeover: config.client_context_takeover,
        server_window: window_bits(config.server_window_bits),
        client_window: window_bits(config.client_window_bits),
    }
}

/// Ends a session whose handler panicked.
fn fail(cx: &mut Context<'_>) {
    cx.close_because(CloseCode::INTERNAL, "handler failed", Disconnect::HandlerFailed);
}

/// The callback panicked; the panic hook has reported it.
struct Panicked;

fn contained<T>(callback: impl FnOnce() -> T) -> Result<T, Panicked> {
    // What a handler shares between sessions is behind its own locks, which know of the panic; the session it was
    // called for ends.
    catch_unwind(AssertUnwindSafe(callback)).map_err(|_reported| Panicked)
}
