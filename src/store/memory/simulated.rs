//! In a simulation: what a store with a disk does, step by step, as it is told to.
//!
//! The rooms are those of the store in memory. Around them is what makes a disk of it: whatever waits is carried out in
//! one transaction and answered after its commit; a transaction that fails leaves nothing; readers see what is committed,
//! at some later time; what was committed survives the process, and the machine only if it was synced; after each end the
//! epochs change as [`crate::store`] promises.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::rooms::Rooms;
use crate::rooms::store_api::{
    Durability, OpenStay, Opened, Page, PageRequest, ReadFrom, RecordBatch, RoomId, RoomSettings, StayId,
    Stored, refused_with,
};
use crate::rooms::{Ban, Kind, Timestamp};
use crate::store::admission::{AdmissionLimit, Permit};
use crate::store::answer::{Answer, Done, Purpose};
use crate::store::backend::{Backend, DamageListener};
use crate::store::entropy::now;
use crate::store::error::{Busy, StoreError};
use crate::store::health::Monitor;
use crate::store::options::Options;
use crate::store::terms::FailedTerms;
use crate::store::values::{BanChange, Import, NewRoom, RoomInfo, RoomQuery};

/// A ban that has ended was noted with less than this when it was noted last.
const ENDING: Duration = Duration::from_secs(15);

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is committed.
    Stored,
    /// Nothing is stored, for now: the disk is full, or away.
    Unavailable,
    /// The disk did not confirm: nothing is stored until a restart.
    Failed,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In good order.
    Well,
    /// By `kill -9`.
    Killed,
    /// With the machine.
    WithoutPower,
}

/// What is kept under a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The room is gone, or its log is another one, or that part of it is kept no longer.
    Elsewhere,
    /// The log has not come so far.
    Nothing,
    /// This message.
    Message(Stored),
}

const EVERYTHING: PageRequest = PageRequest {
    from: ReadFrom::Seq(0),
    messages_max: usize::MAX,
    bytes_max: usize::MAX,
    newest_first: false,
    before: None,
    now: Timestamp::from_micros(0),
};

type Deliver = Box<dyn FnOnce() + Send>;
type Read = Box<dyn FnOnce(&mut Image, Option<StoreError>) -> Deliver + Send>;
type DiskWork = Box<dyn FnOnce(&mut Image) + Send>;
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

enum DiskJob {
    Append { batch: RecordBatch, answer: Answer<RecordBatch>, permit: Permit },
    Change { work: DiskWork, finish: Finish, permit: Permit },
    Open { name: Box<str>, purpose: Purpose, now: Timestamp, answer: Answer<Opened>, permit: Permit },
}

/// What is on the disk.
#[derive(Clone)]
struct Image {
    rooms: Rooms,
    stays: BTreeMap<RoomId, BTreeMap<StayId, Box<str>>>,
    bans: BTreeMap<(Box<str>, Box<str>), Duration>,
}

struct DiskState {
    image: Image,
    synced: Image,
    jobs: VecDeque<DiskJob>,
    reads: VecDeque<Read>,
    failed_terms: FailedTerms,
    has_failed: bool,
}

/// A store as a server has it, as long as a process lives.
struct Simulated {
    disk: Disk,
    admission: Arc<AdmissionLimit>,
    reads: Arc<AdmissionLimit>,
    monitor: Arc<Monitor>,
}

/// What is kept when a process ends, and the hand on it.
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<DiskState>>,
    monitor: Arc<Monitor>,
    jobs_max: usize,
    queue_bytes_max: usize,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    /// An empty one, whose store takes this number of jobs at a time.
    #[must_use]
    pub fn new(options: &Options, jobs_max: usize) -> Disk {
        let rooms = Rooms::new(options, Arc::new(usize::MAX.into()));
        let image = Image { rooms, stays: BTreeMap::new(), bans: BTreeMap::new() };
        let state = DiskState {
            synced: image.clone(),
            image,
            jobs: VecDeque::new(),
            reads: VecDeque::new(),
            failed_terms: FailedTerms::default(),
            has_failed: false,
        };
        let (state, monitor) = (Arc::new(Mutex::new(state)), Arc::default());
        Disk { state, monitor, jobs_max, queue_bytes_max: options.queue_bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store of a new process.
    pub(in crate::store) fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(Simulated {
            disk: self.clone(),
            admission: AdmissionLimit::new(self.jobs_max, self.queue_bytes_max),
            reads: AdmissionLimit::new(self.jobs_max, usize::MAX),
            monitor: self.monitor.clone(),
        })
    }

    /// Jobs that wait to be stored.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Questions that wait for a reader.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.lock().reads.len()
    }

    /// Whether nothing is stored until a restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// Carries out the first `count` jobs in one transaction that ends like this, and answers.
    pub fn commit(&self, count: usize, fate: Fate) {
        let mut answers = Vec::new();
        {
            let mut state = self.lock();
            let state = &mut *state;
            let count = count.min(state.jobs.len());
            let round: Vec<DiskJob> = state.jobs.drain(..count).collect();
            let outcome = match fate {
                _ if state.has_failed => Err(StoreError::Failed("the disk has failed".into())),
                Fate::Stored => Ok(()),
                Fate::Unavailable => Err(StoreError::Unavailable("the disk is full".into())),
                Fate::Failed => Err(StoreError::Failed("the disk did not confirm".into())),
            };
            state.has_failed |= fate == Fate::Failed;
            match &outcome {
                Ok(()) => self.monitor.succeeded(),
                Err(error) => self.monitor.failed(error),
            }
            state.round(round, &outcome, &self.monitor, &mut answers);
        }
        answers.into_iter().for_each(|answer| answer());
    }

    /// Answers one question, of those that wait; `fails`: nothing can be read at the moment.
    pub fn read(&self, index: usize, fails: bool) {
        let deliver = {
            let mut state = self.lock();
            let state = &mut *state;
            let Some(read) = state.reads.remove(index) else { return };
            read(&mut state.image, fails.then(|| StoreError::Unavailable("the disk cannot be read".into())))
        };
        deliver();
    }

    /// What is kept under this number, in the room of this name, under this epoch.
    #[must_use]
    pub fn message(&self, room: &str, epoch: u64, seq: u64) -> Kept {
        let request =
            PageRequest { from: ReadFrom::Seq(seq.saturating_sub(1)), messages_max: 1, ..EVERYTHING };
        let Ok(page) = self.lock().image.rooms.read_by_name(room, &request) else { return Kept::Elsewhere };
        if epoch != page.epoch || seq < page.tail {
            return Kept::Elsewhere;
        }
        page.messages.into_iter().next().map_or(Kept::Nothing, Kept::Message)
    }

    /// The epoch of a room, and what is kept of its log.
    #[must_use]
    pub fn log(&self, room: &str) -> Option<(u64, Vec<Stored>)> {
        let page = self.lock().image.rooms.read_by_name(room, &EVERYTHING).ok()?;
        Some((page.epoch, page.messages))
    }

    /// Has everything that is committed survive the loss of power.
    pub fn sync(&self) {
        let mut state = self.lock();
        state.synced = state.image.clone();
    }

    /// Deletes what is kept no longer.
    pub fn sweep(&self) {
        self.lock().image.rooms.sweep(now());
    }

    /// The process has ended; the first `committed` of the jobs were committed, and nobody was told.
    pub fn end(&self, ended: Ended, committed: usize) {
        let mut unheard = Vec::new();
        let mut state = self.lock();
        let state = &mut *state;
        if !state.has_failed {
            let count = committed.min(state.jobs.len());
            let round: Vec<DiskJob> = state.jobs.drain(..count).collect();
            state.round(round, &Ok(()), &self.monitor, &mut unheard);
        }
        let (has_failed, has_lost) = (state.has_failed, self.monitor.has_lost());
        if ended == Ended::WithoutPower {
            state.image = state.synced.clone();
        }
        state.image.rooms.begin_epochs(|durability| {
            has_failed
                || match durability {
                    Durability::Off => true,
                    Durability::Async => ended != Ended::Well || has_lost,
                    Durability::Commit => ended == Ended::WithoutPower,
                    Durability::Fsync => false,
                }
        });
        state.synced = state.image.clone();
        (state.has_failed, state.failed_terms) = (false, FailedTerms::default());
        unheard.clear();
    }

    /// As [`Disk::end`], once everybody who could be answered is gone: the disk of the next process.
    #[must_use]
    pub fn next(&self) -> Disk {
        let (jobs, reads) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.jobs), std::mem::take(&mut state.reads))
        };
        // Each of them hears that the store has stopped.
        drop((jobs, reads));
        Disk { monitor: Arc::default(), ..self.clone() }
    }
}

impl DiskState {
    fn round(
        &mut self,
        mut round: Vec<DiskJob>,
        outcome: &Result<(), StoreError>,
        monitor: &Monitor,
        answers: &mut Vec<Deliver>,
    ) {
        let demands_sync = round.iter().any(|job| match job {
            DiskJob::Append { batch, .. } => batch.durability == Durability::Fsync,
            DiskJob::Change { .. } | DiskJob::Open { .. } => false,
        });
        for job in round.drain(..) {
            match job {
                DiskJob::Append { batch, answer, permit } => {
                    self.append(batch, answer, outcome, monitor, answers);
                    drop(permit);
                }
                DiskJob::Change { work, finish, permit } => {
                    if outcome.is_ok() {
                        work(&mut self.image);
                    }
                    let outcome = outcome.clone();
                    drop(permit);
                    answers.push(Box::new(move || finish(outcome)));
                }
                DiskJob::Open { name, purpose, now, answer, permit } => {
                    drop(permit);
                    self.open(name, purpose, now, answer, outcome, answers);
                }
            }
        }
        if demands_sync && outcome.is_ok() {
            self.synced = self.image.clone();
        }
    }

    fn append(
        &mut self,
        mut batch: RecordBatch,
        answer: Answer<RecordBatch>,
        outcome: &Result<(), StoreError>,
        monitor: &Monitor,
        answers: &mut Vec<Deliver>,
    ) {
        let mut verdict = outcome.clone();
        if verdict.is_ok() {
            verdict = self.failed_terms.check(&batch);
            if verdict.is_ok() {
                self.image.append(&mut batch);
            }
        }
        if verdict.is_err() || !batch.refused.is_empty() {
            monitor.lost();
        }
        if let Err(error) = outcome {
            self.failed_terms.note(&batch, error);
        }
        answers.push(Box::new(move || match verdict {
            Ok(()) => {
                batch.clear();
                answer.send(Ok(batch));
            }
            Err(error) => answer.send(Err(error)),
        }));
    }

    fn open(
        &mut self,
        name: Box<str>,
        purpose: Purpose,
        now: Timestamp,
        answer: Answer<Opened>,
        outcome: &Result<(), StoreError>,
        answers: &mut Vec<Deliver>,
    ) {
        let absent = match (outcome, purpose) {
            (Err(error), Purpose::Renew(_)) => {
                let error = error.clone();
                return answers.push(Box::new(move || answer.send(Err(error))));
            }
            (Err(error), Purpose::Create) => error.clone(),
            (Ok(()) | Err(_), _) => StoreError::NoSuchRoom,
        };
        if outcome.is_ok() && purpose != Purpose::Find {
            // What it comes to is read later.
            let _created_or_renewed = self.image.rooms.open(&name, purpose, now);
        }
        let meant = match purpose {
            Purpose::Renew(id) => Some(id),
            Purpose::Find | Purpose::Create => None,
        };
        self.reads.push_back(Box::new(move |image, fault| {
            let opened = match fault {
                Some(fault) => Err(fault),
                None => image.open(&name, now).and_then(|opened| match meant {
                    Some(meant) if opened.id != meant => Err(StoreError::NoSuchRoom),
                    _ => Ok(opened),
                }),
            };
            let opened = opened.map_err(|error| if error == StoreError::NoSuchRoom { absent } else { error });
            Box::new(move || answer.send(opened))
        }));
    }
}

impl Image {
    fn append(&mut self, batch: &mut RecordBatch) {
        self.rooms.append(batch, now());
        let refused = refused_with(&batch.refused, &batch.together);
        for record in batch.records.iter().filter(|record| !refused.contains(&record.room)) {
            let Some(presence) = record.presence else { continue };
            let Some(stay) = presence.stay else { continue };
            let stays = self.stays.entry(record.room).or_default();
            match record.kind {
                Kind::Join => {
                    stays.insert(stay, presence.username.of(&batch.text).into());
                }
                Kind::Leave => {
                    stays.remove(&stay);
                }
                Kind::Message | Kind::System => {}
            }
        }
    }

    fn open(&mut self, name: &str, now: Timestamp) -> Result<Opened, StoreError> {
        let mut opened = self.rooms.open(name, Purpose::Find, now)?;
        if let Some(stays) = self.stays.get(&opened.id) {
            let open = stays.iter().map(|(id, username)| OpenStay { id: *id, username: username.clone() });
            opened.open_stays = open.collect();
        }
        Ok(opened)
    }

    fn change_bans(&mut self, change: BanChange) {
        match change {
            BanChange::Keep(Ban { room, user, left }) => {
                self.bans.insert((room, user), left);
            }
            BanChange::Lift { room, user } => {
                self.bans.remove(&(room, user));
            }
            BanChange::Note { bans, ended } => {
                for Ban { room, user, left } in bans {
                    if let Some(kept) = self.bans.get_mut(&(room, user)) {
                        *kept = left.min(*kept);
                    }
                }
                for Ban { room, user, .. } in ended {
                    let key = (room, user);
                    if self.bans.get(&key).is_some_and(|left| *left <= ENDING) {
                        self.bans.remove(&key);
                    }
                }
            }
        }
    }
}

impl Simulated {
    fn permit(&self, bytes: usize) -> Result<Permit, Busy> {
        self.admission.admit(bytes).ok_or_else(Busy::default)
    }

    fn change<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        work: impl FnOnce(&mut Image) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.permit(0)?;
        let answer = Answer::new(done);
        let result = Arc::new(Mutex::new(None));
        let kept = result.clone();
        let work: DiskWork = Box::new(move |image| {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(work(image));
        });
        let finish: Finish = Box::new(move |committed| {
            let result = result.lock().unwrap_or_else(PoisonError::into_inner).take();
            answer.send(committed.and_then(|()| result.unwrap_or(Err(StoreError::Stopped))));
        });
        self.disk.lock().jobs.push_back(DiskJob::Change { work, finish, permit });
        Ok(())
    }

    fn query<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        read: impl FnOnce(&mut Image) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.reads.admit(0).ok_or_else(Busy::default)?;
        let answer = Answer::new(done);
        self.disk.lock().reads.push_back(Box::new(move |image, fault| {
            let result = fault.map_or_else(|| read(image), Err);
            drop(permit);
            Box::new(move || answer.send(result))
        }));
        Ok(())
    }
}

impl Backend for Simulated {
    fn append(&self, batch: RecordBatch, done: Done<Result<RecordBatch, StoreError>>) -> Result<(), Busy> {
        let Some(permit) = self.admission.admit(batch.text.len()) else {
            return Err(Busy { batch: Some(Box::new(batch)) });
        };
        self.disk.lock().jobs.push_back(DiskJob::Append { batch, answer: Answer::new(done), permit });
        Ok(())
    }

    fn open(
        &self,
        name: &str,
        purpose: Purpose,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        let permit = self.permit(name.len())?;
        let answer = Answer::new(done);
        self.disk.lock().jobs.push_back(DiskJob::Open { name: name.into(), purpose, now, answer, permit });
        Ok(())
    }

    fn read(
        &self,
        room: RoomId,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        self.query(done, move |image| image.rooms.read(room, &request))
    }

    fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        let room: Box<str> = room.into();
        self.query(done, move |image| image.rooms.read_by_name(&room, &request))
    }

    fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.change(done, move |image| image.rooms.create(room))
    }

    fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.query(done, move |image| image.rooms.info(&id))
    }

    fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        self.query(done, move |image| Ok(image.rooms.list(&query)))
    }

    fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.change(done, move |image| {
            let id = image.rooms.delete(&id)?;
            image.stays.remove(&id);
            Ok(id)
        })
    }

    fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.change(done, move |image| image.rooms.join(&id, &user))
    }

    fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.change(done, move |image| image.rooms.leave(&id, &user))
    }

    fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.change(done, move |image| image.rooms.configure(&id, settings, now()))
    }

    fn change_bans(&self, change: BanChange, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.change(done, move |image| {
            image.change_bans(change);
            Ok(())
        })
    }

    /// Answers at once: a server that starts waits for it.
    fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy> {
        let bans = self.disk.lock().image.bans.clone();
        let ban = |((room, user), left)| Ban { room, user, left };
        done(Ok(bans.into_iter().map(ban).collect()));
        Ok(())
    }

    fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy> {
        self.change(done, move |image| image.rooms.import(&messages, now))
    }

    fn take_back(&self, _room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.change(done, |_| Ok(()))
    }

    fn listen_for_damage(&self, _listener: DamageListener) {}

    #[cfg(test)]
    fn floor(&self, room: RoomId, done: Done<Result<u64, StoreError>>) -> Result<(), Busy> {
        self.query(done, move |image| image.rooms.floor(room))
    }

    fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    fn waiting(&self) -> (usize, usize) {
        self.admission.waiting()
    }

    fn evicted(&self) -> u64 {
        0
    }

    fn set_rooms_max(&self, _rooms: usize) {}
}
