//! STOMP.
pub(crate) mod codec;
mod destination;
mod encoding;
mod fault;
pub(crate) mod message;
pub(crate) mod queues;
pub(crate) mod session;
pub(crate) mod users;
