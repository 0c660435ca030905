//! Members publish to their rooms.

use super::member_index::MemberSlot;
use super::state::{RoomSlot, Shard};
use crate::rooms::api::inspection::RecordedEvent;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::publication::Published;
use crate::rooms::clock::Now;
use crate::rooms::ids::MemberKey;
use crate::rooms::message::draft::Draft;
use crate::rooms::message::kind::Kind;
use crate::rooms::reasons::PostError;
use crate::rooms::room::publisher::Publisher;
use crate::rooms::values::Format;

impl<P: Peer> Shard<P> {
    pub(super) fn publish(&mut self, member: MemberKey, message: Published<'_>, now: Now) {
        let (index, slot) = match self.member_index.get(member) {
            Some(MemberSlot::Waiting { room }) => (room.index, None),
            Some(slot @ MemberSlot::Joined { room, .. }) => (*room, Some(slot)),
            Some(MemberSlot::Left { .. }) | None => return,
        };
        let room = match &mut self.rooms[index] {
            RoomSlot::Open(room) => room,
            RoomSlot::Opening(opening) => {
                if !opening.hold_publish(member, message, now.steady, &self.limits.bounds) {
                    return opening.tell(member, &PostError::Busy.fault(message.client_id()));
                }
                // Of a reader that waits at a room that is not there: it brings the room into being.
                return self.advance(index, now);
            }
        };
        match room.format {
            Format::Relay | Format::Conflated => {
                let position = match slot {
                    Some(MemberSlot::Joined { position, .. }) => Some(*position),
                    Some(MemberSlot::Waiting { .. } | MemberSlot::Left { .. }) | None => None,
                };
                let session = position.and_then(|position| Some(room.members.get(position)?.session));
                room.append_relay(&message, session, &self.limits, now);
                self.messages += 1;
                self.touch(index);
            }
            Format::Chat => {
                let Some(MemberSlot::Joined { profile, position, .. }) = slot else { return };
                // Its session is being closed, and what is said here is kept nowhere.
                if room.deleted {
                    return;
                }
                // A member whose session merely ends has said what was read before; one that was thrown out has not.
                if profile.expelled {
                    return;
                }
                let Some(session) = room.members.get(*position).map(|seated| seated.session) else { return };
                let Some(content) = message.content() else { return };
                let client_id = message.client_id();
                // A name that is none is shared by strangers, and so would be its ids.
                let id_session = profile.user.is_empty().then_some(profile.session_id);
                let (kind, sender) = (Kind::Message, &*profile.user);
                let draft = Draft { kind, sender, content, client_id, id_session, presence: None };
                let publisher = Publisher::Member { key: member, session };
                if let Some(first) = room.earlier(&draft, &self.limits, now) {
                    let place = |member| self.member_index.place_in(index, member);
                    return room.answer_repeat(first, &draft, publisher, place);
                }
                if room.is_closed() {
                    let code = PostError::Unavailable.code();
                    room.record(now.wall, RecordedEvent::Refused { session: Some(session), code });
                    let place = |member| self.member_index.place_in(index, member);
                    room.answer_failed(publisher, PostError::Unavailable, client_id, place);
                    return self.retry_reset(index, now);
                }
                self.commits.append(room, draft, publisher, &self.limits, now);
                self.messages += 1;
                self.touch(index);
                self.retry_reset(index, now);
            }
        }
    }
}
