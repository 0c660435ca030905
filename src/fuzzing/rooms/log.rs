//! A log against a list of messages.

use std::collections::VecDeque;

use super::Numbers;
use crate::rooms::Timestamp;
use crate::rooms::log::{Log, Window};

/// The messages in the window, oldest first, and the number of the newest.
struct Model {
    messages: VecDeque<(u64, Vec<u8>)>,
    head: u64,
}

impl Model {
    fn tail(&self) -> u64 {
        self.head + 1 - self.messages.len() as u64
    }

    fn bytes(&self) -> usize {
        self.messages.iter().map(|(_, frame)| frame.len()).sum()
    }

    fn evict(&mut self, window: Window, served: u64) {
        let too_large =
            |model: &Model| model.messages.len() > window.messages || model.bytes() > window.bytes;
        while self.messages.len() > 1 && self.tail() <= served && too_large(self) {
            self.messages.pop_front();
        }
    }

    /// The frames after `cursor` up to `last`.
    fn frames(&self, cursor: u64, last: u64) -> Option<Vec<&[u8]>> {
        if cursor + 1 < self.tail() || cursor > last || last > self.head {
            return None;
        }
        let numbered = (self.tail()..).zip(&self.messages);
        Some(
            numbered
                .filter(|(seq, _)| *seq > cursor && *seq <= last)
                .map(|(_, (_, frame))| &**frame)
                .collect(),
        )
    }
}

/// Appends, evictions, truncations; after each, every slice, cut and time must be what a plain list makes of them.
pub fn room_log(input: &[u8]) {
    let mut numbers = Numbers(input);
    let start = u64::from(numbers.next() % 3) * 1000;
    let mut log = Log::after(start);
    let mut model = Model { messages: VecDeque::new(), head: start };
    let mut at = 0;
    while !numbers.is_empty() {
        match numbers.next() % 8 {
            0..=3 => {
                let (len, fill) = (usize::from(numbers.next()), numbers.next());
                let frame = vec![fill; if len > 250 { len * 40 } else { len + 1 }];
                at += 1 + u64::from(fill % 4);
                log.append(Timestamp::from_micros(at), |out| out.extend_from_slice(&frame));
                model.messages.push_back((at, frame));
                model.head += 1;
            }
            4..=6 => {
                let (messages, bytes) = (numbers.next() % 32, numbers.next());
                let window = Window { messages: messages.into(), bytes: usize::from(bytes) * 64 };
                let served = (model.head + 1).saturating_sub(u64::from(numbers.next() % 16));
                log.evict(window, served);
                model.evict(window, served);
            }
            _ => {
                let back = u64::from(numbers.next() % 8).min(model.messages.len() as u64);
                log.truncate(model.head - back);
                model.head -= back;
                model.messages.truncate(model.messages.len() - usize::try_from(back).expect("small"));
            }
        }
        agree(&log, &model, at, &mut numbers);
    }
}

fn agree(log: &Log, model: &Model, at: u64, numbers: &mut Numbers<'_>) {
    assert_eq!((log.head(), log.tail(), log.window_bytes()), (model.head, model.tail(), model.bytes()));
    let cursor = (model.head + 1).saturating_sub(u64::from(numbers.next() % 40));
    let last = (model.head + 1).saturating_sub(u64::from(numbers.next() % 8));
    let (slice, frames) = (log.slice(cursor, last), model.frames(cursor, last));
    assert_eq!(slice.map(|slice| slice.frames()), frames.as_ref().map(|frames| frames.len() as u64));
    if let (Some(slice), Some(frames)) = (slice, frames) {
        let bytes = frames.concat();
        assert_eq!(slice.bytes(), bytes);
        let written = if bytes.is_empty() { 0 } else { usize::from(numbers.next()) * 7 % (bytes.len() + 1) };
        let (mut begun, mut end) = (0, 0);
        while end < written {
            end += frames[begun].len();
            begun += 1;
        }
        assert_eq!(slice.cut(written), (begun as u64, end));
    }
    let time = at.saturating_sub(u64::from(numbers.next() % 64));
    let earlier = model.messages.iter().filter(|(at, _)| *at <= time).count() as u64;
    assert_eq!(log.cursor_at(Timestamp::from_micros(time)), model.tail() - 1 + earlier);
}
