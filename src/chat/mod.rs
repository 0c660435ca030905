//! The chat: rooms with names, users with names, JSON messages.
//!
//! An ordinary user of [`server`](crate::server): the endpoint `/ws/chat?roomId=R&username=U` joins a room when it
//! opens, publishes what it is sent, and has the rooms do the rest.
//!
//! | file | subject |
//! |---|---|
//! | `query` | the room that a client wants to enter, its name, and the position that it begins at |
//! | `incoming` | a message as a client sends it |
//! | `raw` | `/ws/raw`: rooms that relay text and binary as they came |
//! | `rest` | the chat over HTTP |

pub(crate) mod incoming;
mod query;
mod raw;
pub mod rest;

use std::time::Duration;

use self::incoming::{Incoming, readable_id};
use self::query::ChatQuery;
use crate::auth::Identity;
use crate::config::Config;
use crate::http::{Head, query as pairs};
use crate::request::rights::{self, NotThatUser};
use crate::server::{Context, Endpoint, Handler, JoinRequest, RoomError, Router, Timer};
use crate::ws::{CloseCode, Message};

/// A text that only keeps the connection alive, from either side.
const HEARTBEAT: &str = "HEARTBEAT";

/// Adds `/ws/chat` and `/ws/raw`.
#[must_use]
pub fn routes(router: Router, config: &Config) -> Router {
    let text_interval = config.heartbeat.text_interval;
    let relay = Endpoint::new(raw::Relay { conflated: config.rooms.conflated.clone() });
    let chat = Chat { text_interval: (!text_interval.is_zero()).then_some(text_interval) };
    router
        .endpoint("/ws/chat", Endpoint::new(chat).remember_handshake(false))
        .endpoint("/ws/raw", relay.subprotocols([raw::SUBPROTOCOL]).remember_handshake(false))
}

/// The chat's sessions.
struct Chat {
    text_interval: Option<Duration>,
}

impl Handler for Chat {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) {
        let known = cx.identity().cloned();
        let known = known.as_deref().map(Identity::user);
        // Whose session it is comes first: what is wrong with the room is told to its user alone.
        if let Ok(given) = pairs::get(head.query(), "username")
            && let Err(NotThatUser) = rights::user(known, given)
        {
            let error = RoomError::NotThatUser;
            return cx.close(error.close_code(), &error.to_string());
        }
        let query = match ChatQuery::parse(head.query(), known) {
            Ok(query) => query,
            Err(error) => return cx.close(CloseCode::POLICY, &error.to_string()),
        };
        let request = JoinRequest::chat(&query.room, &query.user).start(query.start).welcome(query.welcome);
        if let Err(error) = cx.join(request) {
            return cx.close(error.close_code(), &error.to_string());
        }
        if let Some(interval) = self.text_interval {
            cx.set_timer(Timer::default(), cx.spread(interval));
        }
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        let Message::Text(text) = message else {
            return cx.close(CloseCode::UNSUPPORTED, "the chat speaks text");
        };
        if text == HEARTBEAT {
            return;
        }
        let Some(&room) = cx.memberships().first() else { return };
        let published = match Incoming::parse(text) {
            Ok(incoming) => cx.publish_text(room, &incoming.content, incoming.id.as_deref()),
            Err(error) => {
                let id = readable_id(text).map(Into::into);
                return cx.tell(room, "bad_message", error.to_string(), id);
            }
        };
        if let Err(error) = published {
            cx.close(error.close_code(), &error.to_string());
        }
    }

    fn withheld(&self, cx: &mut Context<'_>, message: Message<'_>) {
        if let (Some(&room), Message::Text(text)) = (cx.memberships().first(), message) {
            let id = readable_id(text).map(Into::into);
            cx.tell(room, "bad_message", "a token is not for others".to_owned(), id);
        }
    }

    fn timer(&self, cx: &mut Context<'_>, _: &mut (), timer: Timer) {
        cx.send_text(HEARTBEAT);
        if let Some(interval) = self.text_interval {
            cx.set_timer(timer, interval);
        }
    }
}
