//! A client on a socket: it waits for what it is asked for.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::client::{Client, Event, Opening};
use crate::handshake::client::ClientError;
use crate::http::HeaderError;
use crate::ws::{CloseCode, ProtocolError};

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// A WebSocket client for tests, on a socket that blocks; see the [example](crate::testing).
///
/// It reads only when it is asked for something, and answers pings then. Whatever does not come within 30 seconds never
/// comes ([`ConnectionError::TimedOut`]).
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    client: Client,
    /// What was received and not asked for yet.
    received: VecDeque<Event>,
    subprotocol: Option<String>,
}

/// Why a client did not get what it was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// It did not come in time.
    TimedOut,
    /// The socket failed.
    Io(io::Error),
    /// The connection ended, as far as is known without a Close frame.
    Ended,
    /// The target or a header field cannot stand in a request.
    Header(HeaderError),
    /// The server did not accept the opening handshake.
    Refused(ClientError),
    /// The server broke the protocol.
    Protocol(ProtocolError),
    /// The server closed the session.
    Closed(Option<CloseCode>, String),
    /// Something else came.
    Unexpected(Event),
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionError::TimedOut => f.write_str("nothing came in time"),
            ConnectionError::Io(error) => error.fmt(f),
            ConnectionError::Ended => f.write_str("the connection ended without a close frame"),
            ConnectionError::Header(error) => error.fmt(f),
            ConnectionError::Refused(error) => error.fmt(f),
            ConnectionError::Protocol(error) => write!(f, "the server broke the protocol: {error}"),
            ConnectionError::Closed(code, reason) => write!(f, "the server closed with {code:?}, {reason:?}"),
            ConnectionError::Unexpected(event) => write!(f, "something else came: {event:?}"),
        }
    }
}

impl std::error::Error for ConnectionError {}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> ConnectionError {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            return ConnectionError::TimedOut;
        }
        ConnectionError::Io(error)
    }
}

impl Connection {
    /// Connects and is let in at this path, with the query after `?`.
    ///
    /// # Errors
    /// [`ConnectionError`]; [`ConnectionError::Refused`] if the server has answered with something else than 101.
    pub fn open(server: SocketAddr, target: &str) -> Result<Connection, ConnectionError> {
        Connection::open_with(server, &Opening::new(target))
    }

    /// As [`Connection::open`], with subprotocols and header fields.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub fn open_with(server: SocketAddr, opening: &Opening) -> Result<Connection, ConnectionError> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let seed = RandomState::new().hash_one(server);
        let client = Client::new(&server.to_string(), opening, seed).map_err(ConnectionError::Header)?;
        let mut connection = Connection { stream, client, received: VecDeque::new(), subprotocol: None };
        connection.write()?;
        let event = connection.event()?;
        if let Event::Opened(subprotocol) = event {
            connection.subprotocol = subprotocol;
            return Ok(connection);
        }
        Err(unexpected(event))
    }

    /// The subprotocol that the server has chosen.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The socket, for its options and its address.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`ConnectionError::Ended`] if it is known to be over; what the socket says.
    pub fn send_text(&mut self, text: &str) -> Result<(), ConnectionError> {
        let sent = self.client.send_text(text);
        self.written(sent)
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`Connection::send_text`].
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), ConnectionError> {
        let sent = self.client.send_binary(payload);
        self.written(sent)
    }

    /// Sends a ping; payload beyond 125 bytes is cut off.
    ///
    /// # Errors
    /// As [`Connection::send_text`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ConnectionError> {
        let sent = self.client.ping(payload);
        self.written(sent)
    }

    /// The next event, whatever it is.
    ///
    /// # Errors
    /// [`ConnectionError::TimedOut`], [`ConnectionError::Ended`], [`ConnectionError::Io`].
    #[expect(clippy::disallowed_methods, reason = "the deadline of a test is real time")]
    pub fn event(&mut self) -> Result<Event, ConnectionError> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if let Some(event) = self.received.pop_front() {
                return Ok(event);
            }
            if self.client.is_over() {
                return Err(ConnectionError::Ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A timeout of zero would be none.
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let count = match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if count == 0 {
                return Err(ConnectionError::Ended);
            }
            self.received.extend(self.client.receive(&buffer[..count]));
            self.write()?;
        }
    }

    /// The next message, which must be text; pings and pongs are passed over.
    ///
    /// # Errors
    /// [`ConnectionError::Unexpected`] if it is binary, [`ConnectionError::Closed`], and as [`Connection::event`].
    pub fn text(&mut self) -> Result<String, ConnectionError> {
        let event = self.message()?;
        if let Event::Text(text) = event {
            return Ok(text);
        }
        Err(unexpected(event))
    }

    /// The next message, which must be binary; pings and pongs are passed over.
    ///
    /// # Errors
    /// As [`Connection::text`].
    pub fn binary(&mut self) -> Result<Vec<u8>, ConnectionError> {
        let event = self.message()?;
        if let Event::Binary(payload) = event {
            return Ok(payload);
        }
        Err(unexpected(event))
    }

    /// The code of the server's Close frame, which must be the next thing that comes, apart from pings and pongs.
    ///
    /// # Errors
    /// As [`Connection::text`].
    pub fn closed(&mut self) -> Result<Option<CloseCode>, ConnectionError> {
        let event = self.message()?;
        if let Event::Closed(code, _) = event {
            return Ok(code);
        }
        Err(unexpected(event))
    }

    /// Closes in good order: with a code or with an empty frame, and waits for the server's answer, passing over whatever
    /// comes before it.
    ///
    /// # Errors
    /// As [`Connection::event`].
    pub fn close(mut self, code: Option<CloseCode>) -> Result<Option<CloseCode>, ConnectionError> {
        let sent = self.client.close(code, "");
        self.written(sent)?;
        loop {
            if let Event::Closed(code, _) = self.event()? {
                return Ok(code);
            }
        }
    }

    /// The next event that is neither ping nor pong.
    fn message(&mut self) -> Result<Event, ConnectionError> {
        loop {
            let event = self.event()?;
            if !matches!(event, Event::Ping(_) | Event::Pong(_)) {
                return Ok(event);
            }
        }
    }

    /// Writes what the client has to say, if it was `sent`.
    fn written(&mut self, sent: bool) -> Result<(), ConnectionError> {
        if sent { self.write() } else { Err(ConnectionError::Ended) }
    }

    fn write(&mut self) -> Result<(), ConnectionError> {
        Ok(self.stream.write_all(&self.client.take_output())?)
    }
}

fn unexpected(event: Event) -> ConnectionError {
    match event {
        Event::Refused(error) => ConnectionError::Refused(error),
        Event::Failed(error) => ConnectionError::Protocol(error),
        Event::Closed(code, reason) => ConnectionError::Closed(code, reason),
        Event::Opened(_) | Event::Text(_) | Event::Binary(_) | Event::Ping(_) | Event::Pong(_) => {
            ConnectionError::Unexpected(event)
        }
    }
}
