//! The threads that listen: each to the announcements of one master, of all rooms that are followed there, over one
//! connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{PushKind, RedisResult, ServerErrorKind, Value, cmd};

use super::complaints::Complaints;
use super::connection::{Connection, connect_timeout};
use super::entry::Announcement;
use super::error::unavailable;
use super::following::{hear, miss};
use super::layout::Master;
use super::orders::{orders_channel, partition as orders_partition};
use super::partition::Partition;
use super::shared::Shared;
use super::telling;
use super::value::text;
use crate::store::{ClusterEvent, StoreError, Watch};
use crate::system::instant;
use crate::system::threads::{Builder, JoinHandle, park_timeout};

/// How long it is listened before it is looked after other things.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long it takes to try again, the first time and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// One thread for each master that has partitions.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<Running>>);

struct Running {
    master: Arc<Master>,
    is_wanted: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Listeners {
    /// Has threads for the masters that there are now, and for no others.
    pub(super) fn follow(&self, shared: &Arc<Shared>) {
        let layout = shared.topology.layout();
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |one: &Running| layout.masters().iter().any(|master| Arc::ptr_eq(master, &one.master));
        for gone in running.extract_if(.., |one| !is_there(one) || one.thread.is_finished()) {
            gone.is_wanted.store(false, Ordering::Relaxed);
        }
        for master in layout.masters() {
            if running.iter().any(|one| Arc::ptr_eq(master, &one.master)) {
                continue;
            }
            let is_wanted = Arc::new(AtomicBool::new(true));
            let listener = Listener::new(shared.clone(), master.clone(), is_wanted.clone());
            match Builder::new().name("cluster-news".into()).spawn(move || listener.run()) {
                Ok(thread) => running.push(Running { master: master.clone(), is_wanted, thread }),
                // It is tried again with the next look.
                Err(error) => tracing::warn!(%error, "no thread could be started"),
            }
        }
    }

    /// Ends all, and waits for that.
    pub(super) fn end(&self) {
        let running = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        running.iter().for_each(|one| one.is_wanted.store(false, Ordering::Relaxed));
        for one in running {
            one.thread.thread().unpark();
            let _panic_was_printed = one.thread.join();
        }
    }
}

/// Listens until the end.
struct Listener {
    shared: Arc<Shared>,
    master: Arc<Master>,
    is_wanted: Arc<AtomicBool>,
    /// The partition through which probes come.
    probed: Partition,
    complaints: Complaints,
}

impl Listener {
    fn new(shared: Arc<Shared>, master: Arc<Master>, is_wanted: Arc<AtomicBool>) -> Listener {
        let (probed, complaints) = (orders_partition(), Complaints::default());
        Listener { shared, master, is_wanted, probed, complaints }
    }

    fn run(mut self) {
        let _watch = Watch(self.shared.monitor.clone());
        let mut pause = PAUSE_MIN;
        while self.is_wanted() {
            let began = instant();
            if let Err(error) = self.listen() {
                self.shared.topology.failed(&self.master, &unavailable(&error));
            }
            self.master.hearing.ends();
            self.shared.subscriptions.disconnected(&self.master);
            self.shared.subscriptions.go_home();
            pause = if instant().saturating_duration_since(began) > PAUSE_MAX {
                PAUSE_MIN
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            self.rest(instant() + pause);
        }
        if self.shared.is_ending.load(Ordering::Relaxed) {
            self.expire(None);
        }
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    fn rest(&self, until: Instant) {
        while self.is_wanted() && instant() < until {
            park_timeout(LOOK_INTERVAL);
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
        let mut version = self.shared.topology.version();
        let layout = self.shared.topology.layout();
        let Some(probed) = layout.partitions_of(&self.master).next() else { return Ok(()) };
        self.probed = probed;
        let timeout = connect_timeout(self.shared.timeout);
        let mut connection = Connection::open(&self.master.address, timeout)?;
        let subscribe = |channel: String| cmd("SSUBSCRIBE").arg(channel).get_packed_command();
        connection.send(&subscribe(probed.probe_channel(&self.shared.node)))?;
        let mut hears_orders = layout.is_home(orders_partition(), &self.master);
        if hears_orders {
            connection.send(&subscribe(orders_channel()))?;
        }
        self.master.hearing.begins(probed);
        self.shared.subscriptions.connected(&self.master, connection.writer()?);
        self.shared.counters.note(ClusterEvent::ListenerConnected);
        let mut look_at = instant();
        while self.is_wanted() {
            let now = instant();
            if now >= look_at {
                self.expire(Some(now));
                look_at = now + LOOK_INTERVAL;
            }
            if version != self.shared.topology.version() {
                version = self.shared.topology.version();
                self.shared.subscriptions.go_home();
                let (is_probed, has_orders) = [probed, orders_partition()]
                    .map(|of| self.shared.topology.is_home(of, &self.master))
                    .into();
                if !is_probed || has_orders != hears_orders {
                    // Over another connection all of that is as it should be.
                    return Ok(());
                }
                hears_orders = has_orders;
            }
            match connection.receive(LOOK_INTERVAL)? {
                Some(Value::Push { kind, data }) => self.pushed(&kind, &data),
                Some(Value::ServerError(error)) => self.refused(error)?,
                // Probes that are on their way are heard before.
                None if self.master.hearing.is_lost() => {
                    tracing::warn!(
                        redis = %self.master.address,
                        "announcements are not heard any more: a new connection is made"
                    );
                    self.shared.topology.suspect();
                    return Ok(());
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// A subscription was refused: it belongs elsewhere, or nothing is right here.
    fn refused(&self, error: redis::ServerError) -> RedisResult<()> {
        if error.kind() == Some(ServerErrorKind::Moved) {
            self.shared.topology.suspect();
            return Ok(());
        }
        Err(error.into())
    }

    fn pushed(&mut self, kind: &PushKind, data: &[Value]) {
        let Some(channel) = data.first().and_then(text) else { return };
        let subscriptions = &self.shared.subscriptions;
        match kind {
            PushKind::SMessage => {
                if let Some(Value::BulkString(payload)) = data.get(1) {
                    self.announced(channel, payload);
                }
            }
            PushKind::SSubscribe => {
                let Some(confirmed) = subscriptions.confirmed(channel, &self.master) else { return };
                confirmed.waiters.into_iter().for_each(|waiter| waiter(true));
                if confirmed.is_renewed {
                    self.shared.counters.note(ClusterEvent::Resubscribed);
                    miss(&self.shared, &confirmed.room);
                }
            }
            PushKind::SUnsubscribe => {
                let is_own =
                    channel == orders_channel() || channel == self.probed.probe_channel(&self.shared.node);
                if is_own || !subscriptions.ended(channel, &self.master) {
                    self.shared.topology.suspect();
                    subscriptions.go_home();
                }
            }
            _ => {}
        }
    }

    fn announced(&mut self, channel: &str, payload: &[u8]) {
        if channel == self.probed.probe_channel(&self.shared.node) {
            let number = std::str::from_utf8(payload).ok().and_then(super::value::whole);
            return self.master.hearing.was_heard(number.unwrap_or(0));
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
        let Some(room) = self.shared.subscriptions.room(channel, &self.master) else { return };
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
