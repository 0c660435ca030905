//! What the operator hears of connections that are cut: no answer and no Close frame says why.

use std::borrow::Cow;

use crate::metrics::Limit;
use crate::reactor::Reactor;
use crate::reactor::connection::table::{Key, State};
use crate::reactor::reports::incidents::{self, Incident, Kind};
use crate::reactor::service::Service;

impl<S: Service> Reactor<S> {
    /// Tells the operator of a connection that is about to be cut: whose it is and what it does, as far as that is known.
    pub(crate) fn report_cut(
        &mut self,
        key: Key,
        reason: impl Into<Cow<'static, str>>,
        limit: Option<Limit>,
    ) {
        let Some(slot) = self.slots.get(key) else { return };
        let (reason, limit) = (reason.into(), limit.map(Limit::full_key));
        let address = slot.outbound.stream().peer_addr().ok();
        let line = Incident { reason: reason.clone(), limit, ..Incident::default() };
        match &slot.state {
            State::WebSocket(websocket) => {
                let Some((user, room, endpoint)) = websocket.named(&self.service) else { return };
                let path = self.turn.paths.get(usize::from(endpoint)).cloned();
                self.turn.report(Kind::Ended(0), address, || Incident {
                    user: user.map(Into::into),
                    room: room.map(Into::into),
                    path: path.as_deref(),
                    ..line
                });
            }
            State::Following(following) => following.report(&reason, limit, address, &mut self.turn),
            State::Http(Some(exchange)) => self.turn.report(Kind::NotOpened, address, || {
                let (user, path) = exchange.asked().unzip();
                let room = path.and_then(|path| incidents::names(path, "").1);
                Incident { user: user.flatten().map(Into::into), room, path, ..line }
            }),
            State::Http(None) | State::Opening(_) | State::Draining => {
                self.turn.report(Kind::NotOpened, address, || line);
            }
        }
    }
}
