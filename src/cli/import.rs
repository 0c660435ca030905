//! `foghorn import`: a room's log from the JSON Lines of `foghorn export`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Failure;
use super::interrupt::Interrupt;
use super::offline::{Place, ask, progress};
use super::room_line::RoomLine;
use crate::auth::{self, USER_BYTES_MAX};
use crate::request::names::{CLIENT_ID_BYTES_MAX, ROOM_BYTES_MAX};
use crate::rooms::store_api::{Stored, StoredPresence};
use crate::rooms::{Kind, Timestamp, id_epoch};
use crate::store::{Import, RoomInfo, SEQ_MAX, Store};

/// A batch is stored once it has so many messages, or bytes of texts.
const BATCH_MESSAGES: usize = 4_096;
const BATCH_BYTES: usize = 4 << 20;
/// What some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Arguments of `foghorn import`.
#[derive(Debug, clap::Args)]
#[group(id = "import")]
pub(super) struct Arguments {
    /// Read this file instead of standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Import into this room, whatever the lines say [default: the room of the lines]
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Puts the messages into a room without any, with the numbers and times that they have.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
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
    let (store, _threads) = arguments.place.open(true)?;
    let mut importer = Importer::new(&store, arguments.room.as_deref(), progress(None)?);
    // Should no line come, the process ends: what was imported is then taken back when the directory is next used.
    let interrupt = Interrupt::watch(|| ())?;
    let done = importer.take_all(input, &interrupt);
    importer.bar.finish_and_clear();
    done.map_err(|failure| importer.undo(failure))
}

/// A line as `foghorn export` writes it. The `id` of the first message says how all ids were made, if a server made it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Line<'l> {
    #[serde(default, borrow)]
    id: Option<&'l RawValue>,
    #[serde(borrow)]
    room_id: Cow<'l, str>,
    sender: Box<str>,
    content: Box<str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'l, str>,
    #[serde(borrow)]
    timestamp: Cow<'l, str>,
    seq: u64,
    client_id: Option<Box<str>>,
    username: Option<Box<str>>,
    online: Option<u64>,
}

impl Line<'_> {
    fn message(self) -> Result<Stored, String> {
        let all = [Kind::Message, Kind::Join, Kind::Leave, Kind::System];
        let kind = all.into_iter().find(|kind| kind.name() == self.kind);
        let kind = kind.ok_or_else(|| format!("type {:?} is none of a stored message", self.kind))?;
        check_name(&self.sender, USER_BYTES_MAX).map_err(|why| format!("sender {why}"))?;
        // An empty id is none.
        let client_id = self.client_id.filter(|id| !id.is_empty());
        if client_id.as_ref().is_some_and(|id| id.len() > CLIENT_ID_BYTES_MAX) {
            return Err(format!("clientId must have up to {CLIENT_ID_BYTES_MAX} bytes"));
        }
        if self.seq > SEQ_MAX {
            return Err(format!("message {} is beyond the highest number, {SEQ_MAX}", self.seq));
        }
        let at = parse_time(&self.timestamp)
            .ok_or("timestamp is no RFC 3339 time since 1970 with microseconds at most")?;
        let presence = presence(kind, self.username, self.online)?;
        Ok(Stored {
            seq: self.seq,
            at,
            kind,
            sender: self.sender,
            content: self.content,
            client_id,
            presence,
        })
    }
}

/// What a JOIN or LEAVE says besides. Those of older versions say nothing.
fn presence(
    kind: Kind,
    username: Option<Box<str>>,
    online: Option<u64>,
) -> Result<Option<StoredPresence>, String> {
    match (username, online, kind) {
        (None, None, _) => Ok(None),
        (Some(username), Some(online), Kind::Join | Kind::Leave) => {
            check_name(&username, USER_BYTES_MAX).map_err(|why| format!("username {why}"))?;
            if online > SEQ_MAX {
                return Err(format!("online is beyond the highest number, {SEQ_MAX}"));
            }
            Ok(Some(StoredPresence { username, online }))
        }
        (_, _, Kind::Join | Kind::Leave | Kind::Message | Kind::System) => {
            Err("username and online belong together, and to JOIN and LEAVE alone".into())
        }
    }
}

/// A room that comes into being; one of an older name is imported under another.
fn check_room(name: &str) -> Result<(), String> {
    auth::check_name(name, ROOM_BYTES_MAX).map_err(|why| why.rule(ROOM_BYTES_MAX))
}

/// A name in a log, perhaps one that could not be taken any more.
pub(super) fn check_name(name: &str, bytes_max: usize) -> Result<(), String> {
    if (1..=bytes_max).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("must have 1 to {bytes_max} bytes and no control characters"))
}

/// What the room would not give back exactly is refused.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    let nanos = u64::try_from(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos()).ok()?;
    nanos.is_multiple_of(1000).then(|| Timestamp::from_micros(nanos / 1000))
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
        let line: Line<'_> = serde_json::from_slice(text).map_err(|error| reason(&error))?;
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
    fn a_time_that_the_room_would_not_give_back_is_refused() {
        let cases = [
            ("2026-01-31T12:00:00.123456Z", Some(1_769_860_800_123_456)),
            ("2026-01-31T13:00:00+01:00", Some(1_769_860_800_000_000)),
            ("2026-01-31T12:00:00.1234567Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-01-31", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text).map(Timestamp::micros), expected, "{text}");
        }
    }

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

    #[test]
    fn names_have_a_length_and_no_control_characters() {
        for (name, fine) in [("Jörg K", true), ("", false), ("a\nb", false), ("123456789", false)] {
            assert_eq!(check_name(name, 8).is_ok(), fine, "{name:?}");
        }
    }
}
