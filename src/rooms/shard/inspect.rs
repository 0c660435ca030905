//! What operators ask of a shard: searches in parts, what a room has recorded, sessions of a room closed.

use std::collections::BTreeSet;

use super::member_index::MemberSlot;
use super::state::{RoomSlot, Shard};
use crate::rooms::api::inspection::{
    Found, FoundMember, FoundRoom, Inspection, Place, RecordedEvent, Recording, Search, has, is_meant,
};
use crate::rooms::api::peer::Peer;
use crate::rooms::message::frame::payload_of;
use crate::rooms::reasons::RejectReason;
use crate::rooms::room::member::Member;
use crate::rooms::room::state::Room;
use crate::rooms::values::Format;

/// Rooms and members that one part of a search looks at: tens of microseconds, in which the shard does nothing else.
const LOOKED_AT_MAX: usize = if cfg!(test) { 16 } else { 2048 };
/// Bytes of messages that come with a recording, the newest first.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

impl<P: Peer> Shard<P> {
    pub(super) fn inspect(&mut self, inspection: Inspection) {
        match inspection {
            Inspection::Find { search, from, reply } => reply.send(self.find(&search, from)),
            Inspection::Record { room, format, reply } => {
                let index = self.names[format as usize].get(&room);
                let slot = index.and_then(|index| self.rooms.get(*index));
                reply.send(match slot {
                    Some(RoomSlot::Open(room)) => Some(self.recording(room)),
                    Some(RoomSlot::Opening(_)) | None => None,
                });
            }
            Inspection::CloseSessions { room, reply } => {
                let closed = match self.names[Format::Chat as usize].get(&room).copied() {
                    None => 0,
                    Some(index) if matches!(self.rooms[index], RoomSlot::Opening(_)) => {
                        self.close_waiting(index, None, RejectReason::Kicked)
                    }
                    Some(index) => self.close_members(index, None, RejectReason::Kicked),
                };
                reply.send(closed);
            }
        }
    }

    fn find(&self, search: &Search, from: Place) -> Found {
        let (mut found, mut left) = (Found::default(), LOOKED_AT_MAX);
        let Place { room: first, mut member } = from;
        for index in first..self.rooms.capacity() {
            let Some(RoomSlot::Open(room)) = self.rooms.get(index) else {
                left -= 1;
                if left == 0 {
                    found.next = Some(Place { room: index + 1, member: 0 });
                    return found;
                }
                continue;
            };
            match search {
                Search::Rooms(text) => {
                    if !room.deleted && has(&room.name, text) {
                        found.rooms.push(describe(room));
                        left = left.saturating_sub(room.member_count());
                    }
                }
                Search::Members { room: Some(name), .. } if *room.name != **name => {}
                Search::Members { text, .. } => {
                    let seen = room.members.iter().skip(member).take(left);
                    found.members.extend(seen.filter_map(|seated| self.describe_member(room, seated, text)));
                    let end = room.member_count().min(member.saturating_add(left));
                    left -= end - member.min(end);
                    if end < room.member_count() {
                        found.next = Some(Place { room: index, member: end });
                        return found;
                    }
                }
            }
            member = 0;
            left = left.saturating_sub(1);
            if left == 0 {
                found.next = Some(Place { room: index + 1, member: 0 });
                return found;
            }
        }
        found
    }

    /// A member, if it is like this.
    fn describe_member(&self, room: &Room<P>, member: &Member<P>, text: &str) -> Option<FoundMember> {
        let Some(MemberSlot::Joined { profile, .. }) = self.member_index.get(member.key) else { return None };
        let address = member.peer.address();
        is_meant(text, &profile.user, profile.session_id, || address).then(|| FoundMember {
            room: room.name.clone(),
            format: room.format,
            session: member.session,
            session_id: profile.session_id,
            user: profile.user.clone(),
            address,
            joined_at: profile.joined_at,
            lag: room.lag(member),
        })
    }

    fn recording(&self, room: &Room<P>) -> Recording {
        let events: Vec<_> = room.recorder.iter().flat_map(|recorder| recorder.events().copied()).collect();
        let (mut payloads, mut left) = (Vec::new(), PAYLOAD_BYTES_MAX);
        for (_, event) in events.iter().rev() {
            let RecordedEvent::Received { seq, .. } = *event else { continue };
            // What is not stored yet may be taken back: nobody is shown it.
            let frame = room.log.frame(seq).filter(|_| seq <= room.positions.visible());
            let Some(payload) = frame.map(payload_of) else { continue };
            let Some(rest) = left.checked_sub(payload.len()) else { break };
            left = rest;
            payloads.push((seq, payload.into()));
        }
        payloads.reverse();
        let sessions: BTreeSet<u64> = events.iter().filter_map(|(_, event)| session_of(event)).collect();
        let of_event = |member: &&Member<P>| sessions.contains(&member.session.0);
        let members = room.members.iter().filter(of_event).filter_map(|member| {
            let Some(MemberSlot::Joined { profile, .. }) = self.member_index.get(member.key) else {
                return None;
            };
            Some((member.session, profile.session_id, profile.user.clone()))
        });
        Recording { epoch: room.epoch, payloads, members: members.collect(), events }
    }
}

fn describe<P: Peer>(room: &Room<P>) -> FoundRoom {
    let (lag, lag_max) = room
        .members
        .iter()
        .map(|member| room.lag(member))
        .fold((0, 0), |(sum, max), lag| (u64::saturating_add(sum, lag), max.max(lag)));
    FoundRoom {
        name: room.name.clone(),
        format: room.format,
        members: room.member_count(),
        seq: room.positions.visible(),
        lag,
        lag_max,
        window_bytes: room.log.window_bytes(),
    }
}

fn session_of(event: &RecordedEvent) -> Option<u64> {
    match event {
        RecordedEvent::Received { session, .. } | RecordedEvent::Refused { session, .. } => {
            session.map(|session| session.0)
        }
        RecordedEvent::Sent { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::rooms::api::command::Command;
    use crate::rooms::api::request::RoomRequest;
    use crate::rooms::ids::Arena;
    use crate::rooms::reply::Reply;
    use crate::rooms::shard::tests::kit::Kit;

    /// Asks for one answer.
    fn ask<T: Send + 'static>(kit: &mut Kit, inspection: impl FnOnce(Reply<T>) -> Inspection) -> T {
        let answer = Arc::new(Mutex::new(None));
        let taken = answer.clone();
        let reply = Reply::new(move |value| *taken.lock().unwrap() = Some(value));
        let request = RoomRequest::Inspect(Box::new(inspection(reply)));
        kit.apply(Command::Request(Box::new(request)), &Arena::default());
        let answer = answer.lock().unwrap().take();
        answer.expect("an answer")
    }

    /// All parts of a search, and how many there were.
    fn search(kit: &mut Kit, search: Search) -> (Found, usize) {
        let (search, mut all, mut from, mut parts) =
            (Arc::new(search), Found::default(), Place::default(), 0);
        loop {
            let part = ask(kit, |reply| Inspection::Find { search: search.clone(), from, reply });
            parts += 1;
            all.rooms.extend(part.rooms);
            all.members.extend(part.members);
            match part.next {
                Some(next) => from = next,
                None => return (all, parts),
            }
        }
    }

    fn members_like(kit: &mut Kit, text: &str, room: Option<&str>) -> Vec<(String, String)> {
        let wanted = Search::Members { text: text.into(), room: room.map(Into::into) };
        let (found, _) = search(kit, wanted);
        let mut names: Vec<_> =
            found.members.iter().map(|member| (member.room.to_string(), member.user.to_string())).collect();
        names.sort();
        names
    }

    #[test]
    fn rooms_and_members_are_found_by_a_part_of_their_names() {
        let mut kit = Kit::new();
        for (room, user) in [("Lobby", "ann"), ("lobby-2", "bob"), ("cellar", "Ann-Marie")] {
            kit.join(room, user);
            kit.open();
            kit.commit();
        }
        let mut names = |text: &str| {
            let (found, _) = search(&mut kit, Search::Rooms(text.into()));
            let mut names: Vec<_> = found.rooms.iter().map(|room| room.name.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(names("LOB"), ["Lobby", "lobby-2"]);
        assert_eq!(names(""), ["Lobby", "cellar", "lobby-2"]);
        assert_eq!(names("nothing"), [""; 0]);
        let pair = |room: &str, user: &str| (room.to_owned(), user.to_owned());
        assert_eq!(members_like(&mut kit, "ANN", None), [pair("Lobby", "ann"), pair("cellar", "Ann-Marie")]);
        assert_eq!(members_like(&mut kit, "ann", Some("Lobby")), [pair("Lobby", "ann")]);
        assert_eq!(members_like(&mut kit, "", Some("lobby")), []);
        let (found, _) = search(&mut kit, Search::Members { text: "bob".into(), room: None });
        let id = format!("{:032x}", found.members[0].session_id);
        assert_eq!(members_like(&mut kit, &id[..32], None), [pair("lobby-2", "bob")]);
        let (found, _) = search(&mut kit, Search::Rooms("cellar".into()));
        assert_eq!((found.rooms[0].members, found.rooms[0].seq, found.rooms[0].lag), (1, 1, 0));
    }

    #[test]
    fn a_search_goes_on_in_parts_and_finds_each_member_once() {
        let mut kit = Kit::new();
        let count = LOOKED_AT_MAX + LOOKED_AT_MAX / 2;
        for number in 0..count {
            let room = if number % 3 == 0 { "small" } else { "large" };
            kit.join(room, &format!("user{number}"));
            if number < 2 {
                kit.open();
            }
        }
        kit.commit();
        let (found, parts) = search(&mut kit, Search::Members { text: "user".into(), room: None });
        assert!(parts > 1, "{parts}");
        let users: BTreeSet<_> = found.members.iter().map(|member| member.user.to_string()).collect();
        assert_eq!((users.len(), found.members.len()), (count, count));
    }

    #[test]
    fn a_room_tells_what_has_happened_lately() {
        let mut kit = Kit::recording(1 << 20);
        let (ann, _) = kit.join("r", "ann");
        kit.open();
        kit.commit();
        kit.say(ann, "first", None);
        kit.say(ann, "second", None);
        kit.commit();
        kit.say(ann, "not stored yet", None);
        let record = |kit: &mut Kit, room: &str| {
            let room = room.into();
            ask(kit, |reply| Inspection::Record { room, format: Format::Chat, reply })
        };
        assert!(record(&mut kit, "other").is_none());
        let recording = record(&mut kit, "r").expect("a recording");
        let received: Vec<_> = recording
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                RecordedEvent::Received { seq, session, .. } => Some((*seq, session.is_some())),
                RecordedEvent::Refused { .. } | RecordedEvent::Sent { .. } => None,
            })
            .collect();
        assert_eq!(received, [(1, false), (2, true), (3, true), (4, true)], "JOIN, and three messages");
        let sent: u64 = recording
            .events
            .iter()
            .map(|(_, event)| match event {
                RecordedEvent::Sent { deliveries, .. } => *deliveries,
                RecordedEvent::Received { .. } | RecordedEvent::Refused { .. } => 0,
            })
            .sum();
        assert_eq!(sent, 3, "what is not stored was not sent");
        let shown: Vec<u64> = recording.payloads.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(shown, [1, 2, 3]);
        let second = String::from_utf8(recording.payloads[2].1.to_vec()).unwrap();
        assert!(second.contains("second"), "{second}");
        assert_eq!(recording.members.len(), 1);
        assert_eq!(&*recording.members[0].2, "ann");
    }

    #[test]
    fn a_room_without_a_recorder_tells_nothing() {
        let mut kit = Kit::new();
        kit.join("r", "ann");
        kit.open();
        kit.commit();
        let recording =
            ask(&mut kit, |reply| Inspection::Record { room: "r".into(), format: Format::Chat, reply });
        assert!(recording.expect("the room is open").events.is_empty());
    }

    #[test]
    fn all_sessions_of_a_room_are_closed() {
        let mut kit = Kit::new();
        kit.join("r", "ann");
        kit.join("r", "bob");
        kit.open();
        kit.commit();
        let close = |kit: &mut Kit| ask(kit, |reply| Inspection::CloseSessions { room: "r".into(), reply });
        assert_eq!(close(&mut kit), 2);
        assert_eq!(close(&mut kit), 0, "they are being closed");
    }
}
