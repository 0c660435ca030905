//! An application's encoding whose panic costs only the member that it writes for.
//!
//! Encodings are called on the threads of the rooms, where a panic would take with it all rooms of a shard.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::encoding::{Encoding, Entry};
use crate::rooms::message::notice::Notice;

/// The family of an encoding whose `family` panics. What it writes is never sent.
// An application that takes this number for its own family shares a view with one that has failed; the view is forgotten
// whenever an encoding fails.
const NO_FAMILY: u32 = u32::MAX;

/// An encoding that writes nothing instead of panicking, and remembers that.
pub(in crate::rooms) struct Contained {
    encoding: Arc<dyn Encoding>,
    has_failed: AtomicBool,
}

impl Contained {
    pub(in crate::rooms) fn new(encoding: Arc<dyn Encoding>) -> Contained {
        Contained { encoding, has_failed: AtomicBool::new(false) }
    }

    /// Whether it has ever panicked: then its member must be sent nothing more.
    pub(in crate::rooms) fn has_failed(&self) -> bool {
        // Relaxed: set and read on the thread of the shard; the flag needs `Sync` only because encodings do.
        self.has_failed.load(Ordering::Relaxed)
    }

    fn attempt<T>(&self, otherwise: T, write: impl FnOnce(&dyn Encoding) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| write(&*self.encoding))).unwrap_or_else(|_panic| {
            if !self.has_failed.swap(true, Ordering::Relaxed) {
                tracing::error!("an encoding has panicked, its session is closed");
            }
            otherwise
        })
    }

    fn append(&self, out: &mut Vec<u8>, write: impl FnOnce(&dyn Encoding, &mut Vec<u8>)) {
        let len = out.len();
        let is_whole = self.attempt(false, |encoding| {
            write(encoding, out);
            true
        });
        if !is_whole {
            out.truncate(len);
        }
    }
}

impl fmt::Debug for Contained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contained").field("has_failed", &self.has_failed).finish_non_exhaustive()
    }
}

impl Encoding for Contained {
    fn family(&self) -> u32 {
        self.attempt(NO_FAMILY, Encoding::family)
    }

    fn encode(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        self.append(out, |encoding, out| encoding.encode(entry, out));
    }

    fn label(&self) -> &[u8] {
        let encoding = &self.encoding;
        catch_unwind(AssertUnwindSafe(|| encoding.label())).unwrap_or_else(|_panic| {
            self.has_failed.store(true, Ordering::Relaxed);
            &[]
        })
    }

    fn address(&self, shared: &[u8], out: &mut Vec<u8>) {
        self.append(out, |encoding, out| encoding.address(shared, out));
    }

    fn notice(&self, notice: &Notice<'_>, out: &mut Vec<u8>) {
        self.append(out, |encoding, out| encoding.notice(notice, out));
    }
}
