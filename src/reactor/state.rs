//! What everything that happens in one turn of the loop shares: the time, the replies, the lanes to the shards.

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::http::date;
use crate::metrics::{Limit, Metrics};
use crate::reactor::ReactorLimits;
use crate::reactor::api::background::Background;
use crate::reactor::clock::wheel::{Armed, TICK_MILLIS, Tick, Wheel};
use crate::reactor::connection::inflation::Inflating;
use crate::reactor::connection::table::{Key, Slot};
use crate::reactor::inbox::mailbox::Mailbox;
use crate::reactor::listen::quotas::{Users, network};
use crate::reactor::reports::incidents::Incidents;
use crate::reactor::service::Ticket;
use crate::rooms::SessionEffect;
use crate::transport::{Outbound, Tally};
use crate::workers::ShardHandle;
use crate::ws::Spares;

/// A turn that took longer than it asked for by this much did so because the whole process was stopped: that time does
/// not count against anybody's deadline.
const STANDSTILL: Duration = Duration::from_secs(2);
/// The buffer for replies is given back if one turn made it larger than this.
const REPLIES_BYTES_KEPT: usize = 1 << 20;

/// The state of the loop apart from the connections.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) limits: Arc<ReactorLimits>,
    /// The reactor's own time; stands still while the process does.
    pub(crate) now: Tick,
    pub(crate) timers: Wheel<Key>,
    /// Frames and responses that one event brought about, for one connection; empty between events.
    pub(crate) replies: Vec<u8>,
    /// For messages that arrive in pieces.
    pub(crate) spares: Spares,
    pub(crate) lanes: Vec<ShardHandle>,
    /// For what the shards that are run here want done; empty between turns.
    pub(crate) effects: Vec<SessionEffect>,
    pub(crate) mailbox: Mailbox,
    /// When the connection that is looked after at the moment gave a sign of life last.
    pub(crate) alive_at: Tick,
    /// Whether the connection whose timer has come out is held back at the moment, or has input that was not read yet.
    pub(crate) is_held_back: bool,
    /// Nothing is read from anybody: what was received before is being finished.
    pub(crate) paused: bool,
    /// The number of the last request that was passed to the service. One sequence for all connections: what a
    /// connection holds of a request is gone before the next request comes, and an answer may come later still.
    tickets: u64,
    /// Connections that were read in this turn while they were being opened.
    pub(crate) openings: usize,
    /// Connections that go on reading in the next turn.
    pub(crate) ready: Vec<Key>,
    /// Connections that do not read until their shard has caught up.
    pub(crate) held: Vec<Key>,
    pub(crate) inflating: Inflating,
    /// What the application goes on with in each turn.
    pub(crate) background: Vec<Arc<dyn Background>>,
    /// Connections that are refused and have not gone yet.
    pub(crate) refused: usize,
    /// Connections per address, if that is limited.
    pub(crate) addresses: HashMap<IpAddr, usize>,
    pub(crate) users: Users,
    pub(crate) metrics: Metrics,
    pub(crate) incidents: Incidents,
    /// The limit that this session has just run into, for the line of its end, should that follow.
    pub(crate) blamed: Option<(Key, Limit)>,
    /// The subprotocols of each endpoint.
    pub(crate) subprotocols: Vec<Vec<String>>,
    /// The path of each endpoint.
    pub(crate) paths: Vec<String>,
    /// Bytes that clients do not take, and of messages and requests they do not finish.
    pub(crate) waiting: Tally,
    /// When connections were closed last to free memory.
    pub(crate) shed_at: Tick,
    /// When that freed too little last.
    pub(crate) shed_in_vain_at: Tick,
    pub(crate) hashers: [RandomState; 2],
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
    pub(crate) fn new(
        limits: Arc<ReactorLimits>,
        lanes: Vec<ShardHandle>,
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
    pub(crate) fn tick(&mut self, timeout: Option<Duration>) {
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
    pub(crate) fn set_time(&mut self, elapsed: Duration) {
        self.openings = 0;
        self.clock.elapsed = elapsed;
        self.note_time();
    }

    fn note_time(&mut self) {
        let millis = u64::try_from(self.clock.elapsed.as_millis()).unwrap_or(u64::MAX);
        self.now = millis / TICK_MILLIS;
    }

    /// Whether there is something to be done that no event will tell of.
    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || self.inflating.is_waiting()
            || !self.background.is_empty()
            || self.lanes.iter().any(ShardHandle::has_work)
    }

    /// How long the loop may sleep.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let timer = self.timers.until_next().map(|next| {
            let at = Duration::from_millis(self.now.saturating_add(next) * TICK_MILLIS);
            at.saturating_sub(self.clock.elapsed)
        });
        timer.into_iter().chain(self.lanes.iter().filter_map(ShardHandle::dispatch_within)).min()
    }

    /// The `Date` header's value.
    pub(crate) fn date(&mut self) -> &str {
        let second = unix_time().as_secs();
        if self.clock.date.0 != second {
            self.clock.date = (second, date::imf_fixdate(second));
        }
        &self.clock.date.1
    }

    /// A ticket for the next request, which no other request has had.
    pub(crate) fn next_ticket(&mut self, key: Key) -> Ticket {
        // At a billion requests a second it lasts for 584 years.
        self.tickets += 1;
        Ticket { key, number: self.tickets }
    }

    /// Makes sure that the connection is looked at again at `at` or before.
    pub(crate) fn arm(&mut self, key: Key, armed: &mut Armed, at: Tick) {
        self.timers.arm(self.now, armed, at, key);
    }

    /// Whether as many connections as there may be come from this address.
    pub(crate) fn is_crowded(&self, ip: IpAddr) -> bool {
        let max = self.limits.connections_per_ip.unwrap_or(usize::MAX);
        self.addresses.get(&network(ip)).is_some_and(|&connections| connections >= max)
    }

    /// Counts a connection against its address, if addresses are counted.
    pub(crate) fn count(&mut self, ip: IpAddr) -> Option<IpAddr> {
        self.limits.connections_per_ip?;
        let counted = network(ip);
        *self.addresses.entry(counted).or_default() += 1;
        Some(counted)
    }

    /// Puts the connection on the list of those that go on reading in the next turn.
    pub(crate) fn make_ready(&mut self, key: Key, slot: &mut Slot) {
        if !slot.ready {
            slot.ready = true;
            self.ready.push(key);
        }
    }

    /// Sends the gathered replies. Nothing is lost if the peer is gone: the reading side will hear of it.
    pub(crate) fn send_replies(&mut self, outbound: &Outbound) {
        if !self.replies.is_empty() {
            let _peer_is_gone = outbound.send_unbounded(&self.replies);
            self.forget_replies();
        }
    }

    pub(crate) fn forget_replies(&mut self) {
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
