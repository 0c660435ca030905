//! STOMP.
pub(crate) mod codec;
