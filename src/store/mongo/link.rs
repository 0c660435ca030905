//! The way to the database: everything that is asked has an end, and while it is away nobody waits for it.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::WriteConcern;
use mongodb::{Client, Collection, Database};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::place::Place;
use crate::store::error::{OpenError, StoreError};
use crate::store::options::MongoDb;

/// Threads of the driver: they move bytes, what is done with them happens on the store's own.
const DRIVER_THREADS: usize = 2;

/// Why something was not done.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Nothing was answered, or nothing that counts: what was asked for may have been done, or be done yet.
    Unanswered(Arc<str>),
    /// The database refuses.
    Told(Box<Error>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unanswered(reason) => f.write_str(reason),
            Fault::Told(error) => write!(f, "MongoDB: {}", error.kind),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        StoreError::Unavailable(fault.to_string().into())
    }
}

impl Fault {
    fn of(error: Error) -> Fault {
        // The driver's word for a server that changes its role, or goes down.
        let passes = error.contains_label("RetryableWriteError");
        let is_silent = passes
            || matches!(
                *error.kind,
                ErrorKind::Io(_)
                    | ErrorKind::ConnectionPoolCleared { .. }
                    | ErrorKind::ServerSelection { .. }
                    | ErrorKind::DnsResolve { .. }
            );
        if is_silent {
            Fault::Unanswered(format!("MongoDB: {}", error.kind).into())
        } else {
            Fault::Told(Box::new(error))
        }
    }

    /// The number of the error, if the database has said one.
    pub(super) fn code(&self) -> Option<i32> {
        let Fault::Told(error) = self else { return None };
        if let ErrorKind::Command(command) = &*error.kind {
            return Some(command.code);
        }
        if let ErrorKind::InsertMany(many) = &*error.kind {
            return Some(many.write_errors.as_ref()?.first()?.code);
        }
        let ErrorKind::Write(failure) = &*error.kind else { return None };
        if let WriteFailure::WriteConcernError(concern) = failure {
            return Some(concern.code);
        }
        if let WriteFailure::WriteError(write) = failure { Some(write.code) } else { None }
    }

    /// Whether another document has this key.
    pub(super) fn is_duplicate(&self) -> bool {
        self.code() == Some(DUPLICATE_KEY)
    }
}

/// What MongoDB calls "DuplicateKey".
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// The way to one database.
pub(super) struct Link {
    runtime: Option<Runtime>,
    pub(super) database: Database,
    pub(super) timeout: Duration,
    /// Servers and database, as the log names them.
    pub(super) place: Box<str>,
    /// Whether nothing answered when something was asked last. Stands by itself, so it is read and written relaxed.
    is_away: AtomicBool,
    why_away: Mutex<Arc<str>>,
    /// Whether nothing is waited for any more that takes long. As `is_away`.
    is_ending: AtomicBool,
}

impl Link {
    /// Finds the servers; nothing is asked yet.
    pub(super) fn open(location: &MongoDb) -> Result<Link, OpenError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(DRIVER_THREADS)
            .thread_name("mongodb")
            .enable_all()
            .build()
            .map_err(|error| OpenError::io("mongodb", &error))?;
        let Place { options, database, text } = Place::find(&runtime, location)?;
        let client = {
            // The client starts its monitors where it is made.
            let _inside = runtime.enter();
            Client::with_options(options).map_err(|error| OpenError::Address { reason: error.to_string() })?
        };
        let database = client.database(&database);
        Ok(Link {
            runtime: Some(runtime),
            database,
            timeout: location.timeout,
            place: text,
            is_away: AtomicBool::new(false),
            why_away: Mutex::new("".into()),
            is_ending: AtomicBool::new(false),
        })
    }

    pub(super) fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// Asks, and waits no longer than `store.timeout`; not at all while nothing answers.
    pub(super) fn ask<T>(&self, question: impl IntoFuture<Output = Result<T, Error>>) -> Result<T, Fault> {
        if self.is_away() {
            return Err(Fault::Unanswered(self.why()));
        }
        let answer = self.within(self.timeout, question.into_future());
        if let Err(Fault::Unanswered(reason)) = &answer {
            self.went_away(reason.clone());
        }
        answer
    }

    /// Asks for something that may take long, as long as the database is there.
    pub(super) fn ask_patiently<T>(
        &self,
        question: impl IntoFuture<Output = Result<T, Error>>,
    ) -> Result<T, Fault> {
        if self.is_away() {
            return Err(Fault::Unanswered(self.why()));
        }
        let Some(runtime) = &self.runtime else { return Err(self.silent()) };
        let answer = runtime.block_on(async {
            let question = question.into_future();
            tokio::pin!(question);
            loop {
                match timeout(self.timeout, &mut question).await {
                    Ok(answer) => return answer.map_err(Fault::of),
                    Err(_) if self.is_ending.load(Ordering::Relaxed) => return Err(self.silent()),
                    Err(_) => match timeout(self.timeout, self.ping()).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return Err(Fault::of(error)),
                        Err(_) => return Err(self.silent()),
                    },
                }
            }
        });
        if let Err(Fault::Unanswered(reason)) = &answer {
            self.went_away(reason.clone());
        }
        answer
    }

    /// Whether the database answers, asked for even if it did not before; what comes back is its answer to `hello`.
    pub(super) fn probe(&self) -> Result<Document, Fault> {
        let answer = self.within(self.timeout, self.ping());
        match &answer {
            Ok(_) => self.is_away.store(false, Ordering::Relaxed),
            Err(Fault::Unanswered(reason)) => self.went_away(reason.clone()),
            Err(Fault::Told(_)) => {}
        }
        answer
    }

    async fn ping(&self) -> Result<Document, Error> {
        self.database.run_command(doc! { "hello": 1 }).await
    }

    /// What takes long is not waited for any more.
    pub(super) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether nothing answered when something was asked last.
    pub(super) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    fn went_away(&self, reason: Arc<str>) {
        *self.why_away.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.is_away.store(true, Ordering::Relaxed);
    }

    fn why(&self) -> Arc<str> {
        self.why_away.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn within<T>(
        &self,
        time: Duration,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Fault> {
        let Some(runtime) = &self.runtime else { return Err(self.silent()) };
        match runtime.block_on(async { timeout(time, question).await }) {
            Ok(answer) => answer.map_err(Fault::of),
            Err(_) => Err(self.silent()),
        }
    }

    fn silent(&self) -> Fault {
        let (place, time) = (&self.place, self.timeout);
        Fault::Unanswered(
            format!("MongoDB at {place} does not answer within store.timeout ({time:?})").into(),
        )
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Its monitors may wait for a server that does not answer.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Acknowledged by a majority, in whose journals it is: what `commit` and `fsync` mean here.
pub(super) fn durably() -> WriteConcern {
    WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).journal(true).build()
}

/// Several updates, or deletes, in one command, in order; says whether all of them were done.
///
/// `statements` are those of the command `update` or `delete` (MongoDB's manual, "Database Commands").
pub(super) async fn run_many(
    database: &Database,
    command: &str,
    collection: &str,
    statements: Vec<Document>,
) -> Result<(), Error> {
    let list = if command == "update" { "updates" } else { "deletes" };
    let command = doc! {
        command: collection,
        list: statements,
        "ordered": true,
        "writeConcern": { "w": "majority", "j": true },
    };
    let answer = database.run_command(command).await?;
    let fault = ["writeErrors", "writeConcernError"].into_iter().find_map(|key| answer.get(key));
    fault.map_or(Ok(()), |fault| Err(Error::custom(format!("not everything was written: {fault}"))))
}
