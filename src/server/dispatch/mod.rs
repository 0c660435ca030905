//! From the reactor's calls to the application's.
//!
//! | file | subject |
//! |---|---|
//! | this one | what serves: the router, the rules, the rooms |
//! | `service` | the reactor's calls, each handed to one of the others |
//! | `route` | what to do with a request, decided from its head |
//! | `upgrade` | the opening handshake of an endpoint |
//! | `request` | requests for an API, from the head to the answer |
//! | `session` | what happens to a session, told to its handler |

mod request;
mod route;
mod service;
mod session;
mod upgrade;

use super::auth::session::Authentication;
use super::contained::{Panicked, contained, handler_failed};
use super::rooms::Rooms;
use super::router::Router;
use super::rules::CurrentRules;
use super::settings::deflate_terms;
use crate::config::Config;
use crate::handshake::DeflateTerms;
use crate::http::{Head, Response};
use crate::reactor::{Attributes, InboxSender, PeerInfo};

/// The reactor's service: the router and what holds for all endpoints.
#[derive(Debug)]
pub(super) struct Dispatch {
    router: Router,
    rules: CurrentRules,
    authentication: Authentication,
    /// Whether operators have a listener of their own.
    has_admin: bool,
    deflate: bool,
    deflate_terms: DeflateTerms,
    inbox: InboxSender,
    rooms: Rooms,
}

impl Dispatch {
    pub(super) fn new(
        router: Router,
        config: &Config,
        rules: CurrentRules,
        inbox: &InboxSender,
        rooms: Rooms,
    ) -> Dispatch {
        router.endpoints.iter().for_each(|endpoint| endpoint.handler.attach(&rooms));
        Dispatch {
            router,
            authentication: Authentication::new(rules.now().token_policy.is_some()),
            rules,
            has_admin: !config.admin.listen.is_empty(),
            deflate: config.deflate.enabled,
            deflate_terms: deflate_terms(&config.deflate),
            inbox: inbox.clone(),
            rooms,
        }
    }

    pub(super) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Has the interceptors look at a request.
    fn intercept(&self, head: &Head<'_>, peer_info: &PeerInfo) -> Result<Attributes, Response> {
        let mut attributes = Attributes::default();
        for interceptor in &self.router.interceptors.0 {
            contained(|| interceptor.before(head, peer_info, &mut attributes))
                .unwrap_or_else(|Panicked| Err(handler_failed()))?;
        }
        Ok(attributes)
    }
}
