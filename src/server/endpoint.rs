//! A WebSocket endpoint.

use std::fmt;

use super::handler::{AnyHandler, Handler};
use crate::config;
use crate::handshake::Origins;
use crate::reactor::RateLimits;

/// Subprotocols of one endpoint at most: each session remembers its own as a number of one byte.
const SUBPROTOCOLS_MAX: usize = u8::MAX as usize;

/// A WebSocket endpoint: a handler and the rules of its handshake.
pub struct Endpoint {
    pub(super) handler: Box<dyn AnyHandler>,
    message_bytes: Option<usize>,
    messages_per_second: Option<usize>,
    bytes_per_second: Option<usize>,
    pub(super) origins: Option<Origins>,
    pub(super) subprotocols: Vec<String>,
    pub(super) subprotocol_required: bool,
    pub(super) remember_handshake: bool,
    pub(super) deflate: Option<bool>,
}

impl Endpoint {
    /// An endpoint with the server's limits and origins, and without subprotocols.
    #[must_use]
    pub fn new(handler: impl Handler) -> Endpoint {
        Endpoint {
            handler: Box::new(handler),
            message_bytes: None,
            messages_per_second: None,
            bytes_per_second: None,
            origins: None,
            subprotocols: Vec::new(),
            subprotocol_required: false,
            remember_handshake: true,
            deflate: None,
        }
    }

    /// Maximum length of a message in bytes, instead of `limits.message_bytes`. A longer one closes the session with 1009.
    #[must_use]
    pub fn message_bytes(mut self, bytes_max: usize) -> Endpoint {
        self.message_bytes = Some(bytes_max);
        self
    }

    /// Maximum number of messages of one session in a second, instead of `limits.messages_per_second`; 0 is no limit.
    /// `limits.on_flood` says what happens to a session that sends more.
    #[must_use]
    pub fn messages_per_second(mut self, count: usize) -> Endpoint {
        self.messages_per_second = Some(count);
        self
    }

    /// Maximum number of bytes of one session in a second, instead of `limits.bytes_per_second`; 0 is no limit.
    #[must_use]
    pub fn bytes_per_second(mut self, count: usize) -> Endpoint {
        self.bytes_per_second = Some(count);
        self
    }

    /// Browsers are let in from these origins, instead of `origins.allowed`; `origins.endpoints` outranks both.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Endpoint {
        self.origins = Some(origins);
        self
    }

    /// Speaks these subprotocols, 255 at most. The first one that the client offers is chosen (RFC 6455 §4.2.2);
    /// [`Context::subprotocol`](super::Context::subprotocol) tells which.
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Endpoint {
        self.subprotocols = names.into_iter().map(Into::into).take(SUBPROTOCOLS_MAX).collect();
        self
    }

    /// Refuses clients that offer none of the subprotocols.
    #[must_use]
    pub fn require_subprotocol(mut self) -> Endpoint {
        self.subprotocol_required = true;
        self
    }

    /// Whether sessions keep the request that they began with ([`Session::handshake`](super::Session::handshake)); it
    /// costs as much memory as that request is long. On by default.
    #[must_use]
    pub fn remember_handshake(mut self, remember: bool) -> Endpoint {
        self.remember_handshake = remember;
        self
    }

    /// Whether messages are compressed for clients that offer it (RFC 7692), instead of `deflate.enabled`.
    #[must_use]
    pub fn deflate(mut self, enabled: bool) -> Endpoint {
        self.deflate = Some(enabled);
        self
    }

    /// Bytes of a message at most, of a session whose user is known.
    pub(super) fn message_bytes_max(&self, limits: &config::Limits) -> usize {
        self.message_bytes.unwrap_or(limits.message_bytes)
    }

    /// What a session may send in a time.
    pub(super) fn rate_limits(&self, limits: &config::Limits) -> RateLimits {
        let messages = self.messages_per_second.unwrap_or(limits.messages_per_second);
        let bytes = self.bytes_per_second.unwrap_or(limits.bytes_per_second);
        RateLimits::new(messages, bytes, limits.burst)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("subprotocols", &self.subprotocols).finish_non_exhaustive()
    }
}
