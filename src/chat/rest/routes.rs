//! Which path and method means which action.

use std::borrow::Cow;

use super::error::ApiError;
use crate::auth::USER_BYTES_MAX;
use crate::http::{Method, Problem, Status, query};
use crate::request::names::{is_room_id, older_name};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    CreateRoom,
    ListRooms,
    ShowRoom,
    DeleteRoom,
    JoinRoom,
    LeaveRoom,
    ReadMessages,
    PostMessage,
    ShowOnline,
    Kick,
    ListBans,
    LiftBan,
    ShowStats,
    BeginBackup,
    ReadBackup,
    EndBackup,
    CheckHealth,
    CheckReadiness,
}

impl Action {
    /// Whether it is for administrators, where there are any: it changes or shows things for others.
    pub(super) fn needs_admin(self) -> bool {
        match self {
            Action::DeleteRoom
            | Action::ShowOnline
            | Action::Kick
            | Action::ListBans
            | Action::LiftBan
            | Action::ShowStats
            | Action::BeginBackup
            | Action::ReadBackup
            | Action::EndBackup => true,
            Action::PostMessage
            | Action::CreateRoom
            | Action::ListRooms
            | Action::ShowRoom
            | Action::JoinRoom
            | Action::LeaveRoom
            | Action::ReadMessages
            | Action::CheckHealth
            | Action::CheckReadiness => false,
        }
    }

    /// Whether it is for this machine alone, where no user can prove to be an administrator.
    pub(super) fn is_local_without_keys(self) -> bool {
        match self {
            Action::DeleteRoom
            | Action::Kick
            | Action::ListBans
            | Action::LiftBan
            | Action::BeginBackup
            | Action::ReadBackup
            | Action::EndBackup => true,
            Action::ShowOnline
            | Action::ShowStats
            | Action::PostMessage
            | Action::CreateRoom
            | Action::ListRooms
            | Action::ShowRoom
            | Action::JoinRoom
            | Action::LeaveRoom
            | Action::ReadMessages
            | Action::CheckHealth
            | Action::CheckReadiness => false,
        }
    }

    /// Whether it is not for a token that allows certain rooms only: a new room would not be among them, and a copy has
    /// all.
    pub(super) fn needs_all_rooms(self) -> bool {
        match self {
            Action::CreateRoom | Action::BeginBackup | Action::ReadBackup | Action::EndBackup => true,
            Action::ListRooms
            | Action::ShowRoom
            | Action::DeleteRoom
            | Action::JoinRoom
            | Action::LeaveRoom
            | Action::ReadMessages
            | Action::PostMessage
            | Action::ShowOnline
            | Action::Kick
            | Action::ListBans
            | Action::LiftBan
            | Action::ShowStats
            | Action::CheckHealth
            | Action::CheckReadiness => false,
        }
    }

    /// Whether it needs no token: load balancers ask so.
    fn is_open(self) -> bool {
        matches!(self, Action::CheckHealth | Action::CheckReadiness)
    }

    /// Whether it must not come from a web page that is not let in: it changes something, or shows everything.
    pub(super) fn changes_something(self) -> bool {
        match self {
            Action::CreateRoom
            | Action::DeleteRoom
            | Action::JoinRoom
            | Action::LeaveRoom
            | Action::PostMessage
            | Action::Kick
            | Action::LiftBan
            | Action::BeginBackup
            | Action::ReadBackup
            | Action::EndBackup => true,
            Action::ListRooms
            | Action::ShowRoom
            | Action::ReadMessages
            | Action::ShowOnline
            | Action::ListBans
            | Action::ShowStats
            | Action::CheckHealth
            | Action::CheckReadiness => false,
        }
    }
}

/// In a path: the segment that is a room's id.
const ROOM: &str = "{id}";
const USER: &str = "{user}";

type Route = (&'static str, &'static [(Method, Action)]);

const ROUTES: &[Route] = &[
    ("/api/chat/rooms", &[(Method::Get, Action::ListRooms), (Method::Post, Action::CreateRoom)]),
    ("/api/chat/rooms/{id}", &[(Method::Get, Action::ShowRoom), (Method::Delete, Action::DeleteRoom)]),
    (
        "/api/chat/rooms/{id}/messages",
        &[(Method::Get, Action::ReadMessages), (Method::Post, Action::PostMessage)],
    ),
    ("/api/chat/rooms/{id}/join", &[(Method::Post, Action::JoinRoom)]),
    ("/api/chat/rooms/{id}/leave", &[(Method::Post, Action::LeaveRoom)]),
    ("/api/chat/rooms/{id}/online", &[(Method::Get, Action::ShowOnline)]),
    ("/api/chat/rooms/{id}/kick", &[(Method::Post, Action::Kick)]),
    ("/api/chat/rooms/{id}/bans", &[(Method::Get, Action::ListBans)]),
    ("/api/chat/rooms/{id}/bans/{user}", &[(Method::Delete, Action::LiftBan)]),
    ("/api/stats", &[(Method::Get, Action::ShowStats)]),
    (
        "/api/backup",
        &[
            (Method::Post, Action::BeginBackup),
            (Method::Get, Action::ReadBackup),
            (Method::Delete, Action::EndBackup),
        ],
    ),
    ("/healthz", &[(Method::Get, Action::CheckHealth)]),
    ("/readyz", &[(Method::Get, Action::CheckReadiness)]),
];

/// Whether a path can be asked for without a token, where tokens are asked for.
pub(super) fn is_open(path: &str) -> bool {
    let open =
        |&(pattern, actions): &Route| pattern == path && actions.iter().all(|(_, action)| action.is_open());
    ROUTES.iter().any(open)
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<'p> {
    /// This action, in the room of this id, about the user of this name (empty if the path names none).
    Action(Action, Cow<'p, str>, Cow<'p, str>),
    /// Which methods there are: these.
    Options(String),
}

/// Finds the action, or says which of path and method is wrong.
pub(super) fn find(path: &str, method: Method) -> Result<Found<'_>, ApiError> {
    let found = ROUTES.iter().find_map(|&(pattern, actions)| Some((names_in(path, pattern)?, actions)));
    let Some(((room, user), actions)) = found else {
        return Err(Problem::new(Status::NOT_FOUND, "there is nothing at this path").into());
    };
    if method == Method::Options {
        return Ok(Found::Options(allow(actions)));
    }
    let asked = if method == Method::Head { Method::Get } else { method };
    let Some(&(_, action)) = actions.iter().find(|(method, _)| *method == asked) else {
        let problem = Problem::new(Status::METHOD_NOT_ALLOWED, "the path does not have this method");
        return Err(ApiError::new(problem.response().header("Allow", allow(actions))));
    };
    let none = Ok(Cow::Borrowed(""));
    Ok(Found::Action(action, room.map_or(none, room_id)?, user.map_or(Ok(Cow::Borrowed("")), user_name)?))
}

/// Whether the path has the pattern's segments; if so, the segments in the places of the room and the user.
fn names_in<'p>(path: &'p str, pattern: &str) -> Option<(Option<&'p str>, Option<&'p str>)> {
    let (mut given, mut expected, mut room, mut user) = (path.split('/'), pattern.split('/'), None, None);
    loop {
        match (given.next(), expected.next()) {
            (None, None) => return Some((room, user)),
            (Some(segment), Some(ROOM)) if !segment.is_empty() => room = Some(segment),
            (Some(segment), Some(USER)) if !segment.is_empty() => user = Some(segment),
            (Some(segment), Some(name)) if segment == name => {}
            (Some(_) | None, _) => return None,
        }
    }
}

/// Decodes a user's name, perhaps an old one.
fn user_name(segment: &str) -> Result<Cow<'_, str>, ApiError> {
    let name = query::decode_path_segment(segment)
        .map_err(|error| Problem::new(Status::BAD_REQUEST, format!("the user's name has a {error}")))?;
    Ok(older_name("the user's name", Some(name), USER_BYTES_MAX)?)
}

/// Decodes a room's id. What cannot be one, no room has.
fn room_id(segment: &str) -> Result<Cow<'_, str>, ApiError> {
    let id = query::decode_path_segment(segment)
        .map_err(|error| Problem::new(Status::BAD_REQUEST, format!("the room's id has a {error}")))?;
    if is_room_id(&id) { Ok(id) } else { Err(ApiError::no_such_room()) }
}

/// The value of `Allow`.
fn allow(actions: &[(Method, Action)]) -> String {
    let names = actions.iter().map(|(method, _)| match method {
        Method::Get => "GET, HEAD",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Options => "OPTIONS",
        Method::Patch => "PATCH",
        Method::Other => "",
    });
    names.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(path: &str, method: Method) -> u16 {
        find(path, method).unwrap_err().response().status().code()
    }

    #[test]
    fn every_action_is_reached_by_its_path_and_method() {
        let cases = [
            (Method::Get, "/api/chat/rooms", Action::ListRooms, ""),
            (Method::Head, "/api/chat/rooms", Action::ListRooms, ""),
            (Method::Post, "/api/chat/rooms", Action::CreateRoom, ""),
            (Method::Get, "/api/chat/rooms/r", Action::ShowRoom, "r"),
            (Method::Delete, "/api/chat/rooms/r", Action::DeleteRoom, "r"),
            (Method::Get, "/api/chat/rooms/r/messages", Action::ReadMessages, "r"),
            (Method::Post, "/api/chat/rooms/r/messages", Action::PostMessage, "r"),
            (Method::Post, "/api/chat/rooms/r/join", Action::JoinRoom, "r"),
            (Method::Post, "/api/chat/rooms/r/leave", Action::LeaveRoom, "r"),
            (Method::Get, "/api/chat/rooms/r/online", Action::ShowOnline, "r"),
            (Method::Post, "/api/chat/rooms/r/kick", Action::Kick, "r"),
            (Method::Get, "/api/chat/rooms/r/bans", Action::ListBans, "r"),
            (Method::Get, "/api/stats", Action::ShowStats, ""),
            (Method::Get, "/healthz", Action::CheckHealth, ""),
            (Method::Head, "/readyz", Action::CheckReadiness, ""),
        ];
        for (method, path, action, room) in cases {
            assert_eq!(
                find(path, method).unwrap(),
                Found::Action(action, room.into(), "".into()),
                "{method:?} {path}"
            );
        }
    }

    #[test]
    fn a_rooms_id_is_one_segment_decoded_once() {
        let cases = [
            ("a%2Fb", "a/b"),
            ("a+b", "a+b"),
            ("%2541", "%41"),
            ("%E2%98%83", "☃"),
            ("..", ".."),
            ("{id}", "{id}"),
        ];
        for (segment, id) in cases {
            let path = format!("/api/chat/rooms/{segment}");
            assert_eq!(
                find(&path, Method::Get).unwrap(),
                Found::Action(Action::ShowRoom, id.into(), "".into())
            );
        }
    }

    #[test]
    fn what_leads_nowhere_is_told_apart() {
        let long = format!("/api/chat/rooms/{}", "r".repeat(129));
        let cases = [
            (Method::Get, "/api/", 404),
            (Method::Get, "/api/chat/rooms/", 404),
            (Method::Get, "/api//chat/rooms", 404),
            (Method::Get, "/api/chat/rooms//messages", 404),
            (Method::Get, "/api/chat/rooms/r/", 404),
            (Method::Get, "/api/chat/rooms/r/messages/1", 404),
            (Method::Get, "/API/chat/rooms", 404),
            (Method::Get, "/healthzz", 404),
            (Method::Get, "/api/chat/rooms/%", 400),
            (Method::Get, "/api/chat/rooms/%ff", 400),
            (Method::Get, "/api/chat/rooms/%00", 404),
            (Method::Get, &*long, 404),
            (Method::Put, "/api/chat/rooms/r", 405),
            (Method::Other, "/api/stats", 405),
            (Method::Get, "/api/chat/rooms/r/kick", 405),
        ];
        for (method, path, expected) in cases {
            assert_eq!(status(path, method), expected, "{method:?} {path}");
        }
    }

    #[test]
    fn the_methods_of_a_path_are_known() {
        let cases = [
            ("/api/chat/rooms", "GET, HEAD, POST, OPTIONS"),
            ("/api/chat/rooms/r", "GET, HEAD, DELETE, OPTIONS"),
            ("/api/chat/rooms/r/kick", "POST, OPTIONS"),
        ];
        for (path, allow) in cases {
            assert_eq!(find(path, Method::Options).unwrap(), Found::Options(allow.into()));
        }
    }

    #[test]
    fn what_load_balancers_ask_is_open_and_nothing_else() {
        let cases = [
            ("/healthz", true),
            ("/readyz", true),
            ("/healthzz", false),
            ("/healthz/", false),
            ("/api/stats", false),
            ("/api/", false),
            ("/api/backup", false),
            ("/api/chat/rooms", false),
            ("//api/stats", false),
        ];
        for (path, open) in cases {
            assert_eq!(is_open(path), open, "{path}");
        }
    }
}
