//! What waits for the disk: what is carried out in transactions, and questions to the readers.

use std::collections::VecDeque;

use super::image::Image;
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Durability, Opened, RecordBatch};
use crate::store::admission::Permit;
use crate::store::answer::later::Deliver;
use crate::store::answer::{Answer, Purpose};
use crate::store::error::StoreError;
use crate::store::health::Monitor;
use crate::store::terms::FailedTerms;

pub(super) type Read = Box<dyn FnOnce(&mut Image, Option<StoreError>) -> Deliver + Send>;
pub(super) type DiskWork = Box<dyn FnOnce(&mut Image) + Send>;
pub(super) type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub(super) enum DiskJob {
    Append { batch: RecordBatch, answer: Answer<RecordBatch>, permit: Permit },
    Change { work: DiskWork, finish: Finish, permit: Permit },
    Open { name: Box<str>, purpose: Purpose, now: Timestamp, answer: Answer<Opened>, permit: Permit },
}

/// The disk, and what waits for it.
pub(super) struct DiskState {
    pub(super) image: Image,
    pub(super) synced: Image,
    pub(super) jobs: VecDeque<DiskJob>,
    pub(super) reads: VecDeque<Read>,
    pub(super) failed_terms: FailedTerms,
    pub(super) has_failed: bool,
}

impl DiskState {
    /// Carries out these jobs in one transaction with this outcome; the answers are for when nobody holds the disk.
    pub(super) fn round(
        &mut self,
        round: Vec<DiskJob>,
        outcome: &Result<(), StoreError>,
        monitor: &Monitor,
        answers: &mut Vec<Deliver>,
    ) {
        let demands_sync = round.iter().any(|job| match job {
            DiskJob::Append { batch, .. } => batch.durability == Durability::Fsync,
            DiskJob::Change { .. } | DiskJob::Open { .. } => false,
        });
        for job in round {
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
