//! What the operator should hear of: requests that were refused, and connections that ended badly.
//!
//! Each leaves one line at `info`, but of one kind and from one address only one in a time, and of all together only so
//! many: a flood of refusals must not become a flood of lines. What is left out is counted in the next line.

use super::listen::quotas::network;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::clock::wheel::Tick;

/// One line of a kind and an address in this time: 10 s in ticks of 20 ms.
const LINE_EVERY: Tick = 500;
/// Kinds and addresses that are remembered for that time. It bounds the memory, and the lines of all: a hundred a second.
const REMEMBERED_MAX: usize = 1024;
/// Maximum number of bytes of a path, a name or a reason in a line.
const TEXT_BYTES_MAX: usize = 256;

/// What happened, as far as lines of the same kind are limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A request was answered with this status.
    Refused(u16),
    /// A session ended with this code.
    Ended(u16),
    /// A response that follows a room ended.
    StreamEnded,
    /// A connection ended before its first request.
    NotOpened,
}

impl Kind {
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Kind::Refused(_) => "request refused",
            Kind::Ended(_) => "session ended",
            Kind::StreamEnded => "event stream ended",
            Kind::NotOpened => "connection ended",
        }
    }
}

/// Which lines may be written.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    remembered: HashMap<(Kind, IpAddr), Remembered>,
    /// Lines that were left out and whose kind and address are not remembered any more, or never were.
    unlisted: u64,
}

#[derive(Debug)]
struct Remembered {
    until: Tick,
    left_out: u64,
}

impl Incidents {
    /// Whether there may be a line now; if so, how many were left out before.
    pub(crate) fn admit(&mut self, kind: Kind, address: Option<IpAddr>, now: Tick) -> Option<u64> {
        // Peers without an address are all the same one.
        let address = address.map_or(IpAddr::from([0; 4]), network);
        if let Some(remembered) = self.remembered.get_mut(&(kind, address)) {
            if now < remembered.until {
                remembered.left_out += 1;
                return None;
            }
            remembered.until = now.saturating_add(LINE_EVERY);
            return Some(std::mem::take(&mut remembered.left_out) + std::mem::take(&mut self.unlisted));
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.forget(now);
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.unlisted += 1;
            return None;
        }
        let until = now.saturating_add(LINE_EVERY);
        self.remembered.insert((kind, address), Remembered { until, left_out: 0 });
        Some(std::mem::take(&mut self.unlisted))
    }

    /// Forgets what is over; its count is told in the next line of any kind.
    fn forget(&mut self, now: Tick) {
        let unlisted = &mut self.unlisted;
        self.remembered.retain(|_, remembered| {
            let stays = now < remembered.until;
            *unlisted += if stays { 0 } else { remembered.left_out };
            stays
        });
    }
}

/// A line. What is not known is left out of it.
#[derive(Debug, Default)]
pub(crate) struct Incident<'i> {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) user: Option<Cow<'i, str>>,
    pub(crate) room: Option<Cow<'i, str>>,
    pub(crate) path: Option<&'i str>,
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<u16>,
    pub(crate) reason: Cow<'i, str>,
    pub(crate) limit: Option<&'static str>,
    /// Of the page that was not let in.
    pub(crate) origin: Option<&'i str>,
    pub(crate) hint: Option<&'static str>,
}

impl Incident<'_> {
    pub(crate) fn log(&self, message: &'static str, left_out: u64) {
        let address = self.address.map(|address| address.to_string());
        let (address, path) = (address.as_deref(), self.path.map(cut));
        let (user, room) = (self.user.as_deref().map(cut), self.room.as_deref().map(cut));
        let (status, code, reason) = (self.status, self.code, cut(&self.reason));
        let origin = self.origin.map(cut);
        let left_out = (left_out > 0).then_some(left_out);
        tracing::info!(
            address,
            user,
            room,
            path,
            status,
            code,
            reason,
            limit = self.limit,
            origin,
            hint = self.hint,
            left_out,
            "{message}"
        );
    }
}

/// The beginning of a text that a client has chosen: a line of the log must stay readable.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn of_one_kind_and_address_there_is_one_line_in_a_time_with_the_count_of_the_rest() {
        let mut incidents = Incidents::default();
        let kind = Kind::Refused(403);
        assert_eq!(incidents.admit(kind, ip(1), 1), Some(0));
        for now in 2..100 {
            assert_eq!(incidents.admit(kind, ip(1), now), None);
        }
        assert_eq!(incidents.admit(kind, ip(2), 100), Some(0));
        assert_eq!(incidents.admit(Kind::Ended(1002), ip(1), 100), Some(0));
        assert_eq!(incidents.admit(kind, ip(1), 1 + LINE_EVERY), Some(98));
        assert_eq!(incidents.admit(kind, ip(1), 2 + 2 * LINE_EVERY), Some(0));
    }

    #[test]
    fn many_addresses_cost_bounded_memory_and_lines_and_none_is_lost_from_the_count() {
        let mut incidents = Incidents::default();
        let (mut lines, mut left_out) = (0, 0);
        let mut one = |now, number: u32| {
            let address = Some(IpAddr::from((number | 1 << 24).to_be_bytes()));
            for _ in 0..2 {
                if let Some(count) = incidents.admit(Kind::Refused(401), address, now) {
                    lines += 1;
                    left_out += count;
                }
            }
            assert!(incidents.remembered.len() <= REMEMBERED_MAX);
        };
        (0..10_000).for_each(|number| one(1, number));
        one(1 + LINE_EVERY, 20_000);
        assert_eq!(lines, REMEMBERED_MAX as u64 + 1);
        assert_eq!(left_out, 2 * 10_000 - REMEMBERED_MAX as u64);
    }
}
