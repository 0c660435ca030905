//! The handle of a session that any thread may hold.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::reactor::api::attributes::Attributes;
use crate::reactor::api::handshake::Handshake;
use crate::reactor::inbox::channel::InboxSender;
use crate::reactor::inbox::message::ReactorMessage;
use crate::reactor::key::Key;
use crate::transport::{Outbound, SendError};
use crate::ws::deflate::Deflate;
use crate::ws::{CloseCode, OpCode, encode};

#[derive(Debug)]
struct Inner {
    key: Key,
    id: u128,
    outbound: Arc<Outbound>,
    inbox: InboxSender,
    /// How messages are compressed; `None` also where those of the callbacks refer back to each other: then these go
    /// between them as they are.
    deflate: Option<Deflate>,
    handshake: Option<Handshake>,
    attributes: Mutex<Attributes>,
}

/// A text message as it goes over the wire, encoded once for however many sessions. It is not compressed, which every
/// client takes.
#[derive(Debug)]
pub(crate) struct TextFrame(Vec<u8>);

impl TextFrame {
    pub(crate) fn new(text: &str) -> TextFrame {
        let mut frame = Vec::with_capacity(text.len() + encode::HEADER_BYTES_MAX);
        encode::frame(&mut frame, OpCode::Text, text.as_bytes());
        TextFrame(frame)
    }

    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A WebSocket session, as a handle that can be cloned and sent to any thread.
///
/// Sending writes to the socket at once, from the calling thread, and never blocks: what the socket does not take is
/// queued up to `limits.reply_bytes`. A handle outlives its session harmlessly; then sending fails with
/// [`SendError::Closed`]. Inside a callback [`Context`](crate::reactor::Context) does the same with less work: it gathers what
/// one event makes the handler say, without a lock.
#[derive(Clone, Debug)]
pub struct Session {
    inner: Arc<Inner>,
}

impl Session {
    pub(crate) fn new(
        key: Key,
        id: u128,
        outbound: Arc<Outbound>,
        inbox: InboxSender,
        deflate: Option<Deflate>,
        handshake: Option<Handshake>,
    ) -> Session {
        let attributes = Mutex::default();
        Session { inner: Arc::new(Inner { key, id, outbound, inbox, deflate, handshake, attributes }) }
    }

    /// The session's public id: 128 random bits.
    #[must_use]
    pub fn id(&self) -> u128 {
        self.inner.id
    }

    /// The request that the session began with; `None` if its endpoint does not
    /// [remember](crate::server::Endpoint::remember_handshake) it.
    #[must_use]
    pub fn handshake(&self) -> Option<&Handshake> {
        self.inner.handshake.as_ref()
    }

    /// The client's address: the one that a trusted proxy has told, if there is one in between. `None` if the connection
    /// is gone.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.inner.outbound.stream().peer_addr().ok()
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`SendError`]; then nothing of it was sent.
    pub fn send_text(&self, text: &str) -> Result<(), SendError> {
        self.send(OpCode::Text, text.as_bytes())
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// [`SendError`]; then nothing of it was sent.
    pub fn send_binary(&self, payload: &[u8]) -> Result<(), SendError> {
        self.send(OpCode::Binary, payload)
    }

    /// Sends a ping with up to 125 bytes of payload; what is beyond is cut off (RFC 6455 §5.5).
    ///
    /// # Errors
    /// [`SendError`].
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.send(OpCode::Ping, &payload[..payload.len().min(125)])
    }

    /// Begins the closing handshake. `reason` is cut to 123 bytes. Does nothing if the session is closing already.
    pub fn close(&self, code: CloseCode, reason: &str) {
        let mut frame = Vec::new();
        encode::close(&mut frame, Some(code), reason);
        if self.inner.outbound.close_elsewhere(&frame, code) {
            // Not lost if the inbox is full: nothing else arms the deadline, or tells the handler. There is one for each
            // session.
            self.inner.inbox.post_or_keep(ReactorMessage::Closing(self.inner.key, code, reason.into()));
        }
    }

    /// Has the session's handler called with `event`, on the reactor's thread
    /// ([`Handler::event`](crate::server::Handler::event)), unless the session ends before. Waits while the reactor is
    /// behind, for ten seconds at most. On the reactor's own thread, which cannot wait for itself, it fails then.
    ///
    /// # Errors
    /// [`SendError::Full`]: thousands of events wait already, and the reactor takes none. [`SendError::Closed`]: the server is gone.
    pub fn post_event(&self, event: impl Any + Send) -> Result<(), SendError> {
        self.inner.inbox.post_event(self.inner.key, Box::new(event))
    }

    /// Bytes that were sent to the session and wait because its peer does not keep up; 0 if it has taken all, as far as
    /// the kernel's buffers. A sender of values that are worth nothing when they are late (positions, prices) leaves out
    /// a session that has not taken the last of them.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.inner.outbound.backlog_bytes()
    }

    /// Whether the session can still be sent to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.inner.outbound.is_sealed()
    }

    /// Attaches a value to the session, in place of any other of the same type.
    pub fn set_attribute<T: Any + Send + Sync>(&self, value: T) {
        self.attributes().set(value);
    }

    /// The value of this type attached to the session.
    #[must_use]
    pub fn attribute<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.attributes().get()
    }

    pub(crate) fn attributes(&self) -> MutexGuard<'_, Attributes> {
        self.inner.attributes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a text message that was encoded before.
    ///
    /// # Errors
    /// [`SendError`]; then nothing of it was sent.
    pub(crate) fn send_frame(&self, frame: &TextFrame) -> Result<(), SendError> {
        self.send_counted(&frame.0, 1)
    }

    fn send(&self, opcode: OpCode, payload: &[u8]) -> Result<(), SendError> {
        let mut frame = Vec::with_capacity(payload.len() + encode::HEADER_BYTES_MAX);
        match &self.inner.deflate {
            Some(deflate) => deflate.frame(&mut frame, opcode, payload, None),
            None => encode::frame(&mut frame, opcode, payload),
        }
        self.send_counted(&frame, u64::from(opcode != OpCode::Ping))
    }

    fn send_counted(&self, frame: &[u8], messages: u64) -> Result<(), SendError> {
        self.inner.outbound.send(frame)?;
        self.inner.inbox.count_sent(messages, frame.len());
        Ok(())
    }
}
