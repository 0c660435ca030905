//! The state of games, in binary: the server moves every match sixty times a second, and each player gets the newest state
//! as fast as they can take it. What a slow player has not been sent yet is replaced by what is newer.
//!
//! ```text
//! cargo run --example game [ADDRESS:PORT]
//! ```
//!
//! All numbers are big-endian.
//!
//! | from players | | to players | |
//! |---|---|---|---|
//! | 1 byte | speed to the right, -128 to 127 | 4 bytes | the tick |
//! | 1 byte | speed downwards | 12 bytes | for each player: id (4), place from the left (4), place from the top (4) |

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use foghorn::http::{Head, query};
use foghorn::server::{
    Busy, Context, Disconnect, Endpoint, Handler, JoinRequest, Relayed, Rooms, Router, Server, Start,
};
use foghorn::ws::{CloseCode, Message};

/// Sixty of them are a second.
const TICK: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// The one key of a match's room: of its values only the newest counts.
const STATE: &[u8] = b"state";

/// All matches by name, each in a room of its own.
#[derive(Debug, Default)]
pub(crate) struct Game {
    matches: Mutex<BTreeMap<String, Match>>,
}

#[derive(Debug, Default)]
struct Match {
    tick: u32,
    players: BTreeMap<u32, Player>,
    /// Players that there have ever been.
    count: u32,
}

#[derive(Debug, Default)]
struct Player {
    speed: (i8, i8),
    place: (i32, i32),
}

impl Match {
    /// Goes on by one tick; returns the state after it.
    fn advance(&mut self) -> Vec<u8> {
        self.tick = self.tick.wrapping_add(1);
        let mut state = self.tick.to_be_bytes().to_vec();
        for (id, Player { speed, place }) in &mut self.players {
            *place = (place.0.wrapping_add(speed.0.into()), place.1.wrapping_add(speed.1.into()));
            state.extend([id.to_be_bytes(), place.0.to_be_bytes(), place.1.to_be_bytes()].as_flattened());
        }
        state
    }
}

impl Game {
    fn matches(&self) -> MutexGuard<'_, BTreeMap<String, Match>> {
        self.matches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves all matches on and publishes their states, until the other end of `stop` is dropped. For a thread of its own.
    #[expect(clippy::disallowed_methods, reason = "a game goes on in real time")]
    pub(crate) fn run(&self, rooms: &Rooms, stop: &Receiver<()>) {
        let mut next = Instant::now() + TICK;
        let wait = |next: Instant| stop.recv_timeout(next.saturating_duration_since(Instant::now()));
        while let Err(RecvTimeoutError::Timeout) = wait(next) {
            for (name, game) in &mut *self.matches() {
                let state = Message::Binary(&game.advance());
                // Encoded once for all players. If the server is too busy for this state, the next one will do.
                let _too_busy: Result<(), Busy> =
                    rooms.relay(Relayed::latest(name, STATE, state), |_players| ());
            }
            // Counted from when it was due, so that lateness does not add up; what was missed is not made up for.
            next = (next + TICK).max(Instant::now());
        }
    }
}

struct Players {
    game: Arc<Game>,
}

impl Handler for Players {
    /// The match and the player's id in it; `None` for a session that was turned away.
    type State = Option<(String, u32)>;

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) -> Option<(String, u32)> {
        let Ok(Some(name)) = query::get(head.query(), "match") else {
            cx.close(CloseCode::POLICY, "which match?");
            return None;
        };
        // From the beginning: of a room that keeps only the latest value this is the state as it is now.
        let request = JoinRequest::latest(&name).start(Start::After { seq: 0, epoch: None });
        if let Err(error) = cx.join(request) {
            cx.close(error.close_code(), &error.to_string());
            return None;
        }
        let mut matches = self.game.matches();
        let game = matches.entry(name.to_string()).or_default();
        let id = game.count;
        game.count += 1;
        game.players.insert(id, Player::default());
        Some((name.into_owned(), id))
    }

    fn message(&self, cx: &mut Context<'_>, state: &mut Option<(String, u32)>, message: Message<'_>) {
        let (Message::Binary(&[right, down]), Some((name, id))) = (message, state) else {
            return cx.close(CloseCode::POLICY, "two bytes, please");
        };
        if let Some(player) = self.game.matches().get_mut(name).and_then(|game| game.players.get_mut(id)) {
            player.speed = (right.cast_signed(), down.cast_signed());
        }
    }

    fn close(&self, _cx: &mut Context<'_>, state: Option<(String, u32)>, _reason: Disconnect) {
        let Some((name, id)) = state else { return };
        let mut matches = self.game.matches();
        if let Some(game) = matches.get_mut(&name) {
            game.players.remove(&id);
            if game.players.is_empty() {
                matches.remove(&name);
            }
        }
    }
}

/// What the server serves.
pub(crate) fn routes(game: &Arc<Game>) -> Router {
    Router::new().endpoint("/game", Endpoint::new(Players { game: game.clone() }).message_bytes(125))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let game = Arc::new(Game::default());
    let server = Server::builder().listen(address.parse()?).router(routes(&game)).handle_signals().start()?;
    println!("ws://{}/game?match=1", server.addresses()[0]);
    let ((running, stop), rooms) = (sync_channel(0), server.rooms().clone());
    let ticking = thread::spawn(move || game.run(&rooms, &stop));
    server.run()?;
    drop(running);
    ticking.join().map_err(|_| "the game panicked")?;
    Ok(())
}
