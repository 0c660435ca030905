//! The way of the appender to one master: the connection, and what was sent over it and is not answered yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use redis::{RedisError, RedisResult, Value, cmd};

use super::connection::{Connection, connect_timeout};
use super::error::not_understood;
use super::fence::fence;
use super::instance::{Instance, SETTLING, vouch};
use super::layout::Master;
use super::queue::Turn;
use super::scripts::APPEND;
use super::shared::Shared;
use crate::store::StoreError;
use crate::system::threads::{Builder, park_timeout};
use crate::system::{TcpStream, instant};

/// How long a connection may rest before it is looked at.
const REST: Duration = Duration::from_millis(100);

/// How long it takes to try again, the first time and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A connection, the Redis behind it, and before when nothing is sent there.
type Connected = (Connection, Instance, Instant);

enum LinkState {
    Down { until: Instant },
    Connecting(Receiver<RedisResult<Connected>>),
    Up(Connection),
}

/// What was sent in one go.
pub(super) struct Round {
    pub(super) began: Instant,
    pub(super) messages: usize,
}

/// The way to one master.
pub(super) struct Link {
    pub(super) master: Arc<Master>,
    state: LinkState,
    /// The Redis that was there last.
    instance: Option<Instance>,
    /// Since when there is no connection.
    down_since: Option<Instant>,
    pause: Duration,
    /// Nothing is sent before this.
    rests_until: Instant,
    /// What is to be sent, and how much of it was.
    packed: Vec<u8>,
    written: usize,
    /// What is to be answered, in this order, and since when the next answer is waited for.
    awaiting: VecDeque<Turn>,
    waits_since: Instant,
    round: Round,
}

impl Link {
    /// To a master, at which this Redis was found before, if any was.
    pub(super) fn to(master: Arc<Master>, instance: Option<Instance>) -> Link {
        let now = instant();
        Link {
            master,
            state: LinkState::Down { until: now },
            instance,
            down_since: Some(now),
            pause: PAUSE_MIN,
            rests_until: now,
            packed: Vec::new(),
            written: 0,
            awaiting: VecDeque::new(),
            waits_since: now,
            round: Round { began: now, messages: 0 },
        }
    }

    /// Whether something could be sent.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        matches!(self.state, LinkState::Up(_)) && self.awaiting.is_empty() && now >= self.rests_until
    }

    /// Whether there is a connection, whatever was sent over it.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, LinkState::Up(_))
    }

    /// Whether there has been no connection for so long.
    pub(super) fn is_down_since(&self, now: Instant, time: Duration) -> bool {
        self.down_since.is_some_and(|since| now.saturating_duration_since(since) >= time)
    }

    /// Whether something is to be answered.
    pub(super) fn is_busy(&self) -> bool {
        !self.awaiting.is_empty()
    }

    pub(super) fn rest(&mut self, time: Duration) {
        self.rests_until = instant() + time;
    }

    /// Sees to it that there is a connection, or soon will be one.
    ///
    /// # Errors
    /// If it has just turned out that there will be none.
    pub(super) fn connect(&mut self, shared: &Arc<Shared>) -> RedisResult<()> {
        let now = instant();
        let opened = match &mut self.state {
            // What goes into a connection that has ended is in doubt for nothing.
            LinkState::Up(connection) => {
                if self.awaiting.is_empty() && connection.rest() > REST && connection.has_ended() {
                    self.state = LinkState::Down { until: now };
                }
                return Ok(());
            }
            LinkState::Connecting(opened) => opened.try_recv(),
            LinkState::Down { until } if now >= *until => {
                self.state = self.connecting(shared);
                return Ok(());
            }
            LinkState::Down { .. } => return Ok(()),
        };
        match opened {
            Err(TryRecvError::Empty) => Ok(()),
            Ok(Ok((connection, instance, rests_until))) => {
                self.state = LinkState::Up(connection);
                self.down_since = None;
                self.pause = PAUSE_MIN;
                self.rests_until = rests_until;
                self.instance = Some(instance);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(TryRecvError::Disconnected) => Err(not_understood("a thread that connects ended")),
        }
    }

    /// Connects on another thread: names are looked up meanwhile, and hosts that do not answer waited for.
    fn connecting(&self, shared: &Arc<Shared>) -> LinkState {
        let (sender, opened) = bounded(1);
        let (shared, master, before) = (shared.clone(), self.master.clone(), self.instance.clone());
        let connect = move || {
            let _nobody_waits = sender.send(connect(&shared, &master, before.as_ref()));
        };
        match Builder::new().name("cluster-connect".into()).spawn(connect) {
            Ok(_) => LinkState::Connecting(opened),
            Err(error) => {
                tracing::warn!(%error, "no thread could be started");
                LinkState::Down { until: instant() + self.pause }
            }
        }
    }

    /// There is no connection any more. What was to be answered is in doubt.
    pub(super) fn lose(&mut self) -> VecDeque<Turn> {
        self.down_since.get_or_insert_with(instant);
        self.state = LinkState::Down { until: instant() + self.pause };
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.packed.clear();
        self.written = 0;
        std::mem::take(&mut self.awaiting)
    }

    /// Sends turns, which were packed in this order; `waits`: until all of it is sent.
    pub(super) fn send(&mut self, turns: VecDeque<Turn>, packed: Vec<u8>, waits: bool) -> RedisResult<()> {
        let began = instant();
        let messages = turns.iter().map(|turn| turn.drafts.len()).sum();
        self.round = Round { began, messages };
        (self.awaiting, self.packed, self.written, self.waits_since) = (turns, packed, 0, began);
        let LinkState::Up(connection) = &mut self.state else { return Err(gone()) };
        if waits {
            connection.send(&self.packed)?;
            self.written = self.packed.len();
            return Ok(());
        }
        self.go_on()
    }

    /// Sends what can be sent without waiting.
    fn go_on(&mut self) -> RedisResult<()> {
        let LinkState::Up(connection) = &mut self.state else { return Err(gone()) };
        if let Some(rest @ [_, ..]) = self.packed.get(self.written..) {
            self.written += connection.send_some(rest)?;
        } else {
            connection.is_flushed()?;
        }
        Ok(())
    }

    /// The next answer and what it is to, if it comes within `wait`.
    ///
    /// # Errors
    /// If the connection is broken, or nobody may be kept waiting any longer than `timeout`.
    pub(super) fn receive(
        &mut self,
        wait: Duration,
        timeout: Duration,
    ) -> RedisResult<Option<(Turn, Value)>> {
        if wait.is_zero() || self.written < self.packed.len() {
            self.go_on()?;
        }
        let LinkState::Up(connection) = &mut self.state else { return Err(gone()) };
        while let Some(value) = connection.receive(wait)? {
            if matches!(value, Value::Push { .. }) {
                continue;
            }
            self.waits_since = instant();
            return Ok(self.awaiting.pop_front().map(|turn| (turn, value)));
        }
        if instant().saturating_duration_since(self.waits_since) >= timeout {
            return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        }
        Ok(None)
    }

    /// What has just been answered as a whole, if it has.
    pub(super) fn ended_round(&self) -> Option<&Round> {
        self.awaiting.is_empty().then_some(&self.round)
    }

    /// What is waited for: the socket, and whether there is more to be sent.
    pub(super) fn awaited(&self) -> Option<(&TcpStream, bool)> {
        match &self.state {
            LinkState::Up(connection) if self.is_busy() => {
                Some((connection.socket(), self.written < self.packed.len()))
            }
            _ => None,
        }
    }
}

fn gone() -> RedisError {
    not_understood("a connection that is gone")
}

/// Connects, and says what this node has seen before anything else. Where Redis may have less than some node has seen, that
/// is said twice: what was on its way to be seen meanwhile has been by then.
fn connect(shared: &Arc<Shared>, master: &Arc<Master>, before: Option<&Instance>) -> RedisResult<Connected> {
    let timeout = shared.timeout;
    let mut connection = Connection::open(&master.address, connect_timeout(timeout))?.with_timeout(timeout);
    master.contact.connected();
    connection.ask(cmd("SCRIPT").arg("LOAD").arg(APPEND.source()))?;
    let instance = Instance::ask(&mut connection)?;
    let must_settle = instance.must_settle(before);
    let mut asker = shared.asker(&shared.counters.keeps);
    let began = instant();
    let unfenced = |error: StoreError| not_understood(&error.to_string());
    fence(shared, &mut asker, master).map_err(unfenced)?;
    vouch(shared, &mut asker, master)?;
    if must_settle {
        tracing::info!(
            redis = %master.address,
            "Redis was started anew, or has taken over: nothing is stored there until all nodes have said what they have seen"
        );
        park_timeout(SETTLING / 2);
        vouch(shared, &mut asker, master)?;
    }
    Ok((connection, instance, if must_settle { began + SETTLING } else { began }))
}
