//! What one read or write came to.

use std::io;

/// What one read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Bytes for the application, possibly none. `more`: there may be others, which no event will tell
    /// of.
    Bytes {
        /// At the beginning of the buffer.
        count: usize,
        /// Whether to read again.
        more: bool,
    },
    /// The end of the stream.
    End,
    /// The peer broke TLS and was told so by an alert. Comes once; what it sends from now on is discarded.
    Broken,
}

/// What one write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Bytes that are the stream's business now.
    pub(crate) bytes: usize,
    /// Whether the socket takes no more: its being writable again is an event.
    pub(crate) full: bool,
}

/// Makes a system call again that a signal has interrupted before it did anything.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
