//! The figures of a moment, taken once for all dashboards that wait for them.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::server::{Figures, Rooms, Session};

/// Takes figures. Each shard looks at all of its members for them, so dashboards that ask at the same time share them.
#[derive(Clone, Default)]
pub(super) struct Sampler(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    /// Figures are on their way.
    is_asked: bool,
    /// Each session once.
    sessions: Vec<Session>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "stats")]
struct Sample {
    #[serde(flatten)]
    figures: Figures,
}

impl Sampler {
    /// Has the figures sent to this session when they are there.
    pub(super) fn ask(&self, session: &Session, rooms: &Rooms) {
        {
            let mut waiting = self.waiting();
            if !waiting.sessions.iter().any(|other| other.id() == session.id()) {
                waiting.sessions.push(session.clone());
            }
            if mem::replace(&mut waiting.is_asked, true) {
                return;
            }
        }
        let (sampler, known) = (self.clone(), rooms.clone());
        let asked = rooms.figures(move |reactor, shards| {
            let figures = known.store().map(|store| Figures::new(&reactor, &shards, &known, store));
            let text = figures.and_then(|figures| serde_json::to_string(&Sample { figures }).ok());
            for session in sampler.take() {
                // One that is gone needs nothing.
                let _gone = text.as_deref().map(|text| session.send_text(text));
            }
        });
        if asked.is_err() {
            // The next tick asks again.
            drop(self.take());
        }
    }

    fn take(&self) -> Vec<Session> {
        let mut waiting = self.waiting();
        waiting.is_asked = false;
        mem::take(&mut waiting.sessions)
    }

    /// Held while a list is looked at, which has as many entries as there are dashboards.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
