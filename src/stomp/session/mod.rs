//! One session's protocol, without I/O: frames go in, and the [`Broker`] is asked for what they want.
//!
//! | file | subject |
//! |---|---|
//! | `connect`, `heartbeat` | CONNECT: version, user, heart-beats |
//! | `connected` | every other frame, and what is answered later |
//! | `subscription` | whose session it is, and one subscription of it |
//! | `sending` | SEND |
//! | `acknowledgement` | ACK, NACK |
//! | `transactions` | what waits for COMMIT |
//! | `commit` | COMMIT: all of it, or nothing |
//! | `broker` | what a session asks of the server |
//! | `limits` | what a session may cost |

mod acknowledgement;
mod broker;
mod commit;
mod connect;
mod connected;
mod heartbeat;
mod limits;
mod sending;
mod subscription;
mod transactions;

use self::connected::Connected;
use super::codec::{Command, Frame, Version};
use super::destination::Destination;
use super::error_frame::error_frame;
use super::fault::Fault;
use crate::ws::CloseCode;

pub(crate) use broker::{Broker, Effect, Operation, Progress, QueueChange};
pub(crate) use connect::HandshakeInfo;
pub(crate) use heartbeat::Heartbeat;
pub(crate) use limits::SessionLimits;
pub(crate) use sending::{SendBody, Sending};
pub(crate) use subscription::{ACK_SEPARATOR, Profile, Subscription};

/// One session.
#[derive(Debug)]
pub(crate) struct StompSession {
    limits: SessionLimits,
    state: StompState,
}

/// ```text
///            CONNECT                DISCONNECT             everything has had its effect
///   AwaitsConnect ─────►  Connected ──────────────► Leaving ───────────────────────────────► Over
///      └──────────────────┴──── a fault ───────────┴────────────────────────────────────────▲
/// ```
#[derive(Debug)]
enum StompState {
    AwaitsConnect(HandshakeInfo),
    Connected(Box<Connected>),
    /// The receipt that was asked for, if any was.
    Leaving(Box<Connected>, Option<Box<str>>),
    /// Whose it was, for the log.
    Over(Ended),
}

/// What is remembered of a session that has ended: its user, and the room that its client spoke of last.
#[derive(Debug, Default)]
struct Ended {
    user: Option<Box<str>>,
    room: Option<Box<str>>,
}

impl StompSession {
    pub(crate) fn new(limits: SessionLimits, handshake: HandshakeInfo) -> StompSession {
        StompSession { limits, state: StompState::AwaitsConnect(handshake) }
    }

    /// What it may cost from now on.
    pub(crate) fn set_limits(&mut self, limits: SessionLimits) {
        self.limits = limits;
    }

    /// The version that was agreed on, once it was.
    pub(crate) fn version(&self) -> Option<Version> {
        match &self.state {
            StompState::Connected(connected) | StompState::Leaving(connected, _) => {
                Some(connected.profile.version)
            }
            StompState::AwaitsConnect(_) | StompState::Over(_) => None,
        }
    }

    /// Bytes that are kept of what the client has sent, about.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.state {
            StompState::Connected(connected) | StompState::Leaving(connected, _) => connected.held_bytes(),
            StompState::AwaitsConnect(_) | StompState::Over(_) => 0,
        }
    }

    /// Whether it waits for CONNECT.
    pub(crate) fn awaits_connect(&self) -> bool {
        matches!(self.state, StompState::AwaitsConnect(_))
    }

    /// Whether nothing more is to be read.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, StompState::Leaving(..) | StompState::Over(_))
    }

    /// Takes a frame. What comes after the end is ignored.
    pub(crate) fn receive(&mut self, frame: &Frame<'_>, broker: &mut impl Broker) {
        let handled = match &mut self.state {
            StompState::AwaitsConnect(handshake) => {
                let connected = connect::connect(handshake, frame, &self.limits, broker);
                connected.map(|connected| self.state = StompState::Connected(Box::new(connected)))
            }
            StompState::Connected(_) if frame.command() == Command::Disconnect => {
                self.disconnect(frame, broker);
                Ok(())
            }
            StompState::Connected(connected) => connected.handle(frame, &self.limits, broker),
            StompState::Leaving(..) | StompState::Over(_) => Ok(()),
        };
        if let Err(fault) = handled {
            self.fail(fault, frame.header("receipt").as_deref(), broker);
            self.blame(frame);
        }
    }

    /// The session has ended because of this frame: what that names counts for the log.
    fn blame(&mut self, frame: &Frame<'_>) {
        let StompState::Over(ended) = &mut self.state else { return };
        let name = |header| frame.header(header).filter(|name| !name.is_empty());
        if ended.user.is_none() && matches!(frame.command(), Command::Connect | Command::Stomp) {
            ended.user = name("login").map(Into::into);
        }
        if let Some(destination) = name(sending::DESTINATION) {
            ended.room = Destination::room_in(&destination);
        }
    }

    /// The user, if there is one, and the room that the client spoke of last.
    pub(crate) fn names(&self) -> (Option<&str>, Option<&str>) {
        match &self.state {
            StompState::AwaitsConnect(handshake) => {
                (handshake.proved.as_deref().or(handshake.given.as_deref()), None)
            }
            StompState::Connected(connected) | StompState::Leaving(connected, _) => connected.names(),
            StompState::Over(ended) => (ended.user.as_deref(), ended.room.as_deref()),
        }
    }

    /// Something that was asked for has had its effect.
    pub(crate) fn done(&mut self, operation: Operation, effect: Effect, broker: &mut impl Broker) {
        if let StompState::Connected(connected) | StompState::Leaving(connected, _) = &mut self.state
            && let Err((fault, receipt)) = connected.done(operation, effect, broker)
        {
            self.fail(fault, receipt.as_deref(), broker);
        }
    }

    /// Something that was asked for cannot be.
    pub(crate) fn refused(&mut self, operation: Option<Operation>, fault: Fault, broker: &mut impl Broker) {
        let receipt = match &mut self.state {
            StompState::Connected(connected) | StompState::Leaving(connected, _) => {
                operation.and_then(|operation| connected.forget(operation))
            }
            StompState::AwaitsConnect(_) | StompState::Over(_) => None,
        };
        self.fail(fault, receipt.as_deref(), broker);
    }

    /// Everything that was asked for has had its effect.
    pub(crate) fn drained(&mut self, broker: &mut impl Broker) {
        let StompState::Leaving(connected, receipt) = &self.state else { return };
        if let Some(receipt) = receipt {
            connected.receipt(receipt, None, broker);
        }
        broker.close(CloseCode::NORMAL, "");
        self.state = StompState::Over(Ended::default());
    }

    /// Says ERROR, and that is the end.
    pub(crate) fn fail(&mut self, fault: Fault, receipt: Option<&str>, broker: &mut impl Broker) {
        if let StompState::Over(_) = self.state {
            return;
        }
        broker.note(fault);
        let version = match &self.state {
            StompState::AwaitsConnect(handshake) => handshake.subprotocol,
            StompState::Connected(connected) | StompState::Leaving(connected, _) => {
                Some(connected.profile.version)
            }
            StompState::Over(_) => None,
        };
        broker.send(&error_frame(
            fault.message(),
            &fault.to_string(),
            receipt,
            version,
            wants_version(fault),
        ));
        broker.close(fault.close_code(), fault.message());
        let (user, room) = self.names();
        self.state = StompState::Over(Ended { user: user.map(Into::into), room: room.map(Into::into) });
    }

    fn disconnect(&mut self, frame: &Frame<'_>, broker: &mut impl Broker) {
        let receipt = frame.header("receipt").map(|receipt| receipt.into());
        self.state = match std::mem::replace(&mut self.state, StompState::Over(Ended::default())) {
            StompState::Connected(connected) => StompState::Leaving(connected, receipt),
            state @ (StompState::AwaitsConnect(_) | StompState::Leaving(..) | StompState::Over(_)) => state,
        };
        if broker.is_quiet() {
            self.drained(broker);
        }
    }
}

fn wants_version(fault: Fault) -> bool {
    matches!(fault, Fault::NoCommonVersion | Fault::OtherSubprotocol)
}

#[cfg(test)]
mod tests;
