//! The flight recorder of a room: what has happened there lately, in a ring of fixed size.
//!
//! An event costs no more than writing 48 bytes to memory that is there; messages are not copied: they lie in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::rooms::api::inspection::RecordedEvent;
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::timestamp::Timestamp;

type TimedEvent = (Timestamp, RecordedEvent);

/// How many events a recorder begins with: most rooms are quiet, and have so little happen.
const EVENTS_MIN: usize = 4;

const _: () = assert!(size_of::<TimedEvent>() <= 48, "an event is small");

/// What has happened in a room lately.
#[derive(Debug)]
pub(in crate::rooms) struct Recorder {
    events: VecDeque<TimedEvent>,
    /// Events that it has room for. Invariant: their bytes, and those of the recorder itself, are taken from the bounds.
    capacity: usize,
    /// It grows up to this many.
    capacity_max: usize,
    bounds: Arc<Bounds>,
}

impl Recorder {
    /// An empty one; `None` if there shall be none, or all rooms have taken what they may.
    pub(in crate::rooms) fn new(bounds: &Arc<Bounds>) -> Option<Box<Recorder>> {
        let events_bytes = bounds.recorder_bytes().saturating_sub(size_of::<Recorder>());
        let capacity_max = events_bytes / size_of::<TimedEvent>();
        if capacity_max == 0 || !bounds.take_recorder(size_of::<Recorder>()) {
            return None;
        }
        let bounds = bounds.clone();
        Some(Box::new(Recorder { events: VecDeque::new(), capacity: 0, capacity_max, bounds }))
    }

    pub(in crate::rooms) fn push(&mut self, at: Timestamp, event: RecordedEvent) {
        if self.events.len() == self.capacity {
            self.make_room();
        }
        if self.capacity > 0 {
            self.events.push_back((at, event));
        }
    }

    /// Grows, or forgets the oldest event.
    #[cold]
    fn make_room(&mut self) {
        let more = self.capacity.max(EVENTS_MIN).min(self.capacity_max - self.capacity);
        if more > 0 && self.bounds.take_recorder(more * size_of::<TimedEvent>()) {
            self.events.reserve_exact(self.capacity + more - self.events.len());
            self.capacity += more;
            return;
        }
        // What all rooms may take is taken. This one does not ask again with each message.
        self.capacity_max = self.capacity;
        self.events.pop_front();
    }

    pub(in crate::rooms) fn events(&self) -> impl Iterator<Item = &TimedEvent> {
        self.events.iter()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.bounds.give_back_recorder(size_of::<Recorder>() + self.capacity * size_of::<TimedEvent>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64) -> TimedEvent {
        (Timestamp::from_micros(seq), RecordedEvent::Sent { seq, deliveries: 1, bytes: 2 })
    }

    fn record(recorder: &mut Recorder, seqs: std::ops::RangeInclusive<u64>) -> Vec<u64> {
        seqs.map(event).for_each(|(at, event)| recorder.push(at, event));
        recorder.events().map(|(at, _)| at.micros()).collect()
    }

    #[test]
    fn the_newest_events_are_kept_within_bounds_of_a_room_and_of_all() {
        let (entry, itself) = (size_of::<TimedEvent>(), size_of::<Recorder>());
        let bounds = Arc::new(Bounds::new(1).recorders(itself + 40 * entry, 3 * itself + 48 * entry));
        let mut one = Recorder::new(&bounds).unwrap();
        assert_eq!(record(&mut one, 1..=3), [1, 2, 3]);
        assert_eq!(record(&mut one, 4..=100), (61..=100).collect::<Vec<_>>());
        // There are 8 left, so it begins with 4, doubles, and stays there.
        let mut other = Recorder::new(&bounds).unwrap();
        assert_eq!(record(&mut other, 1..=100), (93..=100).collect::<Vec<_>>());
        let mut third = Recorder::new(&bounds).unwrap();
        assert_eq!(record(&mut third, 1..=100), [0; 0]);
        assert!(Recorder::new(&bounds).is_none(), "nothing is left");
        drop(one);
        // One that has found nothing left stays as it is.
        assert_eq!(record(&mut third, 1..=2), [0; 0]);
        let mut fourth = Recorder::new(&bounds).unwrap();
        assert_eq!(record(&mut fourth, 1..=100).len(), 40);
        drop((other, third, fourth));
        assert_eq!(bounds.recorder_used(), 0);
    }

    #[test]
    fn no_bytes_are_no_recorder() {
        assert!(Recorder::new(&Arc::new(Bounds::new(1))).is_none());
        assert!(Recorder::new(&Arc::new(Bounds::new(1).recorders(0, 1 << 20))).is_none());
    }
}
