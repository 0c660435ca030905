//! The way to the store's threads that have a database.

use std::sync::Arc;

use crossbeam_channel::Sender;
use rusqlite::Connection;

use super::backup::Backups;
use super::jobs::{Append, Job, Open, ReadJob, ReadTask, Work};
use super::log_writer::LogWriter;
use super::page::ReadOptions;
use super::{bans, page, registry};
use crate::rooms::store_api::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, Timestamp};
use crate::store::admission::{AdmissionLimit, Permit};
use crate::store::answer::{Answer, Done, Purpose};
use crate::store::backend::{Backend, DamageListener};
use crate::store::backup::{BackupError, BackupId, BackupPart};
use crate::store::error::{Busy, StoreError};
use crate::store::health::Monitor;
use crate::store::quarantine::Quarantine;
use crate::store::values::{BanChange, Import, NewRoom, RoomInfo, RoomQuery};

/// Rooms in a database: one thread writes, others read.
pub(in crate::store) struct Sqlite {
    pub(super) jobs: Sender<Job>,
    pub(super) job_limit: Arc<AdmissionLimit>,
    pub(super) reads: Sender<ReadTask>,
    pub(super) read_limit: Arc<AdmissionLimit>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) backups: Backups,
    pub(super) quarantine: Arc<Quarantine>,
}

impl Backend for Sqlite {
    fn append(&self, batch: RecordBatch, done: Done<Result<RecordBatch, StoreError>>) -> Result<(), Busy> {
        let Some(permit) = self.job_limit.admit(batch.text.len()) else {
            return Err(Busy { batch: Some(Box::new(batch)) });
        };
        let (answer, verdict) = (Answer::new(done), Ok(()));
        self.submit(Job::Append(Append { batch, answer, verdict, permit }));
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
        self.submit(Job::Open(Open { name: name.into(), purpose, now, answer: Answer::new(done), permit }));
        Ok(())
    }

    fn read(
        &self,
        room: RoomId,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        self.query(done, move |conn, options| page::read(conn, options, room, &request))
    }

    fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        let room: Box<str> = room.into();
        self.query(done, move |conn, options| {
            let room = registry::id_of(conn, &room)?.ok_or(StoreError::NoSuchRoom)?;
            page::read(conn, options, room, &request)
        })
    }

    fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.change(done, move |conn, _| registry::create(conn, room))
    }

    fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.query(done, move |conn, _| registry::info(conn, &id))
    }

    fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        self.query(done, move |conn, _| registry::list(conn, &query))
    }

    fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.change(done, move |conn, log| registry::delete(conn, log, &id))
    }

    fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.change(done, move |conn, _| registry::join(conn, &id, &user))
    }

    fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.change(done, move |conn, _| registry::leave(conn, &id, &user))
    }

    fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.change(done, move |conn, log| registry::configure(conn, log, &id, &settings))
    }

    fn change_bans(&self, change: BanChange, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.change(done, move |conn, _| change.apply(conn))
    }

    fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy> {
        self.query(done, |conn, _| bans::all(conn))
    }

    fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy> {
        self.change(done, move |conn, log| registry::import(conn, log, &messages, now))
    }

    fn take_back(&self, room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        let room: Box<str> = room.into();
        self.change(done, move |conn, log| registry::take_back(conn, log, &room))
    }

    fn listen_for_damage(&self, listener: DamageListener) {
        self.quarantine.listen(listener);
    }

    fn begin_backup(&self, done: Done<Result<BackupId, BackupError>>) -> Result<(), Busy> {
        self.backups.begin(done)
    }

    fn read_backup(
        &self,
        id: BackupId,
        offset: u64,
        done: Done<Result<BackupPart, BackupError>>,
    ) -> Result<(), Busy> {
        self.backups.read(id, offset, done)
    }

    fn end_backup(&self, id: BackupId, done: Done<Result<(), BackupError>>) -> Result<(), Busy> {
        self.backups.end(id, done)
    }

    fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    fn waiting(&self) -> (usize, usize) {
        self.job_limit.waiting()
    }

    #[cfg(test)]
    fn floor(&self, room: RoomId, done: Done<Result<u64, StoreError>>) -> Result<(), Busy> {
        use super::rows::LogRow;
        self.query(done, move |conn, _| {
            LogRow::by_id(conn, room)?.map(|row| row.floor.seq).ok_or(StoreError::NoSuchRoom)
        })
    }

    fn evicted(&self) -> u64 {
        0
    }

    /// The shards count them.
    fn set_rooms_max(&self, _rooms: usize) {}
}

impl Sqlite {
    fn change<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        work: impl FnOnce(&Connection, &mut LogWriter) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.job_permit(0)?;
        self.submit(Job::Change(Work::boxed(work, Answer::new(done)), permit));
        Ok(())
    }

    fn query<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        read: impl FnOnce(&Connection, &ReadOptions) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.read_limit.admit(0).ok_or_else(Busy::default)?;
        let job = ReadJob::new(permit, Answer::new(done), read);
        // If the threads are gone, the job is dropped, which answers it.
        drop(self.reads.try_send(ReadTask::Read(job)));
        Ok(())
    }

    fn job_permit(&self, bytes: usize) -> Result<Permit, Busy> {
        self.job_limit.admit(bytes).ok_or_else(Busy::default)
    }

    /// Hands a job over. The admission limits see to it that the queue has room; if the thread is gone, the job is
    /// dropped, which answers it.
    fn submit(&self, job: Job) {
        drop(self.jobs.try_send(job));
    }
}
