//! A request that is answered later.

use std::net::SocketAddr;

use super::respond::reply_to;
use crate::auth::Identity;
use crate::http::{Head, Response, ResponseFraming};
use crate::reactor::api::answer::Fallback;
use crate::reactor::api::attributes::Attributes;
use crate::reactor::api::peer_info::PeerInfo;
use crate::reactor::api::ticket::Ticket;
use crate::reactor::clock::wheel::Tick;
use crate::reactor::reports::request::{self, Requester};
use crate::reactor::state::LoopState;

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) number: u64,
    pub(super) reply: ResponseFraming,
    /// Who asked for what, for the log.
    address: SocketAddr,
    pub(super) user: Option<Box<str>>,
    pub(super) path: Box<str>,
    /// When it has to be answered, if not within the usual time; and what is answered then if no other answer has come.
    pub(super) until: Option<Tick>,
    pub(super) fallback: Option<Fallback>,
}

impl Pending {
    pub(super) fn new(
        head: &Head<'_>,
        peer_info: &PeerInfo,
        attributes: &Attributes,
        ticket: Ticket,
    ) -> Pending {
        Pending {
            number: ticket.number,
            reply: reply_to(Some(head)),
            address: peer_info.peer,
            user: attributes.get::<Identity>().map(|identity| identity.user().into()),
            path: head.path().into(),
            until: None,
            fallback: None,
        }
    }

    /// The same, answered like this at this time if it was not before.
    pub(super) fn until(self, until: Tick, fallback: Fallback) -> Pending {
        Pending { until: Some(until), fallback: Some(fallback), ..self }
    }

    /// Tells the operator that it was refused.
    pub(super) fn report(&self, response: &Response, shared: &mut LoopState) {
        let requester = Requester { address: self.address, user: self.user.as_deref() };
        request::report_late(response, &self.path, &requester, shared);
    }
}
