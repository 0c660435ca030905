//! STOMP.
pub(crate) mod codec;
pub(crate) mod message;
pub(crate) mod queues;
pub(crate) mod users;
