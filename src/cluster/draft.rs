//! A message on its way to Redis.

use super::entry::letter;
use super::question::Question;
use crate::rooms::store_api::{Record, RecordBatch, StayId, Stored, StoredPresence};
use crate::rooms::{Kind, Timestamp, content_digest};

/// A message that has no number yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) sender: Box<str>,
    pub(super) content: Box<str>,
    pub(super) client_id: Option<Box<str>>,
    pub(super) presence: Option<DraftPresence>,
}

/// Whose stay begins or ends with it.
#[derive(Clone, Debug)]
pub(super) struct DraftPresence {
    pub(super) username: Box<str>,
    pub(super) stay: Option<StayId>,
    pub(super) session_id: u128,
    /// Whether a stay that has begun before is announced once more.
    pub(super) is_again: bool,
}

impl Draft {
    /// A record of a batch.
    pub(super) fn of(record: &Record, batch: &RecordBatch) -> Draft {
        let text = batch.text.as_str();
        let presence = record.presence.as_ref().map(|presence| DraftPresence {
            username: presence.username.of(text).into(),
            stay: presence.stay,
            session_id: presence.session_id,
            is_again: false,
        });
        Draft {
            kind: record.kind,
            sender: record.sender.of(text).into(),
            content: record.content.of(text).into(),
            client_id: record.client_id.map(|id| id.of(text).into()),
            presence,
        }
    }

    /// The bytes of its texts.
    pub(super) fn text_bytes(&self) -> usize {
        let id = self.client_id.as_ref().map_or(0, |id| id.len());
        self.sender.len() + self.content.len() + id
    }

    /// The stay that begins or ends with it.
    pub(super) fn stay(&self) -> Option<StayId> {
        self.presence.as_ref()?.stay
    }

    /// Whether its client's id, if it has one, must not be used again: one who has no name has none.
    pub(super) fn unique_id(&self) -> Option<&str> {
        self.client_id.as_deref().filter(|id| !id.is_empty() && !self.sender.is_empty())
    }

    /// The same JOIN once more.
    pub(super) fn again(mut self) -> Draft {
        if let Some(presence) = &mut self.presence {
            presence.is_again = true;
        }
        self
    }

    /// The LEAVE to a JOIN.
    pub(super) fn leave(&self, notice: &str) -> Draft {
        let username = self.presence.as_ref().map_or("", |presence| &presence.username);
        let content = notice.replace("{username}", username).into();
        Draft { kind: Kind::Leave, content, ..self.clone() }
    }

    /// The arguments that the script takes of it; `key` is the place of the key of its id, 0 if it has none.
    pub(super) fn push_args(&self, call: &mut Question, key: usize) {
        call.push_arg(letter(self.kind)).push_arg(&*self.sender).push_arg(&*self.content);
        call.push_arg(self.client_id.as_deref().unwrap_or_default());
        call.push_arg(format!("{:016x}", content_digest(&self.content)));
        let (username, stay, session) = match &self.presence {
            Some(DraftPresence { username, stay: Some(stay), session_id, .. }) => {
                (&**username, format!("{:016x}", stay.0), format!("{session_id:032x}"))
            }
            Some(_) | None => ("", String::new(), String::new()),
        };
        call.push_arg(username).push_arg(stay).push_arg(session);
        if key == 0 {
            call.push_arg("");
        } else {
            call.push_arg(key);
        }
    }

    /// The message with its place in the log.
    pub(super) fn stored(self, seq: u64, at: Timestamp, online: Option<u64>) -> Stored {
        let presence = self
            .presence
            .zip(online)
            .map(|(presence, online)| StoredPresence { username: presence.username, online });
        Stored {
            seq,
            at,
            kind: self.kind,
            sender: self.sender,
            content: self.content,
            client_id: self.client_id,
            presence,
        }
    }
}
