//! From a compressed message to its payload, piece by piece.

use std::cell::Cell;
use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::{FLUSH_TAIL, History, WindowBits};
use crate::ws::ProtocolError;

/// What comes out of one step at most. The caller looks at its limit between two steps.
const STEP_BYTES: usize = 8 * 1024;

/// An empty stored block that is the last of its stream.
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

thread_local! {
    /// The inflater that this thread used last. Messages that arrive whole all pass through this one.
    static SPARE: Cell<Option<Box<Inflater>>> = const { Cell::new(None) };
}

/// Some 40 KiB of state, whatever the window that was agreed on: the largest one reads them all.
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
}

/// One compressed message on its way in. It borrows an inflater from its thread and gives it back at its end; one that
/// came to no good end is not used again.
pub(in crate::ws) struct Inflation {
    inflater: Box<Inflater>,
    /// Whether all that has come is a stream with an end of its own (a block with BFINAL), and nothing came behind it.
    ended: bool,
}

impl Inflation {
    /// At the start of a message that may refer back to `history`.
    pub(in crate::ws) fn begin(history: Option<&History>) -> Result<Inflation, ProtocolError> {
        let mut inflater = SPARE.take().unwrap_or_else(Inflater::new);
        // Here and not when it is given back, so that nobody can forget it: no message sees the one before.
        inflater.stream.reset(false);
        if let Some(history) = history {
            inflater.stream.set_dictionary(history.bytes()).map_err(|_| ProtocolError::DeflateInvalid)?;
        }
        Ok(Inflation { inflater, ended: false })
    }

    /// Inflates the next piece of the message. What comes out goes to `take` in steps of a few KiB, and an error from
    /// there ends it: so a limit costs one step more than it allows, whatever the piece stands for.
    ///
    /// # Errors
    /// [`ProtocolError::DeflateInvalid`], and those of `take`.
    pub(in crate::ws) fn push(
        &mut self,
        piece: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        let inflater = &mut self.inflater;
        let mut rest = piece;
        if rest.is_empty() {
            return Ok(());
        }
        loop {
            let Stepped { taken, given, ended } = inflater.step(rest);
            take(&inflater.step[..given])?;
            let ended = ended?;
            rest = &rest[taken..];
            self.ended = ended && rest.is_empty();
            if ended {
                // Blocks with BFINAL are allowed (RFC 7692 §7.2.3.4): what follows is a stream of its own.
                inflater.stream.reset(false);
            }
            if rest.is_empty() && (ended || given < STEP_BYTES) {
                return Ok(());
            }
            if taken == 0 && given == 0 {
                return Err(ProtocolError::DeflateInvalid);
            }
        }
    }

    /// Ends the message.
    ///
    /// The tail that was not sent is put back, and one last block behind it, so that the stream has an end: only a
    /// message that is complete to the last bit gets there, and no other bytes come out on the way.
    ///
    /// # Errors
    /// [`ProtocolError::DeflateCutShort`].
    pub(in crate::ws) fn finish(mut self) -> Result<(), ProtocolError> {
        if !self.ended {
            self.end()?;
        }
        SPARE.set(Some(self.inflater));
        Ok(())
    }

    fn end(&mut self) -> Result<(), ProtocolError> {
        let mut tail = [0; FLUSH_TAIL.len() + LAST_BLOCK.len()];
        tail[..FLUSH_TAIL.len()].copy_from_slice(&FLUSH_TAIL);
        tail[FLUSH_TAIL.len()..].copy_from_slice(&LAST_BLOCK);
        match self.inflater.step(&tail) {
            Stepped { taken, given: 0, ended: Ok(true) } if taken == tail.len() => Ok(()),
            Stepped { .. } => Err(ProtocolError::DeflateCutShort),
        }
    }
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
