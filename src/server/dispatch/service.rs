//! The reactor's calls.

use super::Dispatch;
use crate::config::Config;
use crate::http::Head;
use crate::reactor::{
    Answer, Attributes, Context, Disconnect, PeerInfo, Route, Service, Ticket, Timer, UserState,
};
use crate::server::auth::admission::Admission;
use crate::ws::Message;

impl Service for Dispatch {
    type Admission = Admission;

    fn route(&mut self, head: &Head<'_>, peer_info: &PeerInfo) -> Route<'_, Admission> {
        self.route_of(head, peer_info)
    }

    fn respond(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        peer_info: &PeerInfo,
        attributes: &Attributes,
        ticket: Ticket,
    ) -> Answer {
        self.answer(head, body, peer_info, attributes, ticket)
    }

    fn open(&mut self, cx: &mut Context<'_>, head: &Head<'_>, admission: Admission) {
        self.admit(cx, head, admission);
    }

    fn message(&mut self, cx: &mut Context<'_>, message: Message<'_>) {
        if !self.authentication.is_on() || self.is_for_handler(cx, &message) {
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
        self.authentication.end(cx);
    }

    fn reconfigure(&mut self, config: &Config) {
        self.hand_on(config);
    }

    fn names<'s>(&self, endpoint: u16, state: &'s UserState) -> (Option<&'s str>, Option<&'s str>) {
        self.names_in(endpoint, state)
    }

    fn close(&mut self, cx: &mut Context<'_>, reason: Disconnect) {
        self.end(cx, reason);
    }
}
