//! Requests and responses on one connection, until it becomes a WebSocket or ends (RFC 9112).

use super::pending::Pending;
use super::respond::{encode, refuse, reply_to, respond, send_last, too_many_connections};
use super::streaming::Streaming;
use super::websocket::{Agreed, WebSocket};
use crate::auth::Identity;
use crate::http::{BodyDecoder, BodyFraming, Head, Problem, Response, ResponseFraming, Status};
use crate::limit_hits::Limit;
use crate::proxy::Forwarded;
use crate::reactor::api::answer::Answer;
use crate::reactor::api::attributes::Attributes;
use crate::reactor::api::peer_info::PeerInfo;
use crate::reactor::api::stream_response::StreamResponse;
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::env::Env;
use crate::reactor::reports::request;
use crate::reactor::reports::request::Requester;
use crate::reactor::service::{Route, Service};
use crate::reactor::state::LoopState;
use crate::transport::{Charge, Client};

/// Bytes of responses that are gathered before they are written and the next pipelined request is looked at: one write for
/// many short answers, and no unbounded buffer for a client that pipelines and does not read.
const RESPONSES_BYTES_MAX: usize = 256 * 1024;

/// What has arrived of the next request.
#[derive(Debug)]
pub(crate) struct Http1 {
    peer_info: PeerInfo,
    /// When the head, or the body that follows it, has to be complete.
    pub(crate) deadline: Tick,
    /// Bytes not used yet; while a body is being read, its head.
    buffer: Vec<u8>,
    /// How much of `buffer` holds no end of a head.
    searched: usize,
    body: Option<Box<Body>>,
    /// A request that is answered later; nothing is read meanwhile.
    pending: Option<Pending>,
    held: Charge,
}

#[derive(Debug)]
struct Body {
    decoder: BodyDecoder,
    bytes: Vec<u8>,
    /// Who answers.
    next: AfterBody,
}

/// What follows a body.
#[derive(Debug)]
enum AfterBody {
    /// An answer that does not depend on it.
    Respond(Response),
    /// The service is asked, with what is attached to the request.
    Ask(Attributes),
}

/// What the connection goes on with.
#[derive(Debug)]
pub(crate) enum Next {
    /// More requests; the box is absent between two of them.
    Http(Option<Box<Http1>>),
    /// Frames.
    WebSocket(WebSocket),
    /// A response that follows a room.
    Streaming(Box<Streaming>),
    /// Nothing: all has been said.
    Drain,
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
    Streaming(Next),
    /// The connection is a WebSocket from this many bytes on.
    Upgraded(usize, WebSocket),
}

impl Http1 {
    /// Waits for a head, from now on.
    pub(crate) fn new(peer_info: PeerInfo, shared: &LoopState) -> Http1 {
        let deadline = shared.now.saturating_add(ticks(shared.limits.handshake_timeout));
        let held = shared.waiting.charge();
        Http1 { peer_info, deadline, buffer: Vec::new(), searched: 0, body: None, pending: None, held }
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

    /// The number of the request that waits for its answer.
    #[cfg(debug_assertions)]
    pub(crate) fn awaited(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.number)
    }

    /// The user who waits for an answer, if known, and the path of the request.
    pub(crate) fn asked(&self) -> Option<(Option<&str>, &str)> {
        self.pending.as_ref().map(|pending| (pending.user.as_deref(), &*pending.path))
    }

    /// Sends the answer that the connection waits for.
    pub(crate) fn answer<S: Service>(mut self, response: &Response, env: &mut Env<'_, S>) -> Next {
        if let Some(pending) = self.pending.take() {
            self.deadline = self.next_deadline(env.shared);
            if request::is_refusal(response.status()) {
                pending.report(response, env.shared);
            }
            if encode(response, pending.reply, env).is_none() {
                return last(env);
            }
            env.shared.send_replies(env.outbound);
        }
        self.into_state()
    }

    /// The same with an answer that goes on with the messages of a room.
    pub(crate) fn follow<S: Service>(mut self, follow: StreamResponse, env: &mut Env<'_, S>) -> Next {
        match self.pending.take() {
            Some(Pending { reply, path, .. }) => begin_streaming(follow, path, reply, env),
            None => self.into_state(),
        }
    }

    /// Gives the answer for a request that none has come for in time, if there is one. It lets go of everything that
    /// waited for an answer, so that what comes of it later is dropped.
    pub(crate) fn answer_with_fallback<S: Service>(mut self, env: &mut Env<'_, S>) -> Next {
        match self.pending.as_mut().and_then(|pending| pending.fallback.take()) {
            Some(fallback) => self.answer(&fallback.make(), env),
            None => self.into_state(),
        }
    }

    /// Whether a request waits that is answered in any case.
    pub(crate) fn has_fallback(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.fallback.is_some())
    }

    /// Says that what was received, in whole or in part, is not answered any more.
    pub(crate) fn refuse_rest<S>(&self, env: &mut Env<'_, S>) {
        if self.body.is_some() || self.pending.is_some() || !self.buffer.is_empty() {
            let response = Problem::new(Status::SERVICE_UNAVAILABLE, "the server shuts down").response();
            let response = response.header("Retry-After", "1").close();
            let _ends_anyway = respond(&response, None, &Requester::of(&self.peer_info), env);
            env.shared.send_replies(env.outbound);
        }
    }

    /// Ends a connection whose request, or its answer, did not come in time.
    pub(crate) fn expire<S>(&self, env: &mut Env<'_, S>) {
        let in_head = self.is_in_head();
        let limit = if in_head { Limit::HandshakeTimeout } else { Limit::MessageTimeout };
        env.shared.limit_hits.hit(limit);
        let (status, detail) = if self.is_waiting() {
            (Status::SERVICE_UNAVAILABLE, "the answer took too long")
        } else {
            (Status::REQUEST_TIMEOUT, "the request was not complete in time")
        };
        let response = Problem::new(status, detail).response().close().limited_by(limit.full_key());
        if let Some(pending) = &self.pending {
            pending.report(&response, env.shared);
            let _ends_anyway = encode(&response, pending.reply, env);
        } else {
            let (head, peer_info) = self.begun(env.shared);
            let _ends_anyway = respond(&response, head.as_ref(), &Requester::of(&peer_info), env);
        }
        send_last(env);
    }

    /// Bytes of a request that is not finished.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    fn into_state(mut self) -> Next {
        let body = self.body.as_ref().map_or(0, |body| body.bytes.capacity());
        self.held.set(self.buffer.capacity() + body);
        let between_requests = self.body.is_none() && self.pending.is_none() && self.buffer.is_empty();
        Next::Http((!between_requests).then(|| Box::new(self)))
    }

    /// Takes what was read and answers whatever is complete.
    pub(crate) fn receive<S: Service>(mut self, bytes: &mut [u8], env: &mut Env<'_, S>) -> Next {
        let mut joined;
        let input = if self.body.is_some() || self.buffer.is_empty() {
            bytes
        } else {
            joined = std::mem::take(&mut self.buffer);
            joined.extend_from_slice(bytes);
            &mut joined
        };
        let mut used = 0;
        while used < input.len() && self.pending.is_none() && env.shared.replies.len() < RESPONSES_BYTES_MAX {
            match self.step(&input[used..], env) {
                Step::Used(more) => {
                    used += more;
                    self.deadline = self.next_deadline(env.shared);
                }
                Step::Starved => break,
                Step::Last => return last(env),
                Step::Streaming(state) => return state,
                Step::Upgraded(more, mut websocket) => {
                    websocket.receive(&mut input[used + more..], env);
                    return Next::WebSocket(websocket);
                }
            }
        }
        env.shared.send_replies(env.outbound);
        if self.body.is_none() {
            self.buffer.extend_from_slice(&input[used..]);
        }
        self.into_state()
    }

    fn step<S: Service>(&mut self, input: &[u8], env: &mut Env<'_, S>) -> Step {
        if self.body.is_some() {
            return self.read_body(input, env);
        }
        let limits = env.shared.limits.clone();
        let (head, len) = match Head::parse(input, self.searched, &limits.head) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => {
                self.searched = input.len();
                return Step::Starved;
            }
            Err(error) => {
                refuse(error.status(), error.message(), None, &Requester::of(&self.peer_info), env);
                return Step::Last;
            }
        };
        self.searched = 0;
        let peer_info = self.peer_info_of(&head, env.shared);
        let requester = Requester::of(&peer_info);
        match env.service.route(&head, &peer_info) {
            // The connection was not counted, for it is its proxy's.
            Route::Upgrade { .. }
                if peer_info != self.peer_info
                    && !peer_info.admin
                    && env.shared.is_crowded(peer_info.peer.ip()) =>
            {
                env.shared.limit_hits.hit(Limit::ConnectionsPerIp);
                let response = too_many_connections(Limit::ConnectionsPerIp);
                let _ends_anyway = respond(&response, Some(&head), &requester, env);
                Step::Last
            }
            Route::Upgrade { endpoint, accepted, message_bytes_max, rate_limits, admission } => {
                let client = Client { address: peer_info.peer, secure: peer_info.secure };
                env.outbound.stream().set_client(client);
                accepted.encode(&mut env.shared.replies);
                env.shared.counters.count_handshake(Status::SWITCHING_PROTOCOLS);
                let agreed = Agreed::new(endpoint, &accepted, env.shared);
                // At once: from `open` on, other threads may write to this socket.
                env.shared.send_replies(env.outbound);
                let websocket =
                    WebSocket::open(agreed, message_bytes_max, rate_limits, &head, admission, env);
                Step::Upgraded(len, websocket)
            }
            Route::Respond(response) if head.body_framing() == BodyFraming::None => {
                respond(&response, Some(&head), &requester, env).map_or(Step::Last, |()| Step::Used(len))
            }
            // The body may never come: the client was told not to expect more, or waits for our word to send it.
            Route::Respond(response) if response.closes() || head.expects_continue() => {
                let _ends_anyway = respond(&response.close(), Some(&head), &requester, env);
                Step::Last
            }
            Route::Respond(response) => {
                self.expect_body(&head, &input[..len], limits.body_bytes, AfterBody::Respond(response), env)
            }
            Route::ReadBody { attributes, .. } if head.body_framing() == BodyFraming::None => {
                self.ask(&head, &[], &peer_info, &attributes, len, env)
            }
            Route::ReadBody { bytes_max, attributes } => {
                self.expect_body(&head, &input[..len], bytes_max, AfterBody::Ask(attributes), env)
            }
        }
    }

    /// The head of the request whose body is under way, if one is, and where it comes from; for what the log says of it.
    fn begun(&self, shared: &LoopState) -> (Option<Head<'_>>, PeerInfo) {
        let parsed = self.body.as_ref().and_then(|_| Head::parse(&self.buffer, 0, &shared.limits.head).ok());
        let head = parsed.flatten().map(|(head, _)| head);
        let peer_info = head.as_ref().map_or(self.peer_info, |head| self.peer_info_of(head, shared));
        (head, peer_info)
    }

    /// Where a request comes from, which a proxy may know better than its connection.
    fn peer_info_of(&self, head: &Head<'_>, shared: &LoopState) -> PeerInfo {
        match Forwarded::read(self.peer_info.peer, &shared.limits.trusted, head.fields()) {
            Some(Forwarded { client, secure }) => {
                PeerInfo { peer: client, secure: secure.unwrap_or(self.peer_info.secure), ..self.peer_info }
            }
            None => self.peer_info,
        }
    }

    /// What is under way could not be read until now: its time begins anew.
    pub(crate) fn put_off(&mut self, shared: &LoopState) {
        self.deadline = self.deadline.max(self.next_deadline(shared));
    }

    /// What is under way ends no later than the limits say now.
    pub(crate) fn tighten(&mut self, shared: &LoopState) {
        self.deadline = self.deadline.min(self.next_deadline(shared));
    }

    fn next_deadline(&self, shared: &LoopState) -> Tick {
        let limits = &shared.limits;
        if let Some(until) = self.pending.as_ref().and_then(|pending| pending.until) {
            return until;
        }
        let time = if self.body.is_some() || self.pending.is_some() {
            limits.message_timeout
        } else {
            limits.handshake_timeout
        };
        shared.now.saturating_add(ticks(time))
    }

    fn expect_body<S>(
        &mut self,
        head: &Head<'_>,
        head_bytes: &[u8],
        bytes_max: usize,
        next: AfterBody,
        env: &mut Env<'_, S>,
    ) -> Step {
        let mut decoder = BodyDecoder::new(head.body_framing(), bytes_max);
        // A declared length that is too long is refused before anything of it is asked for.
        if let Err(error) = decoder.receive(&[], &mut Vec::new()) {
            let peer_info = self.peer_info_of(head, env.shared);
            refuse(error.status(), error.message(), Some(head), &Requester::of(&peer_info), env);
            return Step::Last;
        }
        self.buffer = head_bytes.to_vec();
        if head.expects_continue() && matches!(next, AfterBody::Ask(_)) {
            env.shared.replies.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.body = Some(Box::new(Body { decoder, bytes: Vec::new(), next }));
        Step::Used(head_bytes.len())
    }

    fn read_body<S: Service>(&mut self, input: &[u8], env: &mut Env<'_, S>) -> Step {
        let Some(mut body) = self.body.take() else { return Step::Starved };
        let progress = match body.decoder.receive(input, &mut body.bytes) {
            Ok(progress) => progress,
            Err(error) => {
                self.body = Some(body);
                let (head, peer_info) = self.begun(env.shared);
                refuse(error.status(), error.message(), head.as_ref(), &Requester::of(&peer_info), env);
                return Step::Last;
            }
        };
        if matches!(body.next, AfterBody::Respond(_)) {
            body.bytes.clear();
        }
        if !progress.complete {
            self.body = Some(body);
            return Step::Starved;
        }
        let head_bytes = std::mem::take(&mut self.buffer);
        // The head was parsed before, so it parses again.
        let Ok(Some((head, _))) = Head::parse(&head_bytes, 0, &env.shared.limits.clone().head) else {
            return Step::Last;
        };
        let peer_info = self.peer_info_of(&head, env.shared);
        let used = progress.consumed;
        match body.next {
            AfterBody::Respond(answer) => respond(&answer, Some(&head), &Requester::of(&peer_info), env)
                .map_or(Step::Last, |()| Step::Used(used)),
            AfterBody::Ask(attributes) => self.ask(&head, &body.bytes, &peer_info, &attributes, used, env),
        }
    }

    /// Has the service answer a request that took `used` bytes.
    fn ask<S: Service>(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        peer_info: &PeerInfo,
        attributes: &Attributes,
        used: usize,
        env: &mut Env<'_, S>,
    ) -> Step {
        debug_assert!(self.pending.is_none(), "a request was taken while another waits for its answer");
        let ticket = env.shared.next_ticket(env.key);
        match env.service.respond(head, body, peer_info, attributes, ticket) {
            Answer::Now(response) => {
                let identity = attributes.get::<Identity>();
                let user = identity.as_deref().map(Identity::user);
                let requester = Requester { address: peer_info.peer, user };
                return respond(&response, Some(head), &requester, env)
                    .map_or(Step::Last, |()| Step::Used(used));
            }
            Answer::Stream(follow) => {
                let path = head.path().into();
                return Step::Streaming(begin_streaming(*follow, path, reply_to(Some(head)), env));
            }
            Answer::Pending => {
                self.pending = Some(Pending::new(head, peer_info, attributes, ticket));
            }
            Answer::PendingUntil(after, fallback) => {
                let until = env.shared.now.saturating_add(ticks(after));
                self.pending = Some(Pending::new(head, peer_info, attributes, ticket).until(until, fallback));
            }
        }
        Step::Used(used)
    }
}

/// Goes on with a response that follows a room; to a `HEAD` request, the head is all.
fn begin_streaming<S: Service>(
    follow: StreamResponse,
    path: Box<str>,
    reply: ResponseFraming,
    env: &mut Env<'_, S>,
) -> Next {
    Streaming::open(follow, path, reply, env)
        .map_or_else(|| last(env), |streaming| Next::Streaming(Box::new(streaming)))
}

fn last<S>(env: &mut Env<'_, S>) -> Next {
    send_last(env);
    Next::Drain
}
