//! What other threads want of the reactor.

use std::sync::Arc;

use crate::metrics::Limit;
use crate::reactor::Reactor;
use crate::reactor::connection::deadlines::http_deadline;
use crate::reactor::connection::http::Exchange;
use crate::reactor::connection::table::{Key, State};
use crate::reactor::connection::websocket::{Reach, WebSocket};
use crate::reactor::events::readiness::after_event;
use crate::reactor::events::shutdown::Life;
use crate::reactor::inbox::mailbox::Letter;
use crate::reactor::reports::incidents;
use crate::reactor::service::{Disconnect, Service, Ticket};
use crate::rooms::{Command, RejectReason, RoomRequest, SessionEffect, SessionKey};
use crate::ws::CloseCode;

/// Letters that are dealt with before the sockets get their turn again. A quarter of what the box holds.
const LETTERS_PER_TURN: usize = 1024;

impl<S: Service> Reactor<S> {
    /// Reads the letters of one turn: as many as would keep the sockets waiting for long are left for the next.
    pub(crate) fn read_letters(&mut self) {
        self.inbox.answer_bell();
        for _ in 0..LETTERS_PER_TURN {
            let Some(letter) = self.inbox.next() else {
                self.letters_wait = false;
                return;
            };
            self.read_letter(letter);
        }
        // Those beside the box would never have their turn while other threads keep it full.
        for letter in self.inbox.take_overflow() {
            self.read_letter(letter);
        }
        self.letters_wait = true;
    }

    fn read_letter(&mut self, letter: Letter) {
        match letter {
            Letter::Effect(effect) => self.carry_out(effect),
            Letter::Ask(ask) => self.pass_on(ask),
            Letter::AskShard(shard, ask) => {
                if let Some(lane) = self.turn.lanes.get_mut(shard) {
                    lane.push(Command::Request(ask));
                }
            }
            Letter::Response(ticket, response) => {
                self.answer(ticket, |exchange, reach| exchange.answer(&response, reach));
            }
            Letter::Follow(ticket, follow) => {
                self.answer(ticket, |exchange, reach| exchange.follow(*follow, reach));
            }
            Letter::Closing(key, code, reason) => {
                self.with_websocket(key, |websocket, reach| websocket.closed_elsewhere(code, &reason, reach));
            }
            Letter::Event(key, event) => {
                self.with_websocket(key, |websocket, reach| websocket.event(event, reach));
            }
            Letter::Certificate(certificate) => self.certificate = Some(certificate),
            // Compression was agreed on with each session as it was.
            Letter::Limits(limits) => {
                let mut limits = *limits;
                limits.deflate = self.turn.limits.deflate;
                // A shutdown that has begun ends when it was to: its steps are counted back from there.
                if self.life != Life::Serving {
                    limits.shutdown_grace = self.turn.limits.shutdown_grace;
                }
                self.turn.limits = Arc::new(limits);
                self.review_from = Some(0);
            }
            Letter::Config(config) => self.service.reconfigure(&config),
            Letter::Shutdown => self.begin_shutdown(),
        }
    }

    /// Passes a question on to the shard of its room, unless too much waits there already: whoever asked is told.
    fn pass_on(&mut self, ask: Box<RoomRequest>) {
        let number = ask.room().map_or(0, |room| self.turn.lane_of(room));
        let lane = &mut self.turn.lanes[usize::from(number)];
        if lane.is_flooded() && ask.can_be_refused() {
            self.turn.metrics.hit(Limit::ShardQueue);
            return ask.refuse(RejectReason::Unavailable);
        }
        let bytes = ask.bytes();
        lane.request(ask, bytes);
    }

    /// Does what a shard wants done.
    pub(crate) fn carry_out(&mut self, effect: SessionEffect) {
        match effect {
            SessionEffect::Close(session, why) => {
                if let Some(limit) = limit_of(why) {
                    self.turn.blamed = Some((Key::from_bits(session.0), limit));
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

    /// Answers a request that nobody else has answered in time.
    pub(crate) fn answer_late(&mut self, key: Key) {
        self.advance_exchange(key, |_| true, Exchange::answer_otherwise);
    }

    /// Passes on the answer to a request that has waited for it. One that nobody waits for any more is dropped.
    fn answer(&mut self, ticket: Ticket, answer: impl FnOnce(Exchange, &mut Reach<'_, S>) -> State) {
        if !self.advance_exchange(ticket.key, |exchange| exchange.waits_for(ticket.number), answer) {
            self.turn.metrics.hit(Limit::LateAnswers);
        }
    }

    /// Has an exchange go on if it `fits`; false, and nothing is changed, if there is none that does.
    fn advance_exchange(
        &mut self,
        key: Key,
        fits: impl FnOnce(&Exchange) -> bool,
        advance: impl FnOnce(Exchange, &mut Reach<'_, S>) -> State,
    ) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        let State::Http(exchange) = &mut slot.state else { return false };
        let Some(exchange) = exchange.take_if(|exchange| fits(exchange)) else { return false };
        let (turn, service) = (&mut self.turn, &mut self.service);
        let mut reach = Reach { key, outbound: &slot.outbound, turn, service };
        slot.state = advance(*exchange, &mut reach);
        slot.deadline = http_deadline(slot, &self.turn);
        self.turn.make_ready(key, slot);
        after_event(key, slot, &mut self.turn);
        true
    }

    /// Ends a response that follows a room; does nothing to any other connection.
    pub(crate) fn stop_following(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if !matches!(slot.state, State::Following(_)) {
            return;
        }
        if let State::Following(following) = std::mem::replace(&mut slot.state, State::Draining) {
            following.end(&mut self.turn);
        }
        slot.outbound.finish();
        slot.deadline = 0;
        after_event(key, slot, &mut self.turn);
    }

    fn close(&mut self, session: SessionKey, code: CloseCode, reason: &str, because: Disconnect) {
        let key = Key::from_bits(session.0);
        if let Some(slot) = self.slots.get(key)
            && let State::Following(following) = &slot.state
            && let Some(limit) = incidents::verdict_on(because)
        {
            let blamed = self.turn.blamed.take_if(|(blamed, _)| *blamed == key);
            let limit = limit.or(blamed.map(|(_, limit)| limit.full_key()));
            following.report(reason, limit, slot.outbound.stream().peer_addr().ok(), &mut self.turn);
        }
        self.stop_following(key);
        self.with_websocket(key, |websocket, reach| websocket.close(code, reason, because, reach));
    }

    pub(crate) fn with_websocket(&mut self, key: Key, act: impl FnOnce(&mut WebSocket, &mut Reach<'_, S>)) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        self.turn.alive_at = slot.alive_at;
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        if let State::WebSocket(websocket) = &mut slot.state {
            act(websocket, &mut reach);
            after_event(key, slot, &mut self.turn);
        }
    }
}

/// The limit that a session has run into if its room does not want it. The rooms have counted it.
fn limit_of(why: RejectReason) -> Option<Limit> {
    match why {
        RejectReason::RoomFull => Some(Limit::MembersPerRoom),
        RejectReason::TooManyRooms => Some(Limit::Rooms),
        RejectReason::TooManyNewRooms => Some(Limit::RoomCreations),
        // One of two limits.
        RejectReason::TooManyOpenings => None,
        RejectReason::TooSlow
        | RejectReason::NoSuchRoom
        | RejectReason::Unavailable
        | RejectReason::Kicked
        | RejectReason::Banned
        | RejectReason::RoomDeleted
        | RejectReason::HandlerFailed => None,
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
