//! The lease: one server at a time writes to a database.
//!
//! It ends by the database's clock, which `hello` tells: a date in a document that is moved on three times in its length.
//! Whoever holds it knows by its own clock, counted from before the question, how long at least nobody else does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::ReturnDocument;

use super::documents::{META, text};
use super::link::{Fault, Link, durably};
use crate::store::entropy::{clock, random};
use crate::store::error::{OpenError, StoreError};

/// How often a lease of another server is looked at while it is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The lease of one process.
#[derive(Debug)]
pub(super) struct Lease {
    holder: String,
    length: Duration,
    /// What its end is counted from.
    began_at: Instant,
    /// Milliseconds from there to the end. Stands by itself, so it is read and written relaxed.
    ends_after: AtomicU64,
    /// Whether another server has it, or had it.
    is_lost: AtomicBool,
}

/// Who has the lease.
enum Holder {
    Me,
    /// Another one, until then.
    Other(Option<DateTime>),
}

impl Lease {
    pub(super) fn new(length: Duration) -> Lease {
        Lease {
            holder: format!("{:016x}{:016x}", random(), random()),
            length,
            began_at: clock(),
            ends_after: AtomicU64::new(0),
            is_lost: AtomicBool::new(false),
        }
    }

    /// Takes the lease; one that another server has is waited for, but not if it is renewed.
    pub(super) fn take(&self, link: &Link) -> Result<(), OpenError> {
        let unreachable =
            |fault: &Fault| OpenError::Unreachable { place: link.place.clone(), reason: fault.to_string() };
        let mut seen = None;
        // Twice its length at most: clocks of two machines may run apart, and dates come in milliseconds.
        let until = clock() + 2 * self.length.max(LOOK_INTERVAL);
        loop {
            match self.claim(link).map_err(|fault| unreachable(&fault))? {
                Holder::Me => return Ok(()),
                Holder::Other(end) => {
                    if seen.is_none() {
                        let (place, lease) = (&*link.place, self.length);
                        tracing::warn!(
                            place,
                            ?lease,
                            "another server has the database, or was killed; its lease is waited for"
                        );
                    }
                    if *seen.get_or_insert(end) != end || clock() >= until {
                        return Err(OpenError::Leased { place: link.place.clone() });
                    }
                }
            }
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }

    fn claim(&self, link: &Link) -> Result<Holder, Fault> {
        let asked_at = clock();
        let now = database_time(&link.probe()?);
        let free = doc! { "_id": "lease", "$or": [{ "until": { "$lte": now } }, { "holder": &self.holder }] };
        let until = later(now, self.length);
        let take = doc! { "$set": { "holder": &self.holder, "until": until } };
        let meta = link.collection(META);
        let claim = meta.find_one_and_update(free, take).upsert(true);
        match link.ask(claim.return_document(ReturnDocument::After).write_concern(durably())) {
            Ok(_) => {
                self.holds_from(asked_at);
                Ok(Holder::Me)
            }
            Err(fault) if fault.is_duplicate() => {
                let lease = link.ask(meta.find_one(doc! { "_id": "lease" }))?;
                Ok(Holder::Other(lease.and_then(|lease| lease.get_datetime("until").ok().copied())))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Moves the end of the lease on, if it is still this process's own.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if another server has, or had, it.
    pub(super) fn renew(&self, link: &Link) -> Result<(), StoreError> {
        let asked_at = clock();
        let now = database_time(&link.probe()?);
        let mine = doc! { "_id": "lease", "holder": &self.holder };
        let change = doc! { "$set": { "until": later(now, self.length) } };
        let meta = link.collection(META);
        let renewed = link.ask(meta.find_one_and_update(mine, change).write_concern(durably()))?;
        if renewed.is_none() {
            self.is_lost.store(true, Ordering::Relaxed);
            self.ends_after.store(0, Ordering::Relaxed);
            return Err(StoreError::Failed("another server has taken the database (store.lease)".into()));
        }
        self.holds_from(asked_at);
        Ok(())
    }

    /// Lets others have it.
    pub(super) fn release(&self, link: &Link) -> Result<(), StoreError> {
        self.ends_after.store(0, Ordering::Relaxed);
        let mine = doc! { "_id": "lease", "holder": &self.holder };
        let change = doc! { "$set": { "until": DateTime::from_millis(0) } };
        link.ask(link.collection(META).update_one(mine, change).write_concern(durably()))?;
        Ok(())
    }

    /// How long nobody else has it; zero if that is not known any more.
    pub(super) fn remaining(&self) -> Duration {
        let end = self.began_at + Duration::from_millis(self.ends_after.load(Ordering::Relaxed));
        end.saturating_duration_since(clock())
    }

    /// Whether something may be written that is answered within `timeout`: it must not come after the end.
    pub(super) fn check(&self, timeout: Duration) -> Result<(), StoreError> {
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(StoreError::Failed("another server has taken the database (store.lease)".into()));
        }
        let margin = timeout.min(self.length / 4);
        if self.remaining() <= margin {
            return Err(StoreError::Unavailable("the lease in the database could not be renewed".into()));
        }
        Ok(())
    }

    /// How long until it is to be renewed.
    pub(super) fn renewal_interval(&self) -> Duration {
        self.length / 3
    }

    fn holds_from(&self, moment: Instant) {
        let end = moment.saturating_duration_since(self.began_at) + self.length;
        self.ends_after.store(u64::try_from(end.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn database_time(hello: &Document) -> DateTime {
    debug_assert!(text(hello, "errmsg").is_none(), "an answer to `hello`");
    hello.get_datetime("localTime").copied().unwrap_or_else(|_| DateTime::from_millis(0))
}

fn later(date: DateTime, by: Duration) -> DateTime {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(date.timestamp_millis().saturating_add(millis))
}
