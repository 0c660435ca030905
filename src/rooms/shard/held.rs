//! Commands that wait for a room: what they are, and what keeping them costs.

use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::request::RoomRequest;
use crate::rooms::clock::Moment;
use crate::rooms::ids::MemberKey;

/// What keeping a command costs besides its texts: it stands in a queue, and most have a box of their own.
// Rounded up: this bounds memory, so an estimate below the truth would be the worse one.
const COMMAND_BYTES: usize = 128;

impl<P> Command<P> {
    /// Whether it may bring a room into being, where every user may open rooms.
    pub(super) fn creates(&self) -> bool {
        match self {
            Command::Join(join) => join.creates,
            Command::Request(request) => match &**request {
                RoomRequest::Post { post, .. } => post.create,
                RoomRequest::PostAll { posts, .. } => posts.iter().any(|(post, _)| post.create),
                RoomRequest::Relay { .. }
                | RoomRequest::Position { .. }
                | RoomRequest::Visible { .. }
                | RoomRequest::Poll { .. }
                | RoomRequest::Online { .. }
                | RoomRequest::Kick { .. }
                | RoomRequest::Close { .. }
                | RoomRequest::Stats { .. }
                | RoomRequest::Inspect(_)
                | RoomRequest::Ping { .. } => false,
            },
            Command::Publish { .. } => true,
            Command::Leave(_)
            | Command::Tell(..)
            | Command::Resume(_)
            | Command::After(..)
            | Command::Barrier => false,
        }
    }

    /// The JOIN that it is.
    fn join(&self) -> Option<&Join<P>> {
        match self {
            Command::Join(join) => Some(join),
            Command::Leave(_)
            | Command::Tell(..)
            | Command::Publish { .. }
            | Command::Resume(_)
            | Command::Request(_)
            | Command::After(..)
            | Command::Barrier => None,
        }
    }

    /// The JOIN of this member that it is.
    pub(super) fn join_of(&self, member: MemberKey) -> Option<&Join<P>> {
        self.join().filter(|join| join.member == member)
    }

    /// The member whose JOIN it is.
    pub(super) fn joiner(&self) -> Option<MemberKey> {
        self.join().map(|join| join.member)
    }

    /// About what it takes in memory while it waits, without the bytes of a publish.
    pub(super) fn held_bytes(&self) -> usize {
        COMMAND_BYTES
            + match self {
                Command::Join(join) => size_of::<Join<P>>() + join.room.len() + join.user.len(),
                Command::Request(request) => size_of::<RoomRequest>() + request.text_bytes(),
                Command::Leave(_)
                | Command::Tell(..)
                | Command::Publish { .. }
                | Command::Resume(_)
                | Command::After(..)
                | Command::Barrier => 0,
            }
    }

    /// Whether it is a poll that has waited since then, and whose waiter has gone or whose time has passed.
    pub(super) fn is_stale_poll(&self, since: Moment, now: Moment) -> bool {
        let Command::Request(request) = self else { return false };
        let RoomRequest::Poll { poll, .. } = &**request else { return false };
        // Who only looks is answered, and has no waiter.
        let has_gone = || poll.waiter.as_ref().is_some_and(|waiter| waiter.strong_count() == 0);
        !poll.wait.is_zero() && (has_gone() || poll.wait <= now.since(since))
    }

    /// A poll has waited since then for its room already.
    pub(super) fn shorten_wait(&mut self, since: Moment, now: Moment) {
        if let Command::Request(request) = self
            && let RoomRequest::Poll { poll, .. } = &mut **request
        {
            poll.wait = poll.wait.saturating_sub(now.since(since));
        }
    }
}

impl RoomRequest {
    /// Whether it is a poll of this user.
    pub(super) fn is_poll_of(&self, name: &str) -> bool {
        matches!(self, RoomRequest::Poll { user, .. } if **user == *name)
    }

    /// The bytes of its texts.
    fn text_bytes(&self) -> usize {
        let room = self.room().map_or(0, str::len);
        room + match self {
            RoomRequest::Post { post, .. } => post.held_bytes(),
            RoomRequest::PostAll { posts, .. } => {
                posts.iter().map(|(post, _)| post.room.len() + post.held_bytes()).sum::<usize>()
            }
            RoomRequest::Relay { message, .. } => message.published().len(),
            RoomRequest::Position { user, .. }
            | RoomRequest::Poll { user, .. }
            | RoomRequest::Kick { user, .. } => user.len(),
            RoomRequest::Visible { .. }
            | RoomRequest::Online { .. }
            | RoomRequest::Close { .. }
            | RoomRequest::Stats { .. }
            | RoomRequest::Inspect(_)
            | RoomRequest::Ping { .. } => 0,
        }
    }
}
