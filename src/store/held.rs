//! For tests: a store that has done what it was asked for and is late to say so.

use std::sync::mpsc::{Receiver, SyncSender as Sender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::backend::Backend;
use super::backup::Backups;
use super::bans::BanChange;
use super::error::StoreError;
use super::health::Monitor;
use super::jobs::Purpose;
use super::quarantine::DamageListener;
use super::{Busy, Done, Import, NewRoom, RoomInfo, RoomQuery, Store};
use crate::rooms::journal::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, Timestamp};

/// An answer that is held back.
type Answer = Box<dyn FnOnce() + Send>;

/// Answers that a test holds at most.
const ANSWERS_MAX: usize = 64;

/// How long a test waits for an answer to hold.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store whose answers to appends go to the test.
struct Held {
    backend: Arc<dyn Backend>,
    answers: Arc<Mutex<Option<Sender<Answer>>>>,
}

/// The answers that the test holds.
pub(crate) struct HeldAnswers {
    sender: Sender<Answer>,
    answers: Arc<Mutex<Option<Sender<Answer>>>>,
    held: Receiver<Answer>,
}

impl Store {
    /// The same store, whose answers to appends a test can hold back.
    pub(crate) fn held(self) -> (Store, HeldAnswers) {
        let (sender, held) = sync_channel(ANSWERS_MAX);
        let answers = Arc::<Mutex<Option<Sender<Answer>>>>::default();
        let store = Held { backend: self.backend, answers: answers.clone() };
        (Store { backend: Arc::new(store) }, HeldAnswers { sender, answers, held })
    }
}

impl HeldAnswers {
    /// Answers are held back from now on.
    pub(crate) fn hold(&self) {
        *self.answers.lock().unwrap() = Some(self.sender.clone());
    }

    /// Waits until there is an answer, which is given when what is returned is called.
    pub(crate) fn take(&self) -> Answer {
        self.held.recv_timeout(PATIENCE).expect("an answer to hold")
    }

    /// Answers go their way again.
    pub(crate) fn release(&self) {
        *self.answers.lock().unwrap() = None;
        self.held.try_iter().for_each(|answer| answer());
    }
}

impl Backend for Held {
    fn append(&self, batch: RecordBatch, done: Done<Result<RecordBatch, StoreError>>) -> Result<(), Busy> {
        let answers = self.answers.clone();
        let done = move |stored| match &*answers.lock().unwrap() {
            Some(held) => held.send(Box::new(move || done(stored))).expect("the test waits"),
            None => done(stored),
        };
        self.backend.append(batch, Box::new(done))
    }

    fn open(
        &self,
        name: &str,
        purpose: Purpose,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.open(name, purpose, now, done)
    }

    fn read(&self, request: PageRequest, done: Done<Result<Page, StoreError>>) -> Result<(), Busy> {
        self.backend.read(request, done)
    }

    fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.messages(room, request, done)
    }

    fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.backend.create_room(room, done)
    }

    fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.backend.room(id, done)
    }

    fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        self.backend.rooms(query, done)
    }

    fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        self.backend.delete_room(id, done)
    }

    fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.join_participant(id, user, done)
    }

    fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.leave_participant(id, user, done)
    }

    fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.configure_room(id, settings, done)
    }

    fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.import(messages, now, done)
    }

    fn take_back(&self, room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.backend.take_back(room, done)
    }

    fn change_bans(&self, change: BanChange, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.backend.change_bans(change, done)
    }

    fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy> {
        self.backend.bans(done)
    }

    fn listen_for_damage(&self, listener: DamageListener) {
        self.backend.listen_for_damage(listener);
    }

    fn backups(&self) -> Option<&Backups> {
        self.backend.backups()
    }

    fn floor(&self, room: RoomId, done: Done<Result<u64, StoreError>>) -> Result<(), Busy> {
        self.backend.floor(room, done)
    }

    fn monitor(&self) -> &Monitor {
        self.backend.monitor()
    }

    fn evicted(&self) -> u64 {
        self.backend.evicted()
    }

    fn set_rooms_max(&self, rooms: usize) {
        self.backend.set_rooms_max(rooms);
    }
}
