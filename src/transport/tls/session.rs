//! TLS on one connection (RFC 8446, RFC 5246): ciphertext on the socket, plaintext above it.
//!
//! `rustls` does the protocol without touching the socket; here its bytes are carried to and fro, never waiting. The
//! reactor reads and any thread writes, so the session has a short lock of its own. No thread takes another lock while
//! it holds this one. Plaintext is encrypted straight from where it lies, a record at a time: what the socket does not
//! take of that record is all that waits here, and nothing does while the peer keeps up.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::{Connection, Error, InvalidMessage};

use crate::system::Socket;
use crate::transport::outcome::{Arrived, Taken, uninterrupted};

/// Plaintext that is encrypted before the socket has taken what was encrypted before: one record (RFC 8446 §5.1). What is
/// encrypted cannot be taken back, so no more than that waits here.
const RECORD_BYTES: usize = 16 * 1024;
/// A record with its header and what encryption adds (RFC 8446 §5.2), and room to spare.
const RECORD_WIRE_BYTES: usize = RECORD_BYTES + 1024;

/// One end of a TLS connection.
#[derive(Debug)]
pub(in crate::transport) struct Tls {
    session: Mutex<Session>,
}

#[derive(Debug)]
struct Session {
    connection: Connection,
    input: Input,
    /// What was wrong, once the input is broken.
    fault: Option<Box<str>>,
}

/// What becomes of the bytes that come.
///
/// ```text
/// Open ──close_notify──► Ended
///   └────broken rule───► Broken ──told──► Deaf
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// They are records.
    Open,
    /// The peer has said that there will be no more: whatever follows is ignored (RFC 8446 §6.1).
    Ended,
    /// The peer broke a rule, and the reader has not heard of it yet.
    Broken,
    /// As `Broken`; they are discarded, so that the alert is not destroyed by a reset.
    Deaf,
}

impl Tls {
    /// One end of `connection`, before its handshake.
    pub(in crate::transport) fn new(connection: impl Into<Connection>) -> Tls {
        Tls {
            session: Mutex::new(Session { connection: connection.into(), input: Input::Open, fault: None }),
        }
    }

    /// Whether the handshake is not complete.
    pub(in crate::transport) fn is_handshaking(&self) -> bool {
        self.lock().connection.is_handshaking()
    }

    /// As [`StreamRef::read`](crate::transport::stream::StreamRef::read). The upper half of `buffer` is where
    /// ciphertext is read into; no plaintext stays behind, since no event would tell of it.
    pub(in crate::transport) fn read(&self, socket: &Socket, buffer: &mut [u8]) -> io::Result<Arrived> {
        self.lock().read(socket, buffer)
    }

    /// How the peer broke TLS, in a few words for the operator, once.
    pub(in crate::transport) fn take_fault(&self) -> Option<Box<str>> {
        self.lock().fault.take()
    }

    /// As [`StreamRef::write_parts`](crate::transport::stream::StreamRef::write_parts). `full` may come with all bytes
    /// taken: then some of them wait here.
    pub(in crate::transport) fn write(
        &self,
        socket: &Socket,
        first: &[u8],
        second: &[u8],
    ) -> io::Result<Taken> {
        self.lock().write(socket, first, second)
    }

    /// Writes what waits here. `bytes` counts ciphertext.
    pub(in crate::transport) fn flush(&self, socket: &Socket) -> io::Result<Taken> {
        self.lock().flush(socket)
    }

    /// Says that nothing more will come (RFC 8446 §6.1). Returns as [`Tls::flush`].
    pub(in crate::transport) fn finish(&self, socket: &Socket) -> io::Result<Taken> {
        let mut session = self.lock();
        session.connection.send_close_notify();
        session.flush(socket)
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        // After a panic inside rustls the connection's own state says that it is unusable.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn read(&mut self, socket: &Socket, buffer: &mut [u8]) -> io::Result<Arrived> {
        match self.input {
            Input::Open => {}
            Input::Ended => return Ok(Arrived::End),
            Input::Broken => {
                self.input = Input::Deaf;
                return Ok(Arrived::Broken);
            }
            Input::Deaf => return discard(socket, buffer),
        }
        // What was kept of a record that is not complete can come out as plaintext, too: the lower part has room for it.
        let (plaintext, ciphertext) = buffer.split_at_mut(buffer.len() / 2 + RECORD_WIRE_BYTES);
        let len = uninterrupted(|| (&*socket).read(ciphertext))?;
        if len == 0 {
            // Without close_notify it may have been cut off by an attacker (RFC 8446 §6.1).
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = self.decrypt(&ciphertext[..len], plaintext);
        // Handshake, alerts, new keys. If the socket is gone, the next read says so.
        let _gone = self.flush(socket);
        match self.input {
            Input::Ended if count == 0 => Ok(Arrived::End),
            Input::Broken if count == 0 => {
                self.input = Input::Deaf;
                Ok(Arrived::Broken)
            }
            Input::Open => Ok(Arrived::Bytes { count, more: len == ciphertext.len() }),
            Input::Ended | Input::Broken | Input::Deaf => Ok(Arrived::Bytes { count, more: true }),
        }
    }

    /// Feeds `input` to the connection; returns how much plaintext came out.
    fn decrypt(&mut self, mut input: &[u8], plaintext: &mut [u8]) -> usize {
        let (mut count, whole) = (0, input);
        while !input.is_empty() && self.input == Input::Open {
            let fed = self.connection.read_tls(&mut input).map_err(|error| error.to_string());
            let state = fed
                .and_then(|_| self.connection.process_new_packets().map_err(|error| describe(&error, whole)));
            match state {
                Ok(state) if state.peer_has_closed() => self.input = Input::Ended,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(error, "a peer broke TLS");
                    self.fault = Some(error.into());
                    self.input = Input::Broken;
                }
            }
            // Ends with nothing left: "would block", or what `self.input` tells better.
            while let Ok(more @ 1..) = self.connection.reader().read(&mut plaintext[count..]) {
                count += more;
            }
        }
        count
    }

    fn write(&mut self, socket: &Socket, first: &[u8], second: &[u8]) -> io::Result<Taken> {
        if self.flush(socket)?.full {
            return Ok(Taken { bytes: 0, full: true });
        }
        let (len, mut bytes) = (first.len() + second.len(), 0);
        while bytes < len {
            let head = &first[bytes.min(first.len())..];
            let head = &head[..head.len().min(RECORD_BYTES)];
            let tail = &second[bytes.saturating_sub(first.len())..];
            let tail = &tail[..tail.len().min(RECORD_BYTES - head.len())];
            let encrypted =
                self.connection.writer().write_vectored(&[IoSlice::new(head), IoSlice::new(tail)])?;
            if encrypted == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes += encrypted;
            if self.flush(socket)?.full {
                return Ok(Taken { bytes, full: true });
            }
        }
        Ok(Taken { bytes, full: false })
    }

    fn flush(&mut self, socket: &Socket) -> io::Result<Taken> {
        let mut bytes = 0;
        while self.connection.wants_write() {
            match uninterrupted(|| self.connection.write_tls(&mut &*socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Taken { bytes, full: true });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Taken { bytes, full: false })
    }
}

/// What is wrong with a peer that has sent this last. `rustls` names rules, alerts and numbers, nothing that the peer has
/// written, so that the text is short.
fn describe(error: &Error, input: &[u8]) -> String {
    if *error != Error::InvalidMessage(InvalidMessage::InvalidContentType) {
        return error.to_string();
    }
    if is_http(input) {
        return "an HTTP request where TLS is spoken".to_owned();
    }
    format!("this is not TLS ({error})")
}

/// Whether this begins like a request: with a method and a space. No record of TLS begins with a letter.
fn is_http(input: &[u8]) -> bool {
    let method = input.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (3..=7).contains(&method) && input.get(method) == Some(&b' ')
}

fn discard(socket: &Socket, buffer: &mut [u8]) -> io::Result<Arrived> {
    match uninterrupted(|| (&*socket).read(buffer))? {
        0 => Ok(Arrived::End),
        len => Ok(Arrived::Bytes { count: 0, more: len == buffer.len() }),
    }
}
