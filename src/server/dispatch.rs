//! From the reactor's calls to the handlers, with panics contained.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::api::{Request, Responder};
use super::handler::Handler;
use super::rooms::Rooms;
use super::router::{Endpoint, Router, Target};
use super::window_bits;
use crate::config::{self, Config};
use crate::handshake::{self, DeflateTerms, Intent, Origins, Rules};
use crate::http::{Head, Problem, Response, Status};
use crate::reactor::{Answer, Arrival, Context, Disconnect, Mailbox, Route, Service, Ticket};
use crate::ws::{CloseCode, Message};

/// The reactor's service: the router and what holds for all endpoints.
#[derive(Debug)]
pub(super) struct Dispatch {
    router: Router,
    origins: Origins,
    message_bytes: usize,
    body_bytes: usize,
    deflate: bool,
    deflate_terms: DeflateTerms,
    mailbox: Mailbox,
    rooms: Rooms,
}

impl Dispatch {
    pub(super) fn new(router: Router, config: &Config, mailbox: &Mailbox, rooms: Rooms) -> Dispatch {
        Dispatch {
            router,
            origins: config.origins.allowed.clone(),
            message_bytes: config.limits.message_bytes,
            body_bytes: config.limits.body_bytes,
            deflate: config.deflate.enabled,
            deflate_terms: deflate_terms(&config.deflate),
            mailbox: mailbox.clone(),
            rooms,
        }
    }

    fn upgrade<'s>(
        &'s self,
        number: u16,
        endpoint: &'s Endpoint,
        head: &Head<'_>,
        arrival: &Arrival,
    ) -> Result<Route<'s>, Response> {
        let rules = Rules {
            origins: endpoint.origins.as_ref().unwrap_or(&self.origins),
            subprotocols: &endpoint.subprotocols,
            subprotocol_required: endpoint.subprotocol_required,
            secure: arrival.secure,
            deflate: endpoint.deflate.unwrap_or(self.deflate).then_some(self.deflate_terms),
        };
        let accepted = handshake::accept(head, &rules).map_err(|error| {
            tracing::debug!(peer = %arrival.peer, %error, "handshake refused");
            error.response()
        })?;
        contained(|| endpoint.handler.handshake(head, arrival))
            .unwrap_or_else(|Panicked| {
                Err(Problem::new(Status::INTERNAL_SERVER_ERROR, "the handler failed").response())
            })
            .map_err(Response::close)?;
        let message_bytes_max = endpoint.message_bytes.unwrap_or(self.message_bytes);
        Ok(Route::Upgrade { endpoint: number, accepted, message_bytes_max })
    }

    /// Calls the handler of the session's endpoint; a panic ends the session.
    fn call(&self, cx: &mut Context<'_>, callback: impl FnOnce(&dyn Handler, &mut Context<'_>)) {
        let Some(endpoint) = self.router.endpoints.get(usize::from(cx.endpoint())) else { return };
        if contained(|| callback(&*endpoint.handler, cx)).is_err() {
            cx.close_because(CloseCode::INTERNAL, "handler failed", Disconnect::HandlerFailed);
        }
    }
}

impl Service for Dispatch {
    fn route(&mut self, head: &Head<'_>, arrival: &Arrival) -> Route<'_> {
        let answer = match self.router.find(head.path()) {
            None => Problem::new(Status::NOT_FOUND, "there is nothing at this path").response(),
            Some(Target::Endpoint(number)) => {
                let Some(endpoint) = self.router.endpoints.get(usize::from(*number)) else {
                    return Route::Respond(Response::new(Status::INTERNAL_SERVER_ERROR));
                };
                return self.upgrade(*number, endpoint, head, arrival).unwrap_or_else(Route::Respond);
            }
            Some(Target::Api(_)) if handshake::intent(head) == Intent::Http => {
                return Route::ReadBody { bytes_max: self.body_bytes };
            }
            Some(Target::Api(_)) => {
                Problem::new(Status::NOT_FOUND, "there is no WebSocket at this path").response()
            }
            Some(Target::Page(page)) if Router::reads(head.method()) => page.clone(),
            Some(Target::Page(_)) => Problem::new(Status::METHOD_NOT_ALLOWED, "this page can only be read")
                .response()
                .header("Allow", "GET, HEAD"),
        };
        // Whoever wanted to leave HTTP may have sent frames behind the request: they must not be read as requests.
        let wanted_upgrade = handshake::intent(head) == Intent::Upgrade;
        Route::Respond(if wanted_upgrade { answer.close() } else { answer })
    }

    fn respond(&mut self, head: &Head<'_>, body: &[u8], arrival: &Arrival, ticket: Ticket) -> Answer {
        let Some(Target::Api(api)) = self.router.find(head.path()) else {
            return Answer::Now(Problem::new(Status::NOT_FOUND, "there is nothing at this path").response());
        };
        let responder = Responder { mailbox: self.mailbox.clone(), ticket };
        contained(|| api.call(&Request { head, body, arrival, rooms: &self.rooms }, responder))
            .unwrap_or_else(|Panicked| {
                Answer::Now(Problem::new(Status::INTERNAL_SERVER_ERROR, "the handler failed").response())
            })
    }

    fn open(&mut self, cx: &mut Context<'_>, head: &Head<'_>) {
        let remember =
            self.router.endpoints.get(usize::from(cx.endpoint())).is_some_and(|e| e.remember_handshake);
        if remember {
            cx.session_of(head);
        }
        self.call(cx, |handler, cx| handler.open(cx, head));
    }

    fn message(&mut self, cx: &mut Context<'_>, message: Message<'_>) {
        self.call(cx, |handler, cx| handler.message(cx, message));
    }

    fn alarm(&mut self, cx: &mut Context<'_>) {
        self.call(cx, |handler, cx| handler.alarm(cx));
    }

    fn close(&mut self, cx: &mut Context<'_>, reason: Disconnect) {
        tracing::debug!(session = %format_args!("{:032x}", cx.id()), %reason, "session ended");
        self.call(cx, |handler, cx| handler.close(cx, reason));
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

/// The callback panicked; the panic hook has reported it.
struct Panicked;

fn contained<T>(callback: impl FnOnce() -> T) -> Result<T, Panicked> {
    // What a handler shares between sessions is behind its own locks, which know of the panic; the session it was
    // called for ends.
    catch_unwind(AssertUnwindSafe(callback)).map_err(|_reported| Panicked)
}
