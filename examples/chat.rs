//! Chat rooms inside one's own program: its own way to know its users, its own page and its own HTTP interface beside the
//! WebSockets, with everything that was said kept on disk.
//!
//! ```text
//! cargo run --example chat [ADDRESS:PORT [DIRECTORY]]
//! curl 'http://127.0.0.1:8080/staff/who?badge=7f3a'
//! curl 'http://127.0.0.1:8080/staff/said?badge=7f3a'
//! curl 'http://127.0.0.1:8080/staff/announce?badge=7f3a' -d 'lunch is ready'
//! ```

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::error::Error;

use foghorn::auth::Identity;
use foghorn::http::{Head, Method, Problem, Response, Status, query};
use foghorn::server::{
    Answer, Api, Attributes, Context, Endpoint, Handler, HistoryRequest, Interceptor, JoinRequest, PeerInfo,
    Post, Request, Responder, Router, Server, Start, store_options,
};
use foghorn::store::{Location, Store};
use foghorn::ws::{CloseCode, Message};

const ROOM: &str = "canteen";

/// The badges of those who work here; a real program asks its own database.
const BADGES: [(&str, &str); 2] = [("7f3a", "ann"), ("c02e", "ben")];

/// Knows users by their badges, before anything else of the program runs.
struct Door;

impl Interceptor for Door {
    fn before(&self, head: &Head<'_>, _: &PeerInfo, attributes: &mut Attributes) -> Result<(), Response> {
        let badge = query::get(head.query(), "badge").ok().flatten();
        let user = BADGES.iter().find(|(known, _)| badge.as_deref() == Some(*known)).map(|(_, user)| user);
        let stranger = || Problem::new(Status::UNAUTHORIZED, "show your badge").response();
        // From here on the session, or the request, is this user's.
        attributes.set(Identity::new(user.ok_or_else(stranger)?));
        Ok(())
    }
}

/// The WebSocket side: who comes in joins the room, and what they say is published there. The room sends its messages to
/// its members by itself.
struct Canteen;

impl Handler for Canteen {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
        let Some(identity) = cx.identity().cloned() else {
            return cx.close(CloseCode::UNAUTHENTICATED, "show your badge");
        };
        // The last messages first, then whatever comes.
        if let Err(error) = cx.join(JoinRequest::chat(ROOM, identity.user()).start(Start::Last(20))) {
            cx.close(error.close_code(), &error.to_string());
        }
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        let (Message::Text(text), Some(&room)) = (message, cx.memberships().first()) else {
            return cx.close(CloseCode::UNSUPPORTED, "text, please");
        };
        if let Err(error) = cx.publish_text(room, text, None) {
            cx.close(error.close_code(), &error.to_string());
        }
    }
}

/// The HTTP side. Rooms and store have threads of their own, so that most answers come later.
struct Staff;

impl Api for Staff {
    fn call(&self, request: &Request<'_>, responder: Responder) -> Answer {
        let rooms = request.rooms;
        let asked = match (request.head.method(), request.head.path()) {
            (Method::Get, "/staff/who") => rooms.online(ROOM, move |online| {
                let users: Vec<_> = online.users.iter().map(|user| &**user).collect();
                responder.respond(Response::text(Status::OK, users.join("\n")));
            }),
            (Method::Get, "/staff/said") => {
                let last = HistoryRequest::new(ROOM, Start::Last(100));
                rooms.history(last, move |history| match history {
                    Ok(history) => responder.respond(Response::json(Status::OK, history.json)),
                    Err(_) => responder.respond(unavailable()),
                })
            }
            (Method::Post, "/staff/announce") => {
                let Ok(text) = std::str::from_utf8(request.body) else {
                    return Answer::Now(Problem::new(Status::BAD_REQUEST, "text, please").response());
                };
                let post = Post::new(ROOM, "canteen", text).create();
                // The answer comes when the message is stored: it will not be lost.
                rooms.post(post, move |posted| match posted {
                    Ok(posted) => responder.respond(Response::text(Status::CREATED, posted.seq.to_string())),
                    Err(_) => responder.respond(unavailable()),
                })
            }
            _ => return Answer::Now(Problem::new(Status::NOT_FOUND, "who, said or announce").response()),
        };
        match asked {
            Ok(()) => Answer::Pending,
            Err(_busy) => Answer::Now(unavailable()),
        }
    }
}

fn unavailable() -> Response {
    Problem::new(Status::SERVICE_UNAVAILABLE, "try again later").response()
}

/// What the server serves.
pub(crate) fn routes() -> Router {
    let page =
        Response::new(Status::OK).body("text/html; charset=utf-8", include_str!("chat.html").as_bytes());
    Router::new()
        .intercept(Door)
        .endpoint("/canteen", Endpoint::new(Canteen))
        .api("/staff/", Staff)
        .page("/", page)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let directory = arguments.next().unwrap_or_else(|| "./canteen".into());
    let builder = Server::builder().listen(address.parse()?).router(routes()).handle_signals();
    let options = store_options(builder.configuration());
    let (store, store_threads) = Store::open(Location::Directory(directory.into()), options)?;
    let server = builder.store(store).start()?;
    for (badge, user) in BADGES {
        println!("{user}: http://{}/?badge={badge}", server.addresses()[0]);
    }
    server.run()?;
    // Whatever the rooms have handed over is stored before the program ends.
    drop(store_threads);
    Ok(())
}
