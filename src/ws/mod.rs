//! RFC 6455 frames and messages, without I/O.
