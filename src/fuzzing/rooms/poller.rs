//! A reader that polls, checked against the log that it should see.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::room::Room;
use super::store::ScriptedStore;
use crate::rooms::{Backlog, History, Poll, PollResult, RejectReason, Reply, RoomRequest, Start};

/// One after the other: a question, what the store has to say to it, the answer.
#[derive(Debug, Default)]
pub(super) struct Poller {
    /// Where it has got to: epoch and number.
    position: (u64, u64),
    answer: Arc<Mutex<Option<Result<PollResult, RejectReason>>>>,
    is_waiting: bool,
    backlog: Option<Backlog>,
    /// Gaps that it was told of under the epoch that it knew.
    pub(super) gaps: u64,
}

impl Poller {
    /// Asks for what comes next in the room, unless it has asked already.
    pub(super) fn ask(&mut self, room: &str, choice: u8) -> Option<RoomRequest> {
        if std::mem::replace(&mut self.is_waiting, true) {
            return None;
        }
        let (epoch, seq) = self.position;
        let answer = self.answer.clone();
        let poll = Poll {
            start: Start::After { seq, epoch: Some(epoch) },
            limit: usize::from(choice % 5) + 1,
            wait: Duration::from_secs(if choice < 128 { 0 } else { 1_000_000 }),
            waiter: None,
            waits: Reply::new(|_| ()),
            reply: Reply::new(move |result| *answer.lock().expect("no panic") = Some(result)),
        };
        Some(RoomRequest::Poll { room: room.into(), user: "".into(), poll: Box::new(poll) })
    }

    /// Takes what has come. What is in the store is read now if `reads`.
    pub(super) fn take(&mut self, room: &Room, store: &ScriptedStore, reads: bool) {
        let answer = self.answer.lock().expect("no panic").take();
        match answer {
            Some(Ok(PollResult::Messages(history))) => self.receive(&history, room),
            Some(Ok(PollResult::Stored(backlog))) => self.backlog = Some(backlog),
            Some(Err(_)) => self.is_waiting = false,
            None => {}
        }
        if reads && let Some(backlog) = self.backlog.take() {
            let page = store.page(room.name, &backlog.request(3, usize::MAX));
            match backlog.history(room.name, &page) {
                Ok(history) => self.receive(&history, room),
                // The log has begun anew meanwhile: it asks again.
                Err(start) => {
                    let Start::After { seq, epoch } = start else { unreachable!("{start:?}") };
                    assert_eq!(seq, self.position.1);
                    assert!(epoch == Some(self.position.0) || self.position == (0, 0));
                    self.is_waiting = false;
                }
            }
        }
    }

    /// Every number up to the new position is there, as a message or in a gap.
    fn receive(&mut self, history: &History, room: &Room) {
        self.is_waiting = false;
        let (epoch, mut seq) = (history.position.epoch, self.position.1);
        let (_, log) = room.generation(room.generation_of(&format!("{epoch:016x}")));
        let mut entries: Vec<Value> = serde_json::from_slice(&history.json).expect("JSON");
        if epoch != self.position.0 && self.position != (0, 0) {
            let gap = entries.remove(0);
            seq = number(&gap, "to");
            assert_eq!((&gap["type"], number(&gap, "from")), (&Value::from("GAP"), seq.min(1)), "{gap}");
        }
        for entry in entries {
            if entry["type"] == "GAP" {
                assert_eq!(number(&entry, "from"), seq + 1, "{entry}");
                (seq, self.gaps) = (number(&entry, "to"), self.gaps + 1);
                continue;
            }
            seq += 1;
            assert_eq!(number(&entry, "seq"), seq, "{entry}");
            let expected = &log[usize::try_from(seq - 1).expect("a few messages")];
            assert_eq!(entry["content"], expected.content);
        }
        assert_eq!(seq, history.position.seq, "a position that was not reached by what was told");
        assert!(seq <= log.len() as u64, "a position that nobody has come to");
        self.position = (epoch, seq);
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().expect("a number")
}
