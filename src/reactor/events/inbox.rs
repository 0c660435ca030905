//! What other threads want of the reactor.

use std::sync::Arc;

use crate::limit_hits::Limit;
use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::api::ticket::Ticket;
use crate::reactor::connection::deadlines::after_event;
use crate::reactor::connection::http::{Http1, Next};
use crate::reactor::connection::states::ConnectionState;
use crate::reactor::connection::websocket::WebSocket;
use crate::reactor::counters::ReactorStats;
use crate::reactor::env::Env;
use crate::reactor::inbox::message::ReactorMessage;
use crate::reactor::key::Key;
use crate::reactor::parts::{Life, Reactor};
use crate::reactor::reports;
use crate::reactor::service::Service;
use crate::rooms::{Command, RejectReason, RoomRequest, SessionEffect, SessionKey};
use crate::ws::CloseCode;

/// Messages that are handled before the sockets get their turn again. A quarter of what the inbox holds, so that one turn
/// does not keep the sockets waiting for all of them.
const MESSAGES_PER_TURN: usize = 1024;

impl<S: Service> Reactor<S> {
    /// Handles the messages of one turn. The rest waits for the next turn.
    pub(crate) fn read_inbox(&mut self) {
        self.inbox.clear_wakeup();
        for _ in 0..MESSAGES_PER_TURN {
            let Some(message) = self.inbox.next() else {
                self.inbox_waits = false;
                return;
            };
            // Its answer asks for the next part at once, which must not come to its turn before the sockets do.
            let ends_turn = matches!(message, ReactorMessage::FindSessions(..));
            self.take_message(message);
            if ends_turn {
                break;
            }
        }
        // Messages behind the inbox would never have their turn while other threads keep it full.
        for message in self.inbox.take_overflow() {
            self.take_message(message);
        }
        self.inbox_waits = true;
    }

    fn take_message(&mut self, message: ReactorMessage) {
        match message {
            ReactorMessage::Effect(effect) => self.carry_out(effect),
            ReactorMessage::Request(request) => self.pass_on(request),
            ReactorMessage::RequestShard(shard, request) => {
                if let Some(shard) = self.shared.shards.get_mut(shard) {
                    shard.push(Command::Request(request));
                }
            }
            ReactorMessage::Response(ticket, response) => {
                self.answer(ticket, |http1, env| http1.answer(&response, env));
            }
            ReactorMessage::Stream(ticket, follow) => {
                self.answer(ticket, |http1, env| http1.follow(*follow, env));
            }
            ReactorMessage::Closing(key, code, reason) => {
                self.with_websocket(key, |websocket, env| websocket.closed_elsewhere(code, &reason, env));
            }
            ReactorMessage::Event(key, event) => {
                self.with_websocket(key, |websocket, env| websocket.event(event, env));
            }
            ReactorMessage::Count(reply) => reply.send(self.stats()),
            ReactorMessage::Ended(after, reply) => reply.send(self.shared.ended.after(after)),
            ReactorMessage::FindSessions(text, from, reply) => reply.send(self.find_sessions(&text, from)),
            ReactorMessage::Disconnect(session, id, reply) => reply.send(self.disconnect(session, id)),
            ReactorMessage::Certificate(certificate) => self.certificate = Some(certificate),
            // Compression was agreed on with each session as it was.
            ReactorMessage::Limits(limits) => {
                let mut limits = *limits;
                limits.deflate = self.shared.limits.deflate;
                // A shutdown that has begun ends when it was to: its steps are counted back from there.
                if self.life != Life::Serving {
                    limits.shutdown_grace = self.shared.limits.shutdown_grace;
                }
                self.shared.limits = Arc::new(limits);
                self.review_from = Some(0);
            }
            ReactorMessage::Config(config) => self.service.reconfigure(&config),
            ReactorMessage::Shutdown => self.begin_shutdown(),
        }
    }

    /// Closes a connection because an operator wants it gone.
    fn disconnect(&mut self, session: SessionKey, id: u128) -> bool {
        let key = Key::from_bits(session.0);
        let is_there = self.connections.get(key).is_some() && self.shared.session_id(key) == id;
        if is_there {
            let code = CloseCode::KICKED;
            self.close(session, code, "disconnected by an operator", Disconnect::Closed(code));
        }
        is_there
    }

    fn stats(&self) -> ReactorStats {
        let mut counters = self.shared.counters.clone();
        for [messages, bytes] in [self.shared.inbox.sent(), self.shared.waiting.told()] {
            counters.sent_messages += messages;
            counters.sent_bytes += bytes;
        }
        ReactorStats {
            counters,
            connections: self.connections.len(),
            waiting_bytes: self.shared.waiting.bytes(),
            accept_pauses: self.shared.limit_hits.hits(Limit::Descriptors),
            busy: None,
        }
    }

    /// Passes a request on to the shard of its room, unless too much waits there already: then the caller is told.
    fn pass_on(&mut self, request: Box<RoomRequest>) {
        let number = request.room().map_or(0, |room| self.shared.shard_of(room));
        let shard = &mut self.shared.shards[usize::from(number)];
        if shard.is_flooded() && request.can_be_refused() {
            self.shared.limit_hits.hit(Limit::ShardQueue);
            return request.refuse(RejectReason::Unavailable);
        }
        let bytes = request.bytes();
        shard.request(request, bytes);
    }

    /// Does what a shard wants done.
    pub(crate) fn carry_out(&mut self, effect: SessionEffect) {
        match effect {
            SessionEffect::Close(session, why) => {
                if let Some(limit) = why.limit() {
                    self.shared.blamed = Some((Key::from_bits(session.0), limit));
                }
                let code = code_of(why);
                let because =
                    if why == RejectReason::TooSlow { Disconnect::TooSlow } else { Disconnect::Closed(code) };
                self.close(session, code, why.text(), because);
            }
            SessionEffect::Passed => {
                if let Life::Flushing(shards, _) = &mut self.life {
                    *shards = shards.saturating_sub(1);
                }
            }
        }
    }

    /// Answers a request whose answer has not come in time with its fallback.
    pub(crate) fn answer_late(&mut self, key: Key) {
        self.advance_exchange(key, |_| true, Http1::answer_with_fallback);
    }

    /// Passes on the answer to a request that has waited for it. An answer that no request waits for any more is dropped.
    fn answer(&mut self, ticket: Ticket, answer: impl FnOnce(Http1, &mut Env<'_, S>) -> Next) {
        if !self.advance_exchange(ticket.key, |http1| http1.waits_for(ticket.number), answer) {
            self.shared.limit_hits.hit(Limit::LateAnswers);
        }
    }

    /// Has an exchange go on if it `fits`; false, and nothing is changed, if there is none that does.
    fn advance_exchange(
        &mut self,
        key: Key,
        fits: impl FnOnce(&Http1) -> bool,
        advance: impl FnOnce(Http1, &mut Env<'_, S>) -> Next,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if !connection.http().is_some_and(fits) {
            return false;
        }
        let Some(http1) = connection.take_http() else { return false };
        let (shared, service) = (&mut self.shared, &mut self.service);
        let next = advance(
            *http1,
            &mut Env { key, outbound: &connection.outbound, counted: &connection.counted, shared, service },
        );
        connection.advance(next, &mut self.shared);
        connection.make_ready(key, &mut self.shared);
        after_event(key, connection, &mut self.shared);
        true
    }

    /// Ends a response that follows a room; does nothing to any other connection.
    pub(crate) fn stop_streaming(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.leave_stream(&mut self.shared) {
            connection.drain(&self.shared);
            after_event(key, connection, &mut self.shared);
        }
    }

    fn close(&mut self, session: SessionKey, code: CloseCode, reason: &str, because: Disconnect) {
        let key = Key::from_bits(session.0);
        if let Some(connection) = self.connections.get(key)
            && let ConnectionState::Streaming(streaming) = &connection.state
            && let Some(limit) = reports::session::verdict_on(because)
        {
            let blamed = self.shared.blamed.take_if(|(blamed, _)| *blamed == key);
            let limit = limit.or(blamed.map(|(_, limit)| limit.full_key()));
            streaming.report(reason, limit, connection.outbound.stream().peer_addr().ok(), &mut self.shared);
        }
        self.stop_streaming(key);
        self.with_websocket(key, |websocket, env| websocket.close(code, reason, because, env));
    }

    pub(crate) fn with_websocket(&mut self, key: Key, act: impl FnOnce(&mut WebSocket, &mut Env<'_, S>)) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        self.shared.alive_at = connection.alive_at;
        let mut env = Env {
            key,
            outbound: &connection.outbound,
            counted: &connection.counted,
            shared: &mut self.shared,
            service: &mut self.service,
        };
        if let ConnectionState::WebSocket(websocket) = &mut connection.state {
            act(websocket, &mut env);
            after_event(key, connection, &mut self.shared);
        }
    }
}

/// How a session is told that its room does not want it.
fn code_of(why: RejectReason) -> CloseCode {
    match why {
        RejectReason::TooSlow => CloseCode::TOO_SLOW,
        RejectReason::RoomFull
        | RejectReason::TooManyRooms
        | RejectReason::TooManyNewRooms
        | RejectReason::TooManyOpenings
        | RejectReason::Unavailable => CloseCode::TRY_AGAIN_LATER,
        RejectReason::HandlerFailed => CloseCode::INTERNAL,
        RejectReason::NoSuchRoom => CloseCode::POLICY,
        RejectReason::Kicked | RejectReason::Banned => CloseCode::KICKED,
        RejectReason::RoomDeleted => CloseCode::NORMAL,
    }
}
