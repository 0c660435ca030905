//! What a fuzz target runs: whatever Redis could answer or announce is read, and never believed to be more than it is.

use super::answers::{appended, part, standing};
use super::entry::{Announcement, all_from_stream};
use super::follow::{Follow, Heard};
use crate::rooms::store_api::Stored;

/// Reads an input as an announcement and as an answer to each script.
///
/// # Panics
/// If what was read could not be shown as it is.
pub(crate) fn read(input: &[u8]) {
    if let Some(announcement) = Announcement::parse(input) {
        check(&announcement.messages);
        show(announcement);
    }
    // An answer that is not whole is waited for.
    let Ok(value) = redis::parse_redis_value(input) else { return };
    for count in [0, 1, 3] {
        drop(appended(&value, count));
    }
    drop(standing(&value));
    for is_newest_first in [false, true] {
        if let Ok(Some(mut part)) = part(&value, is_newest_first) {
            if is_newest_first {
                part.messages.reverse();
            }
            check(&part.messages);
        }
        if let Some(mut entries) = all_from_stream(&value, is_newest_first) {
            if is_newest_first {
                entries.reverse();
            }
            check(&entries);
        }
    }
}

/// A room that has shown three messages is shown nothing but what follows.
fn show(announcement: Announcement) {
    let Announcement { epoch, first, messages, .. } = announcement;
    let mut follow = Follow::default();
    follow.opens();
    follow.opened(epoch, 3);
    if let Heard::Show(messages) = follow.hear(epoch, first, messages) {
        assert_eq!(messages.first().map(|message| message.seq), Some(4), "a hole is shown");
    }
}

fn check(messages: &[Stored]) {
    let follows = |pair: &[Stored]| pair[1].seq == pair[0].seq + 1 && pair[1].at > pair[0].at;
    assert!(messages.windows(2).all(follows), "messages that do not follow each other");
}
