//! The thread that listens: announcements of all rooms that are followed, over one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{PushKind, RedisResult, Value, cmd};

use super::complaints::Complaints;
use super::connection::Connection;
use super::entry::Announcement;
use super::error::unavailable;
use super::following::{hear, miss};
use super::orders::orders_channel;
use super::shared::Shared;
use super::telling;
use super::value::text;
use crate::store::{ClusterEvent, StoreError, Watch};
use crate::system::instant;

/// How long it is listened before it is looked after other things.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long it takes to try again, the first time and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What tells whether this thread still hears.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// The newest probe that was sent, and heard.
    pub(super) sent: AtomicU64,
    pub(super) heard: AtomicU64,
}

impl Hearing {
    /// Whether two probes in a row were not heard.
    fn is_lost(&self) -> bool {
        let (sent, heard) = (self.sent.load(Ordering::Relaxed), self.heard.load(Ordering::Relaxed));
        sent >= heard.saturating_add(2)
    }
}

/// The channel of the probes of a node.
pub(super) fn probe_channel(node: &str) -> String {
    format!("fh:{{probe-{node}}}")
}

/// Listens until the end.
pub(super) struct Listener {
    shared: Arc<Shared>,
    hearing: Arc<Hearing>,
    complaints: Complaints,
}

impl Listener {
    pub(super) fn new(shared: Arc<Shared>, hearing: Arc<Hearing>) -> Listener {
        Listener { shared, hearing, complaints: Complaints::default() }
    }

    pub(super) fn run(mut self) {
        let _watch = Watch(self.shared.monitor.clone());
        let mut pause = PAUSE_MIN;
        while !self.is_ending() {
            let began = instant();
            if let Err(error) = self.listen() {
                self.shared.monitor.failed(&unavailable(&error));
            }
            self.shared.subscriptions.disconnected();
            pause = if instant().saturating_duration_since(began) > PAUSE_MAX {
                PAUSE_MIN
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            self.rest(instant() + pause);
        }
        self.expire(None);
    }

    fn is_ending(&self) -> bool {
        self.shared.is_ending.load(Ordering::Relaxed)
    }

    fn rest(&self, until: Instant) {
        while !self.is_ending() && instant() < until {
            crate::system::threads::park_timeout(LOOK_INTERVAL);
            self.expire(Some(instant()));
        }
    }

    /// Has those hear who have waited too long for a channel; at the end, all.
    fn expire(&self, now: Option<Instant>) {
        let until = now.unwrap_or_else(|| instant() + Duration::from_secs(3_600));
        self.shared.subscriptions.expired(until).into_iter().for_each(|waiter| waiter(false));
    }

    /// Connects and listens until something is wrong.
    fn listen(&mut self) -> RedisResult<()> {
        let mut connection = Connection::open(&self.shared.address, self.shared.timeout)?;
        let probe = cmd("SSUBSCRIBE").arg(probe_channel(&self.shared.node)).get_packed_command();
        connection.send(&probe)?;
        connection.send(&cmd("SSUBSCRIBE").arg(orders_channel()).get_packed_command())?;
        self.hearing.heard.store(self.hearing.sent.load(Ordering::Relaxed), Ordering::Relaxed);
        self.shared.subscriptions.connected(connection.writer()?);
        self.shared.counters.note(ClusterEvent::ListenerConnected);
        let mut look_at = instant();
        while !self.is_ending() {
            let now = instant();
            if now >= look_at {
                self.expire(Some(now));
                look_at = now + LOOK_INTERVAL;
            }
            match connection.receive(LOOK_INTERVAL)? {
                Some(Value::Push { kind, data }) => self.pushed(&kind, &data),
                Some(Value::ServerError(error)) => return Err(error.into()),
                // Probes that are on their way are heard before.
                None if self.hearing.is_lost() => {
                    tracing::warn!("announcements of Redis are not heard any more: a new connection is made");
                    return Ok(());
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    fn pushed(&mut self, kind: &PushKind, data: &[Value]) {
        let Some(channel) = data.first().and_then(text) else { return };
        match kind {
            PushKind::SMessage => {
                if let Some(Value::BulkString(payload)) = data.get(1) {
                    self.announced(channel, payload);
                }
            }
            PushKind::SSubscribe => {
                let Some(confirmed) = self.shared.subscriptions.confirmed(channel) else { return };
                confirmed.waiters.into_iter().for_each(|waiter| waiter(true));
                if confirmed.is_renewed {
                    self.shared.counters.note(ClusterEvent::Resubscribed);
                    miss(&self.shared, &confirmed.room);
                }
            }
            PushKind::SUnsubscribe => self.shared.subscriptions.ended(channel),
            _ => {}
        }
    }

    fn announced(&mut self, channel: &str, payload: &[u8]) {
        if channel == probe_channel(&self.shared.node) {
            let number = std::str::from_utf8(payload).ok().and_then(super::value::whole);
            self.hearing.heard.fetch_max(number.unwrap_or(0), Ordering::Relaxed);
            return;
        }
        if channel == orders_channel() {
            if self.shared.orders.is_asked.swap(true, Ordering::AcqRel) {
                return;
            }
            let shared = self.shared.clone();
            return self.shared.tasks.push(move |asker| {
                shared.orders.is_asked.store(false, Ordering::Release);
                // Otherwise it is heard when it is next looked for.
                let _is_heard = telling::hear(&shared, asker);
            });
        }
        let Some(room) = self.shared.subscriptions.room(channel) else { return };
        if payload.first() == Some(&b'D') {
            // It is said to be deleted.
            return miss(&self.shared, &room);
        }
        let Some(announcement) = Announcement::parse(payload) else {
            let unknown = StoreError::Unavailable("an announcement that is not understood".into());
            self.complaints.complain(&room.name, &unknown.to_string());
            self.shared.counters.note(ClusterEvent::AnnouncementUnreadable);
            return miss(&self.shared, &room);
        };
        let Announcement { epoch, generation, changes, first, messages } = announcement;
        self.shared.generations.note(room.partition, &generation, changes);
        hear(&self.shared, &room, epoch, first, messages);
    }
}
