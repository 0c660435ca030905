//! The rooms of one worker: member index and fan-out queue.

use crate::rooms::clock::Moment;
use std::collections::{HashMap, HashSet, VecDeque};

use slab::Slab;

use super::catch_up::CatchUp;
use super::commits::PendingCommits;
use super::idle::Idle;
use super::member_index::MemberIndex;
use super::poll_count::Polls;
use super::room_opening::Opening;
use super::stopwatch::Stopwatch;
use super::store_requests::StoreRequests;
use crate::histogram::Histogram;
use crate::rooms::api::effect::{SessionEffect, StoreRequest};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::RecordBatch;
use crate::rooms::ids::{RoomId, RoomKey};
use crate::rooms::room::limits::RoomLimits;
use crate::rooms::room::outcome::Outcome;
use crate::rooms::room::parallel::FanoutPool;
use crate::rooms::room::state::Room;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::ShardStats;

/// How far members lag, in messages.
// Nothing, one window or so, and what takes seconds or minutes to catch up with.
const LAG_BOUNDS: &[u64] = &[0, 1, 10, 100, 1_000, 10_000, 100_000];

/// A room, or the wait for it.
#[derive(Debug)]
pub(super) enum RoomSlot<P> {
    Opening(Box<Opening<P>>),
    Open(Box<Room<P>>),
}

/// The rooms of one worker.
#[derive(Debug)]
pub struct Shard<P> {
    pub(super) limits: RoomLimits,
    pub(super) fanout_pool: Box<dyn FanoutPool<P>>,
    pub(super) rooms: Slab<RoomSlot<P>>,
    /// Room by name, for each format its own names.
    pub(super) names: [HashMap<Box<str>, usize>; 3],
    pub(super) member_index: MemberIndex,
    /// Rooms with members behind what is visible. Invariant: holds a room once at most ([`Room::queued`]).
    pub(super) queue: VecDeque<usize>,
    pub(super) idle: Idle,
    pub(super) requests: StoreRequests,
    pub(super) catch_up: CatchUp,
    pub(super) commits: PendingCommits,
    /// Rooms whose notices wait for the store.
    pub(super) delayed: DelayedRooms,
    /// Rooms whose logs the store could not begin anew, and when it is asked again. The pause is the same for all, so they
    /// stand in the order in which they are due.
    pub(super) resets_due: VecDeque<(RoomKey, Moment)>,
    /// Open rooms whose messages the store numbers, by its names for them.
    pub(super) followed: HashMap<RoomId, RoomKey>,
    pub(super) barriers: usize,
    /// Rooms that the store was asked for, or will be. Invariant: entries that are asked.
    pub(super) openings: usize,
    /// The latest `now` so far: what grew too old stays so, even if the wall clock goes back.
    pub(super) clock: Timestamp,
    pub(super) stopwatch: Stopwatch,
    /// Names that readers wait at although there is no such room. Invariant: entries that are absent.
    pub(super) absent: usize,
    /// Makes this shard's epochs differ from those of any other shard and process.
    pub(super) epoch_seed: u64,
    pub(super) rooms_opened: u64,
    /// Stays that were announced so far.
    pub(super) stays: u64,
    pub(super) members: usize,
    pub(super) messages: u64,
    /// Logs that have begun a new epoch while their rooms were open.
    pub(super) resets: u64,
    /// When all invariants were looked at last.
    #[cfg(debug_assertions)]
    pub(super) checked_at: Moment,
    /// Rooms of which the store has said that they are damaged.
    pub(super) damaged: HashSet<RoomId>,
    pub(super) polls: Polls,
    pub(super) out: Outcome,
}

impl<P: Peer> Shard<P> {
    /// An empty shard, the `number`th, whose huge rooms `fanout_pool` helps to pump. `epoch_seed` must be random: it is
    /// what makes an epoch unique.
    #[must_use]
    pub fn new(
        limits: RoomLimits,
        number: usize,
        epoch_seed: u64,
        fanout_pool: Box<dyn FanoutPool<P>>,
    ) -> Shard<P> {
        Shard {
            limits,
            fanout_pool,
            rooms: Slab::new(),
            names: Default::default(),
            member_index: MemberIndex::default(),
            queue: VecDeque::new(),
            idle: Idle::default(),
            requests: StoreRequests::default(),
            catch_up: CatchUp::default(),
            commits: PendingCommits::new(number),
            delayed: DelayedRooms::default(),
            resets_due: VecDeque::new(),
            followed: HashMap::new(),
            barriers: 0,
            openings: 0,
            clock: Timestamp::default(),
            stopwatch: Stopwatch::default(),
            absent: 0,
            epoch_seed,
            rooms_opened: 0,
            stays: 0,
            members: 0,
            messages: 0,
            resets: 0,
            #[cfg(debug_assertions)]
            checked_at: Moment::default(),
            damaged: HashSet::new(),
            polls: Polls::default(),
            out: Outcome::default(),
        }
    }

    /// What the shard holds. Looks at every member.
    #[must_use]
    pub fn stats(&self) -> ShardStats {
        let (members, messages, unstored) = (self.members, self.messages, self.commits.unstored());
        let (mut lag, mut lag_max, mut window_bytes) = (0_u64, 0, 0);
        let mut lags = Histogram::new(LAG_BOUNDS);
        for (_, entry) in &self.rooms {
            let RoomSlot::Open(room) = entry else { continue };
            window_bytes += room.log.window_bytes() as u64;
            for behind in room.members.iter().map(|member| room.lag(member)) {
                lag = lag.saturating_add(behind);
                lag_max = behind.max(lag_max);
                lags.note(behind);
            }
        }
        let (rooms, openings) = (self.rooms.len() - self.absent, self.openings);
        ShardStats {
            rooms,
            openings,
            members,
            messages,
            unstored,
            lag,
            lag_max,
            lags,
            deliveries: self.out.delivered.messages,
            delivered_bytes: self.out.delivered.bytes,
            window_bytes,
            resets: self.resets,
            steps: self.stopwatch.steps,
            busy: None,
        }
    }

    /// Messages that wait for the store.
    #[must_use]
    pub fn unstored(&self) -> usize {
        self.commits.unstored()
    }

    /// The messages to be stored next, if there are any and the store has not too many of them already. Answered by
    /// [`Committed`](crate::rooms::StoreAnswer::Committed) or [`Refused`](crate::rooms::StoreAnswer::Refused), in
    /// order.
    pub fn take_batch(&mut self) -> Option<RecordBatch> {
        self.commits.take_batch()
    }

    /// The batch that [`Shard::take_batch`] has just handed out comes back, for the store has no room for it now.
    /// Nothing may happen to the shard in between.
    pub fn put_back(&mut self, batch: RecordBatch) {
        self.commits.put_back(batch);
    }

    /// Whether too much waits for the store to publish more.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.commits.is_full()
    }

    /// What is to be done to sessions since the last call.
    pub fn take_session_effects(&mut self) -> std::vec::Drain<'_, SessionEffect> {
        self.out.session_effects.drain(..)
    }

    pub(crate) fn has_store_requests(&self) -> bool {
        !self.out.store_requests.is_empty()
    }

    /// What is to be asked of the store since the last call.
    pub fn take_store_requests(&mut self) -> std::vec::Drain<'_, StoreRequest> {
        self.out.store_requests.drain(..)
    }
}

/// The room of this key, unless it was forgotten.
pub(super) fn open_room<P>(rooms: &mut Slab<RoomSlot<P>>, key: RoomKey) -> Option<&mut Room<P>> {
    match rooms.get_mut(key.index)? {
        RoomSlot::Open(room) if room.key == key => Some(room),
        RoomSlot::Open(_) | RoomSlot::Opening(_) => None,
    }
}

/// Rooms with notices that wait, and until when: in the order in which they were put off.
pub(in crate::rooms) type DelayedRooms = VecDeque<(RoomKey, Moment)>;
