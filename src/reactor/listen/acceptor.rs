//! The listening sockets: accepting in bounded numbers, and what to do when the process runs out of descriptors.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;

use mio::{Registry, Token};

use super::listener::Listener;
use crate::limit_hits::{Limit, LimitHits};
use crate::system::Socket;

/// Maximum number of connections accepted from one listener in a turn. Enough for 100,000 connections in a second at a
/// thousand turns; more would delay the messages of the sessions that are there.
const ACCEPTS_PER_TURN: usize = 128;
/// Failures of a listener in a row after which it is left alone for a moment. A connection that has gone before it was
/// accepted is one failure, so a few in a row are usual; an error that lasts would keep the loop spinning.
const FAILURES_MAX: usize = 16;
/// The first of the listeners' tokens; they count downwards. No connection has such a token: its generation would have to
/// be one of the two highest, which are left out.
const FIRST_TOKEN: usize = usize::MAX - 16;
/// Descriptors that are kept for operators: as many connections as a browser opens at once to one server, and a few more. What
/// the public has used up, operators find out by them.
const ADMIN_RESERVE: usize = 8;
/// What a client gets if there is not even a descriptor for it.
const OUT_OF_DESCRIPTORS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// What one attempt to accept came to.
#[derive(Debug)]
pub(crate) enum AcceptOutcome {
    /// A connection.
    Newcomer(Newcomer),
    /// No connection waits.
    Drained,
    /// The one that waited is gone, or the listener fails.
    Failed,
    /// No descriptors are left: accepting pauses.
    Exhausted,
}

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) socket: Socket,
    pub(crate) peer: SocketAddr,
    /// Whether the address stands for one that there is not.
    pub(crate) local: bool,
    /// Whether TLS is spoken where it came in.
    pub(crate) tls: bool,
    /// Whether operators are served there.
    pub(crate) admin: bool,
}

/// A listening socket, and who is served there.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: Listener,
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
    /// Whether operators are served, and not the public.
    pub(crate) admin: bool,
}

/// All listening sockets.
#[derive(Debug)]
pub(crate) struct Acceptor {
    queues: Vec<AcceptQueue>,
    /// Given up for a moment to take a connection and refuse it when there are no descriptors.
    reserve: Option<File>,
    /// Given up for connections of operators when there are none, until there are some again. Empty without such a listener.
    admin_reserve: Vec<File>,
    /// How often descriptors ran out.
    limit_hits: LimitHits,
    /// Descriptors ran out, and no connection was accepted since. The log says so once.
    exhausted: bool,
}

/// A listening socket, and how accepting goes there.
#[derive(Debug)]
struct AcceptQueue {
    bound: Bound,
    /// Set while no descriptors are left; the kernel does not report again who waits already.
    paused: bool,
    /// More may be waiting: the kernel will not say so again.
    ready: bool,
    /// Failures since the last success.
    failures: usize,
    /// The log has told of failures that last, and of no success since.
    is_failing: bool,
}

impl Acceptor {
    /// Registers the sockets with the loop.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub(crate) fn new(
        listeners: Vec<Bound>,
        registry: &Registry,
        limit_hits: LimitHits,
    ) -> io::Result<Acceptor> {
        let mut queues = Vec::new();
        for (number, bound) in listeners.into_iter().enumerate() {
            bound.listener.register(registry, Token(FIRST_TOKEN - number))?;
            queues.push(AcceptQueue { bound, paused: false, ready: true, failures: 0, is_failing: false });
        }
        let (reserve, admin_reserve) = (reserve(), Vec::new());
        let mut acceptor = Acceptor { queues, reserve, admin_reserve, limit_hits, exhausted: false };
        acceptor.fill_admin_reserve();
        Ok(acceptor)
    }

    /// Notes an event. False if the token is not a listener's.
    pub(crate) fn note(&mut self, token: Token) -> bool {
        let queue = FIRST_TOKEN.checked_sub(token.0).and_then(|number| self.queues.get_mut(number));
        let Some(queue) = queue else { return false };
        queue.ready = true;
        true
    }

    /// Whether connections may be waiting.
    pub(crate) fn is_ready(&self) -> bool {
        self.queues.iter().any(AcceptQueue::may_accept)
    }

    /// Whether connections may wait of which no event, and no end of another connection, will tell: accepting has to be
    /// tried again after a time.
    pub(crate) fn needs_retry(&self) -> bool {
        self.queues.iter().any(|queue| queue.paused || queue.failures >= FAILURES_MAX)
    }

    /// It is time to try again.
    pub(crate) fn retry(&mut self) {
        self.resume();
        for queue in &mut self.queues {
            queue.failures = 0;
        }
    }

    /// Descriptors may be free again. What operators have in reserve comes before the public.
    pub(crate) fn resume(&mut self) {
        self.fill_admin_reserve();
        for queue in &mut self.queues {
            queue.paused = false;
        }
    }

    fn fill_admin_reserve(&mut self) {
        let has_admin = self.queues.iter().any(|queue| queue.bound.admin);
        while has_admin && self.admin_reserve.len() < ADMIN_RESERVE {
            let Some(file) = reserve() else { return };
            self.admin_reserve.push(file);
        }
    }

    /// Accepts for one turn, where accepting is not paused. `refused` hears of those for whom there was no descriptor.
    pub(crate) fn accept(&mut self, mut taken: impl FnMut(Newcomer), mut refused: impl FnMut(SocketAddr)) {
        for number in 0..self.queues.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                match self.accept_from(number, &mut refused) {
                    AcceptOutcome::Newcomer(newcomer) => taken(newcomer),
                    AcceptOutcome::Failed => {}
                    AcceptOutcome::Drained | AcceptOutcome::Exhausted => break,
                }
            }
        }
    }

    /// Connections may wait at each listener, whatever was heard of it.
    pub(crate) fn expect_all(&mut self) {
        for queue in &mut self.queues {
            queue.ready = true;
        }
    }

    /// Closes the listening sockets: the kernel refuses new connections from now on.
    pub(crate) fn stop(&mut self) {
        self.queues.clear();
    }

    fn accept_from(&mut self, number: usize, refused: &mut impl FnMut(SocketAddr)) -> AcceptOutcome {
        let Some(queue) = self.queues.get_mut(number).filter(|queue| queue.may_accept()) else {
            return AcceptOutcome::Drained;
        };
        match queue.bound.listener.accept() {
            Ok((socket, peer)) => {
                self.exhausted = false;
                queue.failures = 0;
                queue.is_failing = false;
                AcceptOutcome::Newcomer(Newcomer {
                    socket,
                    peer,
                    local: queue.bound.listener.is_local(),
                    tls: queue.bound.tls,
                    admin: queue.bound.admin,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                queue.ready = false;
                queue.failures = 0;
                AcceptOutcome::Drained
            }
            // The next attempt has the descriptor.
            Err(error)
                if is_exhaustion(&error) && queue.bound.admin && self.admin_reserve.pop().is_some() =>
            {
                AcceptOutcome::Failed
            }
            Err(error) if is_exhaustion(&error) => {
                self.limit_hits.hit(Limit::Descriptors);
                if !std::mem::replace(&mut self.exhausted, true) {
                    tracing::warn!(%error, "no descriptors left, accepting pauses");
                }
                for _ in 0..ACCEPTS_PER_TURN {
                    let Some(peer) = self.refuse_one(number) else { break };
                    refused(peer);
                }
                self.pause(number);
                AcceptOutcome::Exhausted
            }
            // The connection that was waiting is gone again; the next one may be fine.
            Err(error) => {
                queue.failures += 1;
                tracing::debug!(%error, "accept failed");
                if queue.failures >= FAILURES_MAX && !std::mem::replace(&mut queue.is_failing, true) {
                    tracing::error!(%error, listener = number, "accepting fails again and again, it is tried now and then");
                }
                AcceptOutcome::Failed
            }
        }
    }

    /// Pauses accepting at one listener. For the others the next attempt says what is the matter.
    fn pause(&mut self, number: usize) {
        if let Some(queue) = self.queues.get_mut(number) {
            queue.paused = true;
        }
    }

    /// Answers one waiting connection with the descriptor in reserve, so that its client learns what is the matter.
    /// Nothing if no connection waits, or the reserve is gone.
    fn refuse_one(&mut self, number: usize) -> Option<SocketAddr> {
        let queue = self.queues.get(number).filter(|_| self.reserve.take().is_some())?;
        let refused = queue.bound.listener.accept().map(|(mut stream, peer)| {
            if !queue.bound.tls {
                let _best_effort = stream.write(OUT_OF_DESCRIPTORS);
            }
            peer
        });
        self.reserve = reserve();
        refused.ok()
    }
}

impl AcceptQueue {
    fn may_accept(&self) -> bool {
        self.ready && !self.paused && self.failures < FAILURES_MAX
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`: the machine has no room for another connection now.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream as StdTcpStream};

    use mio::Poll;
    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn a_listener_that_fails_for_good_is_left_alone_and_the_others_are_not() {
        let poll = Poll::new().unwrap();
        // A socket that does not listen refuses to accept, each time.
        let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        deaf.set_nonblocking(true).unwrap();
        let deaf = Listener::Tcp(mio::net::TcpListener::from_std(deaf.into()));
        let good = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        good.set_nonblocking(true).unwrap();
        let address = good.local_addr().unwrap();
        let good = Listener::Tcp(mio::net::TcpListener::from_std(good));
        let bound = |listener| Bound { listener, tls: false, admin: false };
        let listeners = vec![bound(deaf), bound(good)];
        let mut acceptor = Acceptor::new(listeners, poll.registry(), LimitHits::default()).unwrap();
        let mut turns = 0;
        while acceptor.is_ready() {
            acceptor.accept(|_| panic!("nobody has come"), |_| panic!("nobody has come"));
            turns += 1;
            assert!(turns < 100, "the loop spins");
        }
        assert!(acceptor.needs_retry(), "nothing else will tell");
        let _client = StdTcpStream::connect(address).unwrap();
        acceptor.note(Token(FIRST_TOKEN - 1));
        let mut taken = 0;
        while taken == 0 {
            acceptor.accept(|_| taken += 1, |_| {});
        }
        acceptor.retry();
        assert!(acceptor.is_ready(), "it is tried again");
    }
}
