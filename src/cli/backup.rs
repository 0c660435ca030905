//! `foghorn backup`: a consistent copy of a running server, as a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::after;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::failure::Failure;
use super::interrupt::Interrupt;
use super::remote::{AccessArgs, Remote};
use crate::store::check_backup;

const PATH: &str = "/api/backup";
/// How long to wait while the server makes the copy before it is asked again.
// Copying a small store takes less; each question costs the server a request.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// Arguments of `foghorn backup`.
#[derive(Debug, clap::Args)]
#[group(id = "backup")]
pub(super) struct BackupArgs {
    /// The file to write; one that is there is replaced once the copy is whole
    file: PathBuf,
    /// The server: http(s)://HOST:PORT, ws(s)://HOST:PORT, or unix:/PATH
    #[arg(long, value_name = "URL")]
    url: String,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Deserialize)]
struct BackupBegun {
    id: String,
}

#[derive(Deserialize)]
struct CopyProgress {
    copied: u64,
    total: u64,
}

/// Fetches the copy under another name, checks it, and gives it its name.
pub(super) fn run(arguments: &BackupArgs) -> Result<(), Failure> {
    let file = &arguments.file;
    if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(Failure::new(format!("{} is there already, and no ordinary file", file.display())));
    }
    let mut server = Remote::connect(&arguments.url, &arguments.access)?;
    let mut part = Part::create(file)?;
    let path = part.path.clone();
    let interrupt = Interrupt::watch(move || drop(fs::remove_file(path)))?;
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{msg:10} {bar:40} {bytes}/{total_bytes}")?);
    let fetched = fetch(&mut server, &mut part, &interrupt, &bar);
    bar.finish_and_clear();
    fetched?;
    check_backup(&part.path).map_err(|error| {
        Failure::new(format!("what came from the server is no whole copy, and was removed ({error})"))
    })?;
    if interrupt.has_come() {
        return Err(interrupted());
    }
    part.finish(file)
}

fn interrupted() -> Failure {
    Failure::new("interrupted; nothing was written")
}

/// Has the server make a copy, and writes it.
fn fetch(
    server: &mut Remote,
    part: &mut Part,
    interrupt: &Interrupt,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let reply = server.ask("POST", PATH)?;
    if reply.status != 201 {
        return Err(server.refusal(&reply));
    }
    let BackupBegun { id } = serde_json::from_slice(&reply.body)?;
    if id.len() != 16 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::new("the server's answer has no id of a backup"));
    }
    let fetched = fetch_pieces(server, &id, part, interrupt, bar);
    // The next one has to wait for it otherwise, and the disk has it.
    let ended = server.ask("DELETE", &format!("{PATH}?id={id}"));
    let _whatever_became_of_it = ended.is_ok();
    fetched
}

fn fetch_pieces(
    server: &mut Remote,
    id: &str,
    part: &mut Part,
    interrupt: &Interrupt,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut offset = 0u64;
    loop {
        if interrupt.has_come() {
            return Err(interrupted());
        }
        let reply = server.ask("GET", &format!("{PATH}?id={id}&offset={offset}"))?;
        match reply.status {
            202 => {
                let CopyProgress { copied, total } = serde_json::from_slice(&reply.body)?;
                bar.set_message("copying");
                bar.set_length(total);
                bar.set_position(copied);
                let _the_time_is_up = after(ASK_INTERVAL).recv();
            }
            200 => {
                let total = reply.field("foghorn-backup-bytes").and_then(|total| total.parse().ok());
                let total: u64 =
                    total.ok_or_else(|| Failure::new("the server's answer has no length of the backup"))?;
                part.write(&reply.body)?;
                offset += reply.body.len() as u64;
                bar.set_message("fetching");
                bar.set_length(total);
                bar.set_position(offset);
                if offset == total {
                    return Ok(());
                }
                if offset > total || reply.body.is_empty() {
                    let text = format!("the server sent {offset} bytes of a backup of {total}");
                    return Err(Failure::new(text));
                }
            }
            _ => return Err(server.refusal(&reply)),
        }
    }
}

/// The file while it is not whole; removed unless it is finished.
struct Part {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Part {
    /// Beside the file, so that it can be renamed.
    fn create(file: &Path) -> Result<Part, Failure> {
        let name = file.file_name().ok_or_else(|| Failure::usage("FILE names no file"))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let path = file.with_file_name(hidden);
        // For its owner alone: every message of every user is in it.
        let opened = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| cannot_write(file, &error))?;
        Ok(Part { path, file, finished: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| cannot_write(&self.path, &error))
    }

    /// Gives it its name, for good.
    fn finish(&mut self, file: &Path) -> Result<(), Failure> {
        let cannot = |error| cannot_write(file, &error);
        self.file.sync_all().map_err(cannot)?;
        fs::rename(&self.path, file).map_err(cannot)?;
        self.finished = true;
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all()).map_err(cannot)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            let _nothing_more_can_be_done = fs::remove_file(&self.path);
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}
