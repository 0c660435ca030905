//! The window of a room's log against a plain list of messages.

use crate::rooms::Timestamp;
use crate::rooms::log::{Log, Window};

const WINDOW: Window = Window { messages: 7, bytes: 600 };

/// Appends, evicts, takes back and reads as the input says. Oracle: a list that keeps everything.
pub fn room_log(input: &[u8]) {
    let (mut log, mut model) = (Log::default(), Vec::<Vec<u8>>::new());
    let mut served = 0;
    for operation in input.chunks_exact(2) {
        let (what, value) = (operation[0] % 8, operation[1]);
        match what {
            0..=4 => {
                let frame = vec![value; usize::from(value) + 1];
                let at = Timestamp::from_micros(model.len() as u64 * 10 + 10);
                log.append(at, |out| out.extend_from_slice(&frame));
                model.push(frame);
            }
            5 => {
                served = (model.len() as u64).saturating_sub(u64::from(value % 16)).max(served);
                log.evict(WINDOW, served);
            }
            6 => {
                // Only what was not served yet is ever taken back.
                let last = (model.len() as u64).saturating_sub(u64::from(value % 4)).max(served);
                log.truncate(last);
                model.truncate(usize::try_from(log.head()).unwrap_or(usize::MAX));
            }
            _ => read(&log, &model, u64::from(value)),
        }
        check(&log, &model, served);
    }
}

/// The window ends with the newest message, is not larger than it may be, and not smaller than it must be.
fn check(log: &Log, model: &[Vec<u8>], served: u64) {
    assert_eq!(log.head(), model.len() as u64);
    assert!(log.tail() <= served.max(1) || log.tail() <= log.head(), "messages left before they were served");
    assert!(log.tail() <= served + 1);
    let kept = model.iter().skip(usize::try_from(log.tail() - 1).unwrap_or(usize::MAX));
    assert_eq!(log.window_bytes(), kept.map(Vec::len).sum::<usize>());
}

/// Every slice is the frames of the list; every cut finds the frame that it falls into.
fn read(log: &Log, model: &[Vec<u8>], value: u64) {
    let cursor = value % (log.head() + 2);
    let last = log.head() - value / 3 % (log.head() + 1);
    let Some(slice) = log.slice(cursor, last) else {
        assert!(cursor + 1 < log.tail() || cursor > last, "{cursor}..={last} is in the window");
        return;
    };
    let from_to = |seq: u64| usize::try_from(seq).unwrap_or(usize::MAX);
    let frames = &model[from_to(cursor)..from_to(last)];
    assert_eq!(slice.bytes(), frames.concat());
    assert_eq!(slice.frames(), frames.len() as u64);
    let written = from_to(value) % (slice.bytes().len() + 1);
    let (begun, end) = slice.cut(written);
    let ends = |count: usize| frames[..count].iter().map(Vec::len).sum::<usize>();
    let begun_count = from_to(begun);
    assert_eq!(end, ends(begun_count));
    assert!(end >= written && (begun == 0 || ends(begun_count - 1) < written));
}
