//! What a session, or a request, borrows during an event.

use std::net::SocketAddr;
use std::sync::Arc;

use super::key::Key;
use super::listen::quotas::Counted;
use super::service::Service;
use super::session::context::Context;
use super::session::state::SessionState;
use super::state::LoopState;
use crate::transport::Outbound;

/// What else is needed to let a session act.
pub(crate) struct Env<'a, S> {
    pub(crate) key: Key,
    pub(crate) outbound: &'a Arc<Outbound>,
    pub(crate) counted: &'a Counted,
    pub(crate) shared: &'a mut LoopState,
    pub(crate) service: &'a mut S,
}

impl<S> Env<'_, S> {
    /// The address of the client, for operators.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.counted.address(self.outbound)
    }
}

impl<S: Service> Env<'_, S> {
    pub(crate) fn context<'c>(&'c mut self, state: &'c mut SessionState) -> (&'c mut S, Context<'c>) {
        (self.service, Context { key: self.key, outbound: self.outbound, state, shared: self.shared })
    }
}
