//! Signaling for WebRTC: peers in a room tell each other how they can be reached, and then talk directly.
//!
//! An ordinary user of [`server`](crate::server). The endpoint `/room[?roomId=R]` relays JSON between the peers of a room,
//! to one or to all others, with the `sender` set by the server. Nothing is numbered, stored or repeated: what a peer
//! missed it asks its peer for. So a room is no log here but a set of sessions, and each copy is sent by itself.
//!
//! | file | subject |
//! |---|---|
//! | this one | the endpoint `/room` and its handler |
//! | `directory` | who is in which room, and which rooms have something to send |
//! | `relay` | what waits to be sent to the peers of a room |
//! | `signal` | what a peer says: parsed, checked, and relayed as it was written |

mod directory;
mod relay;
mod signal;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::directory::{Directory, Room};
use self::relay::{Addressee, Parcel};
use self::signal::{Receiver, Signal};
use crate::config::Config;
use crate::http::Head;
use crate::limit_hits::Limit;
use crate::reactor::{Background, TextFrame};
use crate::request::names;
use crate::rooms::push_json_string;
use crate::server::{Context, Disconnect, Endpoint, Handler, RoomError, Router, SendError, Session};
use crate::ws::{CloseCode, Message};

/// Adds `/room`.
#[must_use]
pub fn routes(router: Router, config: &Config) -> Router {
    let relay = Relay {
        directory: Mutex::new(Directory::new()),
        peers_per_room: AtomicUsize::new(config.signaling.peers_per_room),
    };
    let signaling = Signaling { relay: Arc::new(relay) };
    // Each copy would be compressed by itself, on the thread that serves all connections.
    router.endpoint("/room", Endpoint::new(signaling).remember_handshake(false).deflate(false))
}

/// The peers' sessions.
struct Signaling {
    relay: Arc<Relay>,
}

/// The rooms, and what is on its way to their peers.
#[derive(Debug)]
struct Relay {
    directory: Mutex<Directory<Session, TextFrame>>,
    peers_per_room: AtomicUsize,
}

impl Handler for Signaling {
    /// `None` if the session was not let into its room.
    type State = Option<Room>;

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) -> Option<Room> {
        let room = match names::room_if_any(head.query()) {
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
        // Relaxed: a number by itself, which may be the one before the change for a moment.
        let max = self.relay.peers_per_room.load(Ordering::Relaxed);
        if self.relay.directory().enter(&room, id, session, max).is_err() {
            cx.hit(Limit::PeersPerRoom);
            return refuse(cx, CloseCode::TRY_AGAIN_LATER, "the room is full");
        }
        let news = format!(r#"{{"type":"new","sender":"{id:032x}","receiver":"all"}}"#);
        self.tell(cx, &room, &news, Addressee::AllBut(id));
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
        let sender = cx.id();
        let relayed = signal.relayed(sender);
        match signal.receiver {
            Receiver::All => self.tell(cx, room, &relayed, Addressee::AllBut(sender)),
            // Behind what this callback has said before.
            Receiver::One { id: Some(id), .. } if id == sender => cx.send_text(&relayed),
            Receiver::One { id, json } => {
                let otherwise = error_about("receiver", json);
                let id = id.filter(|id| self.relay.directory().peer(room, *id).is_some_and(Session::is_open));
                let Some(id) = id else { return cx.send_text(&otherwise) };
                let otherwise = otherwise.into();
                self.tell(cx, room, &relayed, Addressee::One { id, sender, otherwise });
            }
        }
    }

    /// Tokens are told apart here in any case, with tokens in use or without.
    fn withholds(&self, _message: &Message<'_>) -> bool {
        false
    }

    fn reconfigure(&self, config: &Config) {
        self.relay.peers_per_room.store(config.signaling.peers_per_room, Ordering::Relaxed);
    }

    fn close(&self, cx: &mut Context<'_>, room: Option<Room>, reason: Disconnect) {
        let Some(room) = room else { return };
        let id = cx.id();
        self.relay.directory().leave(&room, id);
        // A server that stops closes every session: no peer needs to hear that the others leave.
        if reason != Disconnect::Shutdown {
            let news = format!(r#"{{"type":"close","sender":"{id:032x}"}}"#);
            self.tell(cx, &room, &news, Addressee::AllBut(id));
        }
    }
}

impl Signaling {
    /// Sends a text to peers of a room: now, as far as this turn has time for it, and the rest in the next turns.
    fn tell(&self, cx: &mut Context<'_>, room: &Room, text: &str, to: Addressee) {
        // A sender whose message is lost is told so behind what this callback has said before.
        cx.flush();
        let frame = TextFrame::new(text);
        let bytes = frame.len();
        {
            let mut directory = self.relay.directory();
            directory.post(room, Parcel { frame, bytes, to });
            directory.send(deliver, tell_sender);
        }
        // Also if nothing is left: only there the time of the next turn begins.
        cx.go_on_in_background(self.relay.clone());
    }
}

impl Relay {
    /// No thread waits for the lock: all callbacks come from one.
    fn directory(&self) -> MutexGuard<'_, Directory<Session, TextFrame>> {
        // A handler's panic costs its own session: between two calls the directory is whole.
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Background for Relay {
    fn advance(&self) -> bool {
        let mut directory = self.directory();
        directory.renew();
        directory.send(deliver, tell_sender)
    }

    fn holds(&self, session: u128) -> bool {
        self.directory().holds(session)
    }
}

fn refuse(cx: &mut Context<'_>, code: CloseCode, reason: &str) -> Option<Room> {
    cx.close(code, reason);
    None
}

/// Sends a message to a peer. One that takes nothing any more is closed, for it would miss this. False: it will not get
/// it.
fn deliver(peer: &Session, frame: &TextFrame) -> bool {
    match peer.send_frame(frame) {
        Ok(()) => true,
        Err(SendError::Full) => {
            peer.close(CloseCode::TOO_SLOW, "too slow");
            false
        }
        Err(SendError::Closed) => false,
    }
}

/// Tells a peer that its message was lost.
fn tell_sender(lost: relay::Lost<'_, Session>) {
    deliver(lost.sender, &TextFrame::new(&lost.text));
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
