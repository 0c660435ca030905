//! TLS over a socket to Redis. Whoever reads from the socket holds no lock meanwhile, so that others can write.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ClientConnection;

use crate::system::{TcpStream, receive, write_now};
use crate::transport::Trust;

/// Bytes that are read from the socket at once.
const CHUNK: usize = 16 << 10;

struct SessionState {
    connection: ClientConnection,
    /// What was read from the socket and not yet decrypted.
    encrypted: Vec<u8>,
}

/// One session, shared by those who read and write.
#[derive(Clone)]
pub(super) struct Session(Arc<Mutex<SessionState>>);

/// Writes to a socket without waiting.
struct AtOnce<'s>(&'s TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match write_now(self.0, bytes)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken(error: &rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}"))
}

impl SessionState {
    /// What is decrypted by now: how much of it was read, or nothing if more has to come.
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end that was not announced: whoever cut it could have cut it anywhere, and answers say how long they are.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(0)),
                read => return read.map(Some),
            }
            if self.encrypted.is_empty() {
                return Ok(None);
            }
            let count = self.connection.read_tls(&mut &self.encrypted[..])?;
            self.encrypted.drain(..count);
            self.connection.process_new_packets().map_err(|error| broken(&error))?;
            if count == 0 {
                return Ok(None);
            }
        }
    }

    /// Writes what is encrypted as far as that goes without waiting.
    fn flush_some(&mut self, socket: &TcpStream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut AtOnce(socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                written => written?,
            };
        }
        Ok(true)
    }
}

impl Session {
    /// Begins with what both sides have to say first.
    pub(super) fn begin(trust: &Trust, host: &str, mut socket: &TcpStream) -> io::Result<Session> {
        let trust = trust.for_server(host).map_err(io::Error::other)?;
        let mut connection = trust.connection().map_err(|error| broken(&error))?;
        // What is sent at once is bounded by those who send.
        connection.set_buffer_limit(None);
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Session(Arc::new(Mutex::new(SessionState { connection, encrypted: Vec::new() }))))
    }

    fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self, into: &mut [u8], socket: &TcpStream, wait: Duration) -> io::Result<usize> {
        let mut chunk = [0; CHUNK];
        loop {
            if let Some(count) = self.lock().read(into)? {
                return Ok(count);
            }
            let count = receive(socket, &mut chunk, wait)?;
            if count == 0 {
                return Ok(0);
            }
            let mut state = self.lock();
            state.encrypted.extend_from_slice(&chunk[..count]);
            let read = state.read(into);
            // What TLS itself has to say to that.
            let _is_said_with_the_next = state.flush_some(socket);
            if let Some(count) = read? {
                return Ok(count);
            }
        }
    }

    pub(super) fn write_all(&self, bytes: &[u8], mut socket: &TcpStream) -> io::Result<()> {
        let mut state = self.lock();
        state.connection.writer().write_all(bytes)?;
        while state.connection.wants_write() {
            state.connection.write_tls(&mut socket)?;
        }
        Ok(())
    }

    /// Takes all of it, and writes as much as goes without waiting.
    pub(super) fn write_some(&self, bytes: &[u8], socket: &TcpStream) -> io::Result<usize> {
        let mut state = self.lock();
        state.connection.writer().write_all(bytes)?;
        state.flush_some(socket)?;
        Ok(bytes.len())
    }

    pub(super) fn flush_some(&self, socket: &TcpStream) -> io::Result<bool> {
        self.lock().flush_some(socket)
    }

    pub(super) fn has_ended(&self, socket: &TcpStream) -> bool {
        let found = self.read(&mut [0], socket, Duration::ZERO);
        !matches!(found, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
