//! The threads that run the shards, and the lanes by which the reactor reaches them.

mod journal;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, TrySendError, select};

use self::journal::Journal;
use crate::rooms::{Answer, Command, Effect, MemberKey, RoomLimits, Shard, Span, Timestamp};
use crate::store::Store;
use crate::transport::Outbound;

/// Batches that a shard may have before it, besides the one that the reactor is filling.
const BATCHES_MAX: usize = 16;
/// A batch that could not be handed over counts as congestion from so many commands on.
const CONGESTED_COMMANDS: usize = 4096;
/// As `CONGESTED_COMMANDS`, for the bytes of the messages in it.
const CONGESTED_BYTES: usize = 1 << 20;
/// Members pumped between two looks into the lane.
const PUMP_MEMBERS: usize = 1024;
/// Batches applied before pumping, at most: what arrives together leaves together.
const BATCHES_PER_PUMP: usize = 8;
/// A batch whose buffer grew beyond this is not used again.
const SPARE_BYTES_MAX: usize = 256 * 1024;

/// Commands to one shard, and the bytes they speak of.
#[derive(Debug, Default)]
struct Batch {
    commands: Vec<Command<Arc<Outbound>>>,
    bytes: Vec<u8>,
}

/// The reactor's end of the way to one shard. Only the reactor sends, so commands arrive in its order.
#[derive(Debug)]
pub(crate) struct Lane {
    batch: Batch,
    batches: Sender<Batch>,
    spare: Receiver<Batch>,
    /// Set by the reactor when the lane is full, cleared by the shard with a ring of the bell.
    full: Arc<AtomicBool>,
    /// Keys of members that left.
    free: Vec<u32>,
    keys: u32,
}

impl Lane {
    /// A key for a new member of this shard.
    pub(crate) fn new_member(&mut self) -> MemberKey {
        MemberKey(self.free.pop().unwrap_or_else(|| {
            self.keys += 1;
            self.keys - 1
        }))
    }

    /// Adds a command to the batch of this turn.
    pub(crate) fn push(&mut self, command: Command<Arc<Outbound>>) {
        if let Command::Leave(member) = command {
            self.free.push(member.0);
        }
        self.batch.commands.push(command);
    }

    /// Stores bytes that the next command of this batch speaks of.
    pub(crate) fn store(&mut self, bytes: &[u8]) -> Option<Span> {
        Span::store(&mut self.batch.bytes, bytes)
    }

    /// Whether the shard is so far behind that no more should be read for it.
    pub(crate) fn is_congested(&self) -> bool {
        self.batch.commands.len() >= CONGESTED_COMMANDS || self.batch.bytes.len() >= CONGESTED_BYTES
    }

    /// Hands this turn's batch over, if there is room; otherwise it goes on collecting.
    ///
    /// # Errors
    /// If the shard's thread is gone.
    pub(crate) fn dispatch(&mut self) -> Result<(), ShardGone> {
        if self.batch.commands.is_empty() {
            return Ok(());
        }
        let spare = self.spare.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut self.batch, spare);
        match self.batches.try_send(batch) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(ShardGone),
            Err(TrySendError::Full(batch)) => self.dispatch_late(batch),
        }
    }

    /// Asks the shard for a ring of the bell, then tries once more: it may have made room before it saw the flag.
    fn dispatch_late(&mut self, batch: Batch) -> Result<(), ShardGone> {
        self.full.store(true, Ordering::SeqCst);
        match self.batches.try_send(batch) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(ShardGone),
            Err(TrySendError::Full(batch)) => {
                self.batch = batch;
                Ok(())
            }
        }
    }
}

/// A shard's thread has ended although nobody asked it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardGone;

/// The running workers. Dropping it waits for them, so the lanes have to go first.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Workers {
    fn drop(&mut self) {
        for thread in self.threads.drain(..) {
            let _panic_was_printed = thread.join();
        }
    }
}

/// Whom a shard reports to.
pub(crate) trait Report: Clone + Send + 'static {
    /// Passes an effect on; may wait.
    fn effect(&self, effect: Effect);
    /// The lane has room again.
    fn room_in_lane(&self);
}

/// Starts `seeds.len()` workers, each with a shard of its own.
///
/// # Errors
/// If a thread cannot be started.
pub(crate) fn start(
    limits: &RoomLimits,
    seeds: &[u64],
    store: Option<&Store>,
    report: &impl Report,
) -> io::Result<(Workers, Vec<Lane>)> {
    let (mut threads, mut lanes) = (Vec::new(), Vec::new());
    for (number, &seed) in seeds.iter().enumerate() {
        let (batches, incoming) = crossbeam_channel::bounded(BATCHES_MAX);
        let (used, spare) = crossbeam_channel::bounded(BATCHES_MAX);
        let full = Arc::new(AtomicBool::new(false));
        let shard = Shard::new(limits.clone(), number, seed);
        let journal = store.map(|store| Journal::new(store.clone()));
        let worker = Worker { shard, incoming, used, full: full.clone(), report: report.clone(), journal };
        threads
            .push(std::thread::Builder::new().name(format!("shard-{number}")).spawn(move || worker.run())?);
        lanes.push(Lane { batch: Batch::default(), batches, spare, full, free: Vec::new(), keys: 0 });
    }
    Ok((Workers { threads }, lanes))
}

struct Worker<R> {
    shard: Shard<Arc<Outbound>>,
    incoming: Receiver<Batch>,
    used: Sender<Batch>,
    full: Arc<AtomicBool>,
    report: R,
    journal: Option<Journal>,
}

/// Where the next thing to do comes from.
enum Input {
    Batch(Batch),
    Answer(Answer),
    /// The reactor is gone.
    End,
}

impl<R: Report> Worker<R> {
    /// Applies what arrives and pumps the rooms it touched, until the reactor is gone and everything is stored.
    fn run(mut self) {
        let mut behind = false;
        loop {
            if !behind {
                match self.wait() {
                    Input::Batch(batch) => self.apply(batch),
                    Input::Answer(answer) => self.shard.answer(answer, now()),
                    Input::End => return self.finish(),
                }
            }
            self.take_answers();
            for _ in 0..BATCHES_PER_PUMP {
                if self.shard.is_behind() {
                    break;
                }
                let Ok(batch) = self.incoming.try_recv() else { break };
                self.apply(batch);
            }
            behind = self.shard.pump(PUMP_MEMBERS);
            self.pass_on();
        }
    }

    /// Waits for the next input. While too much waits for the store, nothing but its answers is looked at.
    fn wait(&self) -> Input {
        let Some(journal) = &self.journal else {
            return self.incoming.recv().map_or(Input::End, Input::Batch);
        };
        if self.shard.is_behind() {
            return Input::Answer(journal.wait());
        }
        select! {
            recv(self.incoming) -> batch => batch.map_or(Input::End, Input::Batch),
            recv(journal.answers()) -> answer => answer.map_or(Input::End, Input::Answer),
        }
    }

    fn take_answers(&mut self) {
        let Some(journal) = &self.journal else { return };
        while let Ok(answer) = journal.answers().try_recv() {
            self.shard.answer(answer, now());
        }
    }

    /// Hands on what the shard wants stored, read and done.
    fn pass_on(&mut self) {
        if let Some(journal) = &self.journal {
            while let Some(batch) = self.shard.take_batch() {
                journal.append(batch);
            }
        }
        for effect in self.shard.take_effects() {
            match (effect, &self.journal) {
                (Effect::Open { room, name, create }, Some(journal)) => {
                    journal.open(room, &name, create, now())
                }
                (Effect::Read { reader, request }, Some(journal)) => journal.read(reader, request),
                // A shard without a store asks for nothing of the kind.
                (Effect::Open { .. } | Effect::Read { .. }, None) => {}
                (effect @ (Effect::Close(..) | Effect::Passed), _) => self.report.effect(effect),
            }
        }
    }

    /// Sees to it that everything published is stored.
    fn finish(mut self) {
        self.shard.apply(Command::Barrier, &[], now());
        while self.shard.pump(usize::MAX) || self.shard.stats().unstored > 0 {
            self.pass_on();
            if let (Some(journal), true) = (&self.journal, self.shard.stats().unstored > 0) {
                let answer = journal.wait();
                self.shard.answer(answer, now());
            }
        }
    }

    fn apply(&mut self, mut batch: Batch) {
        if self.full.swap(false, Ordering::SeqCst) {
            self.report.room_in_lane();
        }
        let now = now();
        for command in batch.commands.drain(..) {
            self.shard.apply(command, &batch.bytes, now);
        }
        if batch.bytes.capacity() <= SPARE_BYTES_MAX {
            batch.bytes.clear();
            let _enough_spares = self.used.try_send(batch);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell is where the clock is read")]
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX / 2))
}
