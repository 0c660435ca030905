//! What the operator should hear of: requests that were refused, and connections that ended badly.
//!
//! Each leaves one line at `info`, but of one kind, one limit and one address only one in a time, and of all together only
//! a bounded number: a flood of refusals must not become a flood of lines. What is left out is counted in the next line,
//! which comes at the end of that time at the latest.

use super::listen::quotas::network;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::clock::wheel::Tick;

/// One line of a kind, a limit and an address in this time: 10 s in ticks of 20 ms.
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
    /// A session was cut off, without a code.
    Cut,
    /// A response that follows a room ended.
    StreamEnded,
    /// A connection ended before its first request, or while it waited for an answer.
    NotOpened,
}

impl Kind {
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Kind::Refused(_) => "request refused",
            Kind::Ended(_) | Kind::Cut => "session ended",
            Kind::StreamEnded => "event stream ended",
            Kind::NotOpened => "connection ended",
        }
    }

    const fn status(self) -> Option<u16> {
        match self {
            Kind::Refused(status) => Some(status),
            Kind::Ended(_) | Kind::Cut | Kind::StreamEnded | Kind::NotOpened => None,
        }
    }

    const fn code(self) -> Option<u16> {
        match self {
            Kind::Ended(code) => Some(code),
            Kind::Refused(_) | Kind::Cut | Kind::StreamEnded | Kind::NotOpened => None,
        }
    }
}

/// Which lines may be written.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    remembered: HashMap<Slot, Remembered>,
    /// Lines that were left out and for which there was no slot.
    unlisted: u64,
    /// When the next line is due that tells of what was left out. Invariant: no later than the end of any slot that has
    /// left something out, and set if `unlisted` is not 0.
    due: Option<Tick>,
}

/// Lines that are limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slot {
    kind: Kind,
    limit: Option<&'static str>,
    address: IpAddr,
}

#[derive(Debug)]
struct Remembered {
    until: Tick,
    left_out: u64,
    /// Whose line was left out last.
    last: Option<SocketAddr>,
}

/// A line that tells late of what was left out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Late {
    kind: Kind,
    limit: Option<&'static str>,
    address: Option<SocketAddr>,
    /// Besides the one of this line.
    left_out: u64,
}

impl Incidents {
    /// Whether there may be a line now; if so, how many were left out before.
    pub(crate) fn admit(
        &mut self,
        kind: Kind,
        limit: Option<&'static str>,
        peer: Option<SocketAddr>,
        now: Tick,
    ) -> Option<u64> {
        // Peers without an address are all the same one.
        let address = peer.map_or(IpAddr::from([0; 4]), |peer| network(peer.ip()));
        let slot = Slot { kind, limit, address };
        let until = now.saturating_add(LINE_EVERY);
        if let Some(remembered) = self.remembered.get_mut(&slot) {
            if now < remembered.until {
                remembered.left_out += 1;
                remembered.last = peer;
                let at = remembered.until;
                self.due = Some(self.due.map_or(at, |due| due.min(at)));
                return None;
            }
            remembered.until = until;
            return Some(std::mem::take(&mut remembered.left_out));
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            // What has left something out stays until its line was written.
            self.remembered.retain(|_, remembered| now < remembered.until || remembered.left_out > 0);
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.unlisted += 1;
            self.due = Some(self.due.map_or(until, |due| due.min(until)));
            return None;
        }
        self.remembered.insert(slot, Remembered { until, left_out: 0, last: None });
        Some(0)
    }

    /// When [`Incidents::take_late`] has to be called next.
    pub(crate) fn due(&self) -> Option<Tick> {
        self.due
    }

    /// The lines that are due by now, and how many were left out for which there was no slot. Their slots are free.
    pub(crate) fn take_late(&mut self, now: Tick) -> (Vec<Late>, u64) {
        let (mut late, mut due) = (Vec::new(), None::<Tick>);
        self.remembered.retain(|slot, remembered| {
            if now < remembered.until {
                if remembered.left_out > 0 {
                    due = Some(due.map_or(remembered.until, |due| due.min(remembered.until)));
                }
                return true;
            }
            if let Some(left_out) = remembered.left_out.checked_sub(1) {
                let Slot { kind, limit, .. } = *slot;
                late.push(Late { kind, limit, address: remembered.last, left_out });
            }
            false
        });
        self.due = due;
        (late, std::mem::take(&mut self.unlisted))
    }
}

impl Late {
    pub(crate) fn log(&self) {
        let Late { kind, limit, address, left_out } = *self;
        let reason = "the same as before".into();
        Incident { address, limit, reason, ..Incident::of(kind) }.log(kind.message(), left_out);
    }
}

/// Tells of what was left out without a slot.
pub(crate) fn log_unlisted(left_out: u64) {
    tracing::info!(left_out, "refused requests and bad ends of too many addresses, not listed");
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
    /// What is known from its kind.
    pub(crate) fn of(kind: Kind) -> Self {
        Incident { status: kind.status(), code: kind.code(), ..Incident::default() }
    }

    pub(crate) fn log(&self, message: &'static str, left_out: u64) {
        let address = self.address.map(logged_address);
        let (address, path) = (address.as_deref(), self.path.map(cut));
        let (user, room) = (self.user.as_deref().map(cut), self.room.as_deref().map(cut));
        let (status, code, reason) = (self.status, self.code, cut(&self.reason));
        let origin = self.origin.map(cut);
        let left_out = (left_out > 0).then_some(left_out);
        tracing::info!(
            address,
            status,
            code,
            limit = self.limit,
            user,
            room,
            path,
            reason,
            origin,
            hint = self.hint,
            left_out,
            "{message}"
        );
    }
}

/// How lines name an address. One client has one text, by whichever socket it came: `[::ffff:192.0.2.1]` is `192.0.2.1`.
pub(crate) fn logged_address(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

/// The beginning of a text that a client has chosen: a line of the log must stay readable.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Option<SocketAddr> {
        Some(SocketAddr::from(([192, 0, 2, last], 9)))
    }

    #[test]
    fn of_one_kind_and_address_there_is_one_line_in_a_time_with_the_count_of_the_rest() {
        let mut incidents = Incidents::default();
        let kind = Kind::Refused(403);
        assert_eq!(incidents.admit(kind, None, peer(1), 1), Some(0));
        assert_eq!(incidents.due(), None);
        for now in 2..100 {
            assert_eq!(incidents.admit(kind, None, peer(1), now), None);
        }
        assert_eq!(incidents.due(), Some(1 + LINE_EVERY));
        assert_eq!(incidents.admit(kind, None, peer(2), 100), Some(0));
        assert_eq!(incidents.admit(kind, Some("limits.rooms"), peer(1), 100), Some(0));
        assert_eq!(incidents.admit(Kind::Ended(1002), None, peer(1), 100), Some(0));
        assert_eq!(incidents.admit(kind, None, peer(1), 1 + LINE_EVERY), Some(98));
        assert_eq!(incidents.admit(kind, None, peer(1), 2 + 2 * LINE_EVERY), Some(0));
    }

    #[test]
    fn what_was_left_out_is_told_when_its_time_is_over_though_nothing_more_comes() {
        let mut incidents = Incidents::default();
        let kind = Kind::Refused(401);
        for now in 1..=3 {
            let _line = incidents.admit(kind, None, peer(1), now);
            let _line = incidents.admit(kind, None, peer(2), now + 100);
        }
        assert_eq!(incidents.take_late(LINE_EVERY), (vec![], 0));
        assert_eq!(incidents.due(), Some(1 + LINE_EVERY));
        let of = |last| Late { kind, limit: None, address: peer(last), left_out: 1 };
        assert_eq!(incidents.take_late(1 + LINE_EVERY), (vec![of(1)], 0));
        assert_eq!(incidents.due(), Some(101 + LINE_EVERY));
        assert_eq!(incidents.take_late(Tick::MAX), (vec![of(2)], 0));
        assert!(incidents.due().is_none() && incidents.remembered.is_empty());
    }

    #[test]
    fn many_addresses_cost_bounded_memory_and_lines_and_none_is_lost_from_the_count() {
        const ADDRESSES: u32 = 10_000;
        let mut incidents = Incidents::default();
        let (mut lines, mut left_out) = (0, 0);
        for number in 0..ADDRESSES {
            let address = Some(SocketAddr::from(((number | 1 << 24).to_be_bytes(), 9)));
            for _ in 0..2 {
                if let Some(count) = incidents.admit(Kind::Refused(401), None, address, 1) {
                    lines += 1;
                    left_out += count;
                }
            }
            assert!(incidents.remembered.len() <= REMEMBERED_MAX);
        }
        assert_eq!((lines, left_out), (REMEMBERED_MAX as u64, 0));
        let (late, unlisted) = incidents.take_late(1 + LINE_EVERY);
        assert_eq!(late.len(), REMEMBERED_MAX);
        let told: u64 = late.iter().map(|late| 1 + late.left_out).sum();
        assert_eq!(lines + told + unlisted, u64::from(2 * ADDRESSES));
        assert!(incidents.due().is_none() && incidents.remembered.is_empty());
    }
}
