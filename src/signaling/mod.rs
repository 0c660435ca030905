//! Signaling for WebRTC: peers in a room tell each other how they can be reached, and then talk directly.
//!
//! An ordinary user of [`server`](crate::server). The endpoint `/room[?roomId=R]` relays JSON between the peers of a room,
//! to one or to all others, with the `sender` set by the server. Nothing is numbered, stored or repeated: what a peer
//! missed it asks its peer for. So a room is no log here but a set of sessions, and each copy is sent by itself.

mod directory;
mod signal;

use std::sync::{Mutex, MutexGuard, PoisonError};

use self::directory::{Directory, Room};
use self::signal::{Receiver, Signal};
use crate::chat::query;
use crate::config::Config;
use crate::http::Head;
use crate::rooms::push_json_string;
use crate::server::{Context, Disconnect, Endpoint, Handler, RoomError, Router, SendError, Session};
use crate::ws::{CloseCode, Message};

/// Adds `/room`.
#[must_use]
pub fn routes(router: Router, config: &Config) -> Router {
    let signaling = Signaling { directory: Mutex::new(Directory::new(config.signaling.peers_per_room)) };
    // Each copy would be compressed by itself, on the thread that serves all connections.
    router.endpoint("/room", Endpoint::new(signaling).remember_handshake(false).deflate(false))
}

/// The peers' sessions.
struct Signaling {
    directory: Mutex<Directory<Session>>,
}

impl Handler for Signaling {
    /// `None` if the session was not let into its room.
    type State = Option<Room>;

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) -> Option<Room> {
        let room = match query::room_if_any(head.query()) {
            Ok(room) => room,
            Err(error) => return refuse(cx, CloseCode::POLICY, &error.to_string()),
        };
        if let (Some(room), Some(identity)) = (&room, cx.identity())
            && !identity.may_enter(room)
        {
            let error = RoomError::NotAllowed;
            return refuse(cx, error.close_code(), &error.to_string());
        }
        let room = room.map_or(Room::Common, |room| Room::Named((*room).into()));
        let (id, session) = (cx.id(), cx.session().clone());
        let mut directory = self.directory();
        if directory.enter(&room, id, session).is_err() {
            return refuse(cx, CloseCode::TRY_AGAIN_LATER, "the room is full");
        }
        let news = format!(r#"{{"type":"new","sender":"{id:032x}","receiver":"all"}}"#);
        tell(directory.others(&room, id), &news);
        Some(room)
    }

    fn message(&self, cx: &mut Context<'_>, room: &mut Option<Room>, message: Message<'_>) {
        let Some(room) = room else { return };
        let Message::Text(text) = message else {
            return cx.close(CloseCode::UNSUPPORTED, "signaling speaks text");
        };
        let signal = match Signal::parse(text) {
            Ok(signal) => signal,
            Err(error) => return cx.send_text(&error_about("content", &json_string(&error.to_string()))),
        };
        let (directory, sender) = (self.directory(), cx.id());
        let relayed = signal.relayed(sender);
        match signal.receiver {
            Receiver::All => tell(directory.others(room, sender), &relayed),
            // Behind what this callback has said before.
            Receiver::One { id: Some(id), .. } if id == sender => cx.send_text(&relayed),
            Receiver::One { id, json } => {
                let peer = id.and_then(|id| directory.peer(room, id));
                if !peer.is_some_and(|peer| deliver(peer, &relayed)) {
                    cx.send_text(&error_about("receiver", json));
                }
            }
        }
    }

    /// Tokens are told apart here in any case, with tokens in use or without.
    fn withholds(&self, _message: &Message<'_>) -> bool {
        false
    }

    fn close(&self, cx: &mut Context<'_>, room: Option<Room>, reason: Disconnect) {
        let Some(room) = room else { return };
        let (mut directory, id) = (self.directory(), cx.id());
        directory.leave(&room, id);
        // A server that stops says good-bye to everybody; that all the others leave is no news to anybody.
        if reason != Disconnect::Shutdown {
            tell(directory.others(&room, id), &format!(r#"{{"type":"close","sender":"{id:032x}"}}"#));
        }
    }
}

impl Signaling {
    /// Nobody waits for it: all callbacks come from one thread.
    fn directory(&self) -> MutexGuard<'_, Directory<Session>> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(cx: &mut Context<'_>, code: CloseCode, reason: &str) -> Option<Room> {
    cx.close(code, reason);
    None
}

/// Sends a text to each of these; what happens to one copy is nothing to the others.
fn tell<'p>(peers: impl Iterator<Item = &'p Session>, text: &str) {
    for peer in peers {
        deliver(peer, text);
    }
}

/// Sends a text to a peer. One that takes nothing any more is closed, for it would miss this. False: it will not get it.
fn deliver(peer: &Session, text: &str) -> bool {
    match peer.send_text(text) {
        Ok(()) => true,
        Err(SendError::Full) => {
            peer.close(CloseCode::TOO_SLOW, "too slow");
            false
        }
        Err(SendError::Closed) => false,
    }
}

/// What a peer is told whose message was not relayed; `json` is what there is to say about it.
fn error_about(field: &str, json: &str) -> String {
    format!(r#"{{"type":"error","{field}":{json}}}"#)
}

fn json_string(text: &str) -> String {
    let mut json = Vec::new();
    push_json_string(&mut json, text);
    String::from_utf8_lossy(&json).into_owned()
}
