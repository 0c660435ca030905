//! The polls, and coming back: after a lost connection the next poll goes on from the position of the last one.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, after};

use crate::cli::failure::{Failure, USAGE};
use crate::cli::remote::{AccessArgs, Remote, RemoteAnswer, path_segment};
use crate::system::{instant, random};

/// How long a poll waits for news. Proxies give up answers after 30 seconds.
const WAIT_SECONDS: u64 = 25;
/// Entries of one answer.
const LIMIT: u64 = 1000;
/// The shortest and the longest time before the server is tried again, and the time after which a connection was a good one.
const DELAY_MIN: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(20);
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// What the one who prints is told.
pub(super) enum LogUpdate {
    /// A JSON array of entries.
    Entries(Vec<u8>),
    /// The connection is lost; it is tried again after `wait`. Told once for each time.
    Lost { why: String, wait: Duration },
    /// The connection is there again.
    Back,
    /// There is nothing to follow.
    End(Failure),
}

/// One room of one server.
pub(super) struct Follower {
    url: String,
    access: AccessArgs,
    path: String,
    /// Entries to begin with.
    history: u64,
    /// `epoch:seq` of the last entry that was told, once the server has said where the room is.
    position: Option<(String, String)>,
    /// Attempts since the last good connection.
    attempts: u32,
    is_lost: bool,
}

/// Why a poll has not brought anything.
enum Trouble {
    /// It may be better later, and not before this time.
    Passing(String, Duration),
    Final(Failure),
}

impl Follower {
    pub(super) fn new(url: String, access: AccessArgs, room: &str, history: u64) -> Follower {
        let path = format!("/poll/rooms/{}", path_segment(room));
        Follower { url, access, path, history, position: None, attempts: 0, is_lost: false }
    }

    /// Follows the room on a thread of its own, until nobody listens.
    pub(super) fn start(mut self, tell: Sender<LogUpdate>) -> io::Result<()> {
        let run = move || while self.connection(&tell).is_some() {};
        thread::Builder::new().name("follow".to_owned()).spawn(run).map(drop)
    }

    /// One connection, and the wait after it. `None` at the end.
    fn connection(&mut self, tell: &Sender<LogUpdate>) -> Option<()> {
        let began = instant();
        let trouble = match Remote::connect(&self.url, &self.access) {
            Ok(mut remote) => self.polls(&mut remote, tell)?,
            Err(failure) if failure.status == USAGE => Trouble::Final(failure),
            Err(failure) => Trouble::Passing(failure.text, Duration::ZERO),
        };
        let (why, at_least) = match trouble {
            Trouble::Passing(why, at_least) if self.position.is_some() => (why, at_least),
            // A server that was never there is a mistake in the command more often than not.
            Trouble::Passing(why, _) => {
                tell.send(LogUpdate::End(Failure::new(why))).ok()?;
                return None;
            }
            Trouble::Final(failure) => {
                tell.send(LogUpdate::End(failure)).ok()?;
                return None;
            }
        };
        let wait = self.next_delay(began).max(at_least);
        if !std::mem::replace(&mut self.is_lost, true) {
            tell.send(LogUpdate::Lost { why, wait }).ok()?;
        }
        let _time_is_up = after(wait).recv();
        Some(())
    }

    fn next_delay(&mut self, began: Instant) -> Duration {
        let was_good = instant().saturating_duration_since(began) >= GOOD_AFTER;
        self.attempts = if was_good { 1 } else { self.attempts.saturating_add(1) };
        delay(self.attempts, random())
    }

    /// Polls until something is wrong with the connection or with the room. `None` if nobody listens.
    fn polls(&mut self, remote: &mut Remote, tell: &Sender<LogUpdate>) -> Option<Trouble> {
        loop {
            let asked = remote.ask("GET", &self.target());
            let answer = match asked.map_err(trouble).and_then(|answer| self.take(remote, answer)) {
                Ok(answer) => answer,
                Err(trouble) => return Some(trouble),
            };
            if std::mem::take(&mut self.is_lost) {
                tell.send(LogUpdate::Back).ok()?;
            }
            let is_last = answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            if answer.body != b"[]" {
                tell.send(LogUpdate::Entries(answer.body)).ok()?;
            }
            if is_last {
                match Remote::connect(&self.url, &self.access) {
                    Ok(next) => *remote = next,
                    Err(failure) => return Some(trouble(failure)),
                }
            }
        }
    }

    fn target(&self) -> String {
        let path = &self.path;
        match &self.position {
            // At once: what is lost before the first position is known would be lost without a gap.
            None if self.history == 0 => format!("{path}?wait=0"),
            None => format!("{path}?wait=0&limit={LIMIT}&history={}", self.history),
            Some((epoch, seq)) => {
                format!("{path}?wait={WAIT_SECONDS}&limit={LIMIT}&sinceSeq={seq}&epoch={epoch}")
            }
        }
    }

    /// Takes the position out of an answer with entries.
    fn take(&mut self, remote: &Remote, answer: RemoteAnswer) -> Result<RemoteAnswer, Trouble> {
        if answer.status != 200 {
            let failure = remote.refusal(&answer);
            let seconds = answer.field("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
            // The server has not said anything about the room.
            return Err(match answer.status {
                408 | 429 | 500.. => {
                    Trouble::Passing(failure.text, Duration::from_secs(seconds).min(DELAY_MAX))
                }
                _ => Trouble::Final(failure),
            });
        }
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let position = answer.field("foghorn-position").and_then(|text| text.split_once(':'));
        let Some((epoch, seq)) = position.filter(|(epoch, seq)| is_word(epoch) && is_word(seq)) else {
            let text = format!("{} does not say where the room is: it is no foghorn server", self.url);
            return Err(Trouble::Final(Failure::new(text)));
        };
        self.position = Some((epoch.to_owned(), seq.to_owned()));
        Ok(answer)
    }
}

fn trouble(failure: Failure) -> Trouble {
    if failure.status == USAGE {
        Trouble::Final(failure)
    } else {
        Trouble::Passing(failure.text, Duration::ZERO)
    }
}

/// The time before attempt `number`, from 1 on: it doubles, and a part of it is chance, so that the clients of a server that
/// was restarted do not all come at once.
fn delay(number: u32, chance: u64) -> Duration {
    let grown = DELAY_MIN.saturating_mul(1 << number.min(16)).min(DELAY_MAX);
    DELAY_MIN + (grown - DELAY_MIN).mul_f64(chance as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_before_an_attempt_doubles_and_has_an_end() {
        assert_eq!(delay(1, 0), DELAY_MIN);
        assert_eq!(delay(1, u64::MAX), 2 * DELAY_MIN);
        assert_eq!(delay(3, u64::MAX), 8 * DELAY_MIN);
        assert_eq!(delay(9, u64::MAX), DELAY_MAX);
        assert_eq!(delay(u32::MAX, u64::MAX), DELAY_MAX);
        assert!(delay(4, u64::MAX / 2) < 9 * DELAY_MIN);
    }
}
