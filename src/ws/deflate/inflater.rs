//! From a compressed message to its payload, piece by piece.

use std::cell::RefCell;
use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::history::{FLUSH_TAIL, History, WindowBits};
use crate::ws::ProtocolError;
use crate::ws::allowance::Allowance;

/// What comes out of one step at most. The caller looks at its limit between two steps.
const STEP_BYTES: usize = 8 * 1024;

/// Inflaters that a thread keeps: more than one, since a message may be left for later while another one is inflated.
const SPARES_MAX: usize = 4;

/// An empty stored block that is the last of its stream.
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

thread_local! {
    /// The inflaters that this thread used last. Messages that arrive whole all pass through the same one.
    static SPARES: RefCell<Vec<Box<Inflater>>> = const { RefCell::new(Vec::new()) };
}

/// Some 40 KiB of state, for every window that can be agreed on: the largest one reads them all.
struct Inflater {
    stream: Decompress,
    step: [u8; STEP_BYTES],
}

/// What one step has done.
struct Stepped {
    taken: usize,
    given: usize,
    /// Whether the stream has ended with it. An error stands behind the bytes that were given before it.
    ended: Result<bool, ProtocolError>,
}

impl Inflater {
    fn new() -> Box<Inflater> {
        let stream = Decompress::new_with_window_bits(false, WindowBits::MAX.get());
        Box::new(Inflater { stream, step: [0; STEP_BYTES] })
    }

    /// Inflates into `step`, from its start.
    fn step(&mut self, input: &[u8]) -> Stepped {
        let (taken, given) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(input, &mut self.step, FlushDecompress::None);
        Stepped {
            taken: length(self.stream.total_in() - taken),
            given: length(self.stream.total_out() - given),
            ended: status
                .map(|status| status == Status::StreamEnd)
                .map_err(|_| ProtocolError::DeflateInvalid),
        }
    }

    /// Whether the stream is between two blocks: one more ends it, and nothing else comes out.
    fn takes_last_block(&mut self) -> bool {
        let Stepped { taken, given, ended } = self.step(&LAST_BLOCK);
        matches!(ended, Ok(true)) && taken == LAST_BLOCK.len() && given == 0
    }
}

/// One compressed message on its way in. It borrows an inflater from its thread with its first byte, and gives it back
/// at its end; one that came to no good end is not used again.
#[derive(Default)]
pub(in crate::ws) struct Inflation {
    /// `None` until a byte has come.
    inflater: Option<Box<Inflater>>,
    /// Whether all that has come is a stream with an end of its own (a block with BFINAL), and nothing came behind it.
    ended: bool,
}

impl Inflation {
    /// Whether an inflater belongs to the message at the moment.
    pub(in crate::ws) const fn has_inflater(&self) -> bool {
        self.inflater.is_some()
    }

    /// Inflates the next piece of a message that may refer back to `history`, and returns how much of the piece was
    /// taken: all of it, or less if the allowance is spent; the rest has to come first in the next piece. What comes
    /// out goes to `take` in steps of a few KiB, and an error from there ends it: so a limit costs one step more than
    /// it allows, whatever the piece stands for.
    ///
    /// # Errors
    /// [`ProtocolError::DeflateInvalid`], and those of `take`.
    pub(in crate::ws) fn push(
        &mut self,
        piece: &[u8],
        history: Option<&History>,
        allowance: &mut Allowance,
        mut take: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<usize, ProtocolError> {
        let mut rest = piece;
        if rest.is_empty() || allowance.is_spent() {
            return Ok(0);
        }
        let inflater = begun(&mut self.inflater, history, allowance)?;
        loop {
            let Stepped { taken, given, ended } = inflater.step(rest);
            allowance.charge_step(taken, given);
            take(&inflater.step[..given])?;
            let ended = ended?;
            rest = &rest[taken..];
            self.ended = ended && rest.is_empty();
            if ended {
                // Blocks with BFINAL are allowed (RFC 7692 §7.2.3.4): what follows is a stream of its own.
                inflater.stream.reset(false);
                allowance.charge_reset(0);
            }
            if rest.is_empty() && (ended || given < STEP_BYTES) {
                return Ok(piece.len());
            }
            if taken == 0 && given == 0 {
                return Err(ProtocolError::DeflateInvalid);
            }
            // Once all is taken, a few KiB are left to come out at most: with no input to put back, they come at once.
            if allowance.is_spent() && !rest.is_empty() {
                return Ok(piece.len() - rest.len());
            }
        }
    }

    /// Ends the message. One without a single byte is empty: some compressors make nothing of nothing.
    ///
    /// The tail that was not sent is put back. It may end the stream (a last block that is stored and empty), or be
    /// taken for data (what was cut off then was no tail). Otherwise one last block is put behind it, so that the
    /// stream has an end: only a message that is complete to the last bit gets there, and nothing comes out on the way.
    ///
    /// # Errors
    /// [`ProtocolError::DeflateCutShort`], and those of `take`.
    pub(in crate::ws) fn finish(
        self,
        mut take: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        let Some(mut inflater) = self.inflater else { return Ok(()) };
        if !self.ended {
            let Stepped { taken, given, ended } = inflater.step(&FLUSH_TAIL);
            take(&inflater.step[..given])?;
            let ends = match ended {
                Ok(true) => taken == FLUSH_TAIL.len(),
                Ok(false) => inflater.takes_last_block(),
                Err(_) => false,
            };
            if !ends {
                return Err(ProtocolError::DeflateCutShort);
            }
        }
        SPARES.with_borrow_mut(|spares| {
            if spares.len() < SPARES_MAX {
                spares.push(inflater);
            }
        });
        Ok(())
    }
}

/// The inflater of a message: its own, or with its first byte one of the thread's, to which `history` is known.
fn begun<'i>(
    inflater: &'i mut Option<Box<Inflater>>,
    history: Option<&History>,
    allowance: &mut Allowance,
) -> Result<&'i mut Inflater, ProtocolError> {
    let fresh = match inflater.take() {
        Some(begun) => begun,
        None => {
            let mut fresh = SPARES.with_borrow_mut(Vec::pop).unwrap_or_else(Inflater::new);
            // Here and not when it is given back, so that it cannot be forgotten: no message sees the one before.
            fresh.stream.reset(false);
            let history = history.map_or(&[][..], History::bytes);
            allowance.charge_reset(history.len());
            if !history.is_empty() {
                fresh.stream.set_dictionary(history).map_err(|_| ProtocolError::DeflateInvalid)?;
            }
            fresh
        }
    };
    Ok(inflater.insert(fresh))
}

impl fmt::Debug for Inflation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflation").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// No step takes or gives more than fits memory.
fn length(difference: u64) -> usize {
    usize::try_from(difference).unwrap_or(usize::MAX)
}
