//! The chat over HTTP: rooms, their messages, who is in them; and how the server is.
//!
//! A request is routed, its origin and its rights checked, its input validated, all on the reactor's thread; what takes time is asked of
//! the store or of the rooms, and whoever has the answer sends it. Every error is a problem document (RFC 9457).
//!
//! | file | subject |
//! |---|---|
//! | `routes` | which path and method means which action |
//! | `authorization` | what the user may do |
//! | `cors` | what web pages may ask |
//! | `params`, `body` | what comes in the query and in the body |
//! | `answer`, `error` | what goes back, at once or later |
//! | `rooms`, `messages`, `members`, `status`, `backup` | the actions |
//! | `settings` | what a room has its own way |

mod answer;
mod authorization;
mod backup;
mod body;
mod cors;
mod error;
mod members;
pub(crate) mod messages;
mod params;
mod rooms;
mod routes;
mod settings;
mod status;

use std::borrow::Cow;
use std::time::SystemTime;

use self::answer::{PendingResponse, ResponsePolicy};
use self::authorization::Authorization;
use self::error::ApiError;
use self::params::Params;
use self::routes::{Action, Found};
use super::query;
use crate::config::Config;
use crate::http::{Access, Problem, Response, Status};
use crate::server::{Answer, Api, Request, Responder, Rooms, Router, Timestamp};
use crate::store::Store;

/// Everything below `/api/` that no other route takes, and the two questions that load balancers ask.
const PREFIXES: [&str; 3] = ["/api/", "/healthz", "/readyz"];

/// Adds the interface, over the rooms that are kept in `store`, which must be the server's own. Nothing of the configuration
/// is kept: what it says now comes with each request.
#[must_use]
pub fn routes(router: Router, _config: &Config, store: &Store) -> Router {
    let rest = Rest { store: store.clone() };
    PREFIXES.into_iter().fold(router, |router, prefix| router.api(prefix, rest.clone()))
}

/// The interface.
#[derive(Clone)]
struct Rest {
    store: Store,
}

/// One request on its way to its action.
struct Call<'r> {
    store: &'r Store,
    rooms: &'r Rooms,
    request: &'r Request<'r>,
    params: Params<'r>,
    /// The id of the room that the path names; empty on paths that name none.
    room: &'r str,
    /// The user whom the path names; empty on paths that name none.
    user: &'r str,
    authorization: Authorization,
    /// For the answer, if it comes later.
    pending: PendingResponse,
}

impl Api for Rest {
    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        let access = Access::of(request.origins, request.head, request.arrival.secure);
        let policy = ResponsePolicy::new(&access, request.head);
        let answer = self.answer(request, &access, PendingResponse::new(responder, policy.clone()));
        match answer {
            Ok(None) => Answer::PendingResponse,
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
            cors::require(access)?;
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
        call.carry_out(action)?;
        Ok(None)
    }
}

impl<'r> Call<'r> {
    /// The user in whose name this is done: the parameter `username`, or whoever asks.
    fn username(&self) -> Result<Cow<'r, str>, ApiError> {
        let user = self.authorization.user(self.params.text("username")?)?;
        let user = query::user(user, None)?;
        self.require_no_ban(&user)?;
        Ok(user)
    }

    /// Refuses what would be done for a user who is banned from the room.
    fn require_no_ban(&self, user: &str) -> Result<(), ApiError> {
        if self.rooms.bans().holds(self.room, user) { Err(ApiError::banned()) } else { Ok(()) }
    }

    /// Begins the action; its answer goes to `pending`.
    fn carry_out(self, action: Action) -> Result<(), ApiError> {
        match action {
            Action::CreateRoom => rooms::create(self),
            Action::ListRooms => rooms::list(self),
            Action::ShowRoom => rooms::show(self),
            Action::DeleteRoom => rooms::delete(self),
            Action::JoinRoom => rooms::join(self),
            Action::LeaveRoom => rooms::leave(self),
            Action::ReadMessages => messages::read(self),
            Action::PostMessage => messages::post(self),
            Action::ShowOnline => members::online(self),
            Action::Kick => members::kick(self),
            Action::ListBans => members::bans(self),
            Action::LiftBan => members::lift(self),
            Action::ShowStats => status::stats(self),
            Action::BeginBackup => backup::begin(self),
            Action::ReadBackup => backup::read(self),
            Action::EndBackup => backup::end(self),
            Action::CheckHealth => status::health(self),
            Action::CheckReadiness => status::readiness(self),
        }
    }
}

/// A response of JSON.
fn json<T: serde::Serialize>(status: Status, value: &T) -> Result<Response, ApiError> {
    Ok(Response::json(status, encode(value)?))
}

/// What is answered here is strings and numbers, which always serialise.
fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, ApiError> {
    let unwritable = "the answer could not be written";
    serde_json::to_vec(value).map_err(|_| Problem::new(Status::INTERNAL_SERVER_ERROR, unwritable).into())
}

/// A time as it stands in messages.
fn time_text(at: Timestamp) -> String {
    let mut text = Vec::with_capacity(Timestamp::TEXT_BYTES);
    at.encode(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "a room is created when the request for it comes")]
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}
