//! The members of a room that are sent its messages in another form than WebSocket frames with their payload.

use std::collections::HashMap;
use std::sync::Arc;

use super::contained::Contained;
use super::encoding::{Addressed, Encoding, LogId, address_log};
use super::frames::Log;
use super::view::View;
use crate::rooms::ids::MemberKey;
use crate::rooms::message::notice::Notice;

/// Their encodings, and what of the log is written in these.
#[derive(Debug, Default)]
pub(in crate::rooms) struct EncodedMembers {
    encodings: HashMap<MemberKey, Arc<Contained>>,
    /// What each family shares. Invariant: none of them is empty, and none has more than the plain log.
    views: Vec<(u32, View)>,
    addressed: Addressed,
}

/// An encoding has panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) struct Failed;

impl EncodedMembers {
    pub(in crate::rooms) fn insert(&mut self, key: MemberKey, encoding: Arc<dyn Encoding>) {
        self.encodings.insert(key, Arc::new(Contained::new(encoding)));
    }

    pub(in crate::rooms) fn get(&self, key: MemberKey) -> Option<Arc<dyn Encoding>> {
        self.encodings.get(&key).map(|encoding| encoding.clone() as Arc<dyn Encoding>)
    }

    /// Whether the member's encoding has panicked. Then nothing more may be sent to it.
    pub(in crate::rooms) fn has_failed(&self, key: MemberKey) -> bool {
        self.encodings.get(&key).is_some_and(|encoding| encoding.has_failed())
    }

    pub(in crate::rooms) fn remove(&mut self, key: MemberKey) {
        self.encodings.remove(&key);
    }

    /// The messages after `cursor` up to `last`, which the plain log has, as this member is sent them.
    ///
    /// # Errors
    /// If its encoding has panicked. What the family shares may lack a message then, and has to be
    /// [forgotten](EncodedMembers::forget_log).
    pub(in crate::rooms) fn log(
        &mut self,
        key: MemberKey,
        log_id: LogId<'_>,
        plain: &Log,
        cursor: u64,
        last: u64,
    ) -> Result<Option<&Log>, Failed> {
        let Some(encoding) = self.encodings.get(&key) else { return Ok(None) };
        let family = encoding.family();
        let place = self.views.iter().position(|(other, _)| *other == family).unwrap_or_else(|| {
            self.views.push((family, View::default()));
            self.views.len() - 1
        });
        let Some((_, view)) = self.views.get_mut(place) else { return Ok(None) };
        let Some(shared) = view.reach_back(plain, cursor, last, log_id.write(&**encoding)) else {
            return Ok(None);
        };
        if encoding.label().is_empty() {
            return if encoding.has_failed() { Err(Failed) } else { Ok(Some(shared)) };
        }
        let log = self.addressed.log(&**encoding, shared, cursor, last);
        if encoding.has_failed() { Err(Failed) } else { Ok(log) }
    }

    /// The same of a page that is for this member alone; nothing is kept.
    pub(in crate::rooms) fn page(
        &self,
        key: MemberKey,
        log_id: LogId<'_>,
        plain: &Log,
        cursor: u64,
    ) -> Option<Log> {
        let encoding = self.encodings.get(&key)?;
        let mut view = View::default();
        let shared = view.reach_back(plain, cursor, plain.head(), log_id.write(&**encoding))?;
        if encoding.label().is_empty() {
            return Some(shared.clone());
        }
        let mut addressed = Log::after(cursor);
        address_log(&**encoding, shared, cursor, plain.head(), &mut addressed)?;
        Some(addressed)
    }

    /// Appends a notice in the form of this member, plain if it has none of its own.
    pub(in crate::rooms) fn write(&self, key: MemberKey, notice: &Notice<'_>, out: &mut Vec<u8>) {
        match self.encodings.get(&key) {
            Some(encoding) => encoding.notice(notice, out),
            None => notice.encode(out),
        }
    }

    /// Lets go of what has left the plain log's window, or was taken back.
    pub(in crate::rooms) fn follow(&mut self, plain: &Log) {
        if self.views.is_empty() {
            return;
        }
        for (_, view) in &mut self.views {
            view.follow(plain);
        }
        self.views.retain(|(_, view)| !view.is_empty());
        self.addressed.forget();
    }

    /// The log has begun anew.
    pub(in crate::rooms) fn forget_log(&mut self) {
        self.views.clear();
        self.addressed.forget();
    }
}

/// Appends a notice in this form, or plain; nothing if the form panics.
pub(in crate::rooms) fn write_notice(
    encoding: Option<&Arc<dyn Encoding>>,
    notice: &Notice<'_>,
    out: &mut Vec<u8>,
) {
    match encoding {
        Some(encoding) => Contained::new(encoding.clone()).notice(notice, out),
        None => notice.encode(out),
    }
}
