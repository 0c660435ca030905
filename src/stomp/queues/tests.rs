//! Queues with lines that write down what they are handed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;

const LIMITS: QueueLimits = QueueLimits {
    length_max: 3,
    bytes_max: 10_000,
    queues_max: 2,
    all_bytes_max: 15_000,
    unacknowledged_max: 2,
};

/// A consumer that takes as many messages as it is told to.
#[derive(Clone, Default)]
struct Ear {
    /// Numbers, negative if redelivered.
    heard: Rc<RefCell<Vec<i64>>>,
    refuses: Rc<Cell<bool>>,
}

impl Ear {
    fn heard(&self) -> Vec<i64> {
        self.heard.take()
    }
}

impl Consumer for Ear {
    fn deliver(&self, message: &QueuedMessage, redelivered: bool) -> bool {
        let number = i64::try_from(message.id.number).unwrap();
        let taken = !self.refuses.get();
        if taken {
            self.heard.borrow_mut().push(if redelivered { -number } else { number });
        }
        taken
    }
}

fn id(number: u64) -> MessageId {
    MessageId { seed: 7, number }
}

fn message(number: u64) -> QueuedMessage {
    QueuedMessage { id: id(number), sender: "s".into(), headers: Box::default(), body: Box::default() }
}

fn key(number: u32) -> SubscriberKey {
    SubscriberKey { session: 1, number }
}

struct World {
    queues: Queues<Ear>,
    next: u64,
}

impl World {
    fn new() -> World {
        World { queues: Queues::new(LIMITS), next: 1 }
    }

    fn offer(&mut self, mandatory: bool) -> Result<bool, QueueError> {
        let offered = self.queues.offer("q", message(self.next), mandatory);
        self.next += u64::from(offered.is_ok());
        offered
    }

    fn subscribe(&mut self, number: u32, mode: AckMode) -> Ear {
        let ear = Ear::default();
        self.queues.subscribe("q", key(number), mode, ear.clone()).unwrap();
        ear
    }

    fn ack(&mut self, subscriber: u32, message: u64, accept: bool) -> bool {
        self.queues.ack("q", key(subscriber), id(message), accept)
    }
}

#[test]
fn messages_go_to_the_subscribers_by_turns() {
    let mut world = World::new();
    let (one, two) = (world.subscribe(1, AckMode::Auto), world.subscribe(2, AckMode::Auto));
    for _ in 0..6 {
        assert_eq!(world.offer(false), Ok(true));
    }
    assert_eq!((one.heard(), two.heard()), (vec![1, 3, 5], vec![2, 4, 6]));
    assert_eq!(world.queues.bytes, 0, "what was handed over is not kept");
}

#[test]
fn messages_wait_for_a_subscriber_up_to_the_limit() {
    let mut world = World::new();
    for _ in 0..3 {
        assert_eq!(world.offer(false), Ok(false));
    }
    assert_eq!(world.offer(false), Err(QueueError::Long));
    let one = world.subscribe(1, AckMode::Auto);
    assert_eq!(one.heard(), [1, 2, 3]);
    assert_eq!((world.offer(false), one.heard()), (Ok(true), vec![4]));
}

#[test]
fn a_mandatory_message_is_not_kept_for_nobody() {
    let mut world = World::new();
    assert_eq!(world.offer(true), Err(QueueError::NoSubscriber));
    assert!(world.queues.queues.is_empty(), "nothing was made for it");
    world.offer(false).unwrap();
    assert_eq!(world.offer(true), Err(QueueError::NoSubscriber));
    let _busy = world.subscribe(1, AckMode::Client);
    assert_eq!(
        (world.offer(true), world.offer(true)),
        (Ok(true), Ok(false)),
        "the second waits for its turn"
    );
}

#[test]
fn with_enough_unacknowledged_a_subscriber_is_sent_no_more() {
    let mut world = World::new();
    let one = world.subscribe(1, AckMode::ClientIndividual);
    for _ in 0..4 {
        world.offer(false).unwrap();
    }
    assert_eq!(one.heard(), [1, 2]);
    assert!(world.ack(1, 2, true));
    assert_eq!(one.heard(), [3]);
    assert!(!world.ack(1, 2, true), "only once");
    assert!(world.ack(1, 1, true) && world.ack(1, 3, true) && world.ack(1, 4, true));
    assert_eq!((one.heard(), world.queues.bytes), (vec![4], 0));
}

#[test]
fn an_acknowledgement_in_client_mode_covers_all_before() {
    let mut world = World::new();
    let one = world.subscribe(1, AckMode::Client);
    for _ in 0..4 {
        world.offer(false).unwrap();
    }
    assert!(world.ack(1, 2, true));
    assert_eq!((one.heard(), world.ack(1, 1, true)), (vec![1, 2, 3, 4], false));
    assert!(world.ack(1, 4, false), "a refusal does, too");
    assert_eq!(one.heard(), [-3, -4]);
}

#[test]
fn what_is_refused_goes_to_the_next_one() {
    let mut world = World::new();
    let (one, two) =
        (world.subscribe(1, AckMode::ClientIndividual), world.subscribe(2, AckMode::ClientIndividual));
    world.offer(false).unwrap();
    assert!(world.ack(1, 1, false));
    assert_eq!((one.heard(), two.heard()), (vec![1], vec![-1]));
    assert!(!world.ack(1, 1, true), "it is no longer the first one's");
    assert!(world.ack(2, 1, false));
    assert_eq!((one.heard(), two.heard()), (vec![-1], vec![]));
}

#[test]
fn the_messages_of_a_lost_subscriber_come_first_and_in_order() {
    let mut world = World::new();
    let one = world.subscribe(1, AckMode::ClientIndividual);
    let two = world.subscribe(2, AckMode::ClientIndividual);
    for _ in 0..6 {
        world.offer(false).unwrap();
    }
    assert_eq!((one.heard(), two.heard()), (vec![1, 3], vec![2, 4]), "5 and 6 wait");
    world.queues.unsubscribe("q", key(1));
    world.queues.unsubscribe("q", key(1));
    assert!(!world.ack(1, 1, true));
    assert!(world.ack(2, 4, true) && world.ack(2, 2, true));
    assert_eq!(two.heard(), [-1, -3]);
    world.queues.unsubscribe("q", key(2));
    let three = world.subscribe(3, AckMode::Auto);
    assert_eq!(three.heard(), [-1, -3, 5, 6]);
}

#[test]
fn a_line_without_room_is_passed_over_until_it_says_so() {
    let mut world = World::new();
    let (one, two) = (world.subscribe(1, AckMode::Auto), world.subscribe(2, AckMode::Auto));
    one.refuses.set(true);
    for _ in 0..3 {
        assert_eq!(world.offer(false), Ok(true));
    }
    assert_eq!((one.heard(), two.heard()), (vec![], vec![1, 2, 3]));
    two.refuses.set(true);
    assert_eq!(world.offer(false), Ok(false));
    one.refuses.set(false);
    world.queues.resume("q", key(1));
    world.queues.resume("q", key(1));
    assert_eq!((one.heard(), world.queues.queues["q"].ready.len()), (vec![4], 1));
}

#[test]
fn bytes_and_queues_are_limited() {
    let mut world = World::new();
    let large = |number| QueuedMessage { body: vec![0; 6000].into(), ..message(number) };
    assert_eq!(world.queues.offer("q", large(1), false), Ok(false));
    assert_eq!(world.queues.offer("q", large(2), false), Err(QueueError::Full));
    assert_eq!(world.queues.offer("p", large(2), false), Ok(false));
    assert_eq!(world.queues.offer("p", message(3), false), Ok(false));
    assert_eq!(world.queues.offer("o", message(4), false), Err(QueueError::TooMany));
    let consumer = Ear::default();
    assert_eq!(world.queues.subscribe("o", key(1), AckMode::Auto, consumer), Err(QueueError::TooMany));
    let more = QueuedMessage { body: vec![0; 2700].into(), ..message(5) };
    assert_eq!(world.queues.offer("p", more, false), Err(QueueError::NoMemory));
    let huge = QueuedMessage { body: vec![0; 10_000].into(), ..message(6) };
    assert_eq!(world.queues.offer("p", huge, false), Err(QueueError::Full));
}

#[test]
fn a_queue_with_nobody_and_nothing_is_forgotten() {
    let mut world = World::new();
    let _first = world.subscribe(1, AckMode::Client);
    world.queues.unsubscribe("q", key(1));
    assert!(world.queues.queues.is_empty());
    world.offer(false).unwrap();
    let _second = world.subscribe(1, AckMode::Client);
    assert!(world.ack(1, 1, true));
    world.queues.unsubscribe("q", key(1));
    assert!(world.queues.queues.is_empty() && world.queues.bytes == 0);
    world.queues.unsubscribe("q", key(1));
    world.queues.resume("q", key(1));
    assert!(!world.ack(1, 1, true));
}

#[test]
fn other_limits_hold_at_once_and_take_nothing_away() {
    let mut world = World::new();
    let ear = world.subscribe(1, AckMode::ClientIndividual);
    (1..=5).for_each(|number| assert_eq!(world.offer(false), Ok(number <= 2), "{number}"));
    assert_eq!((world.offer(false), ear.heard()), (Err(QueueError::Long), vec![1, 2]));
    world.queues.set_limits(QueueLimits { unacknowledged_max: 4, ..LIMITS });
    assert_eq!(ear.heard(), [3, 4]);
    world.queues.set_limits(QueueLimits { unacknowledged_max: 1, length_max: 1, ..LIMITS });
    assert_eq!((world.offer(false), ear.heard()), (Err(QueueError::Long), vec![]));
    (1..=3).for_each(|number| assert!(world.ack(1, number, true)));
    assert_eq!(ear.heard(), [0; 0]);
    assert!(world.ack(1, 4, true));
    assert_eq!(ear.heard(), [5]);
}
