//! A connected socket.

#[cfg(not(feature = "simulation"))]
pub(crate) use mio::net::TcpStream as Socket;

#[cfg(feature = "simulation")]
pub(crate) use simulated::Socket;

/// A socket of the system.
#[cfg(not(feature = "simulation"))]
pub(crate) fn real(socket: mio::net::TcpStream) -> Socket {
    socket
}

#[cfg(feature = "simulation")]
pub(crate) fn real(socket: mio::net::TcpStream) -> Socket {
    socket.into()
}

#[cfg(feature = "simulation")]
mod simulated {
    use std::io::{self, IoSlice, Read, Write};
    use std::net::{Shutdown, SocketAddr};

    use mio::event::Source;
    use mio::net::TcpStream;
    use mio::{Interest, Registry, Token};

    use crate::system::kernel::ServerEnd;

    /// A socket of the system, or one that leads to a client of the simulation.
    #[derive(Debug)]
    pub(crate) enum Socket {
        Real(TcpStream),
        Simulated(ServerEnd),
    }

    impl From<TcpStream> for Socket {
        fn from(socket: TcpStream) -> Socket {
            Socket::Real(socket)
        }
    }

    impl Socket {
        /// The system's socket, for its options.
        ///
        /// # Panics
        /// A simulated one has none.
        pub(crate) fn as_real(&self) -> &TcpStream {
            match self {
                Socket::Real(socket) => socket,
                Socket::Simulated(_) => unreachable!("nobody who asks for options is simulated"),
            }
        }

        /// As [`TcpStream::peek`].
        pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
            match self {
                Socket::Real(socket) => socket.peek(buffer),
                Socket::Simulated(end) => end.peek(buffer),
            }
        }

        /// As [`TcpStream::shutdown`].
        pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            match self {
                Socket::Real(socket) => socket.shutdown(how),
                Socket::Simulated(end) => end.shutdown(how),
            }
        }

        /// As [`TcpStream::peer_addr`].
        pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
            match self {
                Socket::Real(socket) => socket.peer_addr(),
                Socket::Simulated(end) => end.peer_addr(),
            }
        }
    }

    impl Read for &Socket {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self {
                Socket::Real(socket) => (&*socket).read(buffer),
                Socket::Simulated(end) => end.read(buffer),
            }
        }
    }

    impl Write for &Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self {
                Socket::Real(socket) => (&*socket).write(bytes),
                Socket::Simulated(end) => end.write(&[IoSlice::new(bytes)]),
            }
        }

        fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            match self {
                Socket::Real(socket) => (&*socket).write_vectored(parts),
                Socket::Simulated(end) => end.write(parts),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            (&*self).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Source for Socket {
        fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
            match self {
                Socket::Real(socket) => socket.register(registry, token, interests),
                Socket::Simulated(end) => {
                    end.register(token);
                    Ok(())
                }
            }
        }

        fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
            match self {
                Socket::Real(socket) => socket.reregister(registry, token, interests),
                Socket::Simulated(end) => {
                    end.register(token);
                    Ok(())
                }
            }
        }

        fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
            match self {
                Socket::Real(socket) => socket.deregister(registry),
                Socket::Simulated(_) => Ok(()),
            }
        }
    }
}
