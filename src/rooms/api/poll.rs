//! A reader that comes for the next messages, waits for them if there are none, and goes: long polling.

use std::sync::Weak;
use std::time::Duration;

use super::history::{Array, Backlog, History};
use crate::rooms::message::notice::Notice;
use crate::rooms::reasons::RejectReason;
use crate::rooms::reply::Reply;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Position, Start};

/// A request for the next messages of a room.
#[derive(Debug)]
pub struct Poll {
    /// Where to begin.
    pub start: Start,
    /// Messages at most.
    pub limit: usize,
    /// How long to wait for the first.
    pub wait: Duration,
    /// Lives as long as a client waits, if that is known.
    pub waiter: Option<Weak<()>>,
    /// Is told the position from which is waited, if there is nothing yet.
    pub waits: Reply<Position>,
    /// The answer. Without one after `wait`, there was nothing.
    pub reply: Reply<Result<PollResult, RejectReason>>,
}

/// What there is for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollResult {
    /// Messages, perhaps none.
    Messages(History),
    /// Messages that have left memory: they are to be read from the store.
    Stored(Backlog),
}

impl PollResult {
    /// What a poll is answered at a room that is not there, for a reader that may have been in another log.
    pub(in crate::rooms) fn nothing_there(room: &str, was_elsewhere: bool, position: Position) -> PollResult {
        let gap = was_elsewhere.then_some(Notice::whole_log(position.seq));
        let array = Array::begin(room, position.epoch, gap, Timestamp::default());
        PollResult::Messages(History { json: array.end(), position, gap })
    }
}
