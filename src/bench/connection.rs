//! One connection of the load: from `connect` over the opening handshake to frames.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Registry, Token};
use socket2::SockRef;

use super::error::Lost;
use super::frame_scanner::{FrameScanner, Item};
use super::payload::Finder;
use super::target::Target;
use crate::handshake::client::{self, ClientKey};
use crate::transport::{Arrived, Stream};
use crate::ws::{OpCode, encode};

/// The receive buffer of a connection that is not going to read: small, so that it is full soon.
const STALLED_BUFFER_BYTES: usize = 4096;
/// The masking key of pongs and Close frames; see [`Template`](super::stamp::Template) for why one will do.
const CONTROL_KEY: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

#[derive(Debug)]
enum State {
    /// Not connected yet. Holds the request.
    Connecting(Vec<u8>),
    /// The request is on its way. Holds what has come of the answer.
    Upgrading(Vec<u8>),
    /// Frames in both directions.
    Open,
    /// A Close frame has come or gone: only the end is awaited.
    Closing,
}

/// What an event brought about, apart from messages.
#[derive(Debug)]
pub(super) enum Change {
    /// Nothing else.
    None,
    /// The upgrade was accepted.
    Opened,
    /// The connection is over.
    Lost(Lost),
}

/// What one read came to.
#[derive(Debug)]
pub(super) struct Received {
    /// Bytes that were there.
    pub(super) len: usize,
    /// Whether there may be others, which no event will tell of.
    pub(super) more: bool,
    pub(super) change: Change,
}

impl Received {
    fn nothing(change: Change) -> Received {
        Received { len: 0, more: false, change }
    }
}

/// A client connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    state: State,
    scanner: FrameScanner,
    unsent: Vec<u8>,
    /// Whether incoming bytes are taken.
    reads: bool,
}

impl Connection {
    /// Begins to connect; `request` goes out when that has succeeded.
    pub(super) fn connect(
        target: &Target,
        request: Vec<u8>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Connection> {
        let socket = TcpStream::connect(target.addr)?;
        socket.set_nodelay(true)?;
        let mut stream = match &target.trust {
            Some(trust) => Stream::secure_client(socket, trust).map_err(io::Error::other)?,
            None => Stream::plain(socket),
        };
        stream.register(registry, token)?;
        let state = State::Connecting(request);
        Ok(Connection { stream, state, scanner: FrameScanner::default(), unsent: Vec::new(), reads: true })
    }

    /// From now on nothing is read: the member is stalled.
    pub(super) fn stall(&mut self) -> io::Result<()> {
        self.reads = false;
        SockRef::from(self.stream.lend().socket()).set_recv_buffer_size(STALLED_BUFFER_BYTES)
    }

    /// Whether this connection was stalled on purpose.
    pub(super) fn is_stalled(&self) -> bool {
        !self.reads
    }

    /// Sends whole frames; what the socket does not take waits.
    pub(super) fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(frames);
            return Ok(());
        }
        let written = write(&self.stream, frames)?;
        self.unsent.extend_from_slice(&frames[written..]);
        Ok(())
    }

    /// Begins the closing handshake.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let mut frame = Vec::new();
        encode::masked(&mut frame, OpCode::Close, &[0x03, 0xe8], CONTROL_KEY);
        self.state = State::Closing;
        self.send(&frame)
    }

    /// Ends the connection with a reset, as a cable does that is pulled out: no Close frame, no more bytes.
    pub(super) fn cut(self) -> io::Result<()> {
        SockRef::from(self.stream.lend().socket()).set_linger(Some(Duration::ZERO))
    }

    /// The socket can be written to.
    pub(super) fn on_writable(&mut self) -> Result<(), Lost> {
        if let State::Connecting(request) = &mut self.state {
            if let Some(error) = self.stream.lend().socket().take_error().map_err(Lost::Failed)? {
                return Err(Lost::Failed(error));
            }
            match self.stream.lend().socket().peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                connected => connected.map_err(Lost::Failed)?,
            };
            let request = std::mem::take(request);
            self.state = State::Upgrading(Vec::new());
            return self.send(&request).map_err(Lost::Failed);
        }
        let flushed = self.stream.lend().flush().map_err(Lost::Failed)?;
        if !flushed.full && !self.unsent.is_empty() {
            let written = write(&self.stream, &self.unsent).map_err(Lost::Failed)?;
            self.unsent.drain(..written);
        }
        Ok(())
    }

    /// Reads once.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        key: &ClientKey,
        finder: &mut Finder,
        sink: impl FnMut(Item<'_>),
    ) -> Received {
        if !self.reads || matches!(self.state, State::Connecting(_)) {
            return Received::nothing(Change::None);
        }
        let (len, more) = match self.stream.lend().read(buffer) {
            Ok(Arrived::Bytes { count, more }) => (count, more),
            Ok(Arrived::End) => return Received::nothing(Change::Lost(Lost::Ended)),
            Ok(Arrived::Broken) => {
                let error =
                    io::Error::new(io::ErrorKind::InvalidData, "TLS failed: is the certificate trusted?");
                return Received::nothing(Change::Lost(Lost::Failed(error)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Received::nothing(Change::None);
            }
            Err(error) => return Received::nothing(Change::Lost(Lost::Failed(error))),
        };
        let change = self.receive(&buffer[..len], key, finder, sink).unwrap_or_else(Change::Lost);
        Received { len, more, change }
    }

    fn receive(
        &mut self,
        bytes: &[u8],
        key: &ClientKey,
        finder: &mut Finder,
        mut sink: impl FnMut(Item<'_>),
    ) -> Result<Change, Lost> {
        let State::Upgrading(head) = &mut self.state else {
            self.frames(bytes, finder, sink)?;
            return Ok(Change::None);
        };
        head.extend_from_slice(bytes);
        let head = std::mem::take(head);
        let Some((_, head_len)) = client::verify(&head, key, &[]).map_err(Lost::Refused)? else {
            self.state = State::Upgrading(head);
            return Ok(Change::None);
        };
        self.state = State::Open;
        // Acknowledgements may wait for the next message in the other direction: less work for both sides. Only
        // a hint; where it is not supported, nothing is lost.
        #[cfg(target_os = "linux")]
        let _hint = SockRef::from(self.stream.lend().socket()).set_tcp_quickack(false);
        self.frames(&head[head_len..], finder, &mut sink)?;
        Ok(Change::Opened)
    }

    fn frames(
        &mut self,
        bytes: &[u8],
        finder: &mut Finder,
        mut sink: impl FnMut(Item<'_>),
    ) -> Result<(), Lost> {
        let (mut pongs, mut closed) = (Vec::new(), false);
        self.scanner
            .scan(bytes, finder, |item| match item {
                Item::Ping(payload) => encode::masked(&mut pongs, OpCode::Pong, payload, CONTROL_KEY),
                Item::Close => closed = true,
                Item::Message { .. } => sink(item),
            })
            .map_err(Lost::Protocol)?;
        if !pongs.is_empty() && matches!(self.state, State::Open) {
            self.send(&pongs).map_err(Lost::Failed)?;
        }
        match self.state {
            State::Open if closed => Err(Lost::Closed),
            State::Connecting(_) | State::Upgrading(_) | State::Open | State::Closing => Ok(()),
        }
    }
}

/// Writes once; a full socket is a write of nothing.
fn write(stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
    match stream.lend().write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        taken => taken.map(|taken| taken.bytes),
    }
}
