//! All connections of the load, in one thread.

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Token};

use super::clock::{Clock, Nanos, nanos};
use super::connection::{Change, Connection, Received};
use super::delivery_checker::Faults;
use super::error::{BenchError, Lost};
use super::frame_scanner::Item;
use super::payload::{self, Finder, Layout, Mark};
use super::plan::Wait;
use super::scraper::Scraper;
use super::target::Target;
use crate::handshake::client::{self, ClientKey};

/// Connections that are being opened at one time: below the backlog of a listening socket.
const OPENING_MAX: usize = 256;
/// Bytes read from one connection at once.
const READ_BYTES: usize = 256 * 1024;
/// Few enough that a turn ends before the next message of an open loop is late, or what came for somebody else has
/// waited long behind a crowd: a quarter of a millisecond.
const EVENTS_MAX: usize = 64;
/// The masking key of what members say first.
const GREETING_KEY: [u8; 4] = [0x33, 0x55, 0x99, 0xaa];
/// A stage of the run that sees nothing happen for this long has failed.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What the load does with what comes.
pub(super) trait Traffic {
    /// A message came whole.
    fn message(&mut self, connection: usize, mark: Option<Mark>, now: Nanos);

    /// A connection is open.
    fn opened(&mut self, connection: usize) {
        let _ = connection;
    }

    /// A connection ended. An error ends the run.
    fn lost(&mut self, connection: usize, how: Lost) -> Result<(), BenchError> {
        Err(BenchError::Lost { connection, how })
    }
}

/// Where the time of the loop went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    idle: Nanos,
    until: Nanos,
}

impl Share {
    /// The part of the time since `earlier` that was spent working.
    pub(super) fn busy_since(self, earlier: Share) -> f64 {
        let elapsed = self.until.saturating_sub(earlier.until).max(1);
        let idle = self.idle.saturating_sub(earlier.idle).min(elapsed);
        (elapsed - idle) as f64 / elapsed as f64
    }
}

/// The connections and the loop that serves them.
pub(super) struct Connections {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffer: Box<[u8]>,
    layout: Layout,
    finder: Finder,
    /// Messages that have come otherwise than they were sent.
    garbled: u64,
    key: ClientKey,
    target: Target,
    wait: Wait,
    idle: Nanos,
    /// When the last poll returned, and whether there has been anything to do since.
    polled_at: Nanos,
    worked: bool,
    pub(super) clock: Clock,
}

impl Connections {
    /// `size` is that of each message's content.
    pub(super) fn new(
        target: Target,
        layout: Layout,
        size: usize,
        wait: Wait,
    ) -> Result<Connections, BenchError> {
        Ok(Connections {
            poll: Poll::new().map_err(|error| BenchError::System("poll", error))?,
            events: Events::with_capacity(EVENTS_MAX),
            connections: Vec::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            layout,
            finder: Finder::new(layout).checking(size),
            garbled: 0,
            // One nonce for all: it protects against caches, and there is none here.
            key: ClientKey::new(*b"a load generator"),
            target,
            wait,
            idle: 0,
            polled_at: 0,
            worked: true,
            clock: Clock::new(),
        })
    }

    /// Begins to look at the server's metrics, if that is wanted.
    pub(super) fn scraper(&self) -> Option<Scraper> {
        self.target.scraper()
    }

    /// Connections there are, open or on the way.
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// A connection, to do something with it.
    pub(super) fn connection(&mut self, connection: usize) -> &mut Connection {
        self.worked = true;
        &mut self.connections[connection]
    }

    /// Messages that have come otherwise than they were sent.
    pub(super) fn faults(&self) -> Faults {
        Faults { garbled: self.garbled, ..Faults::default() }
    }

    /// Where the time of the loop has gone up to now.
    pub(super) fn share(&self) -> Share {
        Share { idle: self.idle, until: self.clock.now() }
    }

    /// Opens `count` more connections; `path` says for each number what it asks for.
    pub(super) fn open<T: Traffic>(
        &mut self,
        count: usize,
        path: impl Fn(&Target, usize) -> String,
        traffic: &mut T,
        mut progress: impl FnMut(usize),
    ) -> Result<(), BenchError> {
        let first = self.connections.len();
        let (mut opened, mut received_at) = (0, self.clock.now());
        while opened < count {
            while self.connections.len() - first < count
                && self.connections.len() - first < opened + OPENING_MAX
            {
                let number = self.connections.len();
                let connection = self.new_connection(number, &path(&self.target, number))?;
                self.connections.push(connection);
            }
            let mut counting = Counting { traffic, opened: 0 };
            self.turn(Duration::from_millis(100), &mut counting)?;
            if counting.opened > 0 {
                opened += counting.opened;
                received_at = self.clock.now();
                progress(opened);
            }
            if self.clock.now() - received_at > nanos(SILENCE_MAX) {
                return Err(BenchError::Silent("connecting"));
            }
        }
        Ok(())
    }

    /// Replaces a connection by a new one.
    pub(super) fn reconnect(
        &mut self,
        connection: usize,
        room: usize,
        member: usize,
    ) -> Result<(), BenchError> {
        self.connections[connection] = self.new_connection(connection, &self.target.path(room, member))?;
        Ok(())
    }

    fn new_connection(&self, number: usize, path: &str) -> Result<Connection, BenchError> {
        let authorization = self.target.authorization();
        let fields: Vec<_> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        let mut request = client::request(&self.target.host, path, &self.key, &fields)
            .map_err(|_| BenchError::Target(self.target.url(), "it does not fit a request".to_owned()))?;
        request.extend(payload::greeting(self.layout, path, GREETING_KEY));
        Connection::connect(&self.target, request, self.poll.registry(), Token(number))
            .map_err(|error| BenchError::Connect { opened: number, error })
    }

    /// Closes all connections at once.
    pub(super) fn clear(&mut self) {
        self.connections.clear();
    }

    /// Cuts all connections from number `first` on: they are gone without a word.
    pub(super) fn cut(&mut self, first: usize) -> Result<(), BenchError> {
        for connection in self.connections.drain(first..) {
            connection.cut().map_err(|error| BenchError::System("cut a connection", error))?;
        }
        Ok(())
    }

    /// Hands over what has come. Waits for it, if need be, for `timeout` at most.
    pub(super) fn turn<T: Traffic>(&mut self, timeout: Duration, traffic: &mut T) -> Result<(), BenchError> {
        if !self.poll_for(timeout)? {
            return Ok(());
        }
        for event in &self.events {
            let number = event.token().0;
            let Some(connection) = self.connections.get_mut(number) else { continue };
            if event.is_writable()
                && let Err(how) = connection.on_writable()
            {
                lose(connection, number, how, traffic)?;
                continue;
            }
            if !event.is_readable() {
                continue;
            }
            loop {
                let now = self.clock.now();
                let garbled = &mut self.garbled;
                let sink = |item: Item<'_>| {
                    if let Item::Message { mark, whole, .. } = item {
                        *garbled += u64::from(!whole);
                        traffic.message(number, mark, now);
                    }
                };
                let Received { len, more, change } =
                    connection.read(&mut self.buffer, &self.key, &mut self.finder, sink);
                match change {
                    Change::None => {}
                    Change::Opened => traffic.opened(number),
                    Change::Lost(how) => {
                        lose(connection, number, how, traffic)?;
                        break;
                    }
                }
                // Otherwise the socket is empty; what comes later is another event. But the end may have come together
                // with the last bytes; then there is no other event.
                if !more && (len == 0 || !event.is_read_closed()) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Polls without waiting first, so that the time waited for is known. False if nothing came.
    fn poll_for(&mut self, timeout: Duration) -> Result<bool, BenchError> {
        self.poll_once(Duration::ZERO)?;
        let mut now = self.clock.now();
        if !self.worked {
            self.idle += now - self.polled_at;
        }
        if self.events.is_empty() && self.wait == Wait::Sleep && !timeout.is_zero() {
            self.poll_once(timeout)?;
            let woken_at = self.clock.now();
            self.idle += woken_at - now;
            now = woken_at;
        }
        self.polled_at = now;
        self.worked = !self.events.is_empty();
        Ok(self.worked)
    }

    fn poll_once(&mut self, timeout: Duration) -> Result<(), BenchError> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled.map_err(|error| BenchError::System("poll", error)),
        }
    }
}

fn lose<T: Traffic>(
    connection: &Connection,
    number: usize,
    how: Lost,
    traffic: &mut T,
) -> Result<(), BenchError> {
    // What becomes of a stalled member is for the server to decide.
    if connection.is_stalled() { Ok(()) } else { traffic.lost(number, how) }
}

/// Counts the connections that were opened, on the way to the traffic proper.
struct Counting<'t, T> {
    traffic: &'t mut T,
    opened: usize,
}

impl<T: Traffic> Traffic for Counting<'_, T> {
    fn message(&mut self, connection: usize, mark: Option<Mark>, now: Nanos) {
        self.traffic.message(connection, mark, now);
    }

    fn opened(&mut self, connection: usize) {
        self.opened += 1;
        self.traffic.opened(connection);
    }

    fn lost(&mut self, connection: usize, how: Lost) -> Result<(), BenchError> {
        match how {
            Lost::Failed(error) => Err(BenchError::Connect { opened: connection, error }),
            Lost::Refused(error) => Err(BenchError::Handshake(error)),
            Lost::Closed | Lost::Ended | Lost::Protocol(_) => self.traffic.lost(connection, how),
        }
    }
}
