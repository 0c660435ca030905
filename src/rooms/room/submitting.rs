//! Messages go to a store that numbers them, and come back; their publishers are answered.

use std::sync::Arc;

use super::dedup::Earlier;
use super::limits::RoomLimits;
use super::publisher::{PresenceNotice, Publisher, Repeat};
use super::state::Room;
use super::submissions::Submission;
use crate::rooms::api::inspection::RecordedEvent;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::{Opened, Placed, Stored};
use crate::rooms::ids::MemberKey;
use crate::rooms::log::stored::encode_stored;
use crate::rooms::message::kind::Kind;
use crate::rooms::reasons::PostError;
use crate::rooms::timestamp::Timestamp;

impl<P: Peer> Room<P> {
    /// A message goes to the store, which numbers it.
    pub(in crate::rooms) fn submit(&mut self, publisher: Publisher, client_id: Option<&str>) {
        let Some(submissions) = &mut self.submissions else {
            return debug_assert!(false, "the store numbers the messages of this room");
        };
        submissions.joins += u64::from(publisher.is_join());
        submissions.waiting.push_back(Submission { publisher, client_id: client_id.map(Into::into) });
    }

    /// The store says what has become of the message that has waited longest; `place` finds members. Gives a notice back
    /// that is to be said again.
    pub(in crate::rooms) fn place(
        &mut self,
        placed: Placed,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) -> Option<PresenceNotice> {
        let submissions = self.submissions.as_mut()?;
        let Some(submission) = submissions.waiting.pop_front() else {
            debug_assert!(false, "an answer to no message");
            return None;
        };
        submissions.joins -= u64::from(submission.publisher.is_join());
        match placed {
            Placed::At(seq) => {
                submissions.placed.push_back((seq, submission));
                self.answer_placed();
            }
            Placed::Repeat { seq, at, is_same } => {
                self.repeat_is_placed(seq, at, is_same, submission, &place);
            }
            // A JOIN or LEAVE that would tell nothing. What somebody has said is something everywhere but in a room that
            // is there no longer.
            Placed::Nothing => self.not_placed(submission, PostError::NoSuchRoom, &place),
            Placed::Unavailable => self.not_placed(submission, PostError::Unavailable, &place),
            Placed::NotStored => match submission.publisher {
                Publisher::Notice(notice) => return Some(notice),
                Publisher::Member { .. } | Publisher::Request { .. } => {
                    self.not_placed(submission, PostError::Unavailable, &place);
                }
            },
        }
        if self.deleted {
            self.fail_placed(PostError::NoSuchRoom, place);
        }
        None
    }

    fn not_placed(
        &self,
        submission: Submission,
        error: PostError,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        let Submission { publisher, client_id } = submission;
        self.answer_failed(publisher, error, client_id.as_deref(), place);
    }

    fn repeat_is_placed(
        &mut self,
        seq: u64,
        at: Timestamp,
        is_same: bool,
        submission: Submission,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        let Submission { publisher, client_id } = submission;
        let first = Earlier::at(seq, at);
        self.repeats.push(Repeat { first, is_same, client_id: client_id.unwrap_or_default(), publisher });
        self.answer_repeats(place);
    }

    /// Answers those whose messages are shown by now.
    fn answer_placed(&mut self) {
        let visible = self.positions.visible();
        while let Some(submissions) = &mut self.submissions
            && let Some((seq, submission)) = submissions.placed.pop_front_if(|(seq, _)| *seq <= visible)
        {
            // A member hears its own message.
            if let Publisher::Request { reply, wants_json } = submission.publisher {
                reply.send(Ok(self.posted(seq, wants_json)));
            }
        }
    }

    /// The next messages of the log have come.
    pub(in crate::rooms) fn take_messages(
        &mut self,
        messages: &[Stored],
        limits: &RoomLimits,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        for stored in messages {
            let follows = stored.seq == self.log.head() + 1 && stored.at > self.last_at;
            debug_assert!(follows, "message {} came after {}", stored.seq, self.log.head());
            if !follows {
                continue;
            }
            encode_stored(Arc::make_mut(&mut self.log), &self.name, self.epoch, stored);
            self.last_at = stored.at;
            self.retained.note(stored.seq, &stored.sender, &stored.content);
            self.record(stored.at, RecordedEvent::Received { seq: stored.seq, session: None });
            if let (Some(presence), Some(submissions)) = (&stored.presence, &mut self.submissions) {
                submissions.users = presence.online;
            }
        }
        let head = self.log.head();
        self.positions.record(head, head);
        self.positions.commit(head, head);
        // Before anything leaves the window: the answers have the messages with them.
        self.answer_placed();
        self.answer_repeats(place);
        self.expire(self.last_at);
        self.evict(limits);
    }

    /// The log goes on under another epoch: what was placed and not shown is lost, as far as anybody knows.
    pub(in crate::rooms) fn placed_are_lost(
        &mut self,
        opened: &Opened,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        let Some(submissions) = &mut self.submissions else { return };
        submissions.users = opened.numbering.users();
        self.fail_placed(PostError::Unavailable, place);
    }

    /// What was placed and is not shown will not be.
    pub(in crate::rooms) fn fail_placed(
        &mut self,
        error: PostError,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        let Some(submissions) = &mut self.submissions else { return };
        let lost = std::mem::take(&mut submissions.placed);
        lost.into_iter().for_each(|(_, submission)| self.not_placed(submission, error, &place));
        for Repeat { client_id, publisher, .. } in std::mem::take(&mut self.repeats) {
            self.answer_failed(publisher, error, Some(&client_id), &place);
        }
    }
}

impl Publisher {
    fn is_join(&self) -> bool {
        matches!(self, Publisher::Notice(PresenceNotice { kind: Kind::Join, .. }))
    }
}
