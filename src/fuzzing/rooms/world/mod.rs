//! A shard with scripted peers and a scripted store, against what each room's log should be.
//!
//! | file | subject |
//! |---|---|
//! | this one | the world, and one step of it |
//! | `members` | what members do |
//! | `events` | what happens to rooms as a whole, and what comes without a member |
//! | `store` | what the store is asked, and answers |
//! | `effects` | what the shard wants done, and what the members were sent |
//! | `end` | the end of a script: every member has what it should |

mod effects;
mod end;
mod events;
mod members;
mod store;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::Numbers;
use super::member::Member;
use super::peer::ScriptedPeer;
use super::poller::Poller;
use super::room::Room;
use super::store::ScriptedStore;
use crate::rooms::log::Window;
use crate::rooms::store_api::Durability;
use crate::rooms::{
    Arena, BlockSize, Bounds, Command, FanoutJob, FanoutPool, Format, MemberKey, Notices, OnLag, RoomLimits,
    SessionEffect, SessionKey, Shard, Timestamp,
};
use crate::ws::deflate::{Deflate, Level, WindowBits};

/// Enough members for slices and swaps, few enough for short inputs to reach all.
const MEMBERS_MAX: usize = 24;
/// Two chat rooms, so that one can be slow and the other not; and relays, one of the name of a chat room.
const ROOMS: [(&str, Format); 4] =
    [("a", Format::Chat), ("b", Format::Chat), ("a", Format::Conflated), ("a", Format::Relay)];

/// A pool of three that does everything in another order.
#[derive(Debug)]
struct Backwards;

impl FanoutPool<ScriptedPeer> for Backwards {
    fn parallelism(&self) -> usize {
        3
    }

    fn run(&self, mut jobs: Vec<FanoutJob<ScriptedPeer>>) -> Vec<FanoutJob<ScriptedPeer>> {
        jobs.reverse();
        jobs.iter_mut().for_each(FanoutJob::run);
        jobs
    }
}

struct World {
    shard: Shard<ScriptedPeer>,
    limits: RoomLimits,
    store: ScriptedStore,
    rooms: Vec<Room>,
    members: Vec<Member>,
    /// One for each chat room.
    pollers: [Poller; 2],
    /// Keys of members that have left, and their sessions: both may be used again.
    free_keys: Vec<(MemberKey, SessionKey)>,
    keys: u32,
    sessions: u64,
    contents: u64,
    now: Timestamp,
    /// Something may have been lost from the store.
    lossy: bool,
    passed: usize,
    /// Messages that were posted without a member, and how many of them were answered.
    posts: usize,
    posts_answered: Arc<AtomicUsize>,
    /// What the shard wants done and was not done yet.
    effects: VecDeque<SessionEffect>,
}

/// Joins, publishes, leaves, slow peers, a store that is slow and fails; whatever happens, every member gets every
/// message from where it began, in order and once, or is told exactly which ones it does not get.
pub fn shard(input: &[u8]) {
    let mut numbers = Numbers(input);
    let mut world = World::new(numbers.next());
    while !numbers.is_empty() {
        world.step(&mut numbers);
        world.settle();
    }
    world.end();
}

impl World {
    fn new(options: u8) -> World {
        let window = if options & 4 == 0 {
            Window { messages: 3, bytes: 1 << 20 }
        } else {
            Window { messages: 100, bytes: 900 }
        };
        let limits = RoomLimits {
            window,
            on_lag: [OnLag::CatchUp, OnLag::CatchUp, OnLag::Gap, OnLag::Close][usize::from(options >> 6)],
            bounds: Arc::new(Bounds::new(1)),
            // A few members fill several blocks.
            block_size: BlockSize::new(4),
            parallel_members: if options & 32 == 0 { usize::MAX } else { 6 },
            open_rooms: true,
            dedup_window: Duration::from_secs(1_000_000),
            notices: Notices::default(),
            store: (options & 1 == 0).then_some(if options & 8 == 0 {
                Durability::Commit
            } else {
                Durability::Async
            }),
            deflate: Deflate { level: Level::FASTEST, threshold_bytes: 200, window: WindowBits::MAX },
        };
        World {
            shard: Shard::new(limits.clone(), 0, 7, Box::new(Backwards)),
            store: ScriptedStore::new(limits.store.unwrap_or_default()),
            limits,
            rooms: ROOMS.into_iter().map(|(name, format)| Room::new(name, format)).collect(),
            members: Vec::new(),
            pollers: Default::default(),
            free_keys: Vec::new(),
            keys: 0,
            sessions: 0,
            contents: 0,
            now: Timestamp::from_micros(1_000_000),
            lossy: false,
            passed: 0,
            posts: 0,
            posts_answered: Arc::default(),
            effects: VecDeque::new(),
        }
    }

    fn step(&mut self, numbers: &mut Numbers<'_>) {
        let (operation, choice) = (numbers.next() % 24, numbers.next());
        let member = usize::from(choice).checked_rem(self.members.len());
        match (operation, member) {
            (0..=2, _) if self.members.len() < MEMBERS_MAX => self.join(choice, numbers),
            (3, Some(member)) => self.leave(member),
            (4..=8, Some(member)) => self.publish(member, numbers),
            (9, Some(member)) => self.drain(member, usize::from(numbers.next()) * 40),
            (10, Some(member)) => self.drain(member, usize::MAX / 2),
            (11..=12, _) => drop(self.shard.pump(usize::from(choice % 16))),
            (13, _) => {
                let micros = if choice >= 245 { 40_000_000 } else { u64::from(choice) };
                self.pass_time(Duration::from_micros(micros));
            }
            (14..=15, _) => drop(self.answer_opening()),
            (16..=17, _) => drop(self.answer_batch()),
            (18, _) => drop(self.answer_read()),
            (19, _) if choice < 64 => self.store.failing = true,
            (19, _) if choice < 80 && self.limits.store.is_some() => {
                let index = usize::from(choice % 2);
                let stored = self.store.room(ROOMS[index].0);
                stored.tail = stored.tail.max(stored.head().saturating_sub(2));
                self.rooms[index].kept_from = stored.tail;
                self.lossy = true;
            }
            (19, _) if choice < 96 => self.refuse_opening(),
            (19, _) if choice < 112 => self.overtake_opening(),
            (19, _) if choice < 160 => self.delete_while_opening(choice.is_multiple_of(2)),
            (19, _) if choice < 224 => self.look(choice),
            (22, _) => self.post(choice, numbers),
            (23, Some(member)) if choice < 128 => self.kick(member),
            (23, _) if choice < 160 => self.delete(usize::from(choice % 2)),
            (20, _) => self.poll(choice),
            (21, _) => self.take_polls(true),
            _ => {}
        }
    }

    fn pass_time(&mut self, time: Duration) {
        self.now = self.now.later_by(time);
        let now = self.now;
        self.shard.tick(now.into());
        for room in self.rooms.iter_mut().filter(|room| room.again_at.is_some_and(|at| at <= now)) {
            room.append_delayed(now);
        }
    }

    fn apply(&mut self, command: Command<ScriptedPeer>, arena: &Arena) {
        self.shard.apply(command, arena, self.now.into());
        // A session that goes because of what was said goes after it.
        self.effects.extend(self.shard.take_session_effects());
        self.take_requests();
    }
}
