//! A connection to another server, by a thread that waits for it.

#[cfg(not(feature = "simulation"))]
pub(crate) use std::net::TcpStream;

use std::io::{self, Read};
use std::time::Duration;

#[cfg(not(feature = "simulation"))]
use real::read_now;
#[cfg(not(feature = "simulation"))]
pub(crate) use real::{has_come, wait_any, write_now};
#[cfg(feature = "simulation")]
use simulated::read_now;
#[cfg(feature = "simulation")]
pub(crate) use simulated::{TcpStream, has_come, wait_any, write_now};

/// Reads from a connection whose timeout is `wait`; if that is nothing, without waiting.
pub(crate) fn receive(mut stream: &TcpStream, into: &mut [u8], wait: Duration) -> io::Result<usize> {
    if wait.is_zero() { read_now(stream, into) } else { stream.read(into) }
}

/// What does not wait, and what waits for several connections.
mod real {
    use std::io;
    use std::net::TcpStream;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;
    use rustix::net::{RecvFlags, SendFlags};

    /// Reads what is there, or says that nothing is.
    pub(crate) fn read_now(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        let (count, _) = rustix::net::recv(stream, into, RecvFlags::DONTWAIT)?;
        Ok(count)
    }

    /// Writes as much as there is room for.
    pub(crate) fn write_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        match rustix::net::send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// Whether there is something to be read, an end or a fault included.
    pub(crate) fn has_come(stream: &TcpStream) -> bool {
        let found = rustix::net::recv(stream, &mut [0][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        !matches!(found, Err(Errno::AGAIN | Errno::INTR))
    }

    /// Waits until one of them has something to be read, or takes more of what is written, for so long at most.
    pub(crate) fn wait_any(streams: &[(&TcpStream, bool)], timeout: Duration) {
        let awaited = streams.iter().map(|(stream, writes)| {
            let writes = if *writes { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(*stream, PollFlags::IN | writes)
        });
        let mut awaited: Vec<PollFd<'_>> = awaited.collect();
        let timeout = Timespec::try_from(timeout).ok();
        // Whatever comes of it, they are looked at.
        let _found = poll(&mut awaited, timeout.as_ref());
    }
}

#[cfg(feature = "simulation")]
mod simulated {
    use std::io::{self, Read, Write};
    use std::net::{Shutdown, SocketAddr};
    use std::sync::Arc;
    use std::time::Duration;

    use super::real;
    use crate::system::fibers::{self, wait};
    use crate::system::network::{Pipe, Reach};
    use crate::system::world;

    /// As [`std::net::TcpStream`], or one that leads to a server of the simulation.
    #[derive(Debug)]
    pub(crate) enum TcpStream {
        Real(std::net::TcpStream),
        Simulated { pipe: Arc<Pipe>, read_timeout: Duration },
    }

    impl TcpStream {
        pub(crate) fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
            let (Some(world), Some(fiber)) = (world::current(), fibers::current()) else {
                return std::net::TcpStream::connect_timeout(address, timeout).map(TcpStream::Real);
            };
            match world.network.reach(fiber.group()) {
                Reach::Open => {
                    let pipe = world.network.connect(fiber.group());
                    Ok(TcpStream::Simulated { pipe, read_timeout: Duration::MAX })
                }
                Reach::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
                Reach::Silent => {
                    let _goes_on = wait(Some(world.elapsed() + timeout), Box::new(|| false));
                    Err(io::ErrorKind::TimedOut.into())
                }
            }
        }

        pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
            match self {
                TcpStream::Real(socket) => socket.set_nodelay(nodelay),
                TcpStream::Simulated { .. } => Ok(()),
            }
        }

        pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            match self {
                TcpStream::Real(socket) => socket.set_write_timeout(timeout),
                TcpStream::Simulated { .. } => Ok(()),
            }
        }

        pub(crate) fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
            match self {
                TcpStream::Real(socket) => socket.set_read_timeout(timeout),
                TcpStream::Simulated { read_timeout, .. } => {
                    *read_timeout = timeout.unwrap_or(Duration::MAX);
                    Ok(())
                }
            }
        }

        pub(crate) fn try_clone(&self) -> io::Result<TcpStream> {
            Ok(match self {
                TcpStream::Real(socket) => TcpStream::Real(socket.try_clone()?),
                TcpStream::Simulated { pipe, read_timeout } => {
                    TcpStream::Simulated { pipe: pipe.clone(), read_timeout: *read_timeout }
                }
            })
        }

        /// Simulated ones end both ways.
        pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            match self {
                TcpStream::Real(socket) => socket.shutdown(how),
                TcpStream::Simulated { pipe, .. } => {
                    pipe.shut_down();
                    Ok(())
                }
            }
        }
    }

    /// As without a simulation.
    pub(crate) fn read_now(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        match stream {
            TcpStream::Real(socket) => real::read_now(socket, into),
            TcpStream::Simulated { pipe, .. } => pipe.read(into),
        }
    }

    /// As without a simulation.
    pub(crate) fn write_now(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        match stream {
            TcpStream::Real(socket) => real::write_now(socket, bytes),
            TcpStream::Simulated { pipe, .. } => pipe.write(bytes),
        }
    }

    /// As without a simulation.
    pub(crate) fn has_come(stream: &TcpStream) -> bool {
        match stream {
            TcpStream::Real(socket) => real::has_come(socket),
            TcpStream::Simulated { pipe, .. } => pipe.is_readable(),
        }
    }

    /// As without a simulation.
    pub(crate) fn wait_any(streams: &[(&TcpStream, bool)], timeout: Duration) {
        let (mut sockets, mut pipes) = (Vec::new(), Vec::new());
        for (stream, writes) in streams {
            match stream {
                TcpStream::Real(socket) => sockets.push((socket, *writes)),
                TcpStream::Simulated { pipe, .. } => pipes.push(pipe.clone()),
            }
        }
        let Some(world) = world::current() else { return real::wait_any(&sockets, timeout) };
        let until = world.elapsed() + timeout;
        let _goes_on = wait(Some(until), Box::new(move || pipes.iter().any(|pipe| pipe.is_readable())));
    }

    /// Reads; waits at most so long.
    fn read(pipe: &Arc<Pipe>, into: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let Some(world) = world::current() else { return Err(io::ErrorKind::NotConnected.into()) };
        let until = world.elapsed().saturating_add(timeout);
        loop {
            match pipe.read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && world.elapsed() < until => {}
                read => return read,
            }
            let there = pipe.clone();
            if !wait(Some(until), Box::new(move || there.is_readable())) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    impl Read for &TcpStream {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self {
                TcpStream::Real(socket) => (&mut &*socket).read(into),
                TcpStream::Simulated { pipe, read_timeout } => read(pipe, into, *read_timeout),
            }
        }
    }

    impl Write for &TcpStream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self {
                TcpStream::Real(socket) => (&mut &*socket).write(bytes),
                TcpStream::Simulated { pipe, .. } => pipe.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            match self {
                TcpStream::Real(socket) => (&mut &*socket).flush(),
                TcpStream::Simulated { .. } => Ok(()),
            }
        }
    }
}
