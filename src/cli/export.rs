//! `foghorn export`: a room and its log as JSON Lines.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use indicatif::ProgressBar;

use super::failure::Failure;
use super::offline::{StoreArgs, ask, progress};
use super::room_line::RoomLine;
use crate::rooms::store_api::{Page, PageRequest, ReadFrom};
use crate::rooms::{Timestamp, push_stored_json};
use crate::store::Store;
use crate::system::since_epoch;

/// Messages and bytes of their texts that are in memory at one time.
// Large enough that asking costs nothing beside reading, small enough that memory does not grow with the room.
const PAGE_MESSAGES: usize = 4_096;
const PAGE_BYTES: usize = 4 << 20;

/// Arguments of `foghorn export`.
#[derive(Debug, clap::Args)]
#[group(id = "export")]
pub(super) struct ExportArgs {
    /// The room's id
    room: String,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Writes what the room is, then every message that is kept, oldest first, each as the object that the room's members were sent.
pub(super) fn run(arguments: &ExportArgs) -> Result<(), Failure> {
    let (store, _threads) = arguments.store.open(false)?;
    let room = &*arguments.room;
    // A room that is not there must not cost the file of the last export.
    let first = read(&store, room, 0)?;
    let count = (first.head + 1).saturating_sub(first.tail);
    match &arguments.output {
        Some(path) => {
            let cannot = |error| cannot_write(&path.display().to_string(), &error);
            let mut file = File::create(path).map_err(cannot)?;
            write_log(&store, room, first, &mut file, &progress(Some(count))?, &cannot)?;
            // A pipe or a terminal has nothing to be written to a disk.
            if file.metadata().map_err(cannot)?.is_file() { file.sync_all().map_err(cannot) } else { Ok(()) }
        }
        None => {
            let stdout = io::stdout().lock();
            // On a terminal the lines themselves show the progress.
            let bar = if stdout.is_terminal() { ProgressBar::hidden() } else { progress(Some(count))? };
            write_log(&store, room, first, stdout, &bar, &|error| cannot_write("standard output", &error))
        }
    }
}

fn cannot_write(what: &str, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {what}: {error}"))
}

/// Writes what the room is, then the page and all that follow it.
fn write_log(
    store: &Store,
    room: &str,
    mut page: Page,
    out: impl Write,
    bar: &ProgressBar,
    cannot: &dyn Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(out);
    let about = ask(|done| store.room(room, done))
        .map_err(|error| Failure::new(format!("room {room:?}: {error}")))?;
    let mut line = serde_json::to_vec(&RoomLine::of(about))?;
    line.push(b'\n');
    out.write_all(&line).map_err(cannot)?;
    while let Some(last) = page.messages.last().map(|message| message.seq) {
        for message in &page.messages {
            line.clear();
            push_stored_json(&mut line, room, page.epoch, message);
            line.push(b'\n');
            out.write_all(&line).map_err(cannot)?;
        }
        bar.inc(page.messages.len() as u64);
        page = read(store, room, last)?;
    }
    out.flush().map_err(cannot)?;
    bar.finish_and_clear();
    Ok(())
}

fn read(store: &Store, room: &str, after: u64) -> Result<Page, Failure> {
    let request = PageRequest {
        from: ReadFrom::Seq(after),
        messages_max: PAGE_MESSAGES,
        bytes_max: PAGE_BYTES,
        newest_first: false,
        before: None,
        now: Timestamp::from_unix(since_epoch()),
    };
    ask(|done| store.messages(room, request, done))
        .map_err(|error| Failure::new(format!("room {room:?}: {error}")))
}
