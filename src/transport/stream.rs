//! A connected socket that any thread may write to.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// A non-blocking byte stream. The reactor reads it; everybody else writes through
/// [`Outbound`](super::Outbound).
#[derive(Debug)]
pub(crate) enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
}

impl Stream {
    /// Reads into `buffer`; `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// As `recv(2)`; never `Interrupted`.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Stream::Tcp(stream) = self;
        uninterrupted(|| (&*stream).read(buffer))
    }

    /// Writes what the socket takes at once.
    ///
    /// # Errors
    /// As `send(2)`; never `Interrupted`, and `Ok(0)` only for an empty `bytes`.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Stream::Tcp(stream) = self;
        uninterrupted(|| (&*stream).write(bytes))
    }

    /// As [`Stream::write`], for bytes that lie in two places.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub(crate) fn write_parts(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let Stream::Tcp(stream) = self;
        uninterrupted(|| (&*stream).write_vectored(&[IoSlice::new(first), IoSlice::new(second)]))
    }

    /// Ends the sending direction: the peer sees the end of the stream after everything written before. An error means
    /// that the connection is gone already.
    pub(crate) fn shutdown_write(&self) {
        let Stream::Tcp(stream) = self;
        let _gone_already = stream.shutdown(Shutdown::Write);
    }

    /// Ends both directions.
    pub(crate) fn shutdown(&self) {
        let Stream::Tcp(stream) = self;
        let _gone_already = stream.shutdown(Shutdown::Both);
    }

    /// The peer's address.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        let Stream::Tcp(stream) = self;
        stream.peer_addr()
    }

    /// Registers for both directions, edge-triggered; it is never registered again.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let Stream::Tcp(stream) = self;
        stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
