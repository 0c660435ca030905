//! What waits to be appended, in the order of each room, and who is told what became of it.
//!
//! Plain data: who sends it to Redis is another matter, see `appender`. Of each room one turn of messages is under way at
//! a time. A turn whose answer is missing keeps its number, and nothing else of its room is sent before it is settled.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::draft::Draft;
use super::partition::Partition;
use super::rooms::Room;
use crate::rooms::store_api::{Placed, RecordBatch, RoomId};
use crate::store::{Answer, Permit};
use crate::system::RandomState;

/// Messages, and bytes of them, in one turn at most.
const TURN_MESSAGES_MAX: usize = 256;
const TURN_BYTES_MAX: usize = 1 << 20;

/// How long a turn is tried to be settled. Redis remembers its answer for twice this time.
const SETTLING_MAX: Duration = Duration::from_secs(300);

/// A batch that is to be answered.
struct Job {
    batch: RecordBatch,
    answer: Answer<RecordBatch>,
    placed: Vec<Option<Placed>>,
    /// Messages of which nothing is known yet.
    open: usize,
    until: Instant,
}

/// A message that waits.
struct Waiting {
    draft: Draft,
    ticket: Ticket,
}

/// Which one of which batch a message is.
struct Ticket {
    /// `None`: nobody is told what becomes of it.
    of: Option<(u64, usize)>,
    /// Room for it among what waits.
    _permit: Option<Arc<Permit>>,
}

/// Messages of one room that are appended together.
pub(super) struct Turn {
    pub(super) room: Arc<Room>,
    /// No other turn of this process has it.
    pub(super) number: u64,
    pub(super) drafts: Vec<Draft>,
    /// One for each message.
    tickets: Vec<Ticket>,
    since: Instant,
    /// Whether it may have been appended: it keeps its number until that is known.
    pub(super) is_in_doubt: bool,
}

struct RoomQueue {
    room: Arc<Room>,
    waiting: VecDeque<Waiting>,
    /// A turn that may have been appended.
    unsettled: Option<Turn>,
    /// Whether a turn is out of hand.
    is_under_way: bool,
}

/// What waits to be appended.
#[derive(Default)]
pub(super) struct Queue {
    jobs: BTreeMap<u64, Job>,
    rooms: HashMap<RoomId, RoomQueue, RandomState>,
    /// Rooms that may have something to send, each once, by their partitions.
    ready: BTreeMap<Partition, VecDeque<RoomId>>,
    /// The partition of the last turn, behind which it is looked for the next.
    last_partition: Option<Partition>,
    last_job: u64,
    last_turn: u64,
    /// Turns that may have been appended, and how often one was taken again.
    unsettled: usize,
    repeated: u64,
}

impl Queue {
    /// Takes a batch, whose messages `known` finds the rooms of.
    pub(super) fn admit(
        &mut self,
        batch: RecordBatch,
        answer: Answer<RecordBatch>,
        permit: Permit,
        until: Instant,
        known: impl Fn(RoomId) -> Option<Arc<Room>>,
    ) {
        self.last_job += 1;
        let (id, permit) = (self.last_job, Arc::new(permit));
        let mut placed = vec![None; batch.records.len()];
        let mut open = 0;
        for (index, record) in batch.records.iter().enumerate() {
            let room = match self.rooms.get(&record.room) {
                Some(queue) => Some(queue.room.clone()),
                None => known(record.room),
            };
            let Some(room) = room else {
                // It was deleted.
                placed[index] = Some(Placed::Nothing);
                continue;
            };
            open += 1;
            let ticket = Ticket { of: Some((id, index)), _permit: Some(permit.clone()) };
            self.push(&room, Waiting { draft: Draft::of(record, &batch), ticket });
        }
        self.jobs.insert(id, Job { batch, answer, placed, open, until });
    }

    /// Takes messages of the engine itself.
    pub(super) fn push_own(&mut self, room: &Arc<Room>, drafts: Vec<Draft>) {
        for draft in drafts {
            self.push(room, Waiting { draft, ticket: Ticket { of: None, _permit: None } });
        }
    }

    fn push(&mut self, room: &Arc<Room>, waiting: Waiting) {
        let queue = self.rooms.entry(room.id).or_insert_with(|| {
            self.ready.entry(room.partition).or_default().push_back(room.id);
            RoomQueue { room: room.clone(), waiting: VecDeque::new(), unsettled: None, is_under_way: false }
        });
        queue.waiting.push_back(waiting);
    }

    /// The next turn of a room that has one, in one of the partitions that are `wanted`; each has its turn.
    pub(super) fn take_turn(&mut self, now: Instant, wanted: impl Fn(Partition) -> bool) -> Option<Turn> {
        loop {
            let behind = self.last_partition.map_or(Bound::Unbounded, Bound::Excluded);
            let all = self.ready.range((behind, Bound::Unbounded)).chain(self.ready.iter());
            let partition = all.map(|(partition, _)| *partition).find(|partition| wanted(*partition))?;
            self.last_partition = Some(partition);
            let rooms = self.ready.get_mut(&partition)?;
            let room = rooms.pop_front();
            if rooms.is_empty() {
                self.ready.remove(&partition);
            }
            let Some((id, queue)) = room.and_then(|id| Some((id, self.rooms.get_mut(&id)?))) else {
                continue;
            };
            let unsettled = queue.unsettled.take();
            if unsettled.is_some() {
                self.unsettled -= 1;
                self.repeated += 1;
            }
            match unsettled.or_else(|| queue.next_turn(&mut self.last_turn, now)) {
                Some(turn) => {
                    queue.is_under_way = true;
                    return Some(turn);
                }
                None => {
                    self.rooms.remove(&id);
                }
            }
        }
    }

    /// What became of each message of a turn.
    pub(super) fn settle(&mut self, turn: Turn, placed: impl IntoIterator<Item = Placed>) {
        for (ticket, placed) in turn.tickets.iter().zip(placed) {
            self.place(ticket.of, placed);
        }
        self.go_on(turn.room.id);
    }

    /// A turn was not appended and may be tried again, as far as anybody waits for it. One that may have been appended before
    /// keeps its number.
    pub(super) fn put_back(&mut self, turn: Turn, now: Instant) {
        if turn.is_in_doubt && now.saturating_duration_since(turn.since) < SETTLING_MAX {
            return self.doubt(turn, now);
        }
        let Turn { room, drafts, tickets, .. } = turn;
        let jobs = &self.jobs;
        // That a stay begins or ends is true whoever still waits for it.
        let is_waited_for = |waiting: &Waiting| {
            waiting.draft.stay().is_some()
                || waiting.ticket.of.is_none_or(|(job, index)| {
                    jobs.get(&job).is_some_and(|job| job.placed.get(index).is_some_and(Option::is_none))
                })
        };
        if let Some(queue) = self.rooms.get_mut(&room.id) {
            let waiting = drafts.into_iter().zip(tickets).map(|(draft, ticket)| Waiting { draft, ticket });
            waiting.rev().filter(is_waited_for).for_each(|waiting| queue.waiting.push_front(waiting));
        }
        self.go_on(room.id);
    }

    /// It is not known whether a turn was appended.
    pub(super) fn doubt(&mut self, turn: Turn, now: Instant) {
        let id = turn.room.id;
        if now.saturating_duration_since(turn.since) >= SETTLING_MAX {
            tracing::warn!(room = &*turn.room.name, "it stays unknown whether some messages were stored");
            return self.put_back(turn, now);
        }
        if let Some(queue) = self.rooms.get_mut(&id) {
            queue.unsettled = Some(Turn { is_in_doubt: true, ..turn });
            self.unsettled += 1;
        }
        self.go_on(id);
    }

    fn go_on(&mut self, room: RoomId) {
        if let Some(queue) = self.rooms.get_mut(&room) {
            queue.is_under_way = false;
            self.ready.entry(queue.room.partition).or_default().push_back(room);
        }
    }

    fn place(&mut self, ticket: Option<(u64, usize)>, placed: Placed) {
        let Some((id, index)) = ticket else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if let Some(place @ None) = job.placed.get_mut(index) {
            *place = Some(placed);
            job.open -= 1;
        }
    }

    /// What has waited too long is not known to be stored; what was never sent of it will not be.
    pub(super) fn expire(&mut self, now: Instant) {
        let late: HashSet<u64> =
            self.jobs.iter().filter(|(_, job)| job.open > 0 && job.until <= now).map(|(id, _)| *id).collect();
        if late.is_empty() {
            return;
        }
        let mut unsent = Vec::new();
        for queue in self.rooms.values_mut() {
            let is_late = |waiting: &Waiting| waiting.ticket.of.is_some_and(|(job, _)| late.contains(&job));
            unsent.extend(
                queue.waiting.iter().filter(|waiting| is_late(waiting)).map(|waiting| waiting.ticket.of),
            );
            queue.waiting.retain(|waiting| !is_late(waiting));
        }
        unsent.into_iter().for_each(|ticket| self.place(ticket, Placed::NotStored));
        for id in &late {
            if let Some(job) = self.jobs.get_mut(id) {
                job.placed.iter_mut().for_each(|place| _ = place.get_or_insert(Placed::Unavailable));
                job.open = 0;
            }
        }
    }

    /// What was never sent of these partitions will not be.
    pub(super) fn give_up(&mut self, is_lost: impl Fn(Partition) -> bool) {
        let mut unsent = Vec::new();
        for queue in self.rooms.values_mut().filter(|queue| is_lost(queue.room.partition)) {
            unsent.extend(queue.waiting.iter().map(|waiting| waiting.ticket.of));
            // What the engine says itself is waited for by nobody.
            queue.waiting.retain(|waiting| waiting.ticket.of.is_none());
        }
        unsent.into_iter().for_each(|ticket| self.place(ticket, Placed::NotStored));
    }

    /// When the next message will have waited too long.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.jobs.values().filter(|job| job.open > 0).map(|job| job.until).min()
    }

    /// The batches that can be answered, those of each shard in their order.
    pub(super) fn take_answers(&mut self) -> Vec<(Answer<RecordBatch>, RecordBatch)> {
        let mut blocked = HashSet::new();
        let mut settled = Vec::new();
        for (id, job) in &self.jobs {
            if job.open > 0 {
                blocked.insert(job.batch.shard);
            } else if !blocked.contains(&job.batch.shard) {
                settled.push(*id);
            }
        }
        let jobs = settled.into_iter().filter_map(|id| self.jobs.remove(&id));
        let answered = jobs.map(|Job { mut batch, answer, placed, .. }| {
            batch.clear();
            batch.placed.extend(placed.into_iter().map(|place| place.unwrap_or(Placed::Unavailable)));
            (answer, batch)
        });
        answered.collect()
    }

    /// Turns that may have been appended, and how often one was sent again since this was asked last.
    pub(super) fn take_doubts(&mut self) -> (usize, u64) {
        (self.unsettled, std::mem::take(&mut self.repeated))
    }

    /// The partitions in which something may be sent.
    pub(super) fn ready(&self) -> impl Iterator<Item = Partition> {
        self.ready.keys().copied()
    }

    /// Whether nobody waits for anything.
    pub(super) fn is_answered(&self) -> bool {
        self.jobs.is_empty()
    }
}

impl RoomQueue {
    fn next_turn(&mut self, last_turn: &mut u64, now: Instant) -> Option<Turn> {
        let (mut drafts, mut tickets): (Vec<Draft>, Vec<Ticket>) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while drafts.len() < TURN_MESSAGES_MAX
            && let Some(next) = self.waiting.front()
        {
            bytes += next.draft.text_bytes();
            if bytes > TURN_BYTES_MAX && !drafts.is_empty() {
                break;
            }
            if let Some(Waiting { draft, ticket }) = self.waiting.pop_front() {
                drafts.push(draft);
                tickets.push(ticket);
            }
        }
        if drafts.is_empty() {
            return None;
        }
        *last_turn += 1;
        Some(Turn {
            room: self.room.clone(),
            number: *last_turn,
            drafts,
            tickets,
            since: now,
            is_in_doubt: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::cluster::rooms::Rooms;
    use crate::rooms::store_api::{Record, RecordText};
    use crate::rooms::{Kind, Timestamp};
    use crate::store::AdmissionLimit;
    use crate::system::instant;

    type Answers = Arc<Mutex<Vec<(usize, Vec<Placed>)>>>;

    struct World {
        queue: Queue,
        rooms: Rooms,
        answers: Answers,
        now: Instant,
    }

    const PATIENCE: Duration = Duration::from_secs(2);

    impl World {
        fn new() -> World {
            World {
                queue: Queue::default(),
                rooms: Rooms::default(),
                answers: Answers::default(),
                now: instant(),
            }
        }

        fn append(&mut self, shard: usize, texts: &[(&str, &str)]) {
            let mut batch = RecordBatch { shard, ..RecordBatch::default() };
            for (room, content) in texts {
                let room = self.rooms.named(room).id;
                let sender = RecordText::store(&mut batch.text, "ann");
                let content = RecordText::store(&mut batch.text, content);
                let (seq, at, kind) = (0, Timestamp::default(), Kind::Message);
                batch.records.push(Record {
                    room,
                    seq,
                    at,
                    kind,
                    sender,
                    content,
                    client_id: None,
                    presence: None,
                });
            }
            let answers = self.answers.clone();
            let answer = Answer::new(Box::new(move |stored: Result<RecordBatch, _>| {
                // What a test leaves unanswered is dropped.
                let Ok(batch) = stored else { return };
                answers.lock().unwrap().push((batch.shard, batch.placed));
            }));
            let permit = AdmissionLimit::new(1, 1).admit(0).unwrap();
            self.queue.admit(batch, answer, permit, self.now + PATIENCE, |id| self.rooms.by_id(id));
        }

        fn turns(&mut self) -> Vec<Turn> {
            let turns = std::iter::from_fn(|| self.queue.take_turn(self.now, |_| true));
            let mut turns: Vec<Turn> = turns.collect();
            // Whatever partitions their rooms are in.
            turns.sort_by(|one, other| one.room.name.cmp(&other.room.name));
            turns
        }

        fn answered(&mut self) -> Vec<(usize, Vec<Placed>)> {
            for (answer, batch) in self.queue.take_answers() {
                answer.send(Ok(batch));
            }
            std::mem::take(&mut self.answers.lock().unwrap())
        }
    }

    fn contents(turn: &Turn) -> Vec<&str> {
        turn.drafts.iter().map(|draft| &*draft.content).collect()
    }

    #[test]
    fn all_that_waits_of_a_room_is_one_turn_and_the_next_waits_for_it() {
        let mut world = World::new();
        world.append(0, &[("a", "1"), ("b", "2"), ("a", "3")]);
        world.append(1, &[("a", "4")]);
        let mut turns = world.turns();
        assert_eq!(turns.iter().map(contents).collect::<Vec<_>>(), [vec!["1", "3", "4"], vec!["2"]]);
        world.append(0, &[("a", "5")]);
        assert!(world.turns().is_empty());
        let first = turns.remove(0);
        world.queue.settle(first, [Placed::At(1), Placed::At(2), Placed::At(3)]);
        assert_eq!(world.answered(), [(1, vec![Placed::At(3)])]);
        let next = world.turns().remove(0);
        assert_eq!(contents(&next), ["5"]);
        world.queue.settle(next, [Placed::At(4)]);
        assert_eq!(world.answered(), [], "the batch before waits for another room");
        world.queue.settle(turns.remove(0), [Placed::Nothing]);
        let first = vec![Placed::At(1), Placed::Nothing, Placed::At(2)];
        assert_eq!(world.answered(), [(0, first), (0, vec![Placed::At(4)])]);
        assert!(world.turns().is_empty() && world.queue.rooms.is_empty());
    }

    #[test]
    fn partitions_that_are_not_wanted_wait_and_the_others_take_turns() {
        let mut world = World::new();
        world.append(0, &[("a", "1"), ("b", "2")]);
        let [a, b] = ["a", "b"].map(Partition::of);
        assert!(world.queue.take_turn(world.now, |_| false).is_none());
        assert!(world.queue.ready().all(|of| of == a || of == b));
        let first = world.queue.take_turn(world.now, |of| of == b).unwrap();
        assert_eq!(contents(&first), ["2"]);
        assert!(world.queue.take_turn(world.now, |of| of == b).is_none());
        world.queue.put_back(first, world.now);
        let order = [(); 2].map(|()| world.queue.take_turn(world.now, |_| true).unwrap().room.partition);
        assert_eq!(order, [a, b], "the one that has not just had its turn comes first");
    }

    #[test]
    fn what_is_in_doubt_keeps_its_number_and_comes_before_anything_else() {
        let mut world = World::new();
        world.append(0, &[("a", "1")]);
        let turn = world.turns().remove(0);
        let number = turn.number;
        world.append(0, &[("a", "2")]);
        world.queue.doubt(turn, world.now);
        world.queue.expire(world.now + PATIENCE);
        assert_eq!(world.answered(), [(0, vec![Placed::Unavailable]), (0, vec![Placed::NotStored])]);
        world.append(0, &[("a", "3")]);
        let again = world.turns().remove(0);
        assert_eq!((again.number, contents(&again)), (number, vec!["1"]));
        world.queue.settle(again, [Placed::At(1)]);
        assert_eq!(contents(&world.turns()[0]), ["3"], "what was never sent is not sent later");
    }

    #[test]
    fn what_is_in_doubt_keeps_its_number_whatever_redis_says_to_it_later() {
        let mut world = World::new();
        world.append(0, &[("a", "1")]);
        let turn = world.turns().remove(0);
        let number = turn.number;
        world.queue.doubt(turn, world.now);
        let again = world.turns().remove(0);
        world.queue.put_back(again, world.now);
        assert_eq!(world.turns()[0].number, number, "it may have been appended the first time");
    }

    #[test]
    fn what_was_never_sent_to_a_master_that_is_away_is_answered_at_once() {
        let mut world = World::new();
        world.append(0, &[("a", "1"), ("b", "2")]);
        let a = Partition::of("a");
        world.queue.give_up(|of| of == a);
        let turn = world.turns().remove(0);
        assert_eq!(contents(&turn), ["2"]);
        world.queue.settle(turn, [Placed::At(1)]);
        assert_eq!(world.answered(), [(0, vec![Placed::NotStored, Placed::At(1)])]);
    }

    #[test]
    fn what_was_not_appended_is_tried_again_while_somebody_waits_for_it() {
        let mut world = World::new();
        world.append(0, &[("a", "1")]);
        let turn = world.turns().remove(0);
        world.append(0, &[("a", "2")]);
        world.queue.put_back(turn, world.now);
        let turn = world.turns().remove(0);
        assert_eq!(contents(&turn), ["1", "2"]);
        world.queue.expire(world.now + PATIENCE);
        world.queue.put_back(turn, world.now);
        assert!(world.turns().is_empty());
        assert_eq!(world.answered().len(), 2);
        assert!(world.queue.is_answered());
    }

    #[test]
    fn a_turn_is_bounded_and_what_is_given_up_is_given_up() {
        let mut world = World::new();
        world.append(0, &[("a", "x"); TURN_MESSAGES_MAX + 1]);
        let turn = world.turns().remove(0);
        assert_eq!(turn.drafts.len(), TURN_MESSAGES_MAX);
        world.queue.expire(world.now + PATIENCE);
        world.queue.doubt(turn, world.now + SETTLING_MAX);
        assert!(world.turns().is_empty());
        let long = "x".repeat(TURN_BYTES_MAX);
        let mut world = World::new();
        world.append(0, &[("a", &long), ("a", &long)]);
        assert_eq!(world.turns()[0].drafts.len(), 1, "one of any length is sent");
    }

    #[test]
    fn messages_of_rooms_that_are_gone_come_to_nothing() {
        let mut world = World::new();
        world.append(0, &[]);
        let room = world.rooms.named("a");
        world.rooms.forget(&room);
        let mut batch = RecordBatch::default();
        let text = RecordText::store(&mut batch.text, "x");
        let (at, kind) = (Timestamp::default(), Kind::Message);
        batch.records.push(Record {
            room: room.id,
            seq: 0,
            at,
            kind,
            sender: text,
            content: text,
            client_id: None,
            presence: None,
        });
        let permit = AdmissionLimit::new(1, 1).admit(0).unwrap();
        let answers = world.answers.clone();
        let answer = Answer::new(Box::new(move |stored: Result<RecordBatch, _>| {
            answers.lock().unwrap().push((9, stored.unwrap().placed));
        }));
        world.queue.admit(batch, answer, permit, world.now, |id| world.rooms.by_id(id));
        assert_eq!(world.answered(), [(0, vec![]), (9, vec![Placed::Nothing])]);
    }
}
