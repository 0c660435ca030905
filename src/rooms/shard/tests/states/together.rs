//! Messages that are posted together.

use std::time::Duration;

use std::sync::mpsc::{Receiver, sync_channel};

use super::*;
use crate::rooms::api::post::Post;
use crate::rooms::values::Posted;

/// The answers to messages that are posted together.
type Answers = Vec<Receiver<Result<Posted, PostError>>>;

impl Kit {
    /// Posts to rooms together: their names, contents and ids, and whether the sender has to be there.
    fn post_all(&mut self, posts: &[(&str, &str, &str, bool)], only_asks: bool) -> Answers {
        let mut answers = Vec::new();
        let post = |&(room, content, id, mandatory): &(&str, &str, &str, bool)| {
            let (reply, answer) = sync_channel(1);
            answers.push(answer);
            let post = Post::new(room, "eve", content).client_id(Some(id)).create().mandatory(mandatory);
            (post, Reply::new(move |posted| reply.send(posted).expect("the test waits")))
        };
        let posts = posts.iter().map(post).collect();
        self.apply(Command::Request(Box::new(RoomRequest::PostAll { posts, only_asks })), &Arena::default());
        answers
    }
}

fn answered(answers: &Answers) -> Vec<Option<Result<u64, PostError>>> {
    answers
        .iter()
        .map(|answer| answer.try_recv().ok().map(|posted| posted.map(|posted| posted.seq)))
        .collect()
}

/// Rooms `r` and `s` with ann and bob.
fn with_two_rooms() -> (Kit, Ear, Ear) {
    let (mut kit, _, ann) = with_ann();
    let (_, bob) = kit.join("s", "bob");
    kit.open_as(|opened| opened.id = RoomId(2));
    kit.commit();
    bob.take();
    (kit, ann, bob)
}

#[test]
fn what_is_posted_together_is_stored_in_one_batch_or_not_at_all() {
    let (mut kit, ann, bob) = with_two_rooms();
    let answers = kit.post_all(&[("r", "1", "", false), ("s", "2", "", true), ("r", "3", "", false)], false);
    assert_eq!(kit.batches.len(), 1);
    assert_eq!(kit.batches[0].together, [[RoomId(1), RoomId(2)]]);
    assert_eq!(answered(&answers), [None, None, None], "nothing is shown before");
    kit.commit();
    assert_eq!(answered(&answers), [Some(Ok(2)), Some(Ok(2)), Some(Ok(3))]);
    assert_eq!((told(&ann).len(), told(&bob).len()), (2, 1));
    // The store refuses the second room alone.
    let answers = kit.post_all(&[("r", "4", "", false), ("s", "5", "", false)], false);
    kit.batches.clear();
    kit.answer(StoreAnswer::Committed { refused: vec![RoomId(2)], placed: Vec::new() });
    assert_eq!(answered(&answers), vec![Some(Err(PostError::Unavailable)); 2]);
    assert_eq!(kit.resets().len(), 1, "it has nothing against the first");
    kit.say(MemberKey(1), "6", None);
    kit.commit();
    assert_eq!((told(&ann), told(&bob)), (vec![one("MESSAGE", "6", 4)], vec![]));
    // As long as one of them is out of step, nothing is published in the other.
    let answers = kit.post_all(&[("r", "7", "", false), ("s", "8", "", false)], false);
    assert_eq!(answered(&answers), vec![Some(Err(PostError::Unavailable)); 2]);
    assert!(kit.batches.is_empty());
    kit.shard.check();
}

#[test]
fn what_cannot_be_posted_whole_is_not_begun() {
    let (mut kit, ann, bob) = with_two_rooms();
    kit.post("eve", "used", "id");
    kit.commit();
    kit.shard.limits.bounds.bans.add("s", "eve", Duration::from_secs(9)).expect("a place");
    let banned = kit.post_all(&[("r", "1", "", false), ("s", "2", "", false)], false);
    kit.shard.limits.bounds.bans.lift("s", "eve");
    let reused = kit.post_all(&[("s", "1", "", false), ("r", "2", "id", false)], false);
    let twice = kit.post_all(&[("s", "1", "x", false), ("s", "2", "x", false)], false);
    let asked = kit.post_all(&[("r", "1", "", true), ("s", "2", "", true)], true);
    for (answers, error) in
        [(banned, PostError::Banned), (reused, PostError::IdReused), (twice, PostError::IdReused)]
    {
        assert_eq!(answered(&answers), vec![Some(Err(error)); 2]);
    }
    assert_eq!(answered(&asked), vec![Some(Ok(0)); 2], "only asked");
    assert!(kit.batches.is_empty() && told(&bob).is_empty());
    assert_eq!(told(&ann).len(), 1);
    // A room that nobody is in, and one that cannot be opened, after the others were.
    let nobody = kit.post_all(&[("r", "1", "", false), ("t", "2", "", true)], false);
    kit.open_as(|opened| opened.id = RoomId(3));
    assert_eq!(answered(&nobody), vec![Some(Err(PostError::NoReceiver)); 2]);
    let unread = kit.post_all(&[("r", "1", "", false), ("u", "2", "", false)], false);
    assert_eq!(answered(&unread), vec![None; 2], "all of it waits");
    let (room, _) = kit.asked()[0];
    kit.answer(StoreAnswer::Opened { room, opened: Err(RejectReason::Unavailable) });
    assert_eq!(answered(&unread), vec![Some(Err(PostError::Unavailable)); 2]);
    // A repeat is no obstacle.
    let again = kit.post_all(&[("s", "1", "", false), ("r", "used", "id", false)], false);
    kit.commit();
    assert_eq!(answered(&again), vec![Some(Ok(2)); 2]);
    assert_eq!(told(&ann), []);
    kit.shard.check();
}
