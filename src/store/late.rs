//! A store that is not there yet: the server listens, and says that it is not ready.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Builder;

use crossbeam_channel::{Sender, bounded};

use super::answer::{Done, Purpose};
use super::backend::{Backend, DamageListener, FirstTask, Follower, NodeListener};
use super::backup::{BackupError, BackupId, BackupPart};
use super::cluster::ClusterStats;
use super::error::{Busy, StoreError};
use super::handle::Store;
use super::health::Monitor;
use super::values::{BanChange, Import, NewRoom, Presence, RoomInfo, RoomQuery};
use crate::rooms::store_api::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, Timestamp};

/// Requests that wait to be refused at most.
const REFUSALS_MAX: usize = 1_024;

/// What nodes are told and wait for the store at most.
const ORDERS_MAX: usize = 1_000;

/// What is kept for the store until it is there.
#[derive(Default)]
struct Kept {
    nodes: Option<NodeListener>,
    damage: Option<DamageListener>,
    rooms_max: Option<usize>,
    orders: Vec<Box<str>>,
    first: Vec<FirstTask>,
}

/// In place of a store that other nodes write to as well. Everything is refused until it [arrives](LateStore::arrive).
pub(crate) struct LateStore {
    there: OnceLock<Store>,
    kept: Mutex<Kept>,
    /// Of the time before.
    monitor: Monitor,
    refusals: Sender<Box<dyn FnOnce() + Send>>,
}

impl LateStore {
    /// One that is waited for; `reason` is said to those who ask meanwhile.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub(crate) fn new(reason: &str) -> std::io::Result<Arc<LateStore>> {
        let (refusals, refused) = bounded::<Box<dyn FnOnce() + Send>>(REFUSALS_MAX);
        // Who asks must not be answered on its own thread. It ends with the last handle.
        Builder::new().name("store-late".into()).spawn(move || refused.iter().for_each(|refuse| refuse()))?;
        let monitor = Monitor::default();
        monitor.failed(&StoreError::Unavailable(reason.into()));
        Ok(Arc::new(LateStore { there: OnceLock::new(), kept: Mutex::default(), monitor, refusals }))
    }

    /// It is there. What has to be done first is tried until it is done, with this pause between; false if `is_over` said
    /// meanwhile that nobody waits for it any more.
    pub(crate) fn arrive(&self, store: &Store, mut pause: impl FnMut(), is_over: impl Fn() -> bool) -> bool {
        loop {
            let mut kept = self.kept();
            let first = std::mem::take(&mut kept.first);
            if first.is_empty() {
                kept.hand_over(store);
                let _only_here = self.there.set(store.clone());
                return true;
            }
            drop(kept);
            for mut task in first {
                while let Err(error) = task(&*store.backend) {
                    tracing::debug!(
                        error,
                        "what has to be known before the first room is opened is asked for again"
                    );
                    pause();
                    if is_over() {
                        return false;
                    }
                }
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn there(&self) -> Option<&dyn Backend> {
        self.there.get().map(|store| &*store.backend)
    }

    fn refuse<T: Send + 'static>(&self, done: Done<Result<T, StoreError>>) -> Result<(), Busy> {
        let late = || StoreError::Unavailable("the store has not answered since the start".into());
        let refuse = Box::new(move || done(Err(late())));
        self.refusals.try_send(refuse).map_err(|_| Busy::default())
    }
}

impl Kept {
    fn hand_over(&mut self, store: &Store) {
        let backend = &store.backend;
        self.nodes.take().into_iter().for_each(|listener| backend.listen_to_nodes(listener));
        self.damage.take().into_iter().for_each(|listener| backend.listen_for_damage(listener));
        self.rooms_max.take().into_iter().for_each(|rooms| backend.set_rooms_max(rooms));
        self.orders.drain(..).for_each(|order| backend.tell_nodes(&order));
    }
}

/// Passes on what is asked, or refuses it.
macro_rules! pass_on {
    ($self:ident, $done:ident, $name:ident($($argument:expr),*)) => {
        match $self.there() {
            Some(store) => store.$name($($argument,)* $done),
            None => $self.refuse($done),
        }
    };
}

impl Backend for LateStore {
    fn append(&self, batch: RecordBatch, done: Done<Result<RecordBatch, StoreError>>) -> Result<(), Busy> {
        match self.there() {
            Some(store) => store.append(batch, done),
            None => Err(Busy { batch: Some(Box::new(batch)) }),
        }
    }

    fn open(
        &self,
        name: &str,
        purpose: Purpose,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, open(name, purpose, now))
    }

    fn open_and_follow(
        &self,
        name: &str,
        purpose: Purpose,
        follower: Follower,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, open_and_follow(name, purpose, follower, now))
    }

    fn unfollow(&self, room: RoomId) {
        self.there().into_iter().for_each(|store| store.unfollow(room));
    }

    fn sessions(
        &self,
        room: &str,
        done: Done<Result<Option<Vec<Presence>>, StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, sessions(room))
    }

    fn tell_nodes(&self, command: &str) {
        let mut kept = self.kept();
        match self.there() {
            Some(store) => store.tell_nodes(command),
            None if kept.orders.len() < ORDERS_MAX => kept.orders.push(command.into()),
            None => tracing::warn!("an order to the other nodes is dropped: too many wait for the store"),
        }
    }

    fn listen_to_nodes(&self, listener: NodeListener) {
        let mut kept = self.kept();
        match self.there() {
            Some(store) => store.listen_to_nodes(listener),
            None => kept.nodes = Some(listener),
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn is_awaited(&self) -> bool {
        self.there().is_none()
    }

    fn keep_for_first(&self, task: FirstTask) -> Option<FirstTask> {
        let mut kept = self.kept();
        if self.there().is_some() {
            return Some(task);
        }
        kept.first.push(task);
        None
    }

    fn read(
        &self,
        room: RoomId,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, read(room, request))
    }

    fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, messages(room, request))
    }

    fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        pass_on!(self, done, create_room(room))
    }

    fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        pass_on!(self, done, room(id))
    }

    fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        pass_on!(self, done, rooms(query))
    }

    fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        pass_on!(self, done, delete_room(id))
    }

    fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, join_participant(id, user))
    }

    fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, leave_participant(id, user))
    }

    fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, configure_room(id, settings))
    }

    fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy> {
        pass_on!(self, done, import(messages, now))
    }

    fn take_back(&self, room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        pass_on!(self, done, take_back(room))
    }

    fn change_bans(&self, change: BanChange, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        pass_on!(self, done, change_bans(change))
    }

    fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy> {
        pass_on!(self, done, bans())
    }

    fn listen_for_damage(&self, listener: DamageListener) {
        let mut kept = self.kept();
        match self.there() {
            Some(store) => store.listen_for_damage(listener),
            None => kept.damage = Some(listener),
        }
    }

    fn begin_backup(&self, done: Done<Result<BackupId, BackupError>>) -> Result<(), Busy> {
        match self.there() {
            Some(store) => store.begin_backup(done),
            None => Err(Busy::default()),
        }
    }

    fn read_backup(
        &self,
        id: BackupId,
        offset: u64,
        done: Done<Result<BackupPart, BackupError>>,
    ) -> Result<(), Busy> {
        match self.there() {
            Some(store) => store.read_backup(id, offset, done),
            None => Err(Busy::default()),
        }
    }

    fn end_backup(&self, id: BackupId, done: Done<Result<(), BackupError>>) -> Result<(), Busy> {
        match self.there() {
            Some(store) => store.end_backup(id, done),
            None => Err(Busy::default()),
        }
    }

    #[cfg(test)]
    fn floor(&self, room: RoomId, done: Done<Result<u64, StoreError>>) -> Result<(), Busy> {
        pass_on!(self, done, floor(room))
    }

    fn monitor(&self) -> &Monitor {
        self.there().map_or(&self.monitor, Backend::monitor)
    }

    fn cluster(&self) -> Option<ClusterStats> {
        self.there().map_or_else(|| Some(ClusterStats::default()), Backend::cluster)
    }

    fn waiting(&self) -> (usize, usize) {
        self.there().map_or((0, 0), Backend::waiting)
    }

    fn evicted(&self) -> u64 {
        self.there().map_or(0, Backend::evicted)
    }

    fn set_rooms_max(&self, rooms: usize) {
        let mut kept = self.kept();
        match self.there() {
            Some(store) => store.set_rooms_max(rooms),
            None => kept.rooms_max = Some(rooms),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;
    use crate::store::{Health, Location, Options};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn create(store: &Store, name: &str) -> Result<Opened, StoreError> {
        let (sender, answer) = sync_channel(1);
        let done = Box::new(move |opened| sender.send(opened).unwrap());
        store.open_room(name, true, Timestamp::default(), done).unwrap();
        answer.recv_timeout(PATIENCE).unwrap()
    }

    #[test]
    fn everything_is_refused_until_the_store_is_there() {
        let late = LateStore::new("it is waited for").unwrap();
        let store = Store::on(late.clone());
        assert!(store.is_awaited() && matches!(store.health(), Health::Unavailable(_)));
        assert!(matches!(create(&store, "lobby"), Err(StoreError::Unavailable(_))));
        let mut batch = RecordBatch::default();
        batch.text.push_str("kept");
        let refused = store.append(batch, Box::new(|_| {})).unwrap_err();
        assert_eq!(refused.into_batch().unwrap().text, "kept");
        let (memory, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
        assert!(late.arrive(&memory, || {}, || false));
        assert!(!store.is_awaited() && store.health() == Health::Healthy);
        assert_eq!(create(&store, "lobby").unwrap().head, 0);
    }

    #[test]
    fn what_has_to_be_done_first_is_tried_until_it_is_done() {
        let late = LateStore::new("it is waited for").unwrap();
        let store = Store::on(late.clone());
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = tries.clone();
        let task = move |_: &dyn Backend| match counted.fetch_add(1, Ordering::Relaxed) {
            0..3 => Err("not yet".to_owned()),
            _ => Ok(()),
        };
        assert!(store.when_there(Box::new(task)).is_none(), "it is done later");
        let (memory, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
        let mut pauses = 0;
        assert!(late.arrive(&memory, || pauses += 1, || false));
        assert_eq!((tries.load(Ordering::Relaxed), pauses), (4, 3));
        let failed = store.when_there(Box::new(|_| Err("no".to_owned())));
        assert_eq!(failed, Some(Err("no".to_owned())), "it is there");
    }

    #[test]
    fn nobody_waits_for_it_any_more() {
        let late = LateStore::new("it is waited for").unwrap();
        let store = Store::on(late.clone());
        assert!(store.when_there(Box::new(|_| Err("never".to_owned()))).is_none());
        let (memory, _threads) = Store::open(Location::Memory, Options::default()).unwrap();
        assert!(!late.arrive(&memory, || {}, || true));
        assert!(store.is_awaited());
    }
}
