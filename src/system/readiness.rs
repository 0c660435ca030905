//! What is reported of a socket.

use mio::Token;
use mio::event::Event;

/// One event: whose it is, and what has changed.
pub(crate) trait Readiness {
    fn token(&self) -> Token;
    fn is_readable(&self) -> bool;
    fn is_writable(&self) -> bool;
    fn is_error(&self) -> bool;
    fn is_read_closed(&self) -> bool;
    fn is_priority(&self) -> bool;
}

impl Readiness for Event {
    #[inline]
    fn token(&self) -> Token {
        Event::token(self)
    }

    #[inline]
    fn is_readable(&self) -> bool {
        Event::is_readable(self)
    }

    #[inline]
    fn is_writable(&self) -> bool {
        Event::is_writable(self)
    }

    #[inline]
    fn is_error(&self) -> bool {
        Event::is_error(self)
    }

    #[inline]
    fn is_read_closed(&self) -> bool {
        Event::is_read_closed(self)
    }

    #[inline]
    fn is_priority(&self) -> bool {
        Event::is_priority(self)
    }
}
