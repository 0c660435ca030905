//! `foghorn import`: a room's log from the JSON Lines of `foghorn export`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use indicatif::ProgressBar;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::interrupt::Interrupt;
use super::message_line::MessageLine;
use super::offline::{StoreArgs, ask, progress};
use super::room_line::RoomLine;
use crate::auth;
use crate::request::names::ROOM_BYTES_MAX;
use crate::rooms::store_api::Stored;
use crate::rooms::{Timestamp, id_epoch};
use crate::store::{Import, RoomInfo, Store};

/// A batch is stored once it has this number of messages, or of bytes of texts.
// A batch is one commit: of smaller ones the disk would have more work with commits than with messages.
const BATCH_MESSAGES: usize = 4_096;
const BATCH_BYTES: usize = 4 << 20;
/// What some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Arguments of `foghorn import`.
#[derive(Debug, clap::Args)]
#[group(id = "import")]
pub(super) struct ImportArgs {
    /// Read this file instead of standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Import into this room, whatever the lines say [default: the room of the lines]
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Puts the messages into a room without any, with the numbers and times that they have.
pub(super) fn run(arguments: &ImportArgs) -> Result<(), Failure> {
    let input: Box<dyn BufRead> = match &arguments.input {
        Some(path) => {
            let file = File::open(path);
            let cannot = |error| Failure::new(format!("cannot read {}: {error}", path.display()));
            Box::new(BufReader::new(file.map_err(cannot)?))
        }
        None => Box::new(io::stdin().lock()),
    };
    if let Some(room) = &arguments.room {
        check_room(room).map_err(|why| Failure::usage(format!("--room {why}")))?;
    }
    let (store, _threads) = arguments.store.open(true)?;
    let mut importer = Importer::new(&store, arguments.room.as_deref(), progress(None)?);
    // Should no line come, the process ends: what was imported is then taken back when the directory is next used.
    let interrupt = Interrupt::watch(|| ())?;
    let done = importer.take_all(input, &interrupt);
    importer.bar.finish_and_clear();
    done.map_err(|failure| importer.undo(failure))
}

/// A room that comes into being; one of an older name is imported under another.
fn check_room(name: &str) -> Result<(), String> {
    auth::check_name(name, ROOM_BYTES_MAX).map_err(|why| why.rule(ROOM_BYTES_MAX))
}

/// An import on its way.
struct Importer<'s> {
    store: &'s Store,
    /// The room to import into; without one, that of the first line, which all others must name, too.
    chosen: Option<&'s str>,
    room: Box<str>,
    /// What the first line says about the room, until it is stored; older exports say nothing.
    about: Option<Box<RoomInfo>>,
    /// What of the epoch is in the ids of the messages, until it is stored.
    id_epoch: Option<u64>,
    /// The last message that was stored.
    stored: Option<u64>,
    /// The last message that was read. Invariant: the batch ends with it.
    last: Option<(u64, Timestamp)>,
    batch: Vec<Stored>,
    batch_bytes: usize,
    bar: ProgressBar,
}

impl<'s> Importer<'s> {
    fn new(store: &'s Store, chosen: Option<&'s str>, bar: ProgressBar) -> Importer<'s> {
        let (room, batch) = (Box::default(), Vec::new());
        Importer {
            store,
            chosen,
            room,
            about: None,
            id_epoch: None,
            stored: None,
            last: None,
            batch,
            batch_bytes: 0,
            bar,
        }
    }

    fn take_all(&mut self, mut input: impl BufRead, interrupt: &Interrupt) -> Result<(), Failure> {
        let mut text = Vec::new();
        for number in 1u64.. {
            text.clear();
            if input.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            if interrupt.has_come() {
                return Err(Failure::new("interrupted; nothing was imported"));
            }
            let line = if number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text) } else { &text };
            if line.trim_ascii().is_empty() {
                continue;
            }
            self.take(line).map_err(|why| Failure::new(format!("line {number}: {why}")))?;
            if self.batch.len() >= BATCH_MESSAGES || self.batch_bytes >= BATCH_BYTES {
                self.store_batch(false)?;
            }
        }
        // Without a line there is nothing to finish.
        if self.last.is_some() || self.about.is_some() { self.store_batch(true) } else { Ok(()) }
    }

    /// Takes one line into the batch.
    fn take(&mut self, text: &[u8]) -> Result<(), String> {
        if self.last.is_none() && self.about.is_none() && RoomLine::is_one(text) {
            let line: RoomLine = serde_json::from_slice(text).map_err(|error| reason(&error))?;
            self.set_room(&line.room_id)?;
            self.about = Some(Box::new(line.room()?));
            return Ok(());
        }
        let line: MessageLine<'_> = serde_json::from_slice(text).map_err(|error| reason(&error))?;
        if self.last.is_none() && self.about.is_none() {
            self.set_room(&line.room_id)?;
        } else if self.chosen.is_none() && line.room_id != *self.room {
            return Err(format!("room {:?} where all before are of {:?}", line.room_id, self.room));
        }
        if self.last.is_none() {
            let id = line.id.map_or("", RawValue::get).trim_matches('"');
            self.id_epoch = id_epoch(id, line.seq);
        }
        let message = line.message()?;
        let follows =
            self.last.is_none_or(|(seq, at)| seq.checked_add(1) == Some(message.seq) && at < message.at);
        if !follows || message.seq == 0 {
            return Err(format!("message {} does not follow the one before in number and time", message.seq));
        }
        debug_assert!(
            self.batch.last().is_none_or(|before| self.last == Some((before.seq, before.at))),
            "the batch does not end with what was read last"
        );
        self.last = Some((message.seq, message.at));
        self.batch_bytes += message.text_bytes();
        self.batch.push(message);
        Ok(())
    }

    /// Into which room the lines go, the first of which names this one.
    fn set_room(&mut self, named: &str) -> Result<(), String> {
        let room = self.chosen.unwrap_or(named);
        check_room(room).map_err(|why| format!("roomId {why}: give another one with --room"))?;
        self.room = room.into();
        Ok(())
    }

    /// Stores what was read; the last batch, which may be empty, makes the import whole.
    fn store_batch(&mut self, is_last: bool) -> Result<(), Failure> {
        let messages = std::mem::take(&mut self.batch);
        let count = messages.len() as u64;
        let now = self.last.map_or_else(Timestamp::default, |(_, at)| at);
        let (room, about, id_epoch) = (self.room.clone(), self.about.take(), self.id_epoch.take());
        let import = Import { room, about, id_epoch, after: self.stored, messages, is_last };
        let stored = ask(|done| self.store.import(import, now, done))
            .map_err(|error| Failure::new(format!("room {:?}: {error}", self.room)))?;
        self.stored = Some(stored);
        self.batch_bytes = 0;
        self.bar.inc(count);
        Ok(())
    }

    /// Takes back what was stored: half a log is no log. Should that fail, it is done when the directory is next opened.
    fn undo(&self, failure: Failure) -> Failure {
        if self.stored.is_none() {
            return failure;
        }
        match ask(|done| self.store.take_back_import(&self.room, done)) {
            Ok(()) => failure,
            Err(more) => Failure::new(format!(
                "{}; what was imported into room {:?} is removed when the directory is next used ({more})",
                failure.text, self.room
            )),
        }
    }
}

/// What is wrong within a line: the parser counts lines, but sees one only.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(what) => format!("{what} (column {})", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_comes_into_being_has_a_name_that_it_could_be_given() {
        let long = "r".repeat(129);
        for (name, fine) in [
            ("lobby", true),
            ("", false),
            ("System", false),
            ("..", false),
            ("a\u{202e}", false),
            (&long, false),
        ] {
            assert_eq!(check_room(name).is_ok(), fine, "{name:?}");
        }
    }
}
