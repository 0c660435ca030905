//! What everything that happens in one turn of the loop shares: the time, the replies, the lanes to the shards.

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::ReactorLimits;
use super::background::Background;
use super::census::{Users, network};
use super::incidents::Incidents;
use super::inflation::Inflating;
use super::mailbox::Mailbox;
use super::service::Ticket;
use super::slots::{Key, Slot};
use super::timers::{Armed, TICK_MILLIS, Tick, Wheel};
use crate::http::date;
use crate::metrics::{Limit, Metrics};
use crate::rooms::Effect;
use crate::transport::{Outbound, Tally};
use crate::workers::Lane;
use crate::ws::Spares;

/// A turn that took longer than it asked for by this much did so because the whole process was stopped: that time does
/// not count against anybody's deadline.
const STANDSTILL: Duration = Duration::from_secs(2);
/// The buffer for replies is given back if one turn made it larger than this.
const REPLIES_BYTES_KEPT: usize = 1 << 20;

/// The state of the loop apart from the connections.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) limits: Arc<ReactorLimits>,
    /// The reactor's own time; stands still while the process does.
    pub(super) now: Tick,
    pub(super) timers: Wheel<Key>,
    /// Frames and responses that one event brought about, for one connection; empty between events.
    pub(super) replies: Vec<u8>,
    /// For messages that arrive in pieces.
    pub(super) spares: Spares,
    pub(super) lanes: Vec<Lane>,
    /// For what the shards that are run here want done; empty between turns.
    pub(super) effects: Vec<Effect>,
    pub(super) mailbox: Mailbox,
    /// When the connection that is looked after at the moment gave a sign of life last.
    pub(super) alive_at: Tick,
    /// Whether the connection whose timer has come out is held back at the moment, or has input that was not read yet.
    pub(super) is_held_back: bool,
    /// Nothing is read from anybody: what was received before is being finished.
    pub(super) paused: bool,
    /// The number of the last request that was passed to the service. One sequence for all connections: what a
    /// connection holds of a request is gone before the next request comes, and an answer may come later still.
    tickets: u64,
    /// Connections that were read in this turn while they were being opened.
    pub(super) openings: usize,
    /// Connections that go on reading in the next turn.
    pub(super) ready: Vec<Key>,
    /// Connections that do not read until their shard has caught up.
    pub(super) held: Vec<Key>,
    pub(super) inflating: Inflating,
    /// What the application goes on with in each turn.
    pub(super) background: Vec<Arc<dyn Background>>,
    /// Connections that are refused and have not gone yet.
    pub(super) refused: usize,
    /// Connections per address, if that is limited.
    pub(super) addresses: HashMap<IpAddr, usize>,
    pub(super) users: Users,
    pub(super) metrics: Metrics,
    pub(super) incidents: Incidents,
    /// The limit that this session has just run into, for the line of its end, should that follow.
    pub(super) blamed: Option<(Key, Limit)>,
    /// The subprotocols of each endpoint.
    pub(super) subprotocols: Vec<Vec<String>>,
    /// The path of each endpoint.
    pub(super) paths: Vec<String>,
    /// Bytes that clients do not take, and of messages and requests they do not finish.
    pub(super) waiting: Tally,
    /// When connections were closed last to free memory.
    pub(super) shed_at: Tick,
    /// When that freed too little last.
    pub(super) shed_in_vain_at: Tick,
    pub(super) hashers: [RandomState; 2],
    clock: Clock,
}

#[derive(Debug)]
struct Clock {
    last: Instant,
    elapsed: Duration,
    /// `Date` of the current second, and that second.
    date: (u64, String),
}

impl Turn {
    pub(super) fn new(
        limits: Arc<ReactorLimits>,
        lanes: Vec<Lane>,
        mailbox: Mailbox,
        metrics: Metrics,
        subprotocols: Vec<Vec<String>>,
        paths: Vec<String>,
    ) -> Turn {
        Turn {
            limits,
            now: 0,
            timers: Wheel::new(),
            replies: Vec::new(),
            spares: Spares::default(),
            lanes,
            effects: Vec::new(),
            mailbox,
            alive_at: 0,
            is_held_back: false,
            paused: false,
            tickets: 0,
            openings: 0,
            ready: Vec::new(),
            held: Vec::new(),
            inflating: Inflating::default(),
            background: Vec::new(),
            refused: 0,
            addresses: HashMap::new(),
            users: Users::default(),
            metrics,
            incidents: Incidents::default(),
            blamed: None,
            subprotocols,
            paths,
            waiting: Tally::default(),
            shed_at: 0,
            shed_in_vain_at: 0,
            hashers: [RandomState::new(), RandomState::new()],
            clock: Clock { last: instant(), elapsed: Duration::ZERO, date: (0, String::new()) },
        }
    }

    /// Reads the clock after a poll that was to wait for `timeout` at most.
    pub(super) fn tick(&mut self, timeout: Option<Duration>) {
        self.openings = 0;
        let now = instant();
        let passed = now.duration_since(self.clock.last);
        self.clock.last = now;
        self.clock.elapsed += match timeout {
            Some(timeout) if passed > timeout + STANDSTILL => timeout,
            Some(_) | None => passed,
        };
        self.note_time();
    }

    /// The time is what it is said to be, whatever the clock says.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn set_time(&mut self, elapsed: Duration) {
        self.openings = 0;
        self.clock.elapsed = elapsed;
        self.note_time();
    }

    fn note_time(&mut self) {
        let millis = u64::try_from(self.clock.elapsed.as_millis()).unwrap_or(u64::MAX);
        self.now = millis / TICK_MILLIS;
    }

    /// Whether there is something to be done that no event will tell of.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || self.inflating.is_waiting()
            || !self.background.is_empty()
            || self.lanes.iter().any(Lane::has_work)
    }

    /// How long the loop may sleep.
    pub(super) fn timeout(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let timer = self.timers.until_next().map(|next| {
            let at = Duration::from_millis(self.now.saturating_add(next) * TICK_MILLIS);
            at.saturating_sub(self.clock.elapsed)
        });
        timer.into_iter().chain(self.lanes.iter().filter_map(Lane::dispatch_within)).min()
    }

    /// The `Date` header's value.
    pub(super) fn date(&mut self) -> &str {
        let second = unix_time().as_secs();
        if self.clock.date.0 != second {
            self.clock.date = (second, date::imf_fixdate(second));
        }
        &self.clock.date.1
    }

    /// A ticket for the next request, which no other request has had.
    pub(super) fn next_ticket(&mut self, key: Key) -> Ticket {
        // At a billion requests a second it lasts for 584 years.
        self.tickets += 1;
        Ticket { key, number: self.tickets }
    }

    /// Makes sure that the connection is looked at again at `at` or before.
    pub(super) fn arm(&mut self, key: Key, armed: &mut Armed, at: Tick) {
        self.timers.arm(self.now, armed, at, key);
    }

    /// Whether as many connections as there may be come from this address.
    pub(super) fn is_crowded(&self, ip: IpAddr) -> bool {
        let max = self.limits.connections_per_ip.unwrap_or(usize::MAX);
        self.addresses.get(&network(ip)).is_some_and(|&connections| connections >= max)
    }

    /// Counts a connection against its address, if addresses are counted.
    pub(super) fn count(&mut self, ip: IpAddr) -> Option<IpAddr> {
        self.limits.connections_per_ip?;
        let counted = network(ip);
        *self.addresses.entry(counted).or_default() += 1;
        Some(counted)
    }

    /// Puts the connection on the list of those that go on reading in the next turn.
    pub(super) fn make_ready(&mut self, key: Key, slot: &mut Slot) {
        if !slot.ready {
            slot.ready = true;
            self.ready.push(key);
        }
    }

    /// Sends the gathered replies. Nothing is lost if the peer is gone: the reading side will hear of it.
    pub(super) fn send_replies(&mut self, outbound: &Outbound) {
        if !self.replies.is_empty() {
            let _peer_is_gone = outbound.send_unbounded(&self.replies);
            self.forget_replies();
        }
    }

    pub(super) fn forget_replies(&mut self) {
        if self.replies.capacity() > REPLIES_BYTES_KEPT {
            self.replies = Vec::new();
        }
        self.replies.clear();
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell is where the clock is read, once a turn")]
fn instant() -> Instant {
    Instant::now()
}

/// The time since 1970 (UTC).
#[expect(clippy::disallowed_methods, reason = "the shell is where the clock is read")]
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
