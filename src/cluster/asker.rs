//! One who asks Redis and waits for the answer, over a connection of its own that is made anew when it breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ConnectionLike, RedisError, RedisResult};

use super::address::Address;
use super::connection::Connection;
use super::counters::RequestTimes;
use super::error::unavailable;
use crate::store::{Monitor, StoreError};
use crate::system::instant;

/// How long after a failure to connect everything is answered with that failure.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may rest before it is looked at.
const REST: Duration = Duration::from_millis(500);

/// One who asks.
pub(super) struct Asker {
    address: Arc<Address>,
    timeout: Duration,
    monitor: Arc<Monitor>,
    times: RequestTimes,
    connection: Option<Connection>,
    failed: Option<(Instant, StoreError)>,
}

impl Asker {
    pub(super) fn new(
        address: Arc<Address>,
        timeout: Duration,
        monitor: Arc<Monitor>,
        times: RequestTimes,
    ) -> Asker {
        Asker { address, timeout, monitor, times, connection: None, failed: None }
    }

    /// Asks something that may be asked twice, as it is if the connection breaks.
    pub(super) fn ask<T>(
        &mut self,
        mut question: impl FnMut(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let is_kept = self.connect()?;
        match self.answer(&mut question) {
            // Redis may have hung up on a connection that nothing was asked over for long.
            Err(error) if is_kept && is_broken(&error) && !error.is_timeout() => {
                self.connect()?;
                self.answer(&mut question).map_err(|error| self.fault(&error))
            }
            answer => answer.map_err(|error| self.fault(&error)),
        }
    }

    /// Asks something that must not be asked twice.
    pub(super) fn once<T>(
        &mut self,
        question: impl FnOnce(&mut dyn ConnectionLike) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connect()?;
        let Some(connection) = &mut self.connection else { return Err(StoreError::Stopped) };
        let began = instant();
        let answer = question(connection);
        self.times.note(began);
        if !connection.is_whole() {
            self.connection = None;
            if let Err(error) = &answer {
                self.monitor.failed(error);
            }
        }
        answer
    }

    fn answer<T>(&mut self, question: &mut impl FnMut(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let Some(connection) = &mut self.connection else {
            return Err(RedisError::from((redis::ErrorKind::Client, "there is no connection")));
        };
        let began = instant();
        let answer = question(connection);
        self.times.note(began);
        if !connection.is_whole() {
            self.connection = None;
        }
        answer
    }

    /// Sees to it that there is a connection; says whether it was there before.
    fn connect(&mut self) -> Result<bool, StoreError> {
        let now = instant();
        if self
            .connection
            .as_mut()
            .is_some_and(|connection| connection.rest() > REST && connection.has_ended())
        {
            self.connection = None;
        }
        if self.connection.is_some() {
            return Ok(true);
        }
        if let Some((at, error)) = &self.failed
            && now.saturating_duration_since(*at) < PAUSE
        {
            return Err(error.clone());
        }
        match Connection::open(&self.address, self.timeout) {
            Ok(connection) => {
                self.connection = Some(connection);
                self.failed = None;
                Ok(false)
            }
            Err(error) => {
                let error = self.fault(&error);
                self.failed = Some((instant(), error.clone()));
                Err(error)
            }
        }
    }

    /// What a fault is to those who asked; a connection that broke is known to the monitor.
    fn fault(&self, error: &RedisError) -> StoreError {
        let found = unavailable(error);
        if is_broken(error) {
            self.monitor.failed(&found);
        }
        found
    }
}

fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}
