//! A connection to another server, by a thread that waits for it.

#[cfg(not(feature = "simulation"))]
pub(crate) use std::net::TcpStream;

#[cfg(feature = "simulation")]
pub(crate) use simulated::TcpStream;

#[cfg(feature = "simulation")]
mod simulated {
    use std::io::{self, Read, Write};
    use std::net::{Shutdown, SocketAddr};
    use std::sync::Arc;
    use std::time::Duration;

    use crate::system::fibers::{self, wait};
    use crate::system::network::{Pipe, Reach};
    use crate::system::world;

    /// As [`std::net::TcpStream`], or one that leads to a server of the simulation.
    #[derive(Debug)]
    pub(crate) enum TcpStream {
        Real(std::net::TcpStream),
        Simulated { pipe: Arc<Pipe>, read_timeout: Duration, is_blocking: bool },
    }

    impl TcpStream {
        pub(crate) fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
            let (Some(world), Some(fiber)) = (world::current(), fibers::current()) else {
                return std::net::TcpStream::connect_timeout(address, timeout).map(TcpStream::Real);
            };
            match world.network.reach(fiber.group()) {
                Reach::Open => {
                    let pipe = world.network.connect(fiber.group());
                    Ok(TcpStream::Simulated { pipe, read_timeout: Duration::MAX, is_blocking: true })
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

        pub(crate) fn set_nonblocking(&mut self, nonblocking: bool) -> io::Result<()> {
            match self {
                TcpStream::Real(socket) => socket.set_nonblocking(nonblocking),
                TcpStream::Simulated { is_blocking, .. } => {
                    *is_blocking = !nonblocking;
                    Ok(())
                }
            }
        }

        pub(crate) fn try_clone(&self) -> io::Result<TcpStream> {
            Ok(match self {
                TcpStream::Real(socket) => TcpStream::Real(socket.try_clone()?),
                TcpStream::Simulated { pipe, read_timeout, is_blocking } => TcpStream::Simulated {
                    pipe: pipe.clone(),
                    read_timeout: *read_timeout,
                    is_blocking: *is_blocking,
                },
            })
        }

        /// Of simulated ones nothing but whether there is something.
        pub(crate) fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
            match self {
                TcpStream::Real(socket) => socket.peek(into),
                TcpStream::Simulated { pipe, .. } => pipe.peek(),
            }
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

    impl Read for TcpStream {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self {
                TcpStream::Real(socket) => socket.read(into),
                TcpStream::Simulated { pipe, read_timeout, is_blocking } => {
                    read(pipe, into, if *is_blocking { *read_timeout } else { Duration::ZERO })
                }
            }
        }
    }

    impl Write for TcpStream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self {
                TcpStream::Real(socket) => socket.write(bytes),
                TcpStream::Simulated { pipe, .. } => pipe.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            match self {
                TcpStream::Real(socket) => socket.flush(),
                TcpStream::Simulated { .. } => Ok(()),
            }
        }
    }
}
