//! Rooms over plain HTTP: server-sent events and long polling.

mod events;
mod polls;
mod reader;
