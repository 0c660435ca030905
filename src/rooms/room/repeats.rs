//! Who published a message, what they hear of it, and messages that are published again under the same id.

use crate::rooms::clock::Now;
use std::mem;

use super::dedup::Earlier;
use super::limits::RoomLimits;
use super::member::Member;
use super::publisher::{Publisher, Repeat};
use super::state::Room;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::RecentId;
use crate::rooms::ids::{MemberKey, SessionKey};
use crate::rooms::message::chat::Chat;
use crate::rooms::message::draft::Draft;
use crate::rooms::message::frame::payload_of;
use crate::rooms::message::identity::content_digest;
use crate::rooms::message::notice::Notice;
use crate::rooms::reasons::PostError;
use crate::rooms::values::Posted;

/// Maximum number of repeats in a room that wait for the commit of their first; the next one is told that the room is
/// busy.
// A repeat is a client that has not heard of its first: more than a thousand within one commit is no accident.
const REPEATS_MAX: usize = 1024;

impl<P: Peer> Room<P> {
    /// The ids of the messages that were stored lately.
    pub(in crate::rooms) fn restore_ids(&mut self, ids: &[RecentId], now: Now) {
        if ids.is_empty() {
            return;
        }
        let dedup = self.dedup.get_or_insert_default();
        for id in ids {
            dedup.note(id.identified(), now.moment_of(id.at), id.at, id.seq);
        }
    }

    /// The message that was published with the id of this one lately.
    pub(in crate::rooms) fn earlier(
        &mut self,
        draft: &Draft<'_>,
        limits: &RoomLimits,
        now: Now,
    ) -> Option<Earlier> {
        self.dedup.as_mut()?.find(draft.identified()?, now.steady, limits.dedup_window)
    }

    /// Answers a message whose id was used before, once it is known whether the first was stored. `place` finds members.
    pub(in crate::rooms) fn answer_repeat(
        &mut self,
        first: Earlier,
        draft: &Draft<'_>,
        publisher: Publisher,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        let is_same = first.is_same(content_digest(draft.content));
        let client_id = draft.client_id.unwrap_or_default();
        if first.seq > self.positions.visible() {
            if self.repeats.len() >= REPEATS_MAX {
                return self.answer_failed(publisher, PostError::Busy, Some(client_id), place);
            }
            let client_id = client_id.into();
            return self.repeats.push(Repeat { first, is_same, client_id, publisher });
        }
        if is_same && let Publisher::Request { reply, wants_json: true } = publisher {
            // The first may have left memory and, by retention, the store: it is written anew from what came again.
            let mut json = Vec::new();
            draft.envelope(&self.name, self.epoch, first.seq, first.at).encode_json(&mut json);
            return reply.send(Ok(Posted { json: Some(json.into()), ..self.posted(first.seq, false) }));
        }
        self.answer_stored_repeat(Repeat { first, is_same, client_id: client_id.into(), publisher }, place);
    }

    /// Answers the repeats of messages that can be seen by now.
    pub(in crate::rooms) fn answer_repeats(&mut self, place: impl Fn(MemberKey) -> Option<usize>) {
        let visible = self.positions.visible();
        let due: Vec<_> = self.repeats.extract_if(.., |repeat| repeat.first.seq <= visible).collect();
        due.into_iter().for_each(|repeat| self.answer_stored_repeat(repeat, &place));
    }

    /// Answers a repeat whose first is stored.
    fn answer_stored_repeat(&self, repeat: Repeat, place: impl Fn(MemberKey) -> Option<usize>) {
        let Repeat { first, is_same, client_id, publisher } = repeat;
        match publisher {
            publisher if !is_same => {
                self.answer_failed(publisher, PostError::IdReused, Some(&client_id), place);
            }
            Publisher::Notice(_) => {}
            Publisher::Request { reply, wants_json } => reply.send(Ok(self.posted(first.seq, wants_json))),
            Publisher::Member { key, session } => {
                let Some(member) = self.publisher(key, session, place) else { return };
                let (epoch, seq, stored_at, at) = (self.epoch, first.seq, first.at, member.sent_at);
                self.tell(member, &Notice::Ack { client_id: &client_id, epoch, seq, stored_at, at });
            }
        }
    }

    /// Tells the publishers of the messages that were taken back, and of their repeats; `ids` are those messages' own
    /// ids.
    pub(in crate::rooms) fn answer_rolled_back(
        &mut self,
        ids: Vec<Option<Box<str>>>,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        let error = PostError::Unavailable;
        debug_assert!(ids.is_empty() || ids.len() == self.unstored.len(), "every message has a publisher");
        let ids = ids.into_iter().chain(std::iter::repeat(None));
        for (publisher, id) in mem::take(&mut self.unstored).into_iter().zip(ids) {
            self.answer_failed(publisher, error, id.as_deref(), &place);
        }
        for Repeat { client_id, publisher, .. } in mem::take(&mut self.repeats) {
            self.answer_failed(publisher, error, Some(&client_id), &place);
        }
    }

    /// The clients' ids of the messages that are not shown yet, in their order.
    pub(in crate::rooms) fn unshown_ids(&self) -> Vec<Option<Box<str>>> {
        let frames = (self.positions.visible() + 1..=self.log.head()).map(|seq| self.log.frame(seq));
        let id = |frame: &[u8]| Chat::parse(payload_of(frame))?.client_id.map(|id| id.as_ref().into());
        frames.map(|frame| frame.and_then(id)).collect()
    }

    /// Tells a publisher that its message was not published.
    pub(in crate::rooms) fn answer_failed(
        &self,
        publisher: Publisher,
        error: PostError,
        client_id: Option<&str>,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        match publisher {
            Publisher::Notice(_) => {}
            Publisher::Request { reply, .. } => reply.send(Err(error)),
            Publisher::Member { key, session } => {
                if let Some(member) = self.publisher(key, session, place) {
                    self.tell_error(member, &error.fault(client_id));
                }
            }
        }
    }

    /// A member that has published, if it is still there: its key may be another one's by now.
    fn publisher(
        &self,
        key: MemberKey,
        session: SessionKey,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) -> Option<&Member<P>> {
        let member = place(key).and_then(|position| self.members.get(position));
        member.filter(|member| member.session == session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    use crate::rooms::api::command::Command;
    use crate::rooms::api::effect::StoreAnswer;
    use crate::rooms::api::post::Post;
    use crate::rooms::api::request::RoomRequest;
    use crate::rooms::ids::Arena;
    use crate::rooms::reply::Reply;
    use crate::rooms::shard::tests::kit::{Ear, Kit};

    /// A room with ann in it, whose first message is on its way to the store.
    fn under_way() -> (Kit, MemberKey, Ear) {
        let mut kit = Kit::new();
        let (ann, ear) = kit.join("r", "ann");
        kit.open();
        kit.commit();
        kit.say(ann, "once", Some("k"));
        ear.take();
        (kit, ann, ear)
    }

    #[test]
    fn a_repeat_whose_first_is_under_way_waits_for_it() {
        let (mut kit, ann, ear) = under_way();
        kit.say(ann, "once", Some("k"));
        kit.say(ann, "other", Some("k"));
        let (same, other) = (kit.post("ann", "once", "k"), kit.post("ann", "other", "k"));
        assert!(ear.take().is_empty() && same.try_recv().is_err() && other.try_recv().is_err());
        kit.commit();
        assert_eq!(same.try_recv().unwrap().unwrap().seq, 2);
        assert_eq!(other.try_recv().unwrap(), Err(PostError::IdReused));
        let told = ear.take();
        assert_eq!(told.iter().map(|value| &value["type"]).collect::<Vec<_>>(), ["ACK", "ERROR", "MESSAGE"]);
        assert_eq!((&told[0]["id"], &told[0]["storedAt"]), (&told[2]["id"], &told[2]["timestamp"]));
        assert_eq!(told[1]["code"], "id_reused");
    }

    #[test]
    fn an_id_is_used_up_by_the_commit_alone() {
        let (mut kit, ann, ear) = under_way();
        kit.say(ann, "once", Some("k"));
        kit.say(ann, "other", Some("k"));
        kit.batches.clear();
        kit.answer(StoreAnswer::Refused);
        let told = ear.take();
        let expected = ["unavailable"; 3];
        assert_eq!(told.iter().map(|value| value["code"].as_str().unwrap()).collect::<Vec<_>>(), expected);
        assert!(told.iter().all(|error| error["clientId"] == "k"), "{told:?}");
        kit.say(ann, "other", Some("k"));
        kit.commit();
        assert_eq!(ear.take()[0]["content"], "other");
    }

    #[test]
    fn a_failure_is_told_to_the_publisher_and_not_to_the_next_one_with_its_key() {
        let (mut kit, ann, _) = under_way();
        kit.apply(Command::Leave(ann), &Arena::default());
        let (_, ear) = kit.join_as(ann, "r", "bob");
        kit.batches.clear();
        kit.answer(StoreAnswer::Refused);
        assert!(ear.take().iter().all(|told| told["type"] != "ERROR"));
    }

    #[test]
    fn a_repeat_is_answered_with_a_message_that_is_in_memory_no_more() {
        let (mut kit, ann, _) = under_way();
        kit.commit();
        for n in 0..300 {
            kit.say(ann, &n.to_string(), None);
            kit.commit();
        }
        let posted = kit.post("ann", "once", "k").try_recv().unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&posted.json.unwrap()).unwrap();
        assert_eq!((&json["seq"], &json["content"]), (&2.into(), &"once".into()));
    }

    #[test]
    fn an_answer_has_the_json_of_its_message_only_if_it_is_wanted() {
        let (mut kit, ..) = under_way();
        let mut post = |post: Post| {
            let (answer, answered) = sync_channel(1);
            let reply = Reply::new(move |posted| answer.send(posted).expect("the test waits"));
            let request = RoomRequest::Post { post: Box::new(post), reply };
            kit.apply(Command::Request(Box::new(request)), &Arena::default());
            kit.commit();
            answered.try_recv().expect("an answer").expect("it is published")
        };
        let wanted = Post::new("r", "bob", "hi").client_id(Some("k"));
        let first = post(wanted.clone());
        let again = post(wanted.clone().without_json());
        let repeated = post(wanted);
        assert!(first.json.is_some() && again.json.is_none());
        assert_eq!((again.seq, again.receivers), (first.seq, first.receivers));
        assert_eq!(repeated.json, first.json);
        assert_eq!(post(Post::new("r", "bob", "new").without_json()).json, None);
    }
}
