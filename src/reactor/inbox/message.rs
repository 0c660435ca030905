//! What other threads tell the reactor.

use std::sync::Arc;

use crate::config::Config;
use crate::http::Response;
use crate::reactor::api::stream_response::StreamResponse;
use crate::reactor::api::ticket::Ticket;
use crate::reactor::api::user_state::UserState;
use crate::reactor::counters::ReactorStats;
use crate::reactor::ended::EndedSession;
use crate::reactor::found::FoundSessions;
use crate::reactor::key::Key;
use crate::reactor::limits::ReactorLimits;
use crate::rooms::{Reply, RoomRequest, SessionEffect, SessionKey};
use crate::transport::Certificate;
use crate::ws::CloseCode;

/// What other threads tell the reactor.
#[derive(Debug)]
pub(crate) enum ReactorMessage {
    /// A shard wants something done.
    Effect(SessionEffect),
    /// A session was closed by a thread of the application, with this code and reason; the frame is out, the deadline is
    /// not armed yet.
    Closing(Key, CloseCode, Box<str>),
    /// Something for a session's handler.
    Event(Key, UserState),
    /// The answer to a request.
    Response(Ticket, Response),
    /// The same, and it follows a room.
    Stream(Ticket, Box<StreamResponse>),
    /// A request to the shard that owns its room.
    Request(Box<RoomRequest>),
    /// A request to this shard.
    RequestShard(usize, Box<RoomRequest>),
    /// What has been counted? Answered on the reactor's thread.
    Count(Reply<ReactorStats>),
    /// Which sessions have ended after the one of this number, as far as is remembered?
    Ended(u64, Reply<Vec<EndedSession>>),
    /// Which sessions in no room are meant by this text? A part of them, from this place on; no message is taken behind it
    /// in the same turn.
    FindSessions(Arc<str>, usize, Reply<FoundSessions>),
    /// Closes the connection of this session, if it has this id, with 4001; answered with whether there is one.
    Disconnect(SessionKey, u128, Reply<bool>),
    /// What newcomers are shown from now on.
    Certificate(Certificate),
    /// New limits.
    Limits(Box<ReactorLimits>),
    /// A new configuration, for the application.
    Config(Box<Config>),
    /// Stop serving, in good order.
    Shutdown,
}
