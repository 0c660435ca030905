//! The listening sockets: accepting in bounded numbers, and what to do when the process runs out of descriptors.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Registry, Token};

use super::door::Door;

use crate::metrics::{Limit, Metrics};

/// Connections accepted from one listener before everybody else gets a turn.
const ACCEPTS_PER_TURN: usize = 128;
/// The first of the listeners' tokens; they count downwards. No connection has such a token.
const FIRST_TOKEN: usize = usize::MAX - 16;
/// What a client gets if there is not even a descriptor for it.
const OUT_OF_DESCRIPTORS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// What one attempt to accept came to.
#[derive(Debug)]
pub(super) enum Accepted {
    /// A connection.
    Newcomer(Newcomer),
    /// Nobody waits.
    Drained,
    /// No descriptors are left: accepting pauses.
    Exhausted,
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    /// Whether the address stands for one that there is not.
    pub(super) local: bool,
    /// Whether TLS is spoken where it came in.
    pub(super) tls: bool,
}

/// All listening sockets.
#[derive(Debug)]
pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    /// Given up for a moment to take a connection and refuse it when there are no descriptors.
    reserve: Option<File>,
    /// Set while no descriptors are left; the kernel does not report again who waits already.
    pub(super) paused: bool,
    /// How often descriptors ran out.
    metrics: Metrics,
    /// Nobody was let in since descriptors ran out. The log says so once.
    exhausted: bool,
}

#[derive(Debug)]
struct Listener {
    door: Door,
    tls: bool,
    /// More may be waiting: the kernel will not say so again.
    ready: bool,
}

impl Acceptor {
    /// Registers the sockets with the loop, each with whether TLS is spoken there.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub(super) fn new(
        doors: Vec<(Door, bool)>,
        registry: &Registry,
        metrics: Metrics,
    ) -> io::Result<Acceptor> {
        let mut listeners = Vec::new();
        for (number, (door, tls)) in doors.into_iter().enumerate() {
            door.register(registry, Token(FIRST_TOKEN - number))?;
            listeners.push(Listener { door, tls, ready: true });
        }
        Ok(Acceptor { listeners, reserve: reserve(), paused: false, metrics, exhausted: false })
    }

    /// Notes an event. False if the token is not a listener's.
    pub(super) fn note(&mut self, token: Token) -> bool {
        let listener = FIRST_TOKEN.checked_sub(token.0).and_then(|number| self.listeners.get_mut(number));
        let Some(listener) = listener else { return false };
        listener.ready = true;
        true
    }

    /// Whether connections may be waiting.
    pub(super) fn is_ready(&self) -> bool {
        !self.paused && self.listeners.iter().any(|listener| listener.ready)
    }

    /// Accepts for one turn, unless paused.
    pub(super) fn accept(&mut self, mut taken: impl FnMut(Newcomer)) {
        if self.paused {
            return;
        }
        for number in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                match self.accept_from(number) {
                    Accepted::Newcomer(newcomer) => taken(newcomer),
                    Accepted::Drained => break,
                    Accepted::Exhausted => return,
                }
            }
        }
    }

    /// Closes the listening sockets: whoever connects from now on is refused by the kernel.
    pub(super) fn stop(&mut self) {
        self.listeners.clear();
    }

    fn accept_from(&mut self, number: usize) -> Accepted {
        let Some(listener) = self.listeners.get_mut(number).filter(|listener| listener.ready) else {
            return Accepted::Drained;
        };
        match listener.door.accept() {
            Ok((socket, peer)) => {
                self.exhausted = false;
                Accepted::Newcomer(Newcomer {
                    socket,
                    peer,
                    local: listener.door.is_local(),
                    tls: listener.tls,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                listener.ready = false;
                Accepted::Drained
            }
            Err(error) if is_exhaustion(&error) => {
                self.metrics.hit(Limit::Descriptors);
                if !std::mem::replace(&mut self.exhausted, true) {
                    tracing::warn!(%error, "no descriptors left, accepting pauses");
                }
                for _ in 0..ACCEPTS_PER_TURN {
                    if !self.refuse_one(number) {
                        break;
                    }
                }
                self.paused = true;
                Accepted::Exhausted
            }
            // The connection that was waiting is gone again; the next one may be fine.
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                Accepted::Drained
            }
        }
    }

    /// Answers one waiting connection with the descriptor in reserve, so that its client learns what is the matter.
    /// False if nobody waits, or the reserve is gone.
    fn refuse_one(&mut self, number: usize) -> bool {
        let Some(listener) = self.listeners.get(number).filter(|_| self.reserve.take().is_some()) else {
            return false;
        };
        let refused = listener.door.accept().map(|(mut stream, _)| {
            if !listener.tls {
                let _best_effort = stream.write(OUT_OF_DESCRIPTORS);
            }
        });
        self.reserve = reserve();
        refused.is_ok()
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`: the machine has no room for another connection now.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}
