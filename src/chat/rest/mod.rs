//! The chat over HTTP: rooms, their messages, who is in them; and how the server is.
//!
//! A request is routed, its origin and its rights checked, its input validated, all on the reactor's thread; what takes
//! time is asked of the store or of the rooms, which send the answer. Every error is a problem document (RFC 9457).
//!
//! | file | subject |
//! |---|---|
//! | `routes` | which path and method means which action |
//! | `authorization` | what the user may do |
//! | `cors` | what web pages may ask |
//! | `call` | one request on its way to its action |
//! | `params`, `body` | what comes in the query and in the body |
//! | `answer`, `error` | what goes back, at once or later |
//! | `rooms`, `messages`, `members`, `status`, `backup` | the actions |
//! | `settings` | what a room has its own way |

mod answer;
mod authorization;
mod backup;
mod body;
mod call;
mod cors;
mod error;
mod members;
mod messages;
mod params;
mod rooms;
mod routes;
mod settings;
mod status;

use self::answer::{PendingResponse, ResponsePolicy};
use self::authorization::Authorization;
use self::call::Call;
use self::error::ApiError;
use self::params::Params;
use self::routes::{Action, Found};
use crate::config::Config;
use crate::http::{Access, Head, Response};
use crate::request::answer::refuse_strangers;
use crate::server::{Answer, Api, Audience, Request, Responder, Router};
use crate::store::Store;

/// Everything below `/api/` that no other route takes, and the two questions that load balancers ask.
const PREFIXES: [&str; 3] = ["/api/", "/healthz", "/readyz"];

/// Who is served where, if operators have a listener of their own. Copies are taken at the public one.
const AUDIENCES: [(&str, Audience); 4] = [
    ("/api/chat/", Audience::Everybody),
    ("/api/stats", Audience::Operators),
    ("/healthz", Audience::Everybody),
    ("/readyz", Audience::Everybody),
];

/// Adds the interface, over the rooms that are kept in `store`, which must be the server's own. Nothing of the
/// configuration is kept: what it says now comes with each request.
#[must_use]
pub fn routes(router: Router, _config: &Config, store: &Store) -> Router {
    let rest = Rest { store: store.clone() };
    let router =
        AUDIENCES.into_iter().fold(router, |router, (path, audience)| router.audience(path, audience));
    PREFIXES.into_iter().fold(router, |router, prefix| router.api(prefix, rest.clone()))
}

/// The interface.
#[derive(Clone)]
struct Rest {
    store: Store,
}

impl Api for Rest {
    /// Load balancers have no token.
    fn needs_token(&self, head: &Head<'_>) -> bool {
        !routes::is_open(head.path())
    }

    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        let access = Access::of(request.origins, request.head, request.peer_info.secure);
        let policy = ResponsePolicy::new(&access, request.head);
        let answer = self.answer(request, &access, PendingResponse::new(responder, policy.clone()));
        match answer {
            Ok(None) => Answer::Pending,
            Ok(Some(response)) => Answer::Now(policy.apply(response)),
            Err(refusal) => Answer::Now(policy.apply(refusal.response())),
        }
    }
}

impl Rest {
    /// The answer, unless it comes later.
    fn answer(
        &self,
        request: &Request<'_>,
        access: &Access<'_>,
        pending: PendingResponse,
    ) -> Result<Option<Response>, ApiError> {
        let head = request.head;
        let (action, room, user) = match routes::find(head.path(), head.method())? {
            Found::Action(action, room, user) => (action, room, user),
            Found::Options(allow) => return cors::options(access, head, allow).map(Some),
        };
        if action.changes_something() {
            refuse_strangers(access)?;
        }
        let authorization = Authorization::new(request.identity(), request.is_local());
        authorization.require(action, &room)?;
        if let Some(user) = authorization.known_user(action)
            && request.rooms.bans().holds(&room, user)
        {
            return Err(ApiError::banned());
        }
        let call = Call {
            store: &self.store,
            rooms: request.rooms,
            request,
            params: Params::new(head.query()),
            room: &room,
            user: &user,
            authorization,
            pending,
        };
        carry_out(call, action)?;
        Ok(None)
    }
}

/// Begins the action; its answer goes to `pending`.
fn carry_out(call: Call<'_>, action: Action) -> Result<(), ApiError> {
    match action {
        Action::CreateRoom => rooms::create(call),
        Action::ListRooms => rooms::list(call),
        Action::ShowRoom => rooms::show(call),
        Action::DeleteRoom => rooms::delete(call),
        Action::JoinRoom => rooms::join(call),
        Action::LeaveRoom => rooms::leave(call),
        Action::ReadMessages => messages::read(call),
        Action::PostMessage => messages::post(call),
        Action::ShowOnline => members::online(call),
        Action::Kick => members::kick(call),
        Action::ListBans => members::bans(call),
        Action::LiftBan => members::lift(call),
        Action::ShowStats => status::stats(call),
        Action::BeginBackup => backup::begin(call),
        Action::ReadBackup => backup::read(call),
        Action::EndBackup => backup::end(call),
        Action::CheckHealth => status::health(call),
        Action::CheckReadiness => status::readiness(call),
    }
}
