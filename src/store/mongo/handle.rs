//! The way to the store's threads.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::shared::Shared;
use super::writer::{AppendJob, Errand, MongoJob, OpenJob, Task};
use super::{bans, import, listing, opening, page, registry};
use crate::rooms::store_api::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, Timestamp};
use crate::store::admission::{AdmissionLimit, Permit};
use crate::store::answer::{Answer, Done, Purpose};
use crate::store::backend::{Backend, DamageListener};
use crate::store::backup::{BackupError, BackupId, BackupPart};
use crate::store::error::{Busy, StoreError};
use crate::store::health::Monitor;
use crate::store::values::{BanChange, Import, NewRoom, RoomInfo, RoomQuery};

/// Rooms in MongoDB.
pub(in crate::store) struct Mongo {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Sender<MongoJob>,
    pub(super) job_limit: Arc<AdmissionLimit>,
    pub(super) tasks: Sender<Task>,
    pub(super) openers: Sender<Task>,
    pub(super) read_limit: Arc<AdmissionLimit>,
    pub(super) overfull: Sender<RoomId>,
}

impl Mongo {
    /// Has something done on the thread that writes messages, in its turn.
    fn change<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.job_permit(0)?;
        self.submit(MongoJob::Change(answering(done, work), permit));
        Ok(())
    }

    /// Has something done that no message waits for.
    fn ask<T: Send + 'static>(
        &self,
        tasks: &Sender<Task>,
        done: Done<Result<T, StoreError>>,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.read_limit.admit(0).ok_or_else(Busy::default)?;
        // If the threads are gone, the task is dropped, which answers it.
        drop(tasks.try_send(Task::Do(answering(done, work), permit)));
        Ok(())
    }

    fn job_permit(&self, bytes: usize) -> Result<Permit, Busy> {
        self.job_limit.admit(bytes).ok_or_else(Busy::default)
    }

    /// Hands a job over. The admission limit sees to it that the queue has room; if the thread is gone, the job is
    /// dropped, which answers it.
    fn submit(&self, job: MongoJob) {
        drop(self.jobs.try_send(job));
    }
}

/// Errand whose outcome is the answer.
fn answering<T: Send + 'static>(
    done: Done<Result<T, StoreError>>,
    work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
) -> Errand {
    let answer = Answer::new(done);
    Box::new(move |shared| answer.send(work(shared)))
}

impl Backend for Mongo {
    fn append(&self, batch: RecordBatch, done: Done<Result<RecordBatch, StoreError>>) -> Result<(), Busy> {
        let Some(permit) = self.job_limit.admit(batch.text.len()) else {
            return Err(Busy { batch: Some(Box::new(batch)) });
        };
        self.submit(MongoJob::Append(AppendJob { batch, answer: Answer::new(done), permit }));
        Ok(())
    }

    fn open(
        &self,
        name: &str,
        purpose: Purpose,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        let permit = self.job_permit(name.len())?;
        self.submit(MongoJob::Open(OpenJob {
            name: name.into(),
            purpose,
            now,
            answer: Answer::new(done),
            permit,
        }));
        Ok(())
    }

    fn read(
        &self,
        room: RoomId,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        self.ask(&self.tasks, done, move |shared| page::read(shared, room, &request))
    }

    fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        let name: Box<str> = room.into();
        // One that was not opened yet may have to be put in order first.
        let tasks = if self.shared.heads.by_name(room).is_some() { &self.tasks } else { &self.openers };
        self.ask(tasks, done, move |shared| {
            let room = opening::reconciled(shared, &name)?;
            page::read(shared, room, &request)
        })
    }

    fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.ask(&self.tasks, done, move |shared| registry::create(shared, room))
    }

    fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.ask(&self.tasks, done, move |shared| registry::info(shared, &id))
    }

    fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        self.ask(&self.tasks, done, move |shared| listing::list(shared, &query))
    }

    fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.change(done, move |shared| registry::delete(shared, &id))
    }

    fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.ask(&self.tasks, done, move |shared| registry::join(shared, &id, &user))
    }

    fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.ask(&self.tasks, done, move |shared| registry::leave(shared, &id, &user))
    }

    fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        let (id, overfull): (Box<str>, _) = (id.into(), self.overfull.clone());
        self.change(done, move |shared| {
            let room = registry::configure(shared, &id, settings)?;
            let _found_by_the_sweep = overfull.try_send(room);
            Ok(())
        })
    }

    fn change_bans(&self, change: BanChange, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.change(done, move |shared| bans::change(shared, change))
    }

    fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy> {
        self.ask(&self.tasks, done, bans::all)
    }

    fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy> {
        self.change(done, move |shared| import::import(shared, &messages, now))
    }

    fn take_back(&self, room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        let room: Box<str> = room.into();
        self.change(done, move |shared| import::take_back(shared, &room))
    }

    fn listen_for_damage(&self, listener: DamageListener) {
        self.shared.quarantine.listen(listener);
    }

    fn begin_backup(&self, done: Done<Result<BackupId, BackupError>>) -> Result<(), Busy> {
        done(Err(BackupError::Elsewhere));
        Ok(())
    }

    fn read_backup(
        &self,
        _id: BackupId,
        _offset: u64,
        done: Done<Result<BackupPart, BackupError>>,
    ) -> Result<(), Busy> {
        done(Err(BackupError::Elsewhere));
        Ok(())
    }

    fn end_backup(&self, _id: BackupId, done: Done<Result<(), BackupError>>) -> Result<(), Busy> {
        done(Err(BackupError::Elsewhere));
        Ok(())
    }

    fn monitor(&self) -> &Monitor {
        &self.shared.monitor
    }

    fn waiting(&self) -> (usize, usize) {
        self.job_limit.waiting()
    }

    #[cfg(test)]
    fn floor(&self, room: RoomId, done: Done<Result<u64, StoreError>>) -> Result<(), Busy> {
        self.ask(&self.tasks, done, move |shared| {
            let row = super::logs::RoomLog::by_id(&shared.link, room)?;
            row.map(|row| row.floor.seq).ok_or(StoreError::NoSuchRoom)
        })
    }

    fn evicted(&self) -> u64 {
        0
    }

    /// The shards count them.
    fn set_rooms_max(&self, _rooms: usize) {}
}
