//! Why a session is told ERROR, and ends.

use std::fmt;

use super::codec::FrameError;
use super::queue_error::QueueError;
use crate::limit_hits::Limit;
use crate::ws::CloseCode;

/// What a client did wrong, or the server cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A frame breaks a rule.
    Frame(FrameError),
    /// Something came before CONNECT.
    NotConnected,
    /// A second CONNECT.
    ConnectedAlready,
    /// A frame that only servers send.
    ServerCommand,
    /// The frame needs this header.
    Missing(&'static str),
    /// This header has no such value.
    Malformed(&'static str),
    /// This header, or parameter of the address, is to name the user, and cannot.
    BadName(&'static str),
    /// A SEND to `/app/auth` without a token, or not as the first frame of its WebSocket message.
    NoToken,
    /// The client speaks none of our versions.
    NoCommonVersion,
    /// The client does not speak the version of the subprotocol that was agreed on.
    OtherSubprotocol,
    /// The destination is none, or not for this command.
    UnknownDestination,
    /// There is no subscription of that id.
    NoSubscription,
    /// There is a subscription of that id.
    RepeatedSubscription,
    TooManySubscriptions,
    /// Messages are not selected by their headers.
    Selector,
    /// There is no transaction of that name.
    NoTransaction,
    /// There is a transaction of that name.
    RepeatedTransaction,
    TooManyTransactions,
    LongTransactions,
    /// There is no such message to acknowledge.
    NoMessage,
    /// Rooms take text.
    NotText,
    NoSubscriber,
    /// The sender has used the id for another message.
    IdReused,
    Queue(QueueError),
    /// The client does not keep its promise of signs of life.
    Silent,
    /// A frame was begun and not finished in time.
    Unfinished,
    /// CONNECT did not come in time.
    NotConnectedInTime,
    /// The user may not enter that room.
    NotAllowed,
    /// `login` is not the token's user.
    NotThatUser,
    /// The user was thrown out of that room.
    Kicked,
    /// The user must not come back there yet.
    Banned,
    NoSuchRoom,
    RoomFull,
    TooManyRooms,
    TooManySessions,
    /// Too much waits already.
    Busy,
    /// The rooms are at this limit.
    Limited(Limit),
    /// It cannot be stored or read at the moment.
    Unavailable,
}

impl Fault {
    /// For the header `message` and the reason of the Close frame.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Fault::Frame(_) => "malformed frame",
            Fault::NotConnected => "not connected",
            Fault::ConnectedAlready => "connected already",
            Fault::ServerCommand => "not a command for clients",
            Fault::Missing(_) => "missing header",
            Fault::Malformed(_) => "malformed header",
            Fault::BadName(_) => "malformed name",
            Fault::NoCommonVersion => "unsupported version",
            Fault::OtherSubprotocol => "version and subprotocol differ",
            Fault::UnknownDestination => "unknown destination",
            Fault::NoSubscription => "no such subscription",
            Fault::RepeatedSubscription => "repeated subscription id",
            Fault::TooManySubscriptions => "too many subscriptions",
            Fault::Selector => "selectors are not supported",
            Fault::NoTransaction => "no such transaction",
            Fault::RepeatedTransaction => "repeated transaction",
            Fault::TooManyTransactions => "too many transactions",
            Fault::LongTransactions => "transactions are too long",
            Fault::NoMessage => "no such message",
            Fault::NotText => "not text",
            Fault::NoSubscriber | Fault::Queue(QueueError::NoSubscriber) => "no subscriber",
            Fault::IdReused => "id reused",
            Fault::Queue(QueueError::Long | QueueError::Full) => "queue is full",
            Fault::Queue(QueueError::NoMemory) => "queues are full",
            Fault::Queue(QueueError::TooMany) => "too many queues",
            Fault::Silent => "no heart-beat",
            Fault::Unfinished => "frame not finished in time",
            Fault::NotConnectedInTime => "no CONNECT in time",
            Fault::NotAllowed => "not allowed",
            Fault::NotThatUser | Fault::NoToken => "not authenticated",
            Fault::Kicked => "kicked",
            Fault::Banned => "banned",
            Fault::NoSuchRoom => "no such room",
            Fault::RoomFull => "room is full",
            Fault::TooManyRooms => "too many rooms",
            Fault::TooManySessions => "too many sessions",
            Fault::Busy => "busy",
            Fault::Limited(_) | Fault::Unavailable => "unavailable",
        }
    }

    /// What the connection is closed with.
    pub(crate) const fn close_code(self) -> CloseCode {
        match self {
            Fault::Frame(FrameError::LongBody) => CloseCode::TOO_BIG,
            Fault::Frame(_)
            | Fault::NotConnected
            | Fault::ConnectedAlready
            | Fault::ServerCommand
            | Fault::Missing(_)
            | Fault::Malformed(_)
            | Fault::BadName(_)
            | Fault::NoCommonVersion
            | Fault::OtherSubprotocol
            | Fault::UnknownDestination
            | Fault::NoSubscription
            | Fault::RepeatedSubscription
            | Fault::Selector
            | Fault::NoTransaction
            | Fault::RepeatedTransaction
            | Fault::NoMessage
            | Fault::NotText
            | Fault::IdReused
            | Fault::Silent => CloseCode::PROTOCOL_ERROR,
            Fault::NotAllowed
            | Fault::NoSuchRoom
            | Fault::TooManySubscriptions
            | Fault::TooManyTransactions
            | Fault::LongTransactions
            | Fault::Unfinished
            | Fault::NotConnectedInTime => CloseCode::POLICY,
            Fault::NotThatUser | Fault::NoToken => CloseCode::UNAUTHENTICATED,
            Fault::Kicked | Fault::Banned => CloseCode::KICKED,
            Fault::NoSubscriber
            | Fault::Queue(_)
            | Fault::RoomFull
            | Fault::TooManyRooms
            | Fault::TooManySessions
            | Fault::Busy
            | Fault::Limited(_)
            | Fault::Unavailable => CloseCode::TRY_AGAIN_LATER,
        }
    }
}

impl Fault {
    /// Whether the limit was counted by the room that refused something.
    pub(crate) fn is_counted(self) -> bool {
        matches!(self, Fault::RoomFull | Fault::Limited(_))
    }

    /// The limit that the client has run into, as far as a session has one of its own or the fault tells.
    pub(crate) const fn limit(self) -> Option<Limit> {
        match self {
            Fault::Frame(FrameError::LongBody) => Some(Limit::MessageBytes),
            Fault::TooManySubscriptions => Some(Limit::StompSubscriptions),
            Fault::TooManyTransactions => Some(Limit::StompTransactions),
            Fault::LongTransactions => Some(Limit::StompTransactionBytes),
            Fault::Queue(QueueError::Long) => Some(Limit::StompQueueLength),
            Fault::Queue(QueueError::Full) => Some(Limit::StompQueueBytes),
            Fault::Queue(QueueError::TooMany) => Some(Limit::StompQueues),
            Fault::Queue(QueueError::NoMemory) => Some(Limit::StompMemory),
            Fault::Unfinished => Some(Limit::MessageTimeout),
            Fault::NotConnectedInTime => Some(Limit::HandshakeTimeout),
            Fault::RoomFull => Some(Limit::MembersPerRoom),
            Fault::Limited(limit) => Some(limit),
            Fault::Frame(_)
            | Fault::NotConnected
            | Fault::ConnectedAlready
            | Fault::ServerCommand
            | Fault::Missing(_)
            | Fault::Malformed(_)
            | Fault::BadName(_)
            | Fault::NoToken
            | Fault::NoCommonVersion
            | Fault::OtherSubprotocol
            | Fault::UnknownDestination
            | Fault::NoSubscription
            | Fault::RepeatedSubscription
            | Fault::Selector
            | Fault::NoTransaction
            | Fault::RepeatedTransaction
            | Fault::NoMessage
            | Fault::NotText
            | Fault::NoSubscriber
            | Fault::IdReused
            | Fault::Queue(QueueError::NoSubscriber)
            | Fault::Silent
            | Fault::NotAllowed
            | Fault::NotThatUser
            | Fault::Kicked
            | Fault::Banned
            | Fault::NoSuchRoom
            | Fault::TooManyRooms
            | Fault::TooManySessions
            | Fault::Busy
            | Fault::Unavailable => None,
        }
    }
}

/// The explanation in the body of an ERROR.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Frame(error) => write!(f, "{error}"),
            Fault::Missing(header) => write!(f, "this frame needs the header {header}"),
            Fault::Malformed(header) => write!(f, "the header {header} has no such value"),
            Fault::BadName(header) => {
                write!(f, "{header} is no name: up to 64 bytes without control characters")
            }
            Fault::NoToken => f.write_str(
                "a SEND to /app/auth carries a token as Authorization: Bearer, and is the first frame of its message",
            ),
            Fault::NotConnected => f.write_str("the first frame must be CONNECT or STOMP"),
            Fault::ConnectedAlready => f.write_str("there is one CONNECT to a connection"),
            Fault::NoCommonVersion => f.write_str("this server speaks 1.0, 1.1 and 1.2"),
            Fault::OtherSubprotocol => {
                f.write_str("accept-version does not have the version of the WebSocket subprotocol")
            }
            Fault::UnknownDestination => f.write_str(
                "destinations are /topic/NAME, /queue/NAME, /user/queue/NAME, for SUBSCRIBE /sub/NAME and for SEND \
                 /pub/NAME, with names of up to 128 bytes without control characters",
            ),
            Fault::NotText => f.write_str("the body of a message for a room must be UTF-8"),
            Fault::NotAllowed => f.write_str("the token does not allow this room or queue"),
            Fault::NotThatUser => f.write_str("login is not the user of the token"),
            Fault::ServerCommand
            | Fault::NoSubscription
            | Fault::RepeatedSubscription
            | Fault::TooManySubscriptions
            | Fault::Selector
            | Fault::NoTransaction
            | Fault::RepeatedTransaction
            | Fault::TooManyTransactions
            | Fault::LongTransactions
            | Fault::NoMessage
            | Fault::NoSubscriber
            | Fault::IdReused
            | Fault::Queue(_)
            | Fault::Silent
            | Fault::Unfinished
            | Fault::NotConnectedInTime
            | Fault::Kicked
            | Fault::Banned
            | Fault::NoSuchRoom
            | Fault::RoomFull
            | Fault::TooManyRooms
            | Fault::TooManySessions
            | Fault::Busy
            | Fault::Limited(_)
            | Fault::Unavailable => f.write_str(self.message()),
        }
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Fault {
        Fault::Frame(error)
    }
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Fault {
        Fault::Queue(error)
    }
}
