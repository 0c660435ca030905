//! A connected socket that any thread may write to.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::OnceLock;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::outcome::{Arrived, Taken, uninterrupted};
use super::tls::{Certificate, Error, Tls, Trust};
use crate::system::Socket;

/// A non-blocking byte stream, encrypted or not, with its owner. It is used through [`Stream::lend`].
#[derive(Debug)]
pub(crate) struct Stream {
    /// A Unix socket is read, written and ended by the same system calls, and is held as a TCP one, too.
    pub(super) socket: Socket,
    pub(super) extra: Option<Box<Extra>>,
}

/// What only some connections have; the others are no larger for it.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// A header of the PROXY protocol stands before everything else.
    header: bool,
    tls: Option<Tls>,
    client: OnceLock<Client>,
    /// A Unix socket, whose peer has no address.
    local: bool,
}

/// Stands for the address of a client on this machine that has none: it came over a Unix socket.
pub(crate) const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Whom a proxy speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// Whether it reached its proxy over TLS.
    pub(crate) secure: bool,
}

/// A stream, lent by its owner: the reactor reads it; all threads write through [`Outbound`](super::Outbound).
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamRef<'s> {
    pub(super) socket: &'s Socket,
    pub(super) extra: Option<&'s Extra>,
}

impl Stream {
    /// A stream whose bytes go over the socket as they are.
    pub(crate) fn plain(socket: impl Into<Socket>) -> Stream {
        Stream { socket: socket.into(), extra: None }
    }

    /// A stream whose handshake is still to come.
    ///
    /// # Errors
    /// If TLS cannot be begun at all.
    pub(crate) fn secure(socket: impl Into<Socket>, certificate: &Certificate) -> Result<Stream, Error> {
        Ok(Stream::over(socket.into(), certificate.begin()?))
    }

    /// As [`Stream::secure`], from the client's side: the handshake begins with the first write or flush, and what is
    /// written before it is complete waits for that.
    ///
    /// # Errors
    /// If TLS cannot be begun at all.
    pub(crate) fn secure_client(socket: impl Into<Socket>, trust: &Trust) -> Result<Stream, Error> {
        Ok(Stream::over(socket.into(), trust.begin()?))
    }

    fn over(socket: Socket, tls: Tls) -> Stream {
        Stream { socket, extra: Some(Box::new(Extra { tls: Some(tls), ..Extra::default() })) }
    }

    /// A stream on which a proxy may speak for its clients; see [`StreamRef::set_client`]. `header`: it begins with a
    /// header of the PROXY protocol, whatever that says.
    #[must_use]
    pub(crate) fn proxied(mut self, header: bool) -> Stream {
        self.extra.get_or_insert_default().header = header;
        self
    }

    /// A stream that is a Unix socket: its peer counts as 127.0.0.1.
    #[must_use]
    pub(crate) fn local(mut self) -> Stream {
        self.extra.get_or_insert_default().local = true;
        self
    }

    /// The stream itself.
    pub(crate) fn lend(&self) -> StreamRef<'_> {
        StreamRef { socket: &self.socket, extra: self.extra.as_deref() }
    }

    /// Registers for both directions, edge-triggered; it is never registered again.
    ///
    /// # Errors
    /// As `epoll_ctl(2)`.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        // An urgent byte cuts reads short (RFC 9293 §3.8.5); its own event says that more may be behind it.
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        self.socket.register(registry, token, interest)
    }
}

impl<'s> StreamRef<'s> {
    /// The socket itself, for its options.
    pub(crate) fn socket(self) -> &'s TcpStream {
        #[cfg(feature = "simulation")]
        return self.socket.as_real();
        #[cfg(not(feature = "simulation"))]
        self.socket
    }

    fn tls(self) -> Option<&'s Tls> {
        self.extra?.tls.as_ref()
    }

    /// Whether it began with a header of the PROXY protocol.
    pub(crate) fn is_proxied(self) -> bool {
        self.extra.is_some_and(|extra| extra.header)
    }

    /// From now on the peer's address is `client`: said once, on a [proxied](Stream::proxied) stream.
    pub(crate) fn set_client(self, client: Client) {
        if let Some(extra) = self.extra {
            let _said_before = extra.client.set(client);
        }
    }

    fn client(self) -> Option<&'s Client> {
        self.extra?.client.get()
    }

    /// Whether it is encrypted.
    pub(crate) fn is_encrypted(self) -> bool {
        self.tls().is_some()
    }

    /// Whether it is encrypted where the client reaches it.
    pub(crate) fn is_secure(self) -> bool {
        self.client().map_or(self.is_encrypted(), |client| client.secure)
    }

    /// Whether nothing can be said yet, because the TLS handshake is not complete.
    pub(crate) fn is_handshaking(self) -> bool {
        self.tls().is_some_and(Tls::is_handshaking)
    }

    /// Reads into `buffer`, which must be as large as several TLS records.
    ///
    /// # Errors
    /// As `recv(2)`; never `Interrupted`. The end of an encrypted stream that the peer did not announce is
    /// `UnexpectedEof`.
    pub(crate) fn read(self, buffer: &mut [u8]) -> io::Result<Arrived> {
        if let Some(tls) = self.tls() {
            return tls.read(self.socket, buffer);
        }
        match uninterrupted(|| (&*self.socket).read(buffer))? {
            0 => Ok(Arrived::End),
            count => Ok(Arrived::Bytes { count, more: count == buffer.len() }),
        }
    }

    /// How the peer broke TLS, in a few words for the operator, once: after [`Arrived::Broken`].
    pub(crate) fn take_fault(self) -> Option<Box<str>> {
        self.tls()?.take_fault()
    }

    /// Looks at what has come first, and leaves it where it is; `Ok(0)` is the end of the stream. For what is sent
    /// before anything is encrypted.
    ///
    /// # Errors
    /// As `recv(2)`; never `Interrupted`.
    pub(crate) fn peek(self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.socket.peek(buffer))
    }

    /// Takes away what was looked at, as many bytes as `buffer` has room for.
    ///
    /// # Errors
    /// As `recv(2)`; never `Interrupted`.
    pub(crate) fn skip(self, buffer: &mut [u8]) -> io::Result<()> {
        uninterrupted(|| (&*self.socket).read(buffer)).map(drop)
    }

    /// Writes what the socket takes at once.
    ///
    /// # Errors
    /// As `send(2)`; never `Interrupted`.
    #[inline]
    pub(crate) fn write(self, bytes: &[u8]) -> io::Result<Taken> {
        if let Some(tls) = self.tls() {
            return tls.write(self.socket, bytes, &[]);
        }
        let taken = uninterrupted(|| (&*self.socket).write(bytes))?;
        Ok(Taken { bytes: taken, full: taken < bytes.len() })
    }

    /// As [`StreamRef::write`], for bytes that lie in two places.
    ///
    /// # Errors
    /// As [`StreamRef::write`].
    pub(crate) fn write_parts(self, first: &[u8], second: &[u8]) -> io::Result<Taken> {
        if let Some(tls) = self.tls() {
            return tls.write(self.socket, first, second);
        }
        let parts = [IoSlice::new(first), IoSlice::new(second)];
        let taken = uninterrupted(|| (&*self.socket).write_vectored(&parts))?;
        Ok(Taken { bytes: taken, full: taken < first.len() + second.len() })
    }

    /// Writes what is encrypted already and the socket did not take. A plain stream keeps nothing.
    ///
    /// # Errors
    /// As [`StreamRef::write`].
    pub(crate) fn flush(self) -> io::Result<Taken> {
        match self.tls() {
            Some(tls) => tls.flush(self.socket),
            None => Ok(Taken { bytes: 0, full: false }),
        }
    }

    /// Ends the sending direction: the peer sees the end of the stream after everything written before. To be called
    /// again once the socket is writable if it was `full`.
    ///
    /// # Errors
    /// As [`StreamRef::write`].
    pub(crate) fn finish(self) -> io::Result<Taken> {
        let taken = match self.tls() {
            Some(tls) => tls.finish(self.socket)?,
            None => Taken { bytes: 0, full: false },
        };
        if !taken.full {
            let _gone_already = self.socket.shutdown(Shutdown::Write);
        }
        Ok(taken)
    }

    /// Ends both directions.
    pub(crate) fn shutdown(self) {
        let _gone_already = self.socket.shutdown(Shutdown::Both);
    }

    /// The peer's address: of the client, if a proxy speaks for one.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(crate) fn peer_addr(self) -> io::Result<SocketAddr> {
        match self.client() {
            Some(client) => Ok(client.address),
            None if self.extra.is_some_and(|extra| extra.local) => Ok(HERE),
            None => self.socket.peer_addr(),
        }
    }
}
