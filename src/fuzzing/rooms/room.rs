//! What a room's log should be.

use std::collections::HashMap;
use std::time::Duration;

use super::member::{Expected, ExpectedNotice};
use crate::rooms::{Format, Timestamp};

/// What a room's log should be.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: &'static str,
    pub(super) format: Format,
    pub(super) epoch: u64,
    pub(super) log: Vec<Expected>,
    /// Logs that ended because the store had lost what was shown of them.
    pub(super) past: Vec<Ended>,
    /// The store may lack messages that were shown.
    pub(super) torn: bool,
    /// The oldest message that the store keeps.
    pub(super) kept_from: u64,
    pub(super) last_at: Timestamp,
    /// By the sender and its own id.
    pub(super) ids: HashMap<(String, String), u64>,
    /// JOINs and LEAVEs that the store has refused, and when they are tried again.
    pub(super) delayed: Vec<ExpectedNotice>,
    pub(super) again_at: Option<Timestamp>,
    /// How long they wait after the next refusal, in seconds.
    pub(super) pause: u64,
    /// The room is on its way from the store: what is appended once it is there.
    pub(super) waiting: Option<Vec<Draft>>,
}

/// A log that ended.
#[derive(Debug)]
pub(super) struct Ended {
    epoch: u64,
    log: Vec<Expected>,
    /// The number of the last message that the next log began with.
    pub(super) kept: u64,
}

#[derive(Debug)]
pub(super) struct Draft {
    /// Who says it, or of whom it is said.
    pub(super) user: String,
    pub(super) content: String,
    pub(super) client_id: Option<(String, String)>,
    pub(super) key: Option<String>,
    pub(super) notice: Option<ExpectedNotice>,
}

impl ExpectedNotice {
    pub(super) fn draft(self) -> Draft {
        let (user, content) = match &self {
            ExpectedNotice::Join(user) => (user.clone(), format!("{user} joined")),
            ExpectedNotice::Leave(user) => (user.clone(), format!("{user} left")),
        };
        Draft { user, content, client_id: None, key: None, notice: Some(self) }
    }
}

impl Room {
    /// An empty room, nowhere yet.
    pub(super) fn new(name: &'static str, format: Format) -> Room {
        Room {
            name,
            format,
            epoch: 0,
            log: Vec::new(),
            past: Vec::new(),
            torn: false,
            kept_from: 1,
            last_at: Timestamp::default(),
            ids: HashMap::new(),
            delayed: Vec::new(),
            again_at: None,
            pause: 0,
            waiting: None,
        }
    }

    pub(super) fn append(&mut self, draft: Draft, now: Timestamp) {
        if let Some(waiting) = &mut self.waiting {
            return waiting.push(draft);
        }
        if !self.delayed.is_empty()
            && let Some(notice) = draft.notice
        {
            return self.delay(notice);
        }
        if draft.client_id.as_ref().is_some_and(|id| self.ids.contains_key(id)) {
            return;
        }
        self.last_at = now.after(self.last_at);
        let (at, notice) = (self.last_at, draft.notice);
        self.log.push(Expected { content: draft.content, at, key: draft.key, notice });
        if let Some(id) = draft.client_id {
            self.ids.insert(id, self.log.len() as u64);
        }
    }

    /// Has a notice wait, unless it is the end of one that waits.
    fn delay(&mut self, notice: ExpectedNotice) {
        if let ExpectedNotice::Leave(user) = &notice {
            let joined =
                self.delayed.iter().position(|delayed| *delayed == ExpectedNotice::Join(user.clone()));
            if let Some(joined) = joined {
                self.delayed.remove(joined);
                return;
            }
        }
        self.delayed.push(notice);
    }

    /// The store has refused all that it has not taken.
    pub(super) fn roll_back(&mut self, head: u64, now: Timestamp) {
        let kept = usize::try_from(head).expect("a few messages");
        let lost: Vec<_> = self.log.iter().skip(kept).filter_map(|lost| lost.notice.clone()).collect();
        self.truncate(head);
        lost.into_iter().for_each(|notice| self.delay(notice));
        if !self.delayed.is_empty() && self.again_at.is_none() {
            let pause = self.pause.clamp(1, 16);
            self.again_at = Some(now.later_by(Duration::from_secs(pause)));
            self.pause = 2 * pause;
        }
    }

    /// What waits is said again.
    pub(super) fn append_delayed(&mut self, now: Timestamp) {
        self.again_at = None;
        for notice in std::mem::take(&mut self.delayed) {
            self.append(notice.draft(), now);
        }
    }

    /// Who came and has not left.
    pub(super) fn present(&self) -> Vec<&String> {
        let mut present = Vec::new();
        for notice in self.log.iter().filter_map(|message| message.notice.as_ref()) {
            match notice {
                ExpectedNotice::Join(user) => present.push(user),
                ExpectedNotice::Leave(user) => {
                    let joined = present.iter().position(|present| *present == user);
                    present.remove(joined.expect("a LEAVE has a JOIN, once"));
                }
            }
        }
        present
    }

    /// The log begins anew, under another epoch.
    pub(super) fn begin(&mut self, epoch: u64) {
        (self.epoch, self.last_at) = (epoch, Timestamp::default());
        self.log.clear();
        self.past.clear();
        self.ids.clear();
        self.delayed.clear();
        (self.again_at, self.pause) = (None, 0);
    }

    /// The log goes on after message `kept`, under another epoch.
    pub(super) fn renew(&mut self, epoch: u64, kept: u64) {
        let (epoch, log) = (std::mem::replace(&mut self.epoch, epoch), self.log.clone());
        self.past.push(Ended { epoch, log, kept });
        self.truncate(kept);
    }

    /// The epoch and the log that the room had after `number` ends of logs.
    pub(super) fn generation(&self, number: usize) -> (u64, &[Expected]) {
        self.past.get(number).map_or((self.epoch, &self.log), |ended| (ended.epoch, &ended.log))
    }

    /// After how many ends of logs the room had this epoch.
    pub(super) fn generation_of(&self, epoch: &str) -> usize {
        let is_meant = |number: &usize| format!("{:016x}", self.generation(*number).0) == epoch;
        (0..=self.past.len()).find(is_meant).expect("an epoch of the room")
    }

    pub(super) fn truncate(&mut self, head: u64) {
        self.log.truncate(usize::try_from(head).expect("a few messages"));
        self.ids.retain(|_, seq| *seq <= head);
    }
}
