//! The store without a server: what `foghorn export` and `foghorn import` have in common.

use std::path::PathBuf;

use crossbeam_channel::bounded;
use indicatif::{ProgressBar, ProgressStyle};

use super::config;
use super::failure::Failure;
use crate::config::{Config, Flag};
use crate::rooms::store_api::Retention;
use crate::server::{store_location, store_options};
use crate::store::{Busy, Done, Options, Store, StoreError, StoreThreads};

/// Which store, said as to `foghorn serve`.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    /// The directory of the chat rooms, which no server may be using [default: ./foghorn-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The MongoDB of the chat rooms, which no server may be using, in place of a directory
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    store: Option<String>,
    /// Read the configuration from this TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store; dropping the threads finishes what was begun and closes it.
    pub(super) fn open(&self, create: bool) -> Result<(Store, StoreThreads), Failure> {
        let config = config::load(self.config.as_deref(), &self.flags())?;
        // A directory that was named is meant, whatever the configuration says of a database.
        let config = if self.data.is_some() { without_database(config) } else { config };
        if config.memory {
            let text = "the configuration keeps rooms in memory only (name a directory with --data)";
            return Err(Failure::usage(text));
        }
        if config.store.url.is_none() && !create && !config.data.is_dir() {
            let data = config.data.display();
            return Err(Failure::new(format!("there is no data directory {data} (name it with --data)")));
        }
        // Deleting what is too old or too much is the server's business: the limits of the configuration may be others
        // than the ones that it runs with.
        let options = Options { retention: Retention::default(), ..store_options(&config) };
        Ok(Store::open(store_location(&config), options)?)
    }

    fn flags(&self) -> Vec<Flag<'static>> {
        let place = [("--data", "data", &self.data), ("--store", "store.url", &self.store)];
        let given = place.into_iter().filter_map(|(name, key, value)| Some((name, key, value.clone()?)));
        given
            .flat_map(|(name, key, value)| {
                [Flag { name, key, value }, Flag { name, key: "memory", value: "false".to_owned() }]
            })
            .collect()
    }
}

fn without_database(mut config: Config) -> Config {
    config.store.url = None;
    config
}

/// Asks the store and waits for its answer.
pub(super) fn ask<T: Send + 'static>(
    question: impl FnOnce(Done<Result<T, StoreError>>) -> Result<(), Busy>,
) -> Result<T, StoreError> {
    let (answer, answered) = bounded(1);
    // The receiver waits below for as long as it takes.
    let done: Done<Result<T, StoreError>> = Box::new(move |result| drop(answer.send(result)));
    question(done).map_err(|busy| StoreError::Unavailable(busy.to_string().into()))?;
    answered.recv().unwrap_or(Err(StoreError::Stopped))
}

/// Messages done, on standard error if that is a terminal. Without a `count` their number is not known beforehand.
pub(super) fn progress(count: Option<u64>) -> Result<ProgressBar, Failure> {
    let template = if count.is_some() { "{bar:40} {pos}/{len} messages" } else { "{spinner} {pos} messages" };
    let bar = count.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    Ok(bar.with_style(ProgressStyle::with_template(template)?))
}
