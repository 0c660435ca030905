//! The sockets of a simulation, and what happens between their ends.
//!
//! As faithful as it takes to be told the same as by Linux: buffers are bounded in both directions; a write is short only
//! where the buffer is full (or memory is short for a moment), and then an event follows when there is room again; a read
//! is short only where nothing more has come; an event says what is true when it is fetched, not when it came about
//! (edge-triggered `epoll`), so several merge into one; whoever closes with input unread resets the connection, and what
//! was on its way to the other end may be lost.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Token;

use super::readiness::Readiness;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listening {
    address: SocketAddr,
    state: Mutex<ListeningState>,
}

#[derive(Debug, Default)]
struct ListeningState {
    token: Option<Token>,
    waiting: VecDeque<Arc<Connection>>,
    edge: bool,
    is_closed: bool,
    /// The error (`errno`) that accepting ends in for now.
    failing: Option<i32>,
}

/// What is held by the one who listens; closed when dropped.
#[derive(Debug)]
pub(crate) struct ListenerEnd(pub(crate) Arc<Listening>);

impl Drop for ListenerEnd {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        for connection in state.waiting.drain(..) {
            connection.lock().end_by_reset();
        }
    }
}

impl ListenerEnd {
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(crate) fn register(&self, token: Token) {
        let mut state = self.0.lock();
        (state.token, state.edge) = (Some(token), true);
    }

    /// As `accept4(2)`.
    pub(crate) fn accept(&self) -> io::Result<(ServerEnd, SocketAddr)> {
        let mut state = self.0.lock();
        if let Some(errno) = state.failing {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let connection = state.waiting.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let peer = connection.peer;
        Ok((ServerEnd(connection), peer))
    }
}

impl Listening {
    pub(super) fn new(address: SocketAddr) -> Listening {
        Listening { address, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, ListeningState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, connection: Arc<Connection>) -> bool {
        let mut state = self.lock();
        if !state.is_closed {
            state.waiting.push_back(connection);
            state.edge = true;
        }
        !state.is_closed
    }

    /// From now on accepting ends in this error, or in none.
    pub(crate) fn fail(&self, errno: Option<i32>) {
        self.lock().failing = errno;
    }

    pub(crate) fn has_edge(&self) -> bool {
        self.lock().edge
    }

    pub(crate) fn take_event(&self) -> Option<Event> {
        let mut state = self.lock();
        state.edge = false;
        let token = state.token.filter(|_| !state.is_closed && !state.waiting.is_empty())?;
        Some(Event { token, readable: true, writable: false, error: false, read_closed: false })
    }
}

/// What has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    token: Token,
    readable: bool,
    writable: bool,
    error: bool,
    read_closed: bool,
}

impl Event {
    /// That another thread wants to be heard.
    pub(crate) fn woken(token: Token) -> Event {
        Event { token, readable: true, writable: false, error: false, read_closed: false }
    }
}

impl Readiness for Event {
    fn token(&self) -> Token {
        self.token
    }

    fn is_readable(&self) -> bool {
        self.readable
    }

    fn is_writable(&self) -> bool {
        self.writable
    }

    fn is_error(&self) -> bool {
        self.error
    }

    fn is_read_closed(&self) -> bool {
        self.read_closed
    }

    fn is_priority(&self) -> bool {
        false
    }
}

/// A connection, with both of its ends.
#[derive(Debug)]
pub(crate) struct Connection {
    peer: SocketAddr,
    state: Mutex<State>,
}

/// How an end says that nothing more will come from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// It is on its way.
    Said,
    Arrived,
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    /// Bytes that each direction has room for.
    room: usize,
    /// From the client, on the way.
    sent: VecDeque<u8>,
    /// From the client, for the server to read.
    arrived: VecDeque<u8>,
    client_end: End,
    /// The client has closed its socket: what is still sent to it is answered by a reset.
    client_is_gone: bool,
    /// From the server, for the client to read.
    written: VecDeque<u8>,
    server_finished: bool,
    server_reads: bool,
    server_is_gone: bool,
    /// A reset is on its way to the server.
    reset_is_sent: bool,
    /// The server has been told of a reset.
    is_reset: bool,
    /// The client has been told of a reset.
    client_is_reset: bool,
    /// The server found no room, and is told when there is some.
    wants_room: bool,
    /// For this one write memory is short.
    is_short: Option<usize>,
    edge: bool,
}

/// The server's end; closed when dropped.
#[derive(Debug)]
pub(crate) struct ServerEnd(Arc<Connection>);

impl Drop for ServerEnd {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.server_is_gone = true;
        if state.arrived.is_empty() {
            state.server_finished = true;
        } else {
            state.end_by_reset();
        }
    }
}

impl State {
    fn end_by_reset(&mut self) {
        self.server_is_gone = true;
        self.client_is_reset = true;
    }

    fn has_room(&self) -> bool {
        // As in Linux, a third of the buffer has to be free.
        self.room.saturating_sub(self.written.len()) * 3 >= self.room
    }

    fn is_writable(&self) -> bool {
        self.is_reset || self.server_finished || self.has_room()
    }
}

impl ServerEnd {
    pub(crate) fn register(&self, token: Token) {
        let mut state = self.0.lock();
        (state.token, state.edge) = (Some(token), true);
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        let count = state.peek(buffer)?;
        state.arrived.drain(..count);
        Ok(count)
    }

    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().peek(buffer)
    }

    pub(crate) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.lock().write(parts)
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut state = self.0.lock();
        state.server_finished |= matches!(how, Shutdown::Write | Shutdown::Both);
        state.server_reads &= matches!(how, Shutdown::Write);
        Ok(())
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        if self.0.lock().is_reset { Err(io::ErrorKind::NotConnected.into()) } else { Ok(self.0.peer) }
    }
}

impl State {
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.arrived.len().min(buffer.len());
        if count > 0 || buffer.is_empty() {
            let (front, back) = self.arrived.as_slices();
            let from_front = count.min(front.len());
            buffer[..from_front].copy_from_slice(&front[..from_front]);
            buffer[from_front..count].copy_from_slice(&back[..count - from_front]);
            return Ok(count);
        }
        if self.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.client_end == End::Arrived || !self.server_reads {
            return Ok(0);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_reset || self.server_finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        if self.client_is_gone && wanted > 0 {
            self.reset_is_sent = true;
            return Ok(wanted);
        }
        let free = self.room.saturating_sub(self.written.len());
        let free = self.is_short.take().map_or(free, |short| free.min(short));
        let count = wanted.min(free);
        self.wants_room |= count < wanted;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut left = count;
        for part in parts {
            let taken = &part[..left.min(part.len())];
            self.written.extend(taken);
            left -= taken.len();
        }
        Ok(count)
    }

    /// Tells a server that found no room that there is some.
    fn tell_of_room(&mut self) {
        if self.wants_room && self.has_room() {
            self.wants_room = false;
            self.edge = true;
        }
    }
}

/// What the client finds when it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing, for now.
    Nothing,
    /// Bytes.
    Bytes(Vec<u8>),
    /// The server has nothing more to say.
    End,
    /// The connection was cut.
    Reset,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, room: usize) -> Connection {
        let state = State {
            token: None,
            room,
            sent: VecDeque::new(),
            arrived: VecDeque::new(),
            client_end: End::Open,
            client_is_gone: false,
            written: VecDeque::new(),
            server_finished: false,
            server_reads: true,
            server_is_gone: false,
            reset_is_sent: false,
            is_reset: false,
            client_is_reset: false,
            wants_room: false,
            is_short: None,
            edge: false,
        };
        Connection { peer, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The client.

    /// Sends as much as there is room for.
    pub(crate) fn send(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        if state.client_end != End::Open || state.client_is_reset {
            return 0;
        }
        let free = state.room.saturating_sub(state.sent.len() + state.arrived.len());
        let count = bytes.len().min(free);
        state.sent.extend(&bytes[..count]);
        count
    }

    /// Reads `max` bytes at most.
    pub(crate) fn receive(&self, max: usize) -> Received {
        let mut state = self.lock();
        if state.client_is_reset {
            return Received::Reset;
        }
        let count = state.written.len().min(max);
        if count > 0 {
            let bytes = state.written.drain(..count).collect();
            state.tell_of_room();
            return Received::Bytes(bytes);
        }
        if state.written.is_empty() && state.server_finished { Received::End } else { Received::Nothing }
    }

    /// Says that nothing more will come; reads on.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        if state.client_end == End::Open {
            state.client_end = End::Said;
        }
    }

    /// Closes the socket: what was sent arrives, what still comes is not read.
    pub(crate) fn close(&self) {
        self.finish();
        let mut state = self.lock();
        state.client_is_gone = true;
        if !state.written.is_empty() {
            state.reset_is_sent = true;
        }
        state.written.clear();
        state.tell_of_room();
    }

    /// Cuts the connection; what was sent and has not arrived is lost.
    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        (state.client_is_gone, state.reset_is_sent) = (true, true);
        state.sent.clear();
    }

    /// Whether the server has let go of it.
    pub(crate) fn is_closed_by_server(&self) -> bool {
        self.lock().server_is_gone
    }

    // What happens in between.

    /// Whether something is on its way to the server.
    pub(crate) fn is_under_way(&self) -> bool {
        let state = self.lock();
        !state.is_reset && (!state.sent.is_empty() || state.client_end == End::Said || state.reset_is_sent)
    }

    /// So many bytes of what was sent arrive at most; after the last of them, the end or a reset.
    pub(crate) fn deliver(&self, max: usize) {
        let mut state = self.lock();
        if state.is_reset {
            return;
        }
        let state = &mut *state;
        let count = state.sent.len().min(max);
        if state.server_is_gone {
            // Nobody is there: whatever comes is answered by a reset.
            state.client_is_reset |= count > 0;
            state.sent.clear();
            state.client_end = if state.client_end == End::Said { End::Arrived } else { state.client_end };
            state.reset_is_sent = false;
            return;
        }
        state.arrived.extend(state.sent.drain(..count));
        state.edge |= count > 0;
        if state.sent.is_empty() && count < max {
            if state.client_end == End::Said {
                (state.client_end, state.edge) = (End::Arrived, true);
            }
            if std::mem::take(&mut state.reset_is_sent) {
                (state.is_reset, state.edge) = (true, true);
                state.written.clear();
            }
        }
    }

    /// The next write finds memory for this number of bytes only.
    pub(crate) fn be_short(&self, bytes: usize) {
        self.lock().is_short = Some(bytes);
    }

    /// Memory is there again.
    pub(crate) fn tell_of_room(&self) {
        self.lock().tell_of_room();
    }

    pub(crate) fn wants_room(&self) -> bool {
        let state = self.lock();
        state.wants_room && state.has_room()
    }

    /// An event comes for no reason.
    pub(crate) fn be_spurious(&self) {
        let mut state = self.lock();
        state.edge |= state.token.is_some();
    }

    /// Whether there is an event to fetch.
    pub(crate) fn has_edge(&self) -> bool {
        let state = self.lock();
        state.edge && state.token.is_some() && !state.server_is_gone
    }

    /// Fetches the event.
    pub(crate) fn take_event(&self) -> Option<Event> {
        let mut state = self.lock();
        let token = state.token.filter(|_| !state.server_is_gone)?;
        state.edge = false;
        let closed = state.client_end == End::Arrived || state.is_reset || !state.server_reads;
        let event = Event {
            token,
            readable: !state.arrived.is_empty() || closed,
            writable: state.is_writable(),
            error: state.is_reset,
            read_closed: closed,
        };
        // As `tcp_poll`: whoever was told that there is no room is told when there is.
        state.wants_room |= !event.writable;
        (event.readable || event.writable).then_some(event)
    }
}
