//! The one thread that polls: it accepts, reads, parses, runs timers, opens and frees connections.
//!
//! It never blocks, and no peer can make it work for long: accepting and reading have budgets per turn, and whoever has
//! more waits for the next turn. Upwards it knows only the [`Service`] trait, downwards the shards' lanes and the
//! connections' write halves.
//!
//! | file | subject |
//! |---|---|
//! | this one | the loop: events, ready list, timers, letters, shutdown |
//! | `turn` | what one turn shares: time, replies, lanes |
//! | `acceptor` | listening sockets, exhaustion |
//! | `slots` | the table of connections, keys with generations |
//! | `exchange` | HTTP on one connection |
//! | `websocket` | frames on one connection, heartbeats, deadlines |
//! | `context`, `session` | what a handler can do, on this thread and on others |
//! | `timers` | the wheel |
//! | `mailbox` | letters from other threads |
//! | `service` | what the application above has to answer |

mod acceptor;
mod context;
mod exchange;
mod mailbox;
mod service;
mod session;
mod slots;
mod timers;
mod turn;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Poll, Token, Waker};

use self::acceptor::Acceptor;
use self::exchange::Exchange;
use self::mailbox::Inbox;
pub(crate) use self::mailbox::{Letter, Mailbox};
use self::slots::{Key, Slot, Slots, State};
use self::timers::{Tick, ticks};
use self::turn::Turn;
use self::websocket::{Reach, WebSocket};
use crate::http::{HeadLimits, Response};
use crate::rooms::{Command, Effect, RoomLimits, SessionKey, Why};
use crate::store::Store;
use crate::transport::{Flushed, Outbound, Stream};
use crate::workers::{self, Report, ShardGone, Workers};
use crate::ws::CloseCode;

pub use context::{Context, JoinRequest, Membership, RoomError};
pub use service::{Answer, Arrival, Disconnect};
pub(crate) use service::{Route, Service, Ticket};
pub use session::{Handshake, Session};

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// The timer entry that lets a paused acceptor try again.
const RETRY_ACCEPT_BITS: u64 = u64::MAX;
const RETRY_ACCEPT_AFTER: Duration = Duration::from_millis(100);

/// Bytes read from one connection before the others get their turn. The buffer is shared by all connections.
const READ_BYTES: usize = 128 * 1024;
const EVENTS_PER_TURN: usize = 1024;
/// Connections over the limit that are told so at one time; more are dropped without a word.
const TURNED_AWAY_MAX: usize = 64;

/// The reactor's limits and deadlines. `None` turns one off.
#[derive(Clone, Debug)]
pub(crate) struct ReactorLimits {
    pub(crate) head: HeadLimits,
    pub(crate) body_bytes: usize,
    pub(crate) reply_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) connections_per_ip: Option<usize>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) message_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) shutdown_grace: Duration,
}

/// Everything a reactor starts from.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) limits: ReactorLimits,
    pub(crate) rooms: RoomLimits,
    /// One random number for each shard.
    pub(crate) shard_seeds: Vec<u64>,
    /// Where chat rooms are kept.
    pub(crate) store: Option<Store>,
    /// Whether `SIGTERM` and `SIGINT` shut the server down.
    pub(crate) signals: bool,
}

/// How far shutting down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// As usual.
    Serving,
    /// Nobody is accepted any more; what has arrived already is read, for so many more turns.
    Reading(u8),
    /// So many shards still have to send what was published before.
    Flushing(usize),
    /// Every session has been closed; until this moment its peer may answer.
    Closing(Tick),
}

/// The reactor. [`Reactor::run`] is the server.
pub(crate) struct Reactor<S> {
    poll: Poll,
    inbox: Inbox,
    signals: Option<signal_hook_mio::v1_0::Signals>,
    acceptor: Acceptor,
    addresses: Vec<SocketAddr>,
    slots: Slots,
    turn: Turn,
    service: S,
    buffer: Box<[u8]>,
    life: Life,
    /// Last, so that the lanes and the inbox are gone when it waits for the threads.
    _workers: Workers,
}

impl Report for Mailbox {
    fn effect(&self, effect: Effect) {
        self.post(Letter::Effect(effect));
    }

    fn room_in_lane(&self) {
        self.ring();
    }
}

impl<S: Service> Reactor<S> {
    /// Opens the sockets and starts the shards.
    ///
    /// # Errors
    /// The address that could not be bound, with the system's reason; or what else the system refused.
    pub(crate) fn start(
        setup: Setup,
        service: impl FnOnce(&Mailbox) -> S,
    ) -> Result<Reactor<S>, StartFailure> {
        let poll = Poll::new()?;
        let (mailbox, inbox) = Mailbox::new(Waker::new(poll.registry(), WAKER)?);
        let mut sockets = Vec::new();
        for addr in setup.listen {
            sockets.push(acceptor::listen(addr).map_err(|error| StartFailure::Listen(addr, error))?);
        }
        let addresses = sockets.iter().map(mio::net::TcpListener::local_addr).collect::<io::Result<_>>()?;
        let acceptor = Acceptor::new(sockets, poll.registry())?;
        let signals = if setup.signals { Some(register_signals(&poll)?) } else { None };
        let (workers, lanes) =
            workers::start(&setup.rooms, &setup.shard_seeds, setup.store.as_ref(), &mailbox)?;
        Ok(Reactor {
            poll,
            inbox,
            signals,
            acceptor,
            addresses,
            slots: Slots::default(),
            service: service(&mailbox),
            turn: Turn::new(Arc::new(setup.limits), lanes, mailbox),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            life: Life::Serving,
            _workers: workers,
        })
    }

    /// The addresses really bound, in the order asked for.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where other threads reach this reactor.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.turn.mailbox
    }

    /// Serves until told to shut down.
    ///
    /// # Errors
    /// If polling fails or a shard has died; the server cannot go on then.
    pub(crate) fn run(mut self) -> Result<(), RunFailure> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut due = Vec::new();
        while !self.is_over() {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled.map_err(RunFailure::Poll)?,
            }
            self.turn.tick(timeout);
            for event in &events {
                self.on_event(event);
            }
            self.read_ready();
            self.accept();
            self.turn.timers.advance(self.turn.now, &mut due);
            for key in due.drain(..) {
                self.on_timer(key);
            }
            self.advance_shutdown();
            self.turn.dispatch()?;
            self.release_held();
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let waits_for_turn = self.acceptor.is_ready() || matches!(self.life, Life::Reading(_));
        if waits_for_turn { Some(Duration::ZERO) } else { self.turn.timeout() }
    }

    fn on_event(&mut self, event: &mio::event::Event) {
        match event.token() {
            WAKER => self.read_letters(),
            SIGNALS => self.read_signals(),
            token if self.acceptor.note(token) => {}
            token => {
                let key = Key::of(token);
                if event.is_writable() {
                    self.on_writable(key);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.read(key, event.is_read_closed() || event.is_error());
                }
            }
        }
    }

    /// Reads once from a connection and lets it act. `ending`: the kernel says that the end of the input is near, so
    /// from now on a short read is not the last one.
    fn read(&mut self, key: Key, ending: bool) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.ending |= ending;
        if hold_back(key, slot, &mut self.turn) {
            return;
        }
        if let State::Http(Some(exchange)) = &slot.state
            && exchange.has_input()
        {
            slot.unread = true;
            self.turn.make_ready(key, slot);
            return self.receive(key, 0);
        }
        match slot.outbound.stream().read(&mut self.buffer) {
            Ok(0) => self.on_end_of_input(key),
            Ok(count) => {
                slot.unread = slot.ending || count == self.buffer.len();
                if slot.unread {
                    self.turn.make_ready(key, slot);
                }
                slot.last_read = self.turn.now;
                self.receive(key, count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => slot.unread = false,
            Err(_) => self.remove(key),
        }
    }

    /// Lets a connection act on the first `count` bytes of the buffer.
    fn receive(&mut self, key: Key, count: usize) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let bytes = &mut self.buffer[..count];
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        match &mut slot.state {
            State::WebSocket(websocket) => websocket.receive(bytes, &mut reach),
            State::Http(exchange) => {
                let exchange =
                    exchange.take().map_or_else(|| Exchange::new(reach.turn), |exchange| *exchange);
                slot.state = exchange.receive(bytes, &mut reach);
                slot.deadline = http_deadline(&slot.state, &self.turn);
                if matches!(&slot.state, State::Http(Some(exchange)) if exchange.has_input()) {
                    slot.unread = true;
                    self.turn.make_ready(key, slot);
                }
            }
            State::Draining => {}
        }
        after_event(key, slot, &mut self.turn);
    }

    fn on_end_of_input(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        match &mut slot.state {
            State::WebSocket(websocket) => websocket.end(Disconnect::PeerGone, &mut reach),
            // A client may end its side and still wait for the rest of the answers.
            State::Http(_) | State::Draining if slot.outbound.stalled_at().is_some() => {
                slot.outbound.finish();
                slot.state = State::Draining;
                return after_event(key, slot, &mut self.turn);
            }
            State::Http(_) | State::Draining => {}
        }
        self.remove(key);
    }

    fn on_writable(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        match slot.outbound.flush() {
            Flushed::Empty { resume } => {
                if let (true, State::WebSocket(websocket)) = (resume, &slot.state) {
                    websocket.resume(&mut self.turn);
                }
                if slot.unread {
                    self.turn.make_ready(key, slot);
                }
            }
            Flushed::Closed => {
                if matches!(slot.state, State::Draining) {
                    slot.unread = true;
                    self.turn.make_ready(key, slot);
                }
            }
            Flushed::Blocked => {}
        }
    }

    fn read_ready(&mut self) {
        for key in std::mem::take(&mut self.turn.ready) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.ready = false;
                self.read(key, false);
            }
        }
    }

    /// Lets those read on whose shards have caught up.
    fn release_held(&mut self) {
        for key in std::mem::take(&mut self.turn.held) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.ready = false;
                if !hold_back(key, slot, &mut self.turn) {
                    self.turn.make_ready(key, slot);
                }
            }
        }
    }

    fn accept(&mut self) {
        let mut accepted = Vec::new();
        self.acceptor.accept(|stream, peer| accepted.push((stream, peer)));
        for (stream, peer) in accepted {
            self.open(stream, peer);
        }
        if self.acceptor.paused {
            let at = self.turn.now.saturating_add(ticks(RETRY_ACCEPT_AFTER));
            self.turn.timers.insert(at, Key::from_bits(RETRY_ACCEPT_BITS));
        }
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr) {
        let limits = self.turn.limits.clone();
        let per_address = limits.connections_per_ip.map(|max| (peer.ip(), max));
        let too_many_here = per_address.is_some_and(|(ip, max)| {
            self.turn.addresses.get(&ip).is_some_and(|&connections| connections >= max)
        });
        let refused = too_many_here || self.slots.len() >= limits.connections;
        if refused && self.slots.len() >= limits.connections.saturating_add(TURNED_AWAY_MAX) {
            return;
        }
        let key = self.slots.next_key();
        let mut stream = Stream::Tcp(stream);
        if let Err(error) = stream.register(self.poll.registry(), key.token()) {
            return tracing::error!(%error, "a connection could not be registered");
        }
        if let Some((ip, _)) = per_address {
            *self.turn.addresses.entry(ip).or_default() += 1;
        }
        let exchange = Exchange::new(&self.turn);
        self.slots.insert(Slot {
            outbound: Arc::new(Outbound::new(stream, limits.reply_bytes)),
            deadline: exchange.deadline,
            state: State::Http(Some(Box::new(exchange))),
            armed: 0,
            last_read: self.turn.now,
            unread: false,
            ending: false,
            ready: false,
            counted: per_address.map(|(ip, _)| ip),
        });
        let Some(slot) = self.slots.get_mut(key) else { return };
        if refused {
            let mut reach =
                Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
            exchange::turn_away(&mut reach);
            slot.state = State::Draining;
            slot.deadline = 0;
        }
        after_event(key, slot, &mut self.turn);
    }

    /// Forgets a connection. Its socket closes when the shards have let go of it, too.
    fn remove(&mut self, key: Key) {
        let Some(mut slot) = self.slots.remove(key) else { return };
        if let State::WebSocket(websocket) = &mut slot.state {
            let mut reach =
                Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
            websocket.end(Disconnect::PeerGone, &mut reach);
        }
        if Arc::strong_count(&slot.outbound) > 1 {
            // Somebody still holds the write half: nobody shall wait for a socket that nobody reads.
            slot.outbound.abort();
        }
        if let Some(ip) = slot.counted
            && let Some(connections) = self.turn.addresses.get_mut(&ip)
        {
            *connections -= 1;
            if *connections == 0 {
                self.turn.addresses.remove(&ip);
            }
        }
        self.acceptor.paused = false;
    }

    fn on_timer(&mut self, key: Key) {
        if key.to_bits() == RETRY_ACCEPT_BITS {
            self.acceptor.paused = false;
            return;
        }
        let now = self.turn.now;
        let Some(slot) = self.slots.get_mut(key) else { return };
        if slot.armed > now {
            return;
        }
        let expired = slot.deadline != 0 && slot.deadline <= now;
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        match &mut slot.state {
            State::WebSocket(websocket) if !expired => websocket.check(slot.last_read, &mut reach),
            State::Http(exchange) if expired => {
                exchange::expire(exchange.as_deref(), &mut reach);
                slot.state = State::Draining;
                slot.deadline = 0;
            }
            State::WebSocket(_) | State::Draining if expired => return self.remove(key),
            State::WebSocket(_) | State::Draining | State::Http(_) => {}
        }
        if let Some(slot) = self.slots.get_mut(key) {
            after_event(key, slot, &mut self.turn);
        }
    }

    fn read_letters(&mut self) {
        self.inbox.answer_bell();
        while let Some(letter) = self.inbox.next() {
            match letter {
                Letter::Effect(Effect::Close(session, why)) => {
                    let (code, reason) = verdict(why);
                    let because =
                        if why == Why::TooSlow { Disconnect::TooSlow } else { Disconnect::Closed(code) };
                    self.close(session, code, reason, because);
                }
                // The workers keep these to themselves.
                Letter::Effect(Effect::Open { .. } | Effect::Read { .. }) => {}
                Letter::Effect(Effect::Passed) => {
                    if let Life::Flushing(shards) = &mut self.life {
                        *shards = shards.saturating_sub(1);
                    }
                }
                Letter::Ask(ask) => {
                    let lane = ask.room().map_or(0, |room| self.turn.lane_of(room));
                    self.turn.lanes[usize::from(lane)].push(Command::Ask(ask));
                }
                Letter::AskShard(shard, ask) => {
                    if let Some(lane) = self.turn.lanes.get_mut(shard) {
                        lane.push(Command::Ask(ask));
                    }
                }
                Letter::Response(ticket, response) => self.answer(ticket, &response),
                Letter::Closing(key) => self.with_websocket(key, WebSocket::closed_elsewhere),
                Letter::Shutdown => self.begin_shutdown(),
            }
        }
    }

    /// Passes on the answer to a request that has waited for it.
    fn answer(&mut self, ticket: Ticket, response: &Response) {
        let Some(slot) = self.slots.get_mut(ticket.key) else { return };
        let State::Http(exchange) = &mut slot.state else { return };
        let Some(exchange) = exchange.take() else { return };
        let (turn, service) = (&mut self.turn, &mut self.service);
        let mut reach = Reach { key: ticket.key, outbound: &slot.outbound, turn, service };
        slot.state = exchange.answer(ticket.number, response, &mut reach);
        slot.deadline = http_deadline(&slot.state, &self.turn);
        self.turn.make_ready(ticket.key, slot);
        after_event(ticket.key, slot, &mut self.turn);
    }

    fn close(&mut self, session: SessionKey, code: CloseCode, reason: &str, because: Disconnect) {
        let key = Key::from_bits(session.0);
        self.with_websocket(key, |websocket, reach| websocket.close(code, reason, because, reach));
    }

    fn with_websocket(&mut self, key: Key, act: impl FnOnce(&mut WebSocket, &mut Reach<'_, S>)) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        if let State::WebSocket(websocket) = &mut slot.state {
            act(websocket, &mut reach);
            after_event(key, slot, &mut self.turn);
        }
    }

    fn read_signals(&mut self) {
        let Some(signals) = &mut self.signals else { return };
        for signal in signals.pending().collect::<Vec<_>>() {
            if self.life != Life::Serving {
                tracing::warn!(signal, "second signal, leaving at once");
                self.life = Life::Closing(0);
                return;
            }
            tracing::info!(signal, "shutting down");
            self.begin_shutdown();
        }
    }

    fn begin_shutdown(&mut self) {
        if self.life == Life::Serving {
            self.acceptor.stop();
            self.life = Life::Reading(2);
        }
    }

    /// Takes shutting down one step further: read what has come, have the shards send what was published, then close
    /// everything.
    fn advance_shutdown(&mut self) {
        match &mut self.life {
            Life::Serving | Life::Closing(_) => {}
            Life::Reading(turns) if *turns > 0 => *turns -= 1,
            Life::Reading(_) => {
                for lane in &mut self.turn.lanes {
                    lane.push(Command::Barrier);
                }
                // A publisher that does not stop must not keep the shards from coming to an end.
                self.turn.paused = true;
                self.life = Life::Flushing(self.turn.lanes.len());
            }
            Life::Flushing(0) => self.close_all(),
            Life::Flushing(_) => {}
        }
    }

    fn close_all(&mut self) {
        let deadline = self.turn.now.saturating_add(ticks(self.turn.limits.shutdown_grace));
        // The loop has to wake up for it even if no connection has a timer.
        self.turn.timers.insert(deadline, Key::from_bits(RETRY_ACCEPT_BITS));
        self.life = Life::Closing(deadline);
        self.turn.paused = false;
        for key in self.slots.keys() {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            if slot.unread {
                self.turn.make_ready(key, slot);
            }
            if matches!(slot.state, State::Http(_)) {
                slot.outbound.finish();
                slot.state = State::Draining;
                slot.deadline = 0;
                after_event(key, slot, &mut self.turn);
            }
            self.with_websocket(key, |websocket, reach| {
                websocket.close(CloseCode::GOING_AWAY, "server shuts down", Disconnect::Shutdown, reach);
            });
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.life, Life::Closing(deadline) if self.slots.len() == 0 || self.turn.now >= deadline)
    }
}

/// How a session is told why its room does not want it.
fn verdict(why: Why) -> (CloseCode, &'static str) {
    match why {
        Why::TooSlow => (CloseCode::TOO_SLOW, "too slow"),
        Why::RoomFull => (CloseCode::TRY_AGAIN_LATER, "the room is full"),
        Why::TooManyRooms => (CloseCode::TRY_AGAIN_LATER, "too many rooms"),
        Why::NoSuchRoom => (CloseCode::POLICY, "there is no such room"),
        Why::Unavailable => (CloseCode::TRY_AGAIN_LATER, "the room cannot be read at the moment"),
        Why::Kicked => (CloseCode::KICKED, "kicked"),
        Why::RoomDeleted => (CloseCode::NORMAL, "the room was deleted"),
    }
}

/// Whether the connection must not be read now: its peer does not read our replies, or its shard is behind. It is
/// remembered, since the kernel will not report its input again.
fn hold_back(key: Key, slot: &mut Slot, turn: &mut Turn) -> bool {
    if turn.paused {
        slot.unread = true;
        return true;
    }
    let held = match &slot.state {
        State::WebSocket(websocket) => websocket.is_held(turn),
        State::Http(Some(exchange)) if exchange.is_waiting() => {
            slot.unread = true;
            return true;
        }
        State::Http(_) => false,
        State::Draining => return false,
    };
    if held && !slot.ready {
        slot.ready = true;
        turn.held.push(key);
    }
    let congested = slot.outbound.is_congested();
    slot.unread |= held || congested;
    held || congested
}

/// Moves the connection on to the state it has reached, and makes sure that its next deadline finds it.
fn after_event(key: Key, slot: &mut Slot, turn: &mut Turn) {
    if let State::WebSocket(websocket) = &slot.state
        && websocket.is_over()
    {
        slot.outbound.finish();
        slot.state = State::Draining;
        slot.deadline = 0;
    }
    let next = match &slot.state {
        State::WebSocket(websocket) => {
            if slot.deadline == 0 && websocket.is_closing() {
                slot.deadline = turn.now.saturating_add(ticks(turn.limits.close_timeout));
            }
            websocket.next_check(slot.last_read, turn)
        }
        State::Draining => {
            if slot.deadline == 0 {
                slot.deadline = turn.now.saturating_add(ticks(turn.limits.close_timeout));
            }
            None
        }
        State::Http(_) => None,
    };
    let next = next.into_iter().chain((slot.deadline != 0).then_some(slot.deadline)).min();
    if let Some(at) = next {
        turn.arm(key, &mut slot.armed, at);
    }
}

/// When the state that an exchange has led to ends; 0 if that is not HTTP's business any more.
fn http_deadline(state: &State, turn: &Turn) -> Tick {
    match state {
        State::Http(Some(exchange)) => exchange.deadline,
        State::Http(None) => {
            turn.limits.idle_timeout.map_or(0, |timeout| turn.now.saturating_add(ticks(timeout)))
        }
        State::WebSocket(_) | State::Draining => 0,
    }
}

fn register_signals(poll: &Poll) -> io::Result<signal_hook_mio::v1_0::Signals> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook_mio::v1_0::Signals::new([SIGTERM, SIGINT])?;
    poll.registry().register(&mut signals, SIGNALS, mio::Interest::READABLE)?;
    Ok(signals)
}

/// Why a reactor could not be started.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The system refused something else.
    System(io::Error),
}

impl From<io::Error> for StartFailure {
    fn from(error: io::Error) -> Self {
        StartFailure::System(error)
    }
}

/// Why a reactor could not go on.
#[derive(Debug)]
pub(crate) enum RunFailure {
    /// Polling failed.
    Poll(io::Error),
    /// A shard's thread has ended.
    ShardGone,
}

impl From<ShardGone> for RunFailure {
    fn from(ShardGone: ShardGone) -> Self {
        RunFailure::ShardGone
    }
}
