//! The sessions of `/admin/live`: figures each second, and what a dashboard asks for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::command::{Command, Outcome, session_of};
use super::ended;
use super::sampler::Sampler;
use super::search::Searching;
use crate::http::{Head, Response, is_local};
use crate::request::rights::require_operator;
use crate::rooms::{Inspection, Reply, Search};
use crate::server::{Context, Handler, PeerInfo, Rooms, Session, Timer};
use crate::ws::{CloseCode, Message};

/// How often a dashboard is told how the server is.
const TICK: Duration = Duration::from_secs(1);
const TICK_TIMER: Timer = Timer(0);
/// A dashboard for which this waits is told nothing more until it has taken it: old figures are of no use.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// The sessions of `/admin/live`.
pub(super) struct Live {
    has_keys: bool,
    sampler: Sampler,
    rooms: OnceLock<Rooms>,
}

/// What is kept of one session.
#[derive(Debug, Default)]
pub(super) struct Dashboard {
    /// The number of its newest search.
    newest: Arc<AtomicU64>,
    /// The number of the last session of whose end it has heard.
    heard_of: Arc<AtomicU64>,
}

impl Live {
    pub(super) fn new(has_keys: bool) -> Live {
        Live { has_keys, sampler: Sampler::default(), rooms: OnceLock::new() }
    }

    fn tick(&self, cx: &mut Context<'_>, dashboard: &Dashboard) {
        cx.set_timer(TICK_TIMER, TICK);
        let Some(rooms) = self.rooms.get() else { return };
        if cx.waiting_bytes() > WAITING_BYTES_MAX {
            return;
        }
        let session = cx.session().clone();
        self.sampler.ask(&session, rooms);
        let heard_of = dashboard.heard_of.clone();
        let after = heard_of.load(Ordering::Relaxed);
        // If it is refused, the next tick asks for the same.
        let _busy = rooms.ended(after, move |sessions| {
            let Some(last) = sessions.last() else { return };
            if session.send_text(&ended::text_of(&sessions)).is_ok() {
                heard_of.store(last.number, Ordering::Relaxed);
            }
        });
    }

    fn carry_out(&self, cx: &mut Context<'_>, dashboard: &Dashboard, command: Command) {
        let Some(rooms) = self.rooms.get() else { return };
        let (session, newest) = (cx.session().clone(), &dashboard.newest);
        let who = cx.identity().map(|identity| identity.user().to_owned());
        match command {
            Command::Rooms { number, search } => {
                Searching::begin(rooms, &session, newest, number, Search::Rooms(search.into()));
            }
            Command::Members { number, search, room } => {
                let search = Search::Members { text: search.into(), room: room.map(Into::into) };
                Searching::begin(rooms, &session, newest, number, search);
            }
            Command::Disconnect { number, session: name } => {
                let Some((meant, id)) = session_of(&name) else {
                    return say(
                        &session,
                        &Outcome::Error { number: Some(number), content: "this names no session" },
                    );
                };
                let address = cx.peer().map(|address| address.to_string());
                tracing::info!(operator = who, address, session = %format_args!("{id:032x}"), "an operator disconnects a session");
                let answer = session.clone();
                let asked = rooms.disconnect(meant, id, move |is_there| {
                    say(&answer, &Outcome::Done { number, closed: usize::from(is_there) });
                });
                refused(&session, number, asked.is_err());
            }
            Command::CloseSessions { number, room } => {
                let address = cx.peer().map(|address| address.to_string());
                tracing::info!(operator = who, address, room, "an operator closes the sessions of a room");
                let answer = session.clone();
                let reply = Reply::new(move |closed| say(&answer, &Outcome::Done { number, closed }));
                let asked = rooms.inspect(None, Inspection::CloseSessions { room: room.into(), reply });
                refused(&session, number, asked.is_err());
            }
        }
    }
}

impl Handler for Live {
    type State = Dashboard;

    fn attach(&self, rooms: &Rooms) {
        // Once for each handler.
        let _attached_before = self.rooms.set(rooms.clone());
    }

    fn handshake(&self, head: &Head<'_>, peer_info: &PeerInfo) -> Result<(), Response> {
        if self.has_keys {
            return Ok(());
        }
        let PeerInfo { peer, secure, proxied, .. } = *peer_info;
        require_operator(None, is_local(head, peer, proxied, secure)).map_err(|problem| problem.response())
    }

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) -> Dashboard {
        let dashboard = Dashboard::default();
        let identity = cx.identity().map(|identity| (**identity).clone());
        // Without an identity the handshake has said that the request is of this machine.
        if require_operator(identity.as_ref(), !self.has_keys).is_err() {
            cx.close(CloseCode::REFUSED, "only an administrator of all rooms may do this");
            return dashboard;
        }
        self.tick(cx, &dashboard);
        dashboard
    }

    fn message(&self, cx: &mut Context<'_>, dashboard: &mut Dashboard, message: Message<'_>) {
        let Message::Text(text) = message else {
            return cx.close(CloseCode::UNSUPPORTED, "only text is understood here");
        };
        match Command::parse(text) {
            Ok(command) => self.carry_out(cx, dashboard, command),
            Err(content) => cx.send_text(&Outcome::Error { number: None, content }.text()),
        }
    }

    fn timer(&self, cx: &mut Context<'_>, dashboard: &mut Dashboard, _timer: Timer) {
        self.tick(cx, dashboard);
    }
}

/// Says it to a dashboard; one that is gone needs nothing.
fn say(session: &Session, outcome: &Outcome<'_>) {
    let _gone = session.send_text(&outcome.text());
}

fn refused(session: &Session, number: u64, is_busy: bool) {
    if is_busy {
        say(
            session,
            &Outcome::Error { number: Some(number), content: "too much waits for the rooms, try again" },
        );
    }
}
