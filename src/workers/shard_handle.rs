//! The handle by which the reactor reaches one shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::batch::Batch;
use super::shard_runner::ShardRunner;
use crate::rooms::{Command, MemberKey, RoomRequest, SessionEffect, Span, TextSpan};
use crate::transport::Outbound;

/// Number of commands in a batch that could not be handed over from which on the shard counts as congested.
// Its sessions are not read then, so this bounds what the reactor holds for a shard that does not keep up.
const CONGESTED_COMMANDS: usize = 4096;
/// As `CONGESTED_COMMANDS`, for the bytes of the messages in it.
const CONGESTED_BYTES: usize = 1 << 20;

/// A shard's thread has ended on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardGone;

/// The way to one shard. Only the reactor sends, so commands arrive in its order.
#[derive(Debug)]
pub(crate) struct ShardHandle {
    batch: Batch,
    /// Bytes of the questions in the batch.
    request_bytes: usize,
    end: End,
    /// Keys of members that left.
    free: Vec<u32>,
    keys: u32,
}

/// Where the shard runs.
#[derive(Debug)]
enum End {
    /// To a thread of its own.
    Thread {
        batches: Sender<Batch>,
        spare: Receiver<Batch>,
        /// Set by the reactor when the queue is full, cleared by the shard, which wakes the reactor.
        full: Arc<AtomicBool>,
    },
    /// The shard runs on the thread of the reactor.
    Here {
        runner: Box<ShardRunner>,
        /// Members are left that could take messages.
        unfinished: bool,
    },
}

impl ShardHandle {
    /// A handle of a shard on a thread that receives `batches`, gives used ones back for `spare`, and looks at `full`.
    pub(super) fn to_thread(
        batches: Sender<Batch>,
        spare: Receiver<Batch>,
        full: Arc<AtomicBool>,
    ) -> ShardHandle {
        ShardHandle::new(End::Thread { batches, spare, full })
    }

    /// A handle of a shard that runs on the thread of the reactor.
    pub(super) fn to_here(runner: ShardRunner) -> ShardHandle {
        ShardHandle::new(End::Here { runner: Box::new(runner), unfinished: false })
    }

    fn new(end: End) -> ShardHandle {
        ShardHandle { batch: Batch::default(), request_bytes: 0, end, free: Vec::new(), keys: 0 }
    }

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

    /// Adds a request that holds `bytes` bytes.
    pub(crate) fn request(&mut self, request: Box<RoomRequest>, bytes: usize) {
        self.request_bytes += bytes;
        self.push(Command::Request(request));
    }

    /// Stores text that the next command of this batch names.
    pub(crate) fn store_text(&mut self, text: &str) -> Option<TextSpan> {
        TextSpan::store(&mut self.batch.arena.text, text)
    }

    /// Stores bytes that the next command of this batch names.
    pub(crate) fn store_bytes(&mut self, bytes: &[u8]) -> Option<Span> {
        Span::store(&mut self.batch.arena.bytes, bytes)
    }

    /// Whether the shard is so far behind that no more should be read for it.
    pub(crate) fn is_congested(&self) -> bool {
        self.holds(CONGESTED_COMMANDS, CONGESTED_BYTES)
    }

    /// Whether even data that was already read must be refused.
    // Four times congestion: what the reactor had read into its buffers by then fits between the two.
    pub(crate) fn is_flooded(&self) -> bool {
        self.holds(4 * CONGESTED_COMMANDS, 4 * CONGESTED_BYTES)
    }

    fn holds(&self, commands: usize, bytes: usize) -> bool {
        self.batch.commands.len() >= commands || self.batch.arena.len() + self.request_bytes >= bytes
    }

    /// Whether there is something to do that nothing will wake the reactor for.
    pub(crate) fn has_work(&self) -> bool {
        match &self.end {
            End::Thread { .. } => false,
            End::Here { runner, unfinished } => {
                *unfinished
                    || runner.store_is_full
                    || (!self.batch.commands.is_empty() && !runner.shard.is_behind())
            }
        }
    }

    /// How long the reactor may sleep before the next [`ShardHandle::dispatch`], if not for ever.
    pub(crate) fn dispatch_within(&self) -> Option<Duration> {
        match &self.end {
            End::Thread { .. } => None,
            End::Here { runner, .. } => runner.tick_within(),
        }
    }

    /// Hands this turn's batch over, if there is room; otherwise it goes on collecting. A shard that is run here does
    /// its work now, as much as belongs into one turn, and leaves what it wants done in `effects`. `turn_began` is when
    /// this turn did.
    ///
    /// # Errors
    /// If the shard's thread is gone.
    pub(crate) fn dispatch(
        &mut self,
        turn_began: Instant,
        effects: &mut Vec<SessionEffect>,
    ) -> Result<(), ShardGone> {
        if !self.batch.commands.is_empty() {
            // What is left of earlier turns keeps the time of the first.
            self.batch.read_at.get_or_insert(turn_began);
        }
        match &mut self.end {
            End::Here { runner, unfinished } => {
                runner.take_answers();
                runner.tick();
                if !runner.shard.is_behind() {
                    runner.apply(&mut self.batch);
                    self.request_bytes = 0;
                }
                *unfinished = runner.pump();
                runner.pass_on(|effect| effects.push(effect));
                Ok(())
            }
            End::Thread { .. } if self.batch.commands.is_empty() => Ok(()),
            End::Thread { batches, spare, full } => {
                let spare = spare.try_recv().unwrap_or_default();
                let batch = std::mem::replace(&mut self.batch, spare);
                let request_bytes = std::mem::take(&mut self.request_bytes);
                self.batch = match send(batches, batch)? {
                    None => return Ok(()),
                    Some(batch) => {
                        // The shard wakes the reactor when it has made room; it may have done so before it saw the flag.
                        full.store(true, Ordering::SeqCst);
                        let unsent = send(batches, batch)?;
                        self.request_bytes = if unsent.is_some() { request_bytes } else { 0 };
                        unsent.unwrap_or_default()
                    }
                };
                Ok(())
            }
        }
    }
}

impl Drop for ShardHandle {
    fn drop(&mut self) {
        if let End::Here { runner, .. } = &mut self.end
            && !std::thread::panicking()
        {
            runner.finish();
        }
    }
}

/// Gives the batch back if there is no room for it.
fn send(batches: &Sender<Batch>, batch: Batch) -> Result<Option<Batch>, ShardGone> {
    match batches.try_send(batch) {
        Ok(()) => Ok(None),
        Err(TrySendError::Full(batch)) => Ok(Some(batch)),
        Err(TrySendError::Disconnected(_)) => Err(ShardGone),
    }
}
