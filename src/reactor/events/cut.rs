//! What the operator hears of connections that are cut: no answer and no Close frame says why.

use std::borrow::Cow;

use crate::limit_hits::Limit;
use crate::reactor::connection::states::ConnectionState;
use crate::reactor::incidents::{Incident, Kind};
use crate::reactor::key::Key;
use crate::reactor::parts::Reactor;
use crate::reactor::reports::names;
use crate::reactor::service::Service;

impl<S: Service> Reactor<S> {
    /// Tells the operator of a connection that is about to be cut: whose it is and what it does, as far as that is known.
    pub(crate) fn report_cut(
        &mut self,
        key: Key,
        reason: impl Into<Cow<'static, str>>,
        limit: Option<Limit>,
    ) {
        let Some(connection) = self.connections.get(key) else { return };
        let (reason, limit) = (reason.into(), limit.map(Limit::full_key));
        let address = connection.counted.address(&connection.outbound);
        let line = Incident { reason: reason.clone(), ..Incident::default() };
        match &connection.state {
            ConnectionState::WebSocket(websocket) => {
                let Some((user, room, endpoint)) = websocket.named(&self.service) else { return };
                let path = self.shared.paths.get(usize::from(endpoint)).cloned();
                self.shared.report(Kind::Cut, limit, address, || Incident {
                    user: user.map(Into::into),
                    room: room.map(Into::into),
                    path: path.as_deref(),
                    ..line
                });
            }
            ConnectionState::Streaming(streaming) => {
                streaming.report(&reason, limit, address, &mut self.shared)
            }
            ConnectionState::Http(http1) => self.shared.report(Kind::NotOpened, limit, address, || {
                let (user, path) = http1.asked().unzip();
                let room = path.and_then(|path| names::names(path, "").1);
                Incident { user: user.flatten().map(Into::into), room, path, ..line }
            }),
            ConnectionState::Idle { .. }
            | ConnectionState::Preamble(_)
            | ConnectionState::Draining { .. } => {
                self.shared.report(Kind::NotOpened, limit, address, || line);
            }
        }
    }
}
