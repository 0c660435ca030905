//! The protocol of appending, fencing and refilling as a small model, all of whose states are looked at.
//!
//! Two nodes write to one room. Requests and answers are lost, announcements are lost, doubled and late, Redis is put back
//! to what it once saved. What the scripts and `follow` do is written down here once more, as plainly as it goes; with one
//! of the [`Rule`]s left out the search finds what goes wrong without it.

use std::collections::{BTreeMap, HashSet};

/// Messages that are published in all. With three there are 4.2 million states, and with one rule left out nothing else is
/// found.
const MESSAGES: u8 = 2;
const NODES: usize = 2;

/// What keeps the protocol right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A batch that Redis has had before is answered as before.
    AnswerAgain,
    /// A call says what its node has shown; Redis behind that begins a new epoch.
    Fence,
    /// After Redis was put back, it takes nothing until each node has said what it has shown.
    Settle,
    /// A node that has a connection to a Redis that was put back takes nothing from older connections.
    Reconnect,
    /// What comes behind a hole waits until the hole is read.
    Refill,
}

/// A place in the log: epoch and number.
type Place = (u8, u8);

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Redis {
    epoch: u8,
    log: Vec<u8>,
    /// Of each node the last batch and where its message went.
    batches: [Option<(u8, Place)>; NODES],
    /// Nodes that have said what they have shown since it was put back.
    heard: [bool; NODES],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Node {
    epoch: u8,
    head: u8,
    /// Batches so far; the last of them with its message, if it is not settled.
    batch: u8,
    under_way: Option<u8>,
    /// Whether the request is on the line, and an answer with the place of its message.
    request: bool,
    answer: Option<(Place, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Announcement {
    place: Place,
    message: u8,
    /// How often Redis had been put back.
    restarts: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    redis: Redis,
    saved: Option<Redis>,
    nodes: [Node; NODES],
    /// To each node: where a message went, and which.
    announced: [Vec<Announcement>; NODES],
    next: u8,
    epochs: u8,
    /// What may still go wrong.
    losses: u8,
    restores: u8,
    restarts: u8,
    /// What was ever shown.
    shown: BTreeMap<Place, u8>,
    wrong: Option<&'static str>,
}

impl World {
    fn new() -> World {
        let redis = Redis { heard: [true; NODES], ..Redis::default() };
        World {
            redis,
            saved: None,
            nodes: Default::default(),
            announced: Default::default(),
            next: 1,
            epochs: 0,
            losses: 1,
            restores: 1,
            restarts: 0,
            shown: BTreeMap::new(),
            wrong: None,
        }
    }

    /// All that can happen next.
    fn successors(&self, without: Option<Rule>) -> Vec<World> {
        let mut worlds = Vec::new();
        let mut step = |change: &dyn Fn(&mut World) -> bool| {
            let mut world = self.clone();
            if change(&mut world) {
                worlds.push(world);
            }
        };
        for node in 0..NODES {
            step(&|world| world.publish(node));
            step(&|world| world.send_again(node));
            step(&|world| world.take_request(node, false, without));
            step(&|world| world.take_request(node, true, without));
            step(&|world| world.take_answer(node, without));
            step(&|world| world.compare_heads(node, without));
            for at in 0..self.announced[node].len() {
                step(&|world| world.hear(node, at, true, without));
                step(&|world| world.hear(node, at, false, without));
                step(&|world| world.lose_announcement(node, at));
            }
        }
        step(&|world| {
            let may = world.saved.is_none() && world.restores > 0;
            world.saved = Some(world.redis.clone());
            may
        });
        step(&|world| world.put_back(without));
        worlds
    }

    fn publish(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        if self.next > MESSAGES || node.under_way.is_some() {
            return false;
        }
        (node.under_way, node.request) = (Some(self.next), true);
        node.batch += 1;
        self.next += 1;
        true
    }

    /// No answer has come: the same batch once more.
    fn send_again(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        let may = node.under_way.is_some() && !node.request && node.answer.is_none();
        node.request = true;
        may
    }

    /// Redis carries a request out; its answer may be lost.
    fn take_request(&mut self, at: usize, is_lost: bool, without: Option<Rule>) -> bool {
        let Some(message) = self.nodes[at].under_way.filter(|_| self.nodes[at].request) else { return false };
        if is_lost && self.losses == 0 {
            return false;
        }
        self.losses -= u8::from(is_lost);
        self.nodes[at].request = false;
        self.vouch(at, without);
        if without != Some(Rule::Settle) && self.redis.heard.contains(&false) {
            // Not yet: the node asks again later.
            return true;
        }
        let batch = self.nodes[at].batch;
        let place = match self.redis.batches[at] {
            Some((before, place)) if before == batch && without != Some(Rule::AnswerAgain) => place,
            _ => {
                self.redis.log.push(message);
                let place = (self.redis.epoch, u8::try_from(self.redis.log.len()).unwrap_or(u8::MAX));
                self.redis.batches[at] = Some((batch, place));
                let announcement = Announcement { place, message, restarts: self.restarts };
                self.announced.iter_mut().for_each(|announced| announced.push(announcement));
                place
            }
        };
        if !is_lost {
            self.nodes[at].answer = Some((place, self.restarts));
        }
        true
    }

    /// Redis hears what a node has shown.
    fn vouch(&mut self, at: usize, without: Option<Rule>) {
        let Node { epoch, head, .. } = self.nodes[at];
        let is_behind = epoch == self.redis.epoch && usize::from(head) > self.redis.log.len();
        if is_behind && without != Some(Rule::Fence) {
            self.epochs += 1;
            self.redis.epoch = self.epochs;
        }
        self.redis.heard[at] = true;
        if without != Some(Rule::Reconnect) {
            let restarts = self.restarts;
            self.announced[at].retain(|announced| announced.restarts == restarts);
            let node = &mut self.nodes[at];
            node.answer = node.answer.filter(|(_, before)| *before == restarts);
        }
    }

    fn take_answer(&mut self, at: usize, without: Option<Rule>) -> bool {
        let Some((place, _)) = self.nodes[at].answer.take() else { return false };
        let message = self.nodes[at].under_way.take().unwrap_or_default();
        self.show(at, place, message, without);
        true
    }

    /// A node asks where the log is, and reads what it has not shown.
    fn compare_heads(&mut self, at: usize, without: Option<Rule>) -> bool {
        let before = self.clone();
        self.vouch(at, without);
        self.catch_up(at);
        *self != before
    }

    fn catch_up(&mut self, at: usize) {
        let head = u8::try_from(self.redis.log.len()).unwrap_or(u8::MAX);
        if self.nodes[at].epoch != self.redis.epoch {
            // A GAP: what stands in the log is not shown again.
            (self.nodes[at].epoch, self.nodes[at].head) = (self.redis.epoch, head);
        }
        while self.nodes[at].head < head {
            let seq = self.nodes[at].head + 1;
            let message = self.redis.log[usize::from(seq) - 1];
            self.note_shown(at, seq, message);
        }
    }

    fn hear(&mut self, at: usize, index: usize, is_last_copy: bool, without: Option<Rule>) -> bool {
        let Announcement { place, message, .. } = self.announced[at][index];
        if is_last_copy {
            self.announced[at].remove(index);
        } else if self.losses == 0 {
            return false;
        } else {
            self.losses -= 1;
        }
        self.show(at, place, message, without);
        true
    }

    fn lose_announcement(&mut self, at: usize, index: usize) -> bool {
        let may = self.losses > 0;
        self.losses = self.losses.saturating_sub(1);
        self.announced[at].remove(index);
        may
    }

    /// A message has come to a node: it is shown, dropped, or a reason to read.
    fn show(&mut self, at: usize, (epoch, seq): Place, message: u8, without: Option<Rule>) {
        let node = &self.nodes[at];
        if epoch == node.epoch && seq <= node.head {
            return;
        }
        let follows = epoch == node.epoch && seq == node.head + 1;
        if follows || without == Some(Rule::Refill) && epoch == node.epoch {
            return self.note_shown(at, seq, message);
        }
        // A hole, or another epoch, which may be an old one: the log itself tells.
        self.vouch(at, without);
        self.catch_up(at);
    }

    fn note_shown(&mut self, at: usize, seq: u8, message: u8) {
        let node = &mut self.nodes[at];
        if seq != node.head + 1 {
            self.wrong = Some("a hole is shown");
        }
        node.head = seq;
        let first = *self.shown.entry((node.epoch, seq)).or_insert(message);
        if first != message {
            self.wrong = Some("one number is two messages");
        }
    }

    fn put_back(&mut self, without: Option<Rule>) -> bool {
        let Some(saved) = self.saved.take() else { return false };
        self.restores -= 1;
        self.restarts += 1;
        self.redis = saved;
        if without != Some(Rule::Settle) {
            self.redis.heard = [false; NODES];
        }
        true
    }

    fn check(&self) -> Option<&'static str> {
        let mut stored = HashSet::new();
        if !self.redis.log.iter().all(|message| stored.insert(message)) {
            return Some("a message is stored twice");
        }
        self.wrong
    }
}

/// Looks at every state; says how many there are, or what is wrong, and prints the way there.
fn search(without: Option<Rule>) -> Result<usize, &'static str> {
    let mut worlds = vec![(World::new(), 0)];
    let mut seen = HashSet::from([World::new()]);
    let mut at = 0;
    while let Some((world, _)) = worlds.get(at) {
        if let Some(wrong) = world.check() {
            let way = std::iter::successors(Some(at), |at| Some(worlds[*at].1).filter(|before| before != at));
            way.collect::<Vec<_>>().iter().rev().for_each(|at| println!("{:?}", worlds[*at].0));
            return Err(wrong);
        }
        for next in world.successors(without) {
            if seen.insert(next.clone()) {
                worlds.push((next, at));
            }
        }
        at += 1;
    }
    Ok(worlds.len())
}

#[test]
fn nothing_is_shown_twice_left_out_or_under_another_number() {
    let states = search(None).expect("the protocol holds");
    println!("{states} states");
    assert!(states > 1_000, "{states}");
}

#[test]
fn each_rule_is_needed() {
    for (rule, wrong) in [
        (Rule::AnswerAgain, "a message is stored twice"),
        (Rule::Fence, "one number is two messages"),
        (Rule::Settle, "one number is two messages"),
        (Rule::Reconnect, "one number is two messages"),
        (Rule::Refill, "a hole is shown"),
    ] {
        assert_eq!(search(Some(rule)), Err(wrong), "{rule:?}");
    }
}
