//! What everything that happens in one turn of the loop shares: the time, the replies, the handles of the shards.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Level;

use super::api::background::Background;
use super::api::ticket::Ticket;
use super::clock::time::Clock;
use super::clock::wheel::{Armed, Tick, TimerWheel, ticks};
use super::counters::ReactorCounters;
use super::ended::Ended;
use super::inbox::channel::InboxSender;
use super::incidents::{self, Incident, Incidents, Kind, Late};
use super::inflation::Inflating;
use super::key::Key;
use super::limits::ReactorLimits;
use super::listen::quotas::{Counted, Users, network};
use crate::limit_hits::{Limit, LimitHits};
use crate::rooms::SessionEffect;
use crate::system::RandomState;
use crate::transport::{MemoryBudget, Outbound};
use crate::workers::ShardHandle;
use crate::ws::Spares;

/// The buffer for replies is freed if one turn made it larger than this: one large reply must not stay in memory for ever.
const REPLIES_BYTES_KEPT: usize = 1 << 20;

/// The state of the loop apart from the connections.
#[derive(Debug)]
pub(crate) struct LoopState {
    pub(crate) limits: Arc<ReactorLimits>,
    /// The reactor's own time; stands still while the process does.
    pub(crate) now: Tick,
    pub(crate) timers: TimerWheel<Key>,
    /// Frames and responses that one event brought about, for one connection; empty between events.
    pub(crate) replies: Vec<u8>,
    /// For messages that arrive in pieces.
    pub(crate) spares: Spares,
    pub(crate) shards: Vec<ShardHandle>,
    /// For what the shards that are run here want done; empty between turns.
    pub(crate) effects: Vec<SessionEffect>,
    pub(crate) inbox: InboxSender,
    /// When the connection that is looked after at the moment gave a sign of life last.
    pub(crate) alive_at: Tick,
    /// Whether the connection whose timer has come out is held back at the moment, or has input that was not read yet.
    pub(crate) is_held_back: bool,
    /// No connection is read: what was received before is being finished.
    pub(crate) paused: bool,
    /// The number of the last request that was passed to the service. One sequence for all connections: what a
    /// connection holds of a request is gone before the next request comes, and an answer may come later still.
    tickets: u64,
    /// Connections that were read in this turn while they were being opened.
    pub(crate) preambles: usize,
    /// Connections that go on reading in the next turn.
    pub(crate) ready: Vec<Key>,
    /// Connections that do not read until their shard has caught up.
    pub(crate) held: Vec<Key>,
    pub(crate) inflating: Inflating,
    /// What the application goes on with in each turn.
    pub(crate) background: Vec<Arc<dyn Background>>,
    /// Connections that are refused and have not gone yet.
    pub(crate) rejected: usize,
    /// Connections of operators.
    pub(crate) admins: usize,
    /// Connections per address, if that is limited.
    pub(crate) addresses: HashMap<IpAddr, usize>,
    pub(crate) users: Users,
    pub(crate) limit_hits: LimitHits,
    pub(crate) counters: ReactorCounters,
    pub(crate) incidents: Incidents,
    pub(crate) ended: Ended,
    /// The limit that this session has just run into, for the line of its end, should that follow.
    pub(crate) blamed: Option<(Key, Limit)>,
    /// The subprotocols of each endpoint.
    pub(crate) subprotocols: Vec<Vec<String>>,
    /// The path of each endpoint.
    pub(crate) paths: Vec<Arc<str>>,
    /// Bytes that clients do not take, and of messages and requests they do not finish.
    pub(crate) waiting: MemoryBudget,
    /// When connections were closed last to free memory.
    pub(crate) shed_at: Tick,
    /// When that freed too little last.
    pub(crate) shed_in_vain_at: Tick,
    pub(crate) hashers: [RandomState; 2],
    clock: Clock,
}

impl LoopState {
    pub(crate) fn new(
        limits: Arc<ReactorLimits>,
        shards: Vec<ShardHandle>,
        inbox: InboxSender,
        limit_hits: LimitHits,
        subprotocols: Vec<Vec<String>>,
        paths: Vec<String>,
    ) -> LoopState {
        LoopState {
            limits,
            now: 0,
            timers: TimerWheel::new(),
            replies: Vec::new(),
            spares: Spares::default(),
            shards,
            effects: Vec::new(),
            inbox,
            alive_at: 0,
            is_held_back: false,
            paused: false,
            tickets: 0,
            preambles: 0,
            ready: Vec::new(),
            held: Vec::new(),
            inflating: Inflating::default(),
            background: Vec::new(),
            rejected: 0,
            admins: 0,
            addresses: HashMap::new(),
            users: Users::default(),
            limit_hits,
            counters: ReactorCounters::default(),
            incidents: Incidents::default(),
            ended: Ended::default(),
            blamed: None,
            subprotocols,
            paths: paths.into_iter().map(Arc::from).collect(),
            waiting: MemoryBudget::default(),
            shed_at: 0,
            shed_in_vain_at: 0,
            hashers: [RandomState::default(), RandomState::default()],
            clock: Clock::new(),
        }
    }

    /// A new turn begins, after a poll that was to wait for `timeout` at most.
    pub(crate) fn tick(&mut self, timeout: Option<Duration>) {
        self.preambles = 0;
        self.now = self.clock.advance(timeout);
    }

    /// When this turn began.
    pub(crate) fn turn_began(&self) -> Instant {
        self.clock.read_at()
    }

    /// The turn has ended.
    pub(crate) fn end_turn(&mut self) {
        let clock = &self.clock;
        self.counters.count_turn(|| clock.since_advance());
    }

    /// A new turn begins at this time, whatever the system's clock says.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn set_time(&mut self, elapsed: Duration) {
        self.preambles = 0;
        self.now = self.clock.set(elapsed);
    }

    /// Whether there is something to be done that no event will tell of.
    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || self.inflating.is_waiting()
            || !self.background.is_empty()
            || self.shards.iter().any(ShardHandle::has_work)
    }

    /// How long the loop may sleep, if it has to wake up at `alarm`.
    pub(crate) fn timeout(&self, alarm: Option<Tick>) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let next = self.timers.until_next().map(|next| self.now.saturating_add(next));
        let timer = next.into_iter().chain(alarm).min().map(|at| self.clock.until(at));
        timer.into_iter().chain(self.shards.iter().filter_map(ShardHandle::dispatch_within)).min()
    }

    /// The `Date` header's value.
    pub(crate) fn date(&mut self) -> &str {
        self.clock.date()
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

    /// 128 bits that no client can guess: a keyed hash of a number that is never used twice. Nothing has to be
    /// stored for it.
    pub(crate) fn session_id(&self, key: Key) -> u128 {
        let [high, low] = [&self.hashers[0], &self.hashers[1]].map(|hasher| u128::from(hasher.hash_one(key)));
        high << 64 | low
    }

    /// Between half of `interval` and all of it, for each connection another part.
    pub(crate) fn spread(&self, key: Key, interval: Duration) -> Tick {
        let interval = ticks(interval);
        let early = self.session_id(key) % u128::from(interval / 2 + 1);
        interval - Tick::try_from(early).unwrap_or(0)
    }

    /// The shard that owns a room. The hash is keyed, so that a client cannot choose names that all fall on one shard.
    pub(crate) fn shard_of(&self, room: &str) -> u16 {
        let shards = self.shards.len() as u64;
        u16::try_from(self.hashers[0].hash_one(room) % shards).unwrap_or(0)
    }

    /// Does the parts of this turn.
    pub(crate) fn advance_background(&mut self) {
        self.background.retain(|work| work.advance());
    }

    /// Whether some of the work has to be done before this session is read.
    #[inline]
    pub(crate) fn is_held_by_background(&self, key: Key) -> bool {
        !self.background.is_empty() && {
            let session = self.session_id(key);
            self.background.iter().any(|work| work.holds(session))
        }
    }

    /// Whether as many connections as there may be come from this address.
    pub(crate) fn is_crowded(&self, ip: IpAddr) -> bool {
        let max = self.limits.connections_per_ip.unwrap_or(usize::MAX);
        self.addresses.get(&network(ip)).is_some_and(|&connections| connections >= max)
    }

    /// Counts a connection against its address, if addresses are counted.
    pub(crate) fn count(&mut self, ip: IpAddr) -> Counted {
        if self.limits.connections_per_ip.is_none() {
            return Counted::No(ip);
        }
        *self.addresses.entry(network(ip)).or_default() += 1;
        Counted::Address(ip)
    }

    /// Counts a connection of an operator.
    pub(crate) fn count_admin(&mut self) -> Counted {
        self.admins += 1;
        Counted::Admin
    }

    /// A connection that was counted as one of this address is gone.
    pub(crate) fn uncount(&mut self, ip: IpAddr) {
        if let Entry::Occupied(mut connections) = self.addresses.entry(network(ip)) {
            *connections.get_mut() -= 1;
            if *connections.get() == 0 {
                connections.remove();
            }
        }
    }

    /// Has a line written, if there may be one of this kind, limit and address now.
    #[cold]
    pub(crate) fn report<'i>(
        &mut self,
        kind: Kind,
        limit: Option<&'static str>,
        address: Option<SocketAddr>,
        incident: impl FnOnce() -> Incident<'i>,
    ) {
        if tracing::enabled!(Level::INFO)
            && let Some(left_out) = self.incidents.admit(kind, limit, address, self.now)
        {
            let Incident { status, code, .. } = Incident::of(kind);
            Incident { address, status, code, limit, ..incident() }.log(kind.message(), left_out);
        }
    }

    /// Tells of what the log has left out until now and is due to hear of by `until`.
    pub(crate) fn tell_left_out(&mut self, until: Tick) {
        if self.incidents.due().is_none_or(|due| due > until) {
            return;
        }
        let (late, unlisted) = self.incidents.take_late(until);
        late.iter().for_each(Late::log);
        if unlisted > 0 {
            incidents::log_unlisted(unlisted);
        }
    }

    /// Sends the gathered replies. Nothing is lost if the peer is gone: the reading side will hear of it.
    pub(crate) fn send_replies(&mut self, outbound: &Outbound) {
        if !self.replies.is_empty() {
            self.counters.sent_bytes += self.replies.len() as u64;
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
