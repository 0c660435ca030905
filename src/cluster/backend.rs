//! The cluster as a store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::appender::Input;
use super::asker::Asker;
use super::following::{Opening, deleted, miss, open, unfollow};
use super::opening::{Look, read_part};
use super::presence::sessions;
use super::question::Ask;
use super::registry;
use super::rooms::Room;
use super::shared::Shared;
use super::telling;
use crate::rooms::store_api::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, Timestamp};
use crate::store::{
    AdmissionLimit, Answer, Backend, BanChange, Busy, ClusterStats, DamageListener, Done, Follower, Import,
    Monitor, NewRoom, NodeListener, Presence, Purpose, RoomInfo, RoomQuery, StoreError,
};
use crate::system::instant;
use crossbeam_channel::{Sender, TrySendError};

/// Batches that wait to be appended, and questions that wait to be asked, at most.
pub(super) const APPENDS_MAX: usize = 4_096;
pub(super) const READS_MAX: usize = 1_024;

/// The way to the threads.
pub(super) struct Cluster {
    pub(super) shared: Arc<Shared>,
    pub(super) inputs: Sender<Input>,
    pub(super) append_limit: Arc<AdmissionLimit>,
    pub(super) read_limit: Arc<AdmissionLimit>,
}

impl Cluster {
    fn ask<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        question: impl FnOnce(&Arc<Shared>, &mut Asker) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.read_limit.admit(0).ok_or_else(Busy::default)?;
        let (shared, answer) = (self.shared.clone(), Answer::new(done));
        let until = instant() + shared.timeout;
        self.shared.tasks.push(move |asker| {
            let outcome = if instant() < until {
                question(&shared, asker)
            } else {
                Err(StoreError::Unavailable("Redis did not answer in time".into()))
            };
            drop(permit);
            answer.send(outcome);
        });
        Ok(())
    }

    /// Asks what one script answers, or several that only read.
    fn ask_once<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        question: impl FnOnce(&mut dyn Ask) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        self.ask(done, move |_, asker| question(&mut asker.once()))
    }

    fn begin(
        &self,
        name: &str,
        purpose: Purpose,
        follower: Option<Follower>,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        let permit = self.read_limit.admit(0).ok_or_else(Busy::default)?;
        let done: Done<Result<Opened, StoreError>> = Box::new(move |opened| {
            drop(permit);
            done(opened);
        });
        let room = self.shared.rooms.named(name);
        let number = match follower {
            Some(_) => room.openings.fetch_add(1, Ordering::Relaxed) + 1,
            None => 0,
        };
        let (look, meant) = match purpose {
            Purpose::Find => (Look::Find, None),
            Purpose::Create => (Look::Create, None),
            Purpose::Renew(meant) => (Look::Renew, Some(meant)),
        };
        let (until, answer) = (instant() + self.shared.timeout, Answer::new(done));
        let opening = Opening { room, number, look, meant, follower, until, answer };
        let shared = self.shared.clone();
        self.shared.tasks.push(move |asker| open(&shared, asker, opening));
        Ok(())
    }
}

/// A page of the log of a room; of any room of this name, if `uid` is empty.
fn page(
    shared: &Shared,
    asker: &mut Asker,
    room: &Room,
    uid: &str,
    request: &PageRequest,
) -> Result<Page, StoreError> {
    let part = read_part(shared, asker, room, uid, request)?;
    let part = part.ok_or(StoreError::NoSuchRoom)?;
    let start = if request.newest_first {
        part.messages.last().map_or(part.after, |oldest| oldest.seq.saturating_sub(1))
    } else {
        part.after
    };
    let (tail, gone_at, head, epoch) = (part.tail, part.gone_at, part.seq, part.epoch);
    Ok(Page { messages: part.messages, tail, gone_at, head, epoch, start })
}

impl Backend for Cluster {
    fn append(&self, batch: RecordBatch, done: Done<Result<RecordBatch, StoreError>>) -> Result<(), Busy> {
        let busy = |batch| Busy { batch: Some(Box::new(batch)) };
        if self.inputs.is_full() {
            return Err(busy(batch));
        }
        let Some(permit) = self.append_limit.admit(batch.text.len()) else { return Err(busy(batch)) };
        // The rest of the time is for the way back.
        let until = instant() + self.shared.timeout * 9 / 10;
        let input = Input::Append { batch, answer: Answer::new(done), permit, until };
        match self.inputs.try_send(input) {
            // The channel has more places than are admitted: it is never full. Without a thread, what is dropped is
            // answered.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    fn open(
        &self,
        name: &str,
        purpose: Purpose,
        _now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        self.begin(name, purpose, None, done)
    }

    fn open_and_follow(
        &self,
        name: &str,
        purpose: Purpose,
        follower: Follower,
        _now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        self.begin(name, purpose, Some(follower), done)
    }

    fn unfollow(&self, room: RoomId) {
        let Some(room) = self.shared.rooms.by_id(room) else { return };
        // Whoever tells its shard something has the room locked, and may wait for the shard.
        let (shared, opening) = (self.shared.clone(), room.openings.load(Ordering::Relaxed));
        self.shared.tasks.push(move |_| unfollow(&shared, &room, opening));
    }

    fn sessions(
        &self,
        room: &str,
        done: Done<Result<Option<Vec<Presence>>, StoreError>>,
    ) -> Result<(), Busy> {
        let room = self.shared.rooms.named(room);
        self.ask(done, move |shared, asker| sessions(shared, asker, &room).map(Some))
    }

    fn tell_nodes(&self, command: &str) {
        self.shared.orders.push(command.into());
        let shared = self.shared.clone();
        self.shared.tasks.push(move |asker| {
            // What could not be said is said later.
            let _is_given = telling::give(&shared, asker);
        });
    }

    fn listen_to_nodes(&self, listener: NodeListener) {
        self.shared.orders.listen(listener);
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn read(
        &self,
        room: RoomId,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        let room = self.shared.rooms.by_id(room);
        self.ask(done, move |shared, asker| {
            let room = room.ok_or(StoreError::NoSuchRoom)?;
            let uid = room.lock().uid.clone();
            page(shared, asker, &room, &uid, &request)
        })
    }

    fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        let room = self.shared.rooms.named(room);
        self.ask(done, move |shared, asker| page(shared, asker, &room, "", &request))
    }

    fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.ask_once(done, move |conn| registry::create_room(conn, room))
    }

    fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.ask_once(done, move |conn| registry::room(conn, &id))
    }

    fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        self.ask_once(done, move |conn| registry::rooms(conn, &query))
    }

    fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.ask(done, move |shared, asker| {
            let uid = registry::delete_room(&mut asker.once(), &id)?;
            let known = shared.rooms.by_name(&id);
            let Some(room) = known.filter(|room| room.lock().uid == uid) else {
                // One that is being opened may be another one, which was made since.
                shared.rooms.by_name(&id).iter().for_each(|room| miss(shared, room));
                return Ok(shared.rooms.unknown_id());
            };
            deleted(shared, &room);
            Ok(room.id)
        })
    }

    fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.ask_once(done, move |conn| registry::join_participant(conn, &id, &user))
    }

    fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.ask_once(done, move |conn| registry::leave_participant(conn, &id, &user))
    }

    fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.ask_once(done, move |conn| registry::configure_room(conn, &id, &settings))
    }

    fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy> {
        self.ask(done, move |shared, asker| {
            registry::import(&mut asker.once(), &messages, now, &shared.options)
        })
    }

    fn take_back(&self, room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        let room: Box<str> = room.into();
        self.ask(done, move |shared, asker| registry::take_back(&mut asker.once(), &room, &shared.options))
    }

    fn change_bans(&self, change: BanChange, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.ask_once(done, move |conn| registry::change_bans(conn, change))
    }

    fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy> {
        self.ask_once(done, registry::bans)
    }

    /// What does not belong there makes the room unavailable, as long as it is there.
    fn listen_for_damage(&self, _listener: DamageListener) {}

    #[cfg(test)]
    fn floor(&self, room: RoomId, done: Done<Result<u64, StoreError>>) -> Result<(), Busy> {
        let _ = room;
        self.ask(done, |_, _| Err(StoreError::NoSuchRoom))
    }

    fn monitor(&self) -> &Monitor {
        &self.shared.monitor
    }

    fn cluster(&self) -> Option<ClusterStats> {
        let Shared { counters, topology, monitor, .. } = &*self.shared;
        Some(counters.read(topology.contact(), monitor.commits.read().micros))
    }

    fn waiting(&self) -> (usize, usize) {
        self.append_limit.waiting()
    }

    fn evicted(&self) -> u64 {
        0
    }

    /// The shards count them.
    fn set_rooms_max(&self, _rooms: usize) {}
}
