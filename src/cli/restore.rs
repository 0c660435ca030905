//! `foghorn restore`: a data directory, or a database, from a file of `foghorn backup`.

use std::fs;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::carry::{self, Ends};
use super::config;
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::offline::progress;
use crate::config::Flag;
use crate::rooms::store_api::Retention;
use crate::server::{store_location, store_options};
use crate::store::{Location, Options, Store, restore};

/// Arguments of `foghorn restore`.
#[derive(Debug, clap::Args)]
#[group(id = "restore")]
pub(super) struct RestoreArgs {
    /// The file of `foghorn backup`
    file: PathBuf,
    /// The directory to make, which must be empty or not there
    #[arg(long, value_name = "DIR", required_unless_present = "store")]
    data: Option<PathBuf>,
    /// The MongoDB to restore into in place of a directory, which must have no rooms
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    store: Option<String>,
}

/// Checks the file and makes the directory, or leaves everything as it is.
pub(super) fn run(arguments: &RestoreArgs) -> Result<(), Failure> {
    let RestoreArgs { file, data, store } = arguments;
    // What is left by a process that was ended in the middle is no directory that a server would use.
    let interrupt = Interrupt::watch(|| ())?;
    match (data, store) {
        (Some(data), _) => restore_directory(file, data, &interrupt),
        (None, Some(url)) => restore_database(file, url, &interrupt),
        (None, None) => Err(Failure::usage("name a directory with --data, or a MongoDB with --store")),
    }
}

fn restore_directory(file: &Path, data: &Path, interrupt: &Interrupt) -> Result<(), Failure> {
    let bytes = fs::metadata(file).map_or(0, |found| found.len());
    let bar = ProgressBar::new(bytes)
        .with_style(ProgressStyle::with_template("{msg:10} {bar:40} {bytes}/{total_bytes}")?)
        .with_message("checking");
    bar.tick();
    let restored = restore(file, data, &mut |copied, total| {
        bar.set_message("restoring");
        bar.set_length(total);
        bar.set_position(copied);
        !interrupt.has_come()
    });
    bar.finish_and_clear();
    Ok(restored?)
}

/// By way of a directory beside the file, whose rooms are carried over.
fn restore_database(file: &Path, url: &str, interrupt: &Interrupt) -> Result<(), Failure> {
    let given = [("store.url", url.to_owned()), ("memory", "false".to_owned())];
    let flags: Vec<_> = given.into_iter().map(|(key, value)| Flag { name: "--store", key, value }).collect();
    let config = config::load(None, &flags)?;
    let options = Options { retention: Retention::default(), ..store_options(&config) };
    let (target, target_threads) = Store::open(store_location(&config), options.clone())?;
    carry::check_empty(&target)?;
    let directory = beside(file);
    restore_directory(file, &directory, interrupt)?;
    let carried = Store::open(Location::Directory(directory.clone()), options)
        .map_err(Failure::from)
        .and_then(|(source, threads)| {
            let bar = progress(None)?;
            let ends = Ends { source: &source, target: &target, interrupt, bar: &bar };
            let carried = carry::all(ends);
            bar.finish_and_clear();
            drop(threads);
            carried
        });
    drop(target_threads);
    let removed = fs::remove_dir_all(&directory);
    carried?;
    removed.map_err(|error| Failure::new(format!("cannot remove {}: {error}", directory.display())))
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    file.with_file_name(name)
}
