//! A store over the disk, as a server has it.

use std::sync::{Arc, Mutex, PoisonError};

use super::ImageDisk;
use super::image::Image;
use super::jobs::{DiskJob, DiskWork, Finish};
use crate::rooms::store_api::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, Timestamp};
use crate::store::admission::{AdmissionLimit, Permit};
use crate::store::answer::{Answer, Done, Purpose};
use crate::store::backend::{Backend, DamageListener};
use crate::store::entropy::now;
use crate::store::error::{Busy, StoreError};
use crate::store::health::Monitor;
use crate::store::values::{BanChange, Import, NewRoom, RoomInfo, RoomQuery};

/// A store as a server has it, as long as a process lives.
struct Simulated {
    disk: ImageDisk,
    admission: Arc<AdmissionLimit>,
    reads: Arc<AdmissionLimit>,
    monitor: Arc<Monitor>,
}

impl ImageDisk {
    /// The store of a new process.
    pub(in crate::store) fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(Simulated {
            disk: self.clone(),
            admission: AdmissionLimit::new(self.jobs_max, self.queue_bytes_max),
            reads: AdmissionLimit::new(self.jobs_max, usize::MAX),
            monitor: self.monitor.clone(),
        })
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
