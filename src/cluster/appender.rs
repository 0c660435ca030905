//! The thread that appends: all that has gathered goes to Redis in one round trip, one script for each room.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use redis::{RedisError, RedisResult, ServerError, ServerErrorKind, Value};

use super::answers::{Appended, Found, Token, appended};
use super::draft::Draft;
use super::error::{reason, unavailable};
use super::following::{deleted, show_own, turn};
use super::instance::Instance;
use super::layout::{Layout, Master};
use super::link::{Link, Round};
use super::partition::Partition;
use super::question::Question;
use super::queue::{Queue, Turn};
use super::rooms::Room;
use super::scripts::APPEND;
use super::shared::{Shared, nonce};
use crate::rooms::store_api::{Placed, RecordBatch};
use crate::rooms::{Kind, Timestamp};
use crate::store::{Answer, ClusterEvent, Permit, Watch};
use crate::system::threads::recv_timeout;
use crate::system::{instant, wait_any};

/// Rooms, and bytes of their messages, in one round trip at most.
const TURNS_MAX: usize = 1_024;
const ROUND_BYTES_MAX: usize = 4 << 20;

/// How long answers are waited for before it is looked after those who have waited too long, and where there are several
/// masters, of which one may answer while another does not.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
const LOOK_INTERVAL_OF_SEVERAL: Duration = Duration::from_millis(2);

/// How long nothing is sent to a master, or of a partition, that is not ready for it.
const PAUSE: Duration = Duration::from_millis(50);

/// How often it is looked whether there is a connection by now.
const CONNECT_INTERVAL: Duration = Duration::from_millis(100);

/// How long one of several masters may have no connection before what waits for it is given up.
const AWAY: Duration = Duration::from_millis(500);

/// How long it is waited for inputs at most.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What the appender is told.
pub(super) enum Input {
    /// Messages are to be appended; `until`: when that is given up.
    Append { batch: RecordBatch, answer: Answer<RecordBatch>, permit: Permit, until: Instant },
    /// The stays in this room are to be announced again.
    Again(Arc<Room>),
    /// There is something in [`Turned`].
    Look,
    /// Finish what is queued, then end.
    Stop,
}

/// Turns whose rooms had to be looked at before they could be answered.
#[derive(Clone, Default)]
struct Turned(Arc<Mutex<Vec<LookedAfter>>>);

/// A turn, and what became of each of its messages.
type LookedAfter = (Turn, Vec<Placed>);

/// Appends.
pub(super) struct Appender {
    shared: Arc<Shared>,
    inputs: Receiver<Input>,
    inputs_sender: Sender<Input>,
    queue: Queue,
    turned: Turned,
    links: Vec<Link>,
    /// The layout that the links are of.
    layout: Arc<Layout>,
    version: u64,
    /// Partitions that are on their way to another master, and when they are next tried.
    moving: BTreeMap<Partition, Instant>,
    is_ending: bool,
    failures: super::complaints::Complaints,
}

impl Appender {
    /// One that begins with these masters, at each of which this Redis was found.
    pub(super) fn new(
        shared: Arc<Shared>,
        inputs: Receiver<Input>,
        inputs_sender: Sender<Input>,
        found: Vec<(Arc<Master>, Instance)>,
    ) -> Appender {
        let layout = shared.topology.layout();
        Appender {
            shared,
            inputs,
            inputs_sender,
            queue: Queue::default(),
            turned: Turned::default(),
            links: found.into_iter().map(|(master, instance)| Link::to(master, Some(instance))).collect(),
            layout,
            version: u64::MAX,
            moving: BTreeMap::new(),
            is_ending: false,
            failures: super::complaints::Complaints::default(),
        }
    }

    pub(super) fn run(mut self) {
        let _watch = Watch(self.shared.monitor.clone());
        while !(self.is_ending && self.queue.is_answered()) {
            self.wait();
            self.look_after();
            self.connect();
            self.send();
            self.hear();
            self.count_doubts();
            self.look_after();
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        let now = instant();
        let has_ready = self.queue.ready().next().is_some();
        if self.links.iter().any(Link::is_busy) || has_ready && self.can_send(now) {
            return;
        }
        let step = match (has_ready, self.links.iter().all(Link::is_up)) {
            (true, _) => LOOK_INTERVAL / 4,
            (false, true) => WAIT_MAX,
            (false, false) => CONNECT_INTERVAL,
        };
        let expiry = self.queue.expires_at().map_or(step, |at| at.saturating_duration_since(now));
        match recv_timeout(&self.inputs, step.min(expiry)) {
            Ok(input) => self.take(input),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_ending = true,
        }
    }

    fn can_send(&self, now: Instant) -> bool {
        let is_moving = |partition: &Partition| self.moving.get(partition).is_some_and(|until| now < *until);
        let mut ready = self.queue.ready().filter(|partition| !is_moving(partition));
        ready.any(|partition| {
            let home = self.layout.home(partition);
            home.is_some_and(|home| {
                self.links.iter().any(|link| Arc::ptr_eq(&link.master, home) && link.is_free(now))
            })
        })
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Append { batch, answer, permit, until } => {
                self.queue.admit(batch, answer, permit, until, |id| self.shared.rooms.by_id(id));
            }
            Input::Again(room) => {
                let joins = self.shared.stays.joins(room.id).into_iter().map(Draft::again).collect();
                self.queue.push_own(&room, joins);
            }
            Input::Look => {}
            Input::Stop => self.is_ending = true,
        }
    }

    /// Takes what has come meanwhile, and answers what can be answered.
    fn look_after(&mut self) {
        while let Ok(input) = self.inputs.try_recv() {
            self.take(input);
        }
        for (turn, placed) in
            std::mem::take(&mut *self.turned.0.lock().unwrap_or_else(PoisonError::into_inner))
        {
            self.queue.settle(turn, placed);
        }
        let now = instant();
        self.queue.expire(now);
        self.give_up(now);
        for (answer, batch) in self.queue.take_answers() {
            answer.send(Ok(batch));
        }
    }

    /// What waits for one of several masters that is away would hold up what is for the others: batches are answered in order.
    fn give_up(&mut self, now: Instant) {
        let away: Vec<&Arc<Master>> =
            self.links.iter().filter(|link| link.is_down_since(now, AWAY)).map(|link| &link.master).collect();
        if !away.is_empty() && self.layout.masters().len() > 1 {
            let layout = &self.layout;
            self.queue.give_up(|of| away.iter().any(|master| layout.is_home(of, master)));
        }
    }

    /// Sees to it that there is a connection to each master, or soon will be one: a master that takes the place of another
    /// hears at once what this node has seen, also if it has nothing to say.
    fn connect(&mut self) {
        if self.version != self.shared.topology.version() {
            self.version = self.shared.topology.version();
            self.layout = self.shared.topology.layout();
        }
        let masters = self.layout.masters();
        let is_there = |link: &Link| masters.iter().any(|master| Arc::ptr_eq(master, &link.master));
        self.links.retain(|link| link.is_busy() || is_there(link));
        for master in masters {
            if !self.links.iter().any(|link| Arc::ptr_eq(&link.master, master)) {
                self.links.push(Link::to(master.clone(), None));
            }
        }
        for index in 0..self.links.len() {
            if let Err(error) = self.links[index].connect(&self.shared) {
                self.lose(index, &error);
            }
        }
    }

    /// There is no connection any more, and what was sent over it is in doubt.
    fn lose(&mut self, index: usize, error: &RedisError) {
        let link = &mut self.links[index];
        self.shared.topology.failed(&link.master, &unavailable(error));
        link.lose().into_iter().for_each(|turn| self.queue.doubt(turn, instant()));
    }

    /// Sends what is ready to the masters that have answered what they were sent before.
    fn send(&mut self) {
        let now = instant();
        self.moving.retain(|_, until| now < *until);
        let waits = self.links.len() == 1;
        for index in 0..self.links.len() {
            if !self.links[index].is_free(now) {
                continue;
            }
            let master = self.links[index].master.clone();
            let (layout, moving) = (&self.layout, &self.moving);
            let wanted = |of| layout.is_home(of, &master) && !moving.contains_key(&of);
            let (mut turns, mut packed) = (VecDeque::new(), Vec::new());
            while turns.len() < TURNS_MAX
                && packed.len() < ROUND_BYTES_MAX
                && let Some(turn) = self.queue.take_turn(now, wanted)
            {
                question(&self.shared, &turn).pack(&mut packed);
                turns.push_back(turn);
            }
            if turns.is_empty() {
                continue;
            }
            self.shared.counters.appends(turns.iter().map(|turn| turn.drafts.len()));
            if let Err(error) = self.links[index].send(turns, packed, waits) {
                self.lose(index, &error);
            }
        }
    }

    /// Hears what became of what was sent.
    fn hear(&mut self) {
        let several = self.links.len() > 1;
        if several {
            self.await_any();
        }
        for index in 0..self.links.len() {
            while self.links[index].is_busy() {
                let wait = if several { Duration::ZERO } else { LOOK_INTERVAL };
                let outcome = match self.links[index].receive(wait, self.shared.timeout) {
                    Ok(Some((turn, value))) => self.settle(index, turn, &value),
                    Ok(None) if several => break,
                    Ok(None) => {
                        self.look_after();
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = outcome {
                    self.lose(index, &error);
                } else if let Some(Round { began, messages }) = self.links[index].ended_round() {
                    self.shared.topology.answered(&self.links[index].master);
                    let took = instant().saturating_duration_since(*began);
                    self.shared.monitor.commits.note(took, *messages);
                }
            }
        }
    }

    /// Counts what is in doubt.
    fn count_doubts(&mut self) {
        let (unsettled, repeated) = self.queue.take_doubts();
        self.shared.counters.set_unsettled(unsettled);
        self.shared.counters.note_many(ClusterEvent::BatchRepeated, repeated);
    }

    /// Waits until one of several masters says something, or takes more of what it is sent.
    fn await_any(&self) {
        let awaited: Vec<_> = self.links.iter().filter_map(Link::awaited).collect();
        if !awaited.is_empty() {
            wait_any(&awaited, LOOK_INTERVAL_OF_SEVERAL);
        }
    }

    /// What Redis has answered to a turn.
    ///
    /// # Errors
    /// If nothing more is to be heard over this connection.
    fn settle(&mut self, index: usize, turn: Turn, value: &Value) -> RedisResult<()> {
        if let Value::ServerError(error) = value {
            return self.refuse(index, turn, error);
        }
        if !self.shared.topology.is_home(turn.room.partition, &self.links[index].master) {
            // Another master may have given its numbers to other messages: that one is asked.
            self.queue.doubt(turn, instant());
            return Ok(());
        }
        match appended(value, turn.drafts.len()) {
            Some(Found::There(appended)) => {
                self.links[index].master.is_refusing.store(false, Ordering::Relaxed);
                self.place(turn, appended);
            }
            Some(Found::Gone { generation, changes }) => {
                self.shared.generations.note(turn.room.partition, &generation, changes);
                deleted(&self.shared, &turn.room);
                self.queue.settle(turn, std::iter::repeat(Placed::Nothing));
            }
            None => {
                self.failures.complain(&turn.room.name, "an answer that no script of this version gives");
                self.queue.settle(turn, std::iter::repeat(Placed::Unavailable));
            }
        }
        Ok(())
    }

    /// Redis has not appended a turn.
    fn refuse(&mut self, index: usize, turn: Turn, error: &ServerError) -> RedisResult<()> {
        self.shared.counters.refused(&RedisError::from(error.clone()));
        let (link, topology) = (&mut self.links[index], &self.shared.topology);
        match error.kind() {
            // A new connection gives Redis the script.
            Some(ServerErrorKind::NoScript) => {
                self.queue.put_back(turn, instant());
                return Err(error.clone().into());
            }
            // All that has moved is found at once by who looks after that.
            Some(ServerErrorKind::Moved) => {
                topology.suspect();
                self.moving.insert(turn.room.partition, instant() + PAUSE);
                self.queue.put_back(turn, instant());
            }
            // It is on its way to another master.
            Some(ServerErrorKind::Ask | ServerErrorKind::TryAgain) => {
                self.moving.insert(turn.room.partition, instant() + PAUSE);
                self.queue.put_back(turn, instant());
            }
            Some(
                ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown,
            ) => {
                topology.suspect();
                link.rest(PAUSE);
                self.queue.put_back(turn, instant());
            }
            _ if error.code() == "BUSY" => {
                link.rest(PAUSE);
                self.queue.put_back(turn, instant());
            }
            kind => {
                let error = RedisError::from(error.clone());
                self.failures.complain(&turn.room.name, &reason(&error));
                link.master.is_refusing.store(true, Ordering::Relaxed);
                topology.failed(&link.master, &unavailable(&error));
                if turn.is_in_doubt {
                    self.queue.doubt(turn, instant());
                } else {
                    self.queue.settle(turn, std::iter::repeat(Placed::NotStored));
                }
                // It may be a replica by now, or not let this node in any more.
                if kind == Some(ServerErrorKind::ReadOnly) || error.code() == Some("NOAUTH") {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// A turn is appended: its messages are shown, then it is answered.
    fn place(&mut self, turn: Turn, appended: Appended) {
        let mut turn = turn;
        let Appended { epoch, generation, changes, first, first_at, tokens } = appended;
        self.shared.generations.note(turn.room.partition, &generation, changes);
        let mut messages = Vec::new();
        let mut placed = Vec::with_capacity(tokens.len());
        for (draft, token) in std::mem::take(&mut turn.drafts).into_iter().zip(tokens) {
            self.note_stay(&turn.room, &draft, token);
            let count = messages.len() as u64;
            placed.push(match token {
                Token::Next { online } => {
                    let at = Timestamp::from_micros(first_at.micros().saturating_add(count));
                    messages.push(draft.stored(first + count, at, online));
                    Placed::At(first + count)
                }
                Token::Repeat { seq, at, is_same } => Placed::Repeat { seq, at, is_same },
                Token::Nothing => Placed::Nothing,
                Token::Full => Placed::NotStored,
            });
        }
        if show_own(&turn.room, epoch, first, messages) {
            return self.queue.settle(turn, placed);
        }
        self.look_first(turn, epoch, placed);
    }

    /// The log is in another epoch here: it is looked at before anybody is answered.
    fn look_first(&self, turn_taken: Turn, epoch: u64, placed: Vec<Placed>) {
        let (shared, turned, sender) = (self.shared.clone(), self.turned.clone(), self.inputs_sender.clone());
        self.shared.tasks.push(move |asker| {
            let room = turn_taken.room.clone();
            let seen = turn(&shared, asker, &room);
            let is_there = seen.is_ok() && room.lock().follow.live().is_none_or(|live| live.epoch == epoch);
            let known = |placed| if is_there { placed } else { Placed::Unavailable };
            let placed = placed.into_iter().map(known).collect();
            turned.0.lock().unwrap_or_else(PoisonError::into_inner).push((turn_taken, placed));
            // If there is no room for this, the appender has something to do anyway, and looks after that.
            let _is_awake = sender.try_send(Input::Look);
        });
    }

    fn note_stay(&mut self, room: &Arc<Room>, draft: &Draft, token: Token) {
        let Some(stay) = draft.stay() else { return };
        if draft.presence.as_ref().is_some_and(|presence| presence.is_again) {
            // It has ended meanwhile, which was no news then.
            if draft.kind == Kind::Join && !self.shared.stays.is_here(room.id, stay) {
                self.queue.push_own(room, vec![draft.leave(&self.shared.leave_notice)]);
            }
            return;
        }
        match (draft.kind, token) {
            (_, Token::Full | Token::Repeat { .. }) => {}
            (Kind::Join, Token::Next { .. } | Token::Nothing) => {
                self.shared.stays.begun(room, stay, draft.clone())
            }
            (_, Token::Next { .. } | Token::Nothing) => self.shared.stays.ended(room.id, stay),
        }
    }
}

/// What appends a turn.
fn question(shared: &Shared, turn: &Turn) -> Question {
    let Turn { room, drafts, .. } = turn;
    let (partition, name) = (room.partition, &*room.name);
    let shown = room.lock().shown();
    let mut keys = vec![
        partition.room(name),
        partition.stream(name),
        partition.meta(),
        format!("{}b:{}:{name}", partition.prefix(), shared.node),
        partition.stays(name),
        partition.users(name),
        partition.rooms_of_node(&shared.node),
        partition.nodes(),
        partition.rooms(),
    ];
    let mut key_of = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let key = draft.unique_id().map(|id| partition.client_id(&shown.uid, &draft.sender, id));
        keys.extend(key.clone());
        key_of.push(key.map_or(0, |_| keys.len()));
    }
    let seen = shared.generations.of(partition);
    let window = shared.options.dedup_window.as_millis().max(1).min(u128::from(u32::MAX));
    let call = Question::to_run(&APPEND, partition, &keys);
    let call = call.arg(&shared.node).arg(turn.number).arg(&*shown.uid).arg(&shown.epoch).arg(shown.seq);
    let call = call.arg(shown.at.micros()).arg(&*shown.generation).arg(&*seen.generation).arg(seen.changes);
    let call = call.arg(nonce()).arg(u64::try_from(window).unwrap_or(u64::MAX)).arg(shared.retention());
    let mut call = call.arg(shared.lease_millis()).arg(partition.channel(name)).arg(name);
    for (draft, key) in drafts.iter().zip(key_of) {
        draft.push_args(&mut call, key);
    }
    call
}
