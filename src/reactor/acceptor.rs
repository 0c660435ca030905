//! The listening sockets: accepting in bounded numbers, and what to do when the process runs out of descriptors.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::metrics::{Limit, Metrics};

/// Connections waiting in the kernel to be accepted, at most (the kernel caps it at `net.core.somaxconn`).
const BACKLOG: i32 = 4096;
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
    Stream(TcpStream, SocketAddr),
    /// Nobody waits.
    Drained,
    /// No descriptors are left: accepting pauses.
    Exhausted,
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
    socket: TcpListener,
    /// More may be waiting: the kernel will not say so again.
    ready: bool,
}

/// Opens a listening socket. Accepted connections inherit `TCP_NODELAY` from it, which saves a system call each.
///
/// # Errors
/// As `bind(2)` and `listen(2)`.
pub(super) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Acceptor {
    /// Registers the sockets with the loop.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub(super) fn new(
        sockets: Vec<TcpListener>,
        registry: &Registry,
        metrics: Metrics,
    ) -> io::Result<Acceptor> {
        let mut listeners = Vec::new();
        for (number, mut socket) in sockets.into_iter().enumerate() {
            registry.register(&mut socket, Token(FIRST_TOKEN - number), Interest::READABLE)?;
            listeners.push(Listener { socket, ready: true });
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
    pub(super) fn accept(&mut self, mut taken: impl FnMut(TcpStream, SocketAddr)) {
        if self.paused {
            return;
        }
        for number in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                match self.accept_from(number) {
                    Accepted::Stream(stream, peer) => taken(stream, peer),
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
        match listener.socket.accept() {
            Ok((stream, peer)) => {
                self.exhausted = false;
                Accepted::Stream(stream, peer)
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
        let refused = listener.socket.accept().map(|(mut stream, _)| {
            let _best_effort = stream.write(OUT_OF_DESCRIPTORS);
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
