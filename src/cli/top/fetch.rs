//! Asking the server once a second.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, after};

use super::figures::Figures;
use crate::cli::failure::{Failure, USAGE};
use crate::cli::remote::{AccessArgs, Remote};

const PATH: &str = "/api/stats";
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What asking has come to.
pub(super) enum Fetched {
    Figures(Box<Figures>),
    /// The server does not answer now; it is asked again.
    Away(String),
    /// It will not answer.
    Refused(Failure),
}

/// Asks one server.
pub(super) struct Fetcher {
    url: String,
    access: AccessArgs,
    remote: Option<Remote>,
}

impl Fetcher {
    pub(super) fn new(url: String, access: AccessArgs) -> Fetcher {
        Fetcher { url, access, remote: None }
    }

    /// Asks on a thread of its own, until nobody listens.
    pub(super) fn start(mut self, tell: Sender<Fetched>) -> io::Result<()> {
        let run = move || {
            while tell.send(self.ask()).is_ok() {
                let _time_is_up = after(ASK_EVERY).recv();
            }
        };
        thread::Builder::new().name("fetch".to_owned()).spawn(run).map(drop)
    }

    fn ask(&mut self) -> Fetched {
        let away = |failure: Failure| match failure.status {
            USAGE => Fetched::Refused(failure),
            _ => Fetched::Away(failure.text),
        };
        let mut remote = match self.remote.take().map_or_else(|| Remote::connect(&self.url, &self.access), Ok)
        {
            Ok(remote) => remote,
            Err(failure) => return away(failure),
        };
        let answer = match remote.ask("GET", PATH) {
            Ok(answer) => answer,
            Err(failure) => return away(failure),
        };
        let refusal = (answer.status != 200).then(|| remote.refusal(&answer));
        if !answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.remote = Some(remote);
        }
        match (answer.status, refusal) {
            (408 | 429 | 500.., Some(refusal)) => Fetched::Away(refusal.text),
            (404, Some(refusal)) => Fetched::Refused(Failure::new(format!(
                "{}; where admin.listen is set, the figures are there alone",
                refusal.text
            ))),
            (_, Some(refusal)) => Fetched::Refused(refusal),
            (_, None) => match serde_json::from_slice(&answer.body) {
                Ok(figures) => Fetched::Figures(Box::new(figures)),
                Err(error) => Fetched::Refused(Failure::new(format!("{} has no figures: {error}", self.url))),
            },
        }
    }
}
