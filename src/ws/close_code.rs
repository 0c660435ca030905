//! Close codes (RFC 6455 §7.4).

use std::fmt;
use std::num::NonZeroU16;

/// A close code that may stand on the wire: 1000–1003, 1007–1014, 3000–4999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(NonZeroU16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode::constant(1000);
    /// The server shuts down, or the browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode::constant(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode::constant(1002);
    /// A kind of message that this end does not accept.
    pub const UNSUPPORTED: CloseCode = CloseCode::constant(1003);
    /// A message whose content is not of its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode::constant(1007);
    /// Against this end's policy, where no other code says it better.
    pub const POLICY: CloseCode = CloseCode::constant(1008);
    /// A message longer than this end accepts.
    pub const TOO_BIG: CloseCode = CloseCode::constant(1009);
    /// The server met a condition of its own making.
    pub const INTERNAL: CloseCode = CloseCode::constant(1011);
    /// The server cannot serve now; connecting again later may work.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode::constant(1013);
    /// An operator removed this user from the room.
    pub const KICKED: CloseCode = CloseCode::constant(4001);
    /// The client reads too slowly to keep up.
    pub const TOO_SLOW: CloseCode = CloseCode::constant(4008);
    /// No valid credentials, or they have expired.
    pub const UNAUTHENTICATED: CloseCode = CloseCode::constant(4401);
    /// Refused by the application: the client must not come back as it is.
    pub const REFUSED: CloseCode = CloseCode::constant(4403);

    /// `None` if `code` must not appear on the wire.
    pub const fn new(code: u16) -> Option<CloseCode> {
        match (code, NonZeroU16::new(code)) {
            (1000..=1003 | 1007..=1014 | 3000..=4999, Some(code)) => Some(CloseCode(code)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Evaluated by the compiler only: a bad number is a compile error.
    const fn constant(code: u16) -> CloseCode {
        CloseCode::new(code).expect("a close code of this file is valid")
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}
