//! The thread that appends: all that has gathered goes to Redis in one round trip, one script for each room.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use redis::{Cmd, RedisError, RedisResult, ServerError, ServerErrorKind, Value};

use super::answers::{Appended, Found, Token, appended};
use super::connection::Connection;
use super::draft::Draft;
use super::error::{not_understood, reason, unavailable};
use super::fence::fence;
use super::following::{deleted, show_own, turn};
use super::instance::{Instance, SETTLING, vouch};
use super::partition::Partition;
use super::queue::{Queue, Turn};
use super::rooms::Room;
use super::scripts::APPEND;
use super::shared::{Shared, nonce};
use crate::rooms::store_api::{Placed, RecordBatch};
use crate::rooms::{Kind, Timestamp};
use crate::store::{Answer, ClusterEvent, Permit, Watch};
use crate::system::instant;
use crate::system::threads::{Builder, recv_timeout};

/// Rooms, and bytes of their messages, in one round trip at most.
const TURNS_MAX: usize = 1_024;
const ROUND_BYTES_MAX: usize = 4 << 20;

/// How long the answer to a round is waited for before it is looked after those who have waited too long.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// How long a connection may rest before it is looked at.
const REST: Duration = Duration::from_millis(100);

/// How long it takes to try again, the first time and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

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

/// The connection.
enum Link {
    Down { until: Instant },
    Connecting(Receiver<RedisResult<(Connection, Instance)>>),
    Up(Connection),
}

/// Appends.
pub(super) struct Appender {
    shared: Arc<Shared>,
    inputs: Receiver<Input>,
    inputs_sender: Sender<Input>,
    queue: Queue,
    turned: Turned,
    link: Link,
    /// The Redis that was there last.
    instance: Option<Instance>,
    pause: Duration,
    /// Nothing is sent before this.
    rests_until: Instant,
    is_ending: bool,
    failures: super::complaints::Complaints,
}

impl Appender {
    pub(super) fn new(
        shared: Arc<Shared>,
        inputs: Receiver<Input>,
        inputs_sender: Sender<Input>,
        instance: Instance,
    ) -> Appender {
        let now = instant();
        Appender {
            shared,
            inputs,
            inputs_sender,
            queue: Queue::default(),
            turned: Turned::default(),
            link: Link::Down { until: now },
            instance: Some(instance),
            pause: PAUSE_MIN,
            rests_until: now,
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
            self.round();
            self.look_after();
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        let now = instant();
        let is_up = matches!(self.link, Link::Up(_)) && now >= self.rests_until;
        if self.queue.has_ready() && is_up {
            return;
        }
        let step = if self.queue.has_ready() { LOOK_INTERVAL / 4 } else { PAUSE_MAX };
        let expiry = self.queue.expires_at().map_or(step, |at| at.saturating_duration_since(now));
        match recv_timeout(&self.inputs, step.min(expiry)) {
            Ok(input) => self.take(input),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_ending = true,
        }
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
        self.queue.expire(instant());
        for (answer, batch) in self.queue.take_answers() {
            answer.send(Ok(batch));
        }
    }

    /// Sees to it that there is a connection, or soon will be one, if there is something to send.
    fn connect(&mut self) {
        let now = instant();
        let opened = match &self.link {
            Link::Up(_) => return,
            Link::Connecting(opened) => opened.try_recv(),
            Link::Down { until } if now >= *until && self.queue.has_ready() => {
                self.link = self.connecting();
                return;
            }
            Link::Down { .. } => return,
        };
        match opened {
            Err(TryRecvError::Empty) => {}
            Ok(Ok((connection, instance))) => {
                self.link = Link::Up(connection);
                self.pause = PAUSE_MIN;
                if instance.must_settle(self.instance.as_ref()) {
                    tracing::info!(
                        "Redis was started anew: nothing is stored until all nodes have said what they have seen"
                    );
                    self.rests_until = now + SETTLING;
                }
                self.instance = Some(instance);
            }
            Ok(Err(error)) => self.lose(&error),
            Err(TryRecvError::Disconnected) => self.lose(&not_understood("a thread that connects ended")),
        }
    }

    /// Connects on another thread: names are looked up meanwhile, and hosts that do not answer waited for.
    fn connecting(&self) -> Link {
        let (sender, opened) = bounded(1);
        let (shared, timeout) = (self.shared.clone(), self.shared.timeout / 2);
        let connect = move || {
            let connection = Connection::open(&shared.address, timeout).and_then(|mut connection| {
                APPEND.load(&mut connection)?;
                let instance = Instance::ask(&mut connection)?;
                fence(&shared, &mut connection, Partition::all())?;
                vouch(&shared, &mut connection)?;
                Ok((connection, instance))
            });
            let _nobody_waits = sender.send(connection);
        };
        match Builder::new().name("cluster-connect".into()).spawn(connect) {
            Ok(_) => Link::Connecting(opened),
            Err(error) => {
                tracing::warn!(%error, "no thread could be started");
                Link::Down { until: instant() + self.pause }
            }
        }
    }

    /// There is no connection any more.
    fn lose(&mut self, error: &RedisError) {
        self.shared.monitor.failed(&unavailable(error));
        self.link = Link::Down { until: instant() + self.pause };
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Sends what is ready, and hears what became of it.
    fn round(&mut self) {
        let began = instant();
        let Link::Up(connection) = &mut self.link else { return };
        if began < self.rests_until {
            return;
        }
        // What goes into a connection that has ended is in doubt for nothing.
        if connection.rest() > REST && connection.has_ended() {
            self.link = Link::Down { until: began };
            return;
        }
        let (mut turns, mut packed) = (Vec::new(), Vec::new());
        while turns.len() < TURNS_MAX
            && packed.len() < ROUND_BYTES_MAX
            && let Some(turn) = self.queue.take_turns(1, began).pop()
        {
            call(&self.shared, &turn).write_packed_command(&mut packed);
            turns.push(turn);
        }
        if turns.is_empty() {
            return;
        }
        let messages: usize = turns.iter().map(|turn| turn.drafts.len()).sum();
        self.shared.counters.appends(turns.iter().map(|turn| turn.drafts.len()));
        let mut turns = turns.into_iter();
        let mut outcome = connection.send(&packed);
        while outcome.is_ok()
            && let Some(turn) = turns.next()
        {
            outcome = match self.receive() {
                Ok(value) => self.settle(turn, &value),
                Err(error) => {
                    self.queue.doubt(turn, instant());
                    Err(error)
                }
            };
        }
        turns.for_each(|turn| self.queue.doubt(turn, instant()));
        let (unsettled, repeated) = self.queue.take_doubts();
        self.shared.counters.set_unsettled(unsettled);
        self.shared.counters.note_many(ClusterEvent::BatchRepeated, repeated);
        match outcome {
            Ok(()) => {
                if !self.shared.is_refusing.load(Ordering::Relaxed) {
                    self.shared.monitor.succeeded();
                }
                self.shared.monitor.commits.note(instant().saturating_duration_since(began), messages);
            }
            Err(error) => self.lose(&error),
        }
    }

    /// The next answer, for which nobody waits longer than is due.
    fn receive(&mut self) -> RedisResult<Value> {
        let until = instant() + self.shared.timeout;
        loop {
            let Link::Up(connection) = &mut self.link else {
                return Err(not_understood("a connection that is gone"));
            };
            match connection.receive(LOOK_INTERVAL)? {
                Some(Value::Push { .. }) => {}
                Some(value) => return Ok(value),
                None if instant() < until => self.look_after(),
                None => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            }
        }
    }

    /// What Redis has answered to a turn.
    ///
    /// # Errors
    /// If nothing more is to be heard over this connection.
    fn settle(&mut self, turn: Turn, value: &Value) -> RedisResult<()> {
        if let Value::ServerError(error) = value {
            return self.refuse(turn, error);
        }
        match appended(value, turn.drafts.len()) {
            Some(Found::There(appended)) => {
                self.shared.is_refusing.store(false, Ordering::Relaxed);
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
    fn refuse(&mut self, turn: Turn, error: &ServerError) -> RedisResult<()> {
        let error = RedisError::from(error.clone());
        self.shared.counters.refused(&error);
        let kind = error.kind();
        let will_do = [
            ServerErrorKind::BusyLoading,
            ServerErrorKind::TryAgain,
            ServerErrorKind::MasterDown,
            ServerErrorKind::ClusterDown,
        ];
        match kind {
            // A new connection gives Redis the script.
            redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.queue.put_back(turn);
                self.rests_until = instant();
                return Err(error);
            }
            redis::ErrorKind::Server(kind) if will_do.contains(&kind) => self.retry(turn),
            _ if error.code() == Some("BUSY") => self.retry(turn),
            kind => {
                self.failures.complain(&turn.room.name, &reason(&error));
                self.shared.is_refusing.store(true, Ordering::Relaxed);
                self.shared.monitor.failed(&unavailable(&error));
                self.queue.settle(turn, std::iter::repeat(Placed::NotStored));
                // It may be a replica by now, or not let this node in any more.
                if kind == redis::ErrorKind::Server(ServerErrorKind::ReadOnly)
                    || error.code() == Some("NOAUTH")
                {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn retry(&mut self, turn: Turn) {
        self.rests_until = instant() + PAUSE_MIN;
        self.queue.put_back(turn);
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
fn call(shared: &Shared, turn: &Turn) -> Cmd {
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
    let mut call = APPEND.call(&keys);
    call.arg(&shared.node).arg(turn.number).arg(&*shown.uid).arg(&shown.epoch).arg(shown.seq);
    call.arg(shown.at.micros()).arg(&*shown.generation).arg(&*seen.generation).arg(seen.changes);
    call.arg(nonce()).arg(u64::try_from(window).unwrap_or(u64::MAX)).arg(shared.retention());
    call.arg(shared.lease_millis()).arg(partition.channel(name)).arg(name);
    for (draft, key) in drafts.iter().zip(key_of) {
        draft.push_args(&mut call, key);
    }
    call
}
