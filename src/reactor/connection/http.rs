//! Requests and responses on one connection, until it becomes a WebSocket or ends (RFC 9112).

use std::net::SocketAddr;

use crate::auth::Identity;
use crate::http::{BodyDecoder, BodyFraming, Head, Method, Problem, Reply, Response, Status};
use crate::metrics::Limit;
use crate::proxy::Forwarded;
use crate::reactor::api::attributes::Attributes;
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::connection::streaming::{Follow, Following};
use crate::reactor::connection::table::State;
use crate::reactor::connection::websocket::{Agreed, Reach, WebSocket};
use crate::reactor::reports::incidents::{self, Requester};
use crate::reactor::service::{Answer, Arrival, Otherwise, Route, Service, Ticket};
use crate::reactor::state::Turn;
use crate::transport::{Client, Share};

/// Responses gathered before they are written and the next pipelined request is looked at.
const RESPONSES_BYTES_MAX: usize = 256 * 1024;

/// What has arrived of the next request.
#[derive(Debug)]
pub(crate) struct Exchange {
    arrival: Arrival,
    /// When the head, or the body that follows it, has to be complete.
    pub(crate) deadline: Tick,
    /// Bytes not used yet; while a body is being read, its head.
    buffer: Vec<u8>,
    /// How much of `buffer` holds no end of a head.
    searched: usize,
    body: Option<Box<Body>>,
    /// A request that is answered later; nothing is read meanwhile.
    pending: Option<Pending>,
    held: Share,
}

#[derive(Debug)]
struct Pending {
    number: u64,
    reply: Reply,
    /// Who asked for what, for the log.
    address: SocketAddr,
    user: Option<Box<str>>,
    path: Box<str>,
    /// When it has to be answered, if not within the usual time; and what is answered then if no other answer has come.
    until: Option<Tick>,
    otherwise: Option<Otherwise>,
}

#[derive(Debug)]
struct Body {
    decoder: BodyDecoder,
    bytes: Vec<u8>,
    /// Who answers.
    next: Next,
}

/// What follows a body.
#[derive(Debug)]
enum Next {
    /// An answer that does not depend on it.
    Respond(Response),
    /// The service is asked, with what is attached to the request.
    Ask(Attributes),
}

/// What one look at the input came to.
enum Step {
    /// Bytes used; there may be another request behind them.
    Used(usize),
    /// Not enough bytes for anything.
    Starved,
    /// The connection ends after what has been answered.
    Last,
    /// The last response goes on.
    Following(State),
    /// The connection is a WebSocket from this many bytes on.
    Upgraded(usize, WebSocket),
}

impl Exchange {
    /// Waits for a head, from now on.
    pub(crate) fn new(arrival: Arrival, turn: &Turn) -> Exchange {
        let deadline = turn.now.saturating_add(ticks(turn.limits.handshake_timeout));
        let held = turn.waiting.share();
        Exchange { arrival, deadline, buffer: Vec::new(), searched: 0, body: None, pending: None, held }
    }

    /// Whether input waits that could be used without reading.
    pub(crate) fn has_input(&self) -> bool {
        self.body.is_none() && self.pending.is_none() && self.buffer.len() > self.searched
    }

    /// Whether an answer has to come before anything more is read.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether the end of a head is what it waits for.
    pub(crate) fn is_in_head(&self) -> bool {
        self.body.is_none() && self.pending.is_none()
    }

    /// Whether the connection waits for the answer to the request of this number.
    pub(crate) fn waits_for(&self, number: u64) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.number == number)
    }

    /// Who waits for an answer, if anybody is known, and the path of the request.
    pub(crate) fn asked(&self) -> Option<(Option<&str>, &str)> {
        self.pending.as_ref().map(|pending| (pending.user.as_deref(), &*pending.path))
    }

    /// Sends the answer that the connection waits for.
    pub(crate) fn answer<S: Service>(mut self, response: &Response, reach: &mut Reach<'_, S>) -> State {
        if let Some(pending) = self.pending.take() {
            self.deadline = self.next_deadline(reach.turn);
            if incidents::is_refusal(response.status()) {
                let requester = Requester { address: pending.address, user: pending.user.as_deref() };
                incidents::report_late(response, &pending.path, &requester, reach.turn);
            }
            if encode(response, pending.reply, reach).is_none() {
                return last(reach);
            }
            reach.turn.send_replies(reach.outbound);
        }
        self.into_state()
    }

    /// The same with an answer that goes on with the messages of a room.
    pub(crate) fn follow<S: Service>(mut self, follow: Follow, reach: &mut Reach<'_, S>) -> State {
        match self.pending.take() {
            Some(Pending { reply, path, .. }) => begin_following(follow, path, reply, reach),
            None => self.into_state(),
        }
    }

    /// Gives the answer for a request that none has come for in time, if there is one. It lets go of everything that
    /// waited for an answer, so that what comes of it later finds nobody.
    pub(crate) fn answer_otherwise<S: Service>(mut self, reach: &mut Reach<'_, S>) -> State {
        match self.pending.as_mut().and_then(|pending| pending.otherwise.take()) {
            Some(otherwise) => self.answer(&otherwise.make(), reach),
            None => self.into_state(),
        }
    }

    /// Whether a request waits that is answered in any case.
    pub(crate) fn has_otherwise(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.otherwise.is_some())
    }

    /// Says that what was received, in whole or in part, is not answered any more.
    pub(crate) fn refuse_rest<S>(&self, reach: &mut Reach<'_, S>) {
        if self.body.is_some() || self.pending.is_some() || !self.buffer.is_empty() {
            let response = Problem::new(Status::SERVICE_UNAVAILABLE, "the server shuts down").response();
            let response = response.header("Retry-After", "1").close();
            let _ends_anyway = respond(&response, None, &Requester::of(&self.arrival), reach);
            reach.turn.send_replies(reach.outbound);
        }
    }

    /// Bytes of a request that is not finished.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    fn into_state(mut self) -> State {
        let body = self.body.as_ref().map_or(0, |body| body.bytes.capacity());
        self.held.set(self.buffer.capacity() + body);
        let between_requests = self.body.is_none() && self.pending.is_none() && self.buffer.is_empty();
        State::Http((!between_requests).then(|| Box::new(self)))
    }

    /// Takes what was read and answers whatever is complete.
    pub(crate) fn receive<S: Service>(mut self, bytes: &mut [u8], reach: &mut Reach<'_, S>) -> State {
        let mut joined;
        let input = if self.body.is_some() || self.buffer.is_empty() {
            bytes
        } else {
            joined = std::mem::take(&mut self.buffer);
            joined.extend_from_slice(bytes);
            &mut joined
        };
        let mut used = 0;
        while used < input.len() && self.pending.is_none() && reach.turn.replies.len() < RESPONSES_BYTES_MAX {
            match self.step(&input[used..], reach) {
                Step::Used(more) => {
                    used += more;
                    self.deadline = self.next_deadline(reach.turn);
                }
                Step::Starved => break,
                Step::Last => return last(reach),
                Step::Following(state) => return state,
                Step::Upgraded(more, mut websocket) => {
                    websocket.receive(&mut input[used + more..], reach);
                    return State::WebSocket(websocket);
                }
            }
        }
        reach.turn.send_replies(reach.outbound);
        if self.body.is_none() {
            self.buffer.extend_from_slice(&input[used..]);
        }
        self.into_state()
    }

    fn step<S: Service>(&mut self, input: &[u8], reach: &mut Reach<'_, S>) -> Step {
        if self.body.is_some() {
            return self.read_body(input, reach);
        }
        let limits = reach.turn.limits.clone();
        let (head, len) = match Head::parse(input, self.searched, &limits.head) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => {
                self.searched = input.len();
                return Step::Starved;
            }
            Err(error) => {
                return refuse(error.status(), error.message(), &Requester::of(&self.arrival), reach);
            }
        };
        self.searched = 0;
        let arrival = self.arrival_of(&head, reach.turn);
        let requester = Requester::of(&arrival);
        match reach.service.route(&head, &arrival) {
            // The connection was not counted, for it is its proxy's.
            Route::Upgrade { .. } if arrival != self.arrival && reach.turn.is_crowded(arrival.peer.ip()) => {
                reach.turn.metrics.hit(Limit::ConnectionsPerIp);
                let response = too_many_connections(Limit::ConnectionsPerIp);
                let _ends_anyway = respond(&response, Some(&head), &requester, reach);
                Step::Last
            }
            Route::Upgrade { endpoint, accepted, message_bytes_max, ration, admission } => {
                let client = Client { address: arrival.peer, secure: arrival.secure };
                reach.outbound.stream().set_client(client);
                accepted.encode(&mut reach.turn.replies);
                let agreed = Agreed::new(endpoint, &accepted, reach.turn);
                // At once: from `open` on, other threads may write to this socket.
                reach.turn.send_replies(reach.outbound);
                let websocket = WebSocket::open(agreed, message_bytes_max, ration, &head, admission, reach);
                Step::Upgraded(len, websocket)
            }
            Route::Respond(response) if head.body_framing() == BodyFraming::None => {
                respond(&response, Some(&head), &requester, reach).map_or(Step::Last, |()| Step::Used(len))
            }
            // The body may never come: the client was told not to expect more, or waits for our word to send it.
            Route::Respond(response) if response.closes() || head.expects_continue() => {
                let _ends_anyway = respond(&response.close(), Some(&head), &requester, reach);
                Step::Last
            }
            Route::Respond(response) => {
                self.expect_body(&head, &input[..len], limits.body_bytes, Next::Respond(response), reach)
            }
            Route::ReadBody { attributes, .. } if head.body_framing() == BodyFraming::None => {
                self.ask(&head, &[], &arrival, &attributes, len, reach)
            }
            Route::ReadBody { bytes_max, attributes } => {
                self.expect_body(&head, &input[..len], bytes_max, Next::Ask(attributes), reach)
            }
        }
    }

    /// Where a request comes from, which a proxy may know better than its connection.
    fn arrival_of(&self, head: &Head<'_>, turn: &Turn) -> Arrival {
        match Forwarded::read(self.arrival.peer, &turn.limits.trusted, head.fields()) {
            Some(Forwarded { client, secure }) => {
                Arrival { peer: client, secure: secure.unwrap_or(self.arrival.secure), ..self.arrival }
            }
            None => self.arrival,
        }
    }

    /// What is under way could not be read until now: its time begins anew.
    pub(crate) fn put_off(&mut self, turn: &Turn) {
        self.deadline = self.deadline.max(self.next_deadline(turn));
    }

    /// What is under way ends no later than the limits say now.
    pub(crate) fn tighten(&mut self, turn: &Turn) {
        self.deadline = self.deadline.min(self.next_deadline(turn));
    }

    fn next_deadline(&self, turn: &Turn) -> Tick {
        let limits = &turn.limits;
        if let Some(until) = self.pending.as_ref().and_then(|pending| pending.until) {
            return until;
        }
        let time = if self.body.is_some() || self.pending.is_some() {
            limits.message_timeout
        } else {
            limits.handshake_timeout
        };
        turn.now.saturating_add(ticks(time))
    }

    fn expect_body<S>(
        &mut self,
        head: &Head<'_>,
        head_bytes: &[u8],
        bytes_max: usize,
        next: Next,
        reach: &mut Reach<'_, S>,
    ) -> Step {
        let mut decoder = BodyDecoder::new(head.body_framing(), bytes_max);
        // A declared length that is too long is refused before anything of it is asked for.
        if let Err(error) = decoder.receive(&[], &mut Vec::new()) {
            return refuse(error.status(), error.message(), &Requester::of(&self.arrival), reach);
        }
        self.buffer = head_bytes.to_vec();
        if head.expects_continue() && matches!(next, Next::Ask(_)) {
            reach.turn.replies.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.body = Some(Box::new(Body { decoder, bytes: Vec::new(), next }));
        Step::Used(head_bytes.len())
    }

    fn read_body<S: Service>(&mut self, input: &[u8], reach: &mut Reach<'_, S>) -> Step {
        let Some(mut body) = self.body.take() else { return Step::Starved };
        let progress = match body.decoder.receive(input, &mut body.bytes) {
            Ok(progress) => progress,
            Err(error) => {
                return refuse(error.status(), error.message(), &Requester::of(&self.arrival), reach);
            }
        };
        if matches!(body.next, Next::Respond(_)) {
            body.bytes.clear();
        }
        if !progress.complete {
            self.body = Some(body);
            return Step::Starved;
        }
        let head_bytes = std::mem::take(&mut self.buffer);
        // The head was parsed before, so it parses again.
        let Ok(Some((head, _))) = Head::parse(&head_bytes, 0, &reach.turn.limits.clone().head) else {
            return Step::Last;
        };
        let arrival = self.arrival_of(&head, reach.turn);
        let used = progress.consumed;
        match body.next {
            Next::Respond(answer) => respond(&answer, Some(&head), &Requester::of(&arrival), reach)
                .map_or(Step::Last, |()| Step::Used(used)),
            Next::Ask(attributes) => self.ask(&head, &body.bytes, &arrival, &attributes, used, reach),
        }
    }

    /// Has the service answer a request that took `used` bytes.
    fn ask<S: Service>(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        arrival: &Arrival,
        attributes: &Attributes,
        used: usize,
        reach: &mut Reach<'_, S>,
    ) -> Step {
        let ticket = reach.turn.next_ticket(reach.key);
        match reach.service.respond(head, body, arrival, attributes, ticket) {
            Answer::Now(response) => {
                let identity = attributes.get::<Identity>();
                let user = identity.as_deref().map(Identity::user);
                let requester = Requester { address: arrival.peer, user };
                return respond(&response, Some(head), &requester, reach)
                    .map_or(Step::Last, |()| Step::Used(used));
            }
            Answer::Follow(follow) => {
                let path = head.path().into();
                return Step::Following(begin_following(*follow, path, reply_to(Some(head)), reach));
            }
            Answer::Later => self.expect_answer(head, arrival, attributes, ticket, None),
            Answer::LaterOr(after, otherwise) => {
                let until = reach.turn.now.saturating_add(ticks(after));
                self.expect_answer(head, arrival, attributes, ticket, Some((until, otherwise)));
            }
        }
        Step::Used(used)
    }

    fn expect_answer(
        &mut self,
        head: &Head<'_>,
        arrival: &Arrival,
        attributes: &Attributes,
        ticket: Ticket,
        otherwise: Option<(Tick, Otherwise)>,
    ) {
        debug_assert!(self.pending.is_none(), "a request was taken while another waits for its answer");
        let (until, otherwise) = otherwise.unzip();
        self.pending = Some(Pending {
            number: ticket.number,
            reply: reply_to(Some(head)),
            address: arrival.peer,
            user: attributes.get::<Identity>().map(|identity| identity.user().into()),
            path: head.path().into(),
            until,
            otherwise,
        });
    }
}

/// Sends the head of a response that goes on, and joins the room; to a `HEAD` request, the head is all.
fn begin_following<S: Service>(
    follow: Follow,
    path: Box<str>,
    reply: Reply,
    reach: &mut Reach<'_, S>,
) -> State {
    let date = reach.turn.date().to_owned();
    if reply.head_only || follow.head.encode_open(&mut reach.turn.replies, &date).is_err() {
        let _ends_anyway = encode(&follow.head.close(), reply, reach);
        return last(reach);
    }
    reach.turn.send_replies(reach.outbound);
    State::Following(Box::new(Following::begin(follow, path, reach.key, reach.outbound, reach.turn)))
}

/// Ends a connection whose request did not come in time; an idle one is closed without a word.
pub(crate) fn expire<S>(exchange: Option<&Exchange>, reach: &mut Reach<'_, S>) {
    match exchange {
        Some(exchange) if exchange.is_waiting() || exchange.body.is_some() => {
            reach.turn.metrics.hit(Limit::MessageTimeout);
        }
        Some(_) => reach.turn.metrics.hit(Limit::HandshakeTimeout),
        None => reach.turn.metrics.hit(Limit::IdleTimeout),
    }
    if let Some(exchange) = exchange {
        let (status, detail) = if exchange.is_waiting() {
            (Status::SERVICE_UNAVAILABLE, "the answer took too long")
        } else {
            (Status::REQUEST_TIMEOUT, "the request was not complete in time")
        };
        let in_head = !exchange.is_waiting() && exchange.body.is_none();
        let limit = if in_head { Limit::HandshakeTimeout } else { Limit::MessageTimeout };
        let response = Problem::new(status, detail).response().close().limited_by(limit.full_key());
        let _ends_anyway = respond(&response, None, &Requester::of(&exchange.arrival), reach);
    }
    last(reach);
}

/// Refuses a connection before it said anything.
pub(crate) fn turn_away<S>(arrival: &Arrival, limit: Limit, reach: &mut Reach<'_, S>) {
    let _ends_anyway = respond(&too_many_connections(limit), None, &Requester::of(arrival), reach);
    last(reach);
}

fn too_many_connections(limit: Limit) -> Response {
    let response = Problem::new(Status::SERVICE_UNAVAILABLE, "too many connections").response();
    response.header("Retry-After", "1").close().limited_by(limit.full_key())
}

/// Answers what cannot be understood, and ends the connection.
fn refuse<S>(
    status: Status,
    detail: &'static str,
    requester: &Requester<'_>,
    reach: &mut Reach<'_, S>,
) -> Step {
    let limit = match status {
        Status::REQUEST_HEADER_FIELDS_TOO_LARGE => Some(Limit::RequestHeadBytes),
        Status::CONTENT_TOO_LARGE => Some(Limit::BodyBytes),
        _ => None,
    };
    let mut response = Problem::new(status, detail).response().close();
    if let Some(limit) = limit {
        reach.turn.metrics.hit(limit);
        response = response.limited_by(limit.full_key());
    }
    let _ends_anyway = respond(&response, None, requester, reach);
    Step::Last
}

fn last<S>(reach: &mut Reach<'_, S>) -> State {
    reach.turn.send_replies(reach.outbound);
    reach.outbound.finish();
    State::Draining
}

/// Adds a response to the replies. `None` if the connection ends with it.
fn respond<S>(
    response: &Response,
    head: Option<&Head<'_>>,
    requester: &Requester<'_>,
    reach: &mut Reach<'_, S>,
) -> Option<()> {
    let hint = incidents::hint_for(response, head);
    if hint.is_some() || incidents::is_refusal(response.status()) {
        incidents::report(response, head, hint, requester, reach.turn);
    }
    encode(response, reply_to(head), reach)
}

fn reply_to(head: Option<&Head<'_>>) -> Reply {
    let head_only = head.is_some_and(|head| head.method() == Method::Head);
    Reply { head_only, keep_alive: head.is_some_and(Head::keep_alive) }
}

fn encode<S>(response: &Response, reply: Reply, reach: &mut Reach<'_, S>) -> Option<()> {
    let keep_alive = reply.keep_alive && !response.closes();
    let date = reach.turn.date().to_owned();
    let start = reach.turn.replies.len();
    if let Err(error) = response.encode(&mut reach.turn.replies, Reply { keep_alive, ..reply }, &date) {
        tracing::error!(%error, "a response could not be written");
        reach.turn.replies.truncate(start);
        let failure = Response::new(Status::INTERNAL_SERVER_ERROR).close();
        let _static_text =
            failure.encode(&mut reach.turn.replies, Reply { keep_alive: false, ..reply }, &date);
        return None;
    }
    keep_alive.then_some(())
}
