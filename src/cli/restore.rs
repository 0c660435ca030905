//! `foghorn restore`: a data directory from a file of `foghorn backup`.

use std::fs;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::interrupt::Interrupt;
use crate::store::restore;

/// Arguments of `foghorn restore`.
#[derive(Debug, clap::Args)]
#[group(id = "restore")]
pub(super) struct RestoreArgs {
    /// The file of `foghorn backup`
    file: PathBuf,
    /// The directory to make, which must be empty or not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Checks the file and makes the directory, or leaves everything as it is.
pub(super) fn run(arguments: &RestoreArgs) -> Result<(), Failure> {
    let RestoreArgs { file, data } = arguments;
    // What is left by a process that was ended in the middle is no directory that a server would use.
    let interrupt = Interrupt::watch(|| ())?;
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
