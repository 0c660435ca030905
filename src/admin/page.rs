//! The files of the page, who asks, and recordings.

use serde::Serialize;

use super::recording::lines_of;
use crate::http::asset::{self, CSS, HTML, SCRIPT, SVG};
use crate::http::{Access, Head, Method, Problem, Response, Status, query};
use crate::request::answer::refuse_strangers;
use crate::request::rights::require_operator;
use crate::rooms::{Format, Inspection, Reply, Timestamp};
use crate::server::{Answer, Api, Request, Responder};
use crate::system::since_epoch;

pub(super) const PATH: &str = "/admin";
const ALLOW: &str = "GET, HEAD, OPTIONS";

const TEXT: &str = "text/plain; charset=utf-8";

/// Path below `/admin`, type and content of every file.
const FILES: &[(&str, &str, &str)] = &[
    ("", HTML, include_str!("assets/index.html")),
    ("/assets/admin.css", CSS, include_str!("assets/admin.css")),
    ("/assets/admin.js", SCRIPT, include_str!("assets/admin.js")),
    ("/assets/connection.js", SCRIPT, include_str!("assets/connection.js")),
    ("/assets/figures.js", SCRIPT, include_str!("assets/figures.js")),
    ("/assets/plots.js", SCRIPT, include_str!("assets/plots.js")),
    ("/assets/tables.js", SCRIPT, include_str!("assets/tables.js")),
    ("/assets/mark.svg", SVG, include_str!("../web/assets/mark.svg")),
    ("/assets/uplot/uPlot.js", SCRIPT, include_str!("assets/uplot/uPlot.min.js")),
    ("/assets/uplot/uPlot.css", CSS, include_str!("assets/uplot/uPlot.min.css")),
    ("/assets/uplot/LICENSE", TEXT, include_str!("assets/uplot/LICENSE")),
];

/// What a path below `/admin` leads to.
enum Target<'p> {
    File(&'static str, &'static str),
    /// Who asks.
    Me,
    /// What the room in this segment has recorded.
    Recording(&'p str),
}

/// Everything below `/admin` but the WebSocket.
pub(super) struct Page {
    has_keys: bool,
}

impl Page {
    pub(super) fn new(has_keys: bool) -> Page {
        Page { has_keys }
    }

    fn answer(&self, request: &Request<'_>, responder: Responder) -> Result<Answer, Problem> {
        let nothing = || Problem::new(Status::NOT_FOUND, "there is nothing at this path");
        let target = target_of(request.head.path()).ok_or_else(nothing)?;
        let identity = request.identity();
        if !(self.has_keys && matches!(target, Target::File(..))) {
            require_operator(identity.as_deref(), request.is_local())?;
        }
        refuse_strangers(&Access::of(request.origins, request.head, request.peer_info.secure))?;
        match request.head.method() {
            Method::Get | Method::Head => {}
            Method::Options => {
                return Ok(Answer::Now(Response::new(Status::NO_CONTENT).header("Allow", ALLOW)));
            }
            Method::Post | Method::Put | Method::Delete | Method::Patch | Method::Other => {
                let problem = Problem::new(Status::METHOD_NOT_ALLOWED, "this can only be read");
                return Ok(Answer::Now(problem.response().header("Allow", ALLOW)));
            }
        }
        match target {
            Target::File(content_type, content) => Ok(Answer::Now(asset::response(content_type, content))),
            Target::Me => {
                let me = Me { username: identity.as_deref().map(|identity| identity.user().to_owned()) };
                let json = serde_json::to_vec(&me).unwrap_or_default();
                Ok(Answer::Now(no_store(Response::json(Status::OK, json))))
            }
            Target::Recording(room) => record(request, room, responder),
        }
    }
}

impl Api for Page {
    /// The page itself shows nothing of the server.
    fn needs_token(&self, head: &Head<'_>) -> bool {
        !matches!(target_of(head.path()), Some(Target::File(..)))
    }

    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        self.answer(request, responder).unwrap_or_else(|problem| Answer::Now(no_store(problem.response())))
    }
}

#[derive(Serialize)]
struct Me {
    username: Option<String>,
}

fn target_of(path: &str) -> Option<Target<'_>> {
    let path = path.strip_prefix(PATH)?;
    if let Some((_, content_type, content)) = FILES.iter().find(|(name, ..)| *name == path) {
        return Some(Target::File(content_type, content));
    }
    if path == "/me" {
        return Some(Target::Me);
    }
    let room = path.strip_prefix("/rooms/")?.strip_suffix("/recording")?;
    (!room.is_empty() && !room.contains('/')).then_some(Target::Recording(room))
}

fn no_store(response: Response) -> Response {
    response.header("Cache-Control", "no-store").header("X-Content-Type-Options", "nosniff")
}

/// Asks the room's shard for what was recorded; `kind` in the query says which kind of room is meant.
fn record(request: &Request<'_>, segment: &str, responder: Responder) -> Result<Answer, Problem> {
    let bad = |detail| Problem::new(Status::BAD_REQUEST, detail);
    let room =
        query::decode_path_segment(segment).map_err(|_| bad("the room's id is not percent-encoded"))?;
    let kind =
        query::get(request.head.query(), "kind").map_err(|_| bad("the query is not percent-encoded"))?;
    let format = match kind.as_deref() {
        None | Some("chat") => Format::Chat,
        Some("relay") => Format::Relay,
        Some("conflated") => Format::Conflated,
        Some(_) => return Err(bad("kind is chat, relay or conflated")),
    };
    let name = room.clone().into_owned();
    let reply = Reply::new(move |recording: Option<_>| {
        let Some(recording) = recording else {
            let problem = Problem::new(Status::NOT_FOUND, "there is no such room in memory");
            return responder.respond(no_store(problem.response()));
        };
        let lines = lines_of(&name, format, &recording, Timestamp::from_unix(since_epoch()));
        let response = Response::new(Status::OK).body("application/jsonl", lines);
        let response = response.header("Content-Disposition", "attachment; filename=\"recording.jsonl\"");
        responder.respond(no_store(response));
    });
    let inspection = Inspection::Record { room: room.as_ref().into(), format, reply };
    match request.rooms.inspect(None, inspection) {
        Ok(()) => Ok(Answer::Pending),
        Err(_busy) => {
            let problem = Problem::new(Status::SERVICE_UNAVAILABLE, "too much waits for the rooms");
            Ok(Answer::Now(problem.response().header("Retry-After", "1")))
        }
    }
}
