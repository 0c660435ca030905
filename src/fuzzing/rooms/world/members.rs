//! What members do: they join, publish, take what they are sent, leave.

use std::sync::Arc;

use super::{ROOMS, World};
use crate::fuzzing::Numbers;
use crate::fuzzing::rooms::encoding::Detour;
use crate::fuzzing::rooms::member::{ExpectedNotice, Member, Position};
use crate::fuzzing::rooms::peer::ScriptedPeer;
use crate::fuzzing::rooms::room::Draft;
use crate::rooms::{
    Arena, Command, Encoding, Format, Join, Joined, MemberKey, Publication, RejectReason, Reply, SessionKey,
    Start, TextSpan, Timestamp, Variant,
};

impl World {
    pub(super) fn join(&mut self, choice: u8, numbers: &mut Numbers<'_>) {
        let index = usize::from(choice % 4);
        let (name, format) = ROOMS[index];
        self.sessions += 1;
        let new_session = SessionKey(self.sessions);
        let (key, old_session) = self.free_keys.pop().unwrap_or_else(|| {
            self.keys += 1;
            (MemberKey(self.keys - 1), new_session)
        });
        let session = if self.sessions.is_multiple_of(2) { new_session } else { old_session };
        let room = &self.rooms[index];
        let start = self.start(index, choice >> 2, numbers);
        let position = match format {
            Format::Chat => Position::Outside,
            Format::Relay | Format::Conflated => Position::At(room.log.len() as u64 + 1),
        };
        let member = Member {
            room: index,
            key,
            session,
            user: format!("u{}", self.sessions),
            peer: ScriptedPeer::default(),
            start,
            position,
            newest_at: Timestamp::default(),
            generation: 0,
            gaps: 0,
            lost: 0,
            joined_at: Arc::default(),
            head_then: room.log.len() as u64,
        };
        member.peer.drain(usize::from(numbers.next()) * 100);
        let encoding = |label| Some(Arc::new(Detour { label }) as Arc<dyn Encoding>);
        let (variant, encoding) = match self.sessions % 6 {
            0 | 1 => (Variant::Plain, None),
            2 | 3 => (Variant::Deflated, None),
            4 => (Variant::Encoded, encoding(b"")),
            _ if self.sessions.is_multiple_of(5) => (Variant::Encoded, encoding(b"five")),
            _ => (Variant::Encoded, encoding(b"other")),
        };
        if variant == Variant::Deflated {
            member.peer.inflate();
        }
        let join = Join {
            member: key,
            session: member.session,
            session_id: self.sessions.into(),
            room: name.into(),
            format,
            user: member.user.as_str().into(),
            peer: member.peer.clone(),
            start,
            welcome: format == Format::Chat,
            variant,
            announced: true,
            creates: true,
            encoding,
            reply: (format != Format::Chat).then(|| {
                let joined_at = member.joined_at.clone();
                Reply::new(move |joined: Result<Joined, RejectReason>| {
                    joined_at.set(joined.expect("relays take everybody").seq).expect("one answer");
                })
            }),
        };
        let notice = ExpectedNotice::Join(member.user.clone());
        self.members.push(member);
        self.apply(Command::Join(Box::new(join)), &Arena::default());
        if self.limits.store.is_none() && format == Format::Chat {
            self.note_epoch(index);
        }
        self.notice(index, notice);
    }

    /// Where a newcomer begins.
    pub(super) fn start(&self, index: usize, choice: u8, numbers: &mut Numbers<'_>) -> Start {
        match (self.rooms[index].format, choice, u64::from(numbers.next())) {
            (Format::Relay | Format::Conflated, _, _) => Start::Live,
            (_, 0..=15, _) => Start::Live,
            (_, 16..=31, seq) => Start::After { seq, epoch: None },
            (_, 32..=39, seq) => Start::After { seq, epoch: Some(self.rooms[index].epoch) },
            (_, 40..=43, seq) => Start::After { seq, epoch: Some(1) },
            (_, 44..=55, back) => {
                Start::Since(Timestamp::from_micros(self.now.micros().saturating_sub(back)))
            }
            (_, _, count) => Start::Last(count % 16),
        }
    }

    /// A room in memory that was forgotten meanwhile begins anew. The newcomer's WELCOME tells.
    pub(super) fn note_epoch(&mut self, index: usize) {
        let epoch = self.shard_epoch(index);
        if epoch != self.rooms[index].epoch {
            assert_eq!(self.members.iter().filter(|member| member.room == index).count(), 1);
            self.rooms[index].begin(epoch);
        }
    }

    pub(super) fn shard_epoch(&self, index: usize) -> u64 {
        let peek = self.members.last().expect("the newcomer").peer.peek_frame();
        let welcome: serde_json::Value = serde_json::from_slice(&peek.expect("a WELCOME")).expect("JSON");
        assert_eq!(welcome["roomId"], self.rooms[index].name);
        let epoch = welcome["epoch"].as_str().expect("an epoch");
        u64::from_str_radix(epoch, 16).expect("a number")
    }

    pub(super) fn leave(&mut self, index: usize) {
        let mut member = self.members.swap_remove(index);
        member.read(&self.rooms[member.room]);
        member.peer.close();
        self.free_keys.push((member.key, member.session));
        self.apply(Command::Leave(member.key), &Arena::default());
        self.notice(member.room, ExpectedNotice::Leave(member.user));
    }

    pub(super) fn publish(&mut self, index: usize, numbers: &mut Numbers<'_>) {
        self.contents += 1;
        let (padding, id) = (numbers.next(), numbers.next());
        let content = format!("m{}{}", self.contents, ".".repeat(padding.into()));
        let client_id = (id < 100).then(|| format!("id{}", id % 16));
        let mut arena = Arena::default();
        let span = TextSpan::store(&mut arena.text, &content).expect("it fits");
        let id_span = client_id.as_ref().and_then(|id| TextSpan::store(&mut arena.text, id));
        let (key, room) = (self.members[index].key, self.members[index].room);
        let of = |format| client_id.clone().filter(|_| self.rooms[room].format == format);
        let (client_id, key_of_value) = (of(Format::Chat), of(Format::Conflated));
        let user = self.members[index].user.clone();
        let client_id = client_id.map(|id| (user.clone(), id));
        self.apply(
            Command::Publish { member: key, message: Publication::Text { content: span, id: id_span } },
            &arena,
        );
        self.rooms[room]
            .append(Draft { user, content, client_id, key: key_of_value, notice: None }, self.now);
    }

    pub(super) fn notice(&mut self, index: usize, notice: ExpectedNotice) {
        if self.rooms[index].format == Format::Chat {
            self.rooms[index].append(notice.draft(), self.now);
        }
    }

    pub(super) fn drain(&mut self, index: usize, room: usize) {
        if self.members[index].peer.drain(room) {
            let key = self.members[index].key;
            self.apply(Command::Resume(key), &Arena::default());
        }
    }
}
