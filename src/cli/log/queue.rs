//! Lines on their way to standard error: a bounded queue, and the thread that empties it.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::line::{self, Form};
use crate::limit_hits::LogLines;

/// Lines that wait for a reader of the log who does not keep up. With lines of usual length that is a megabyte.
const LINES_MAX: usize = 4096;

/// The near end of the queue.
pub(super) struct LogQueue {
    entries: Sender<QueueEntry>,
}

enum QueueEntry {
    Line(String),
    /// Everything before this has been written or dropped when its other end is told.
    Flush(Sender<()>),
}

impl LogQueue {
    /// Starts the thread that writes to `out`; it lives as long as the process.
    pub(super) fn start(out: impl Write + Send + 'static, form: Form) -> io::Result<LogQueue> {
        let (entries, queued) = bounded(LINES_MAX);
        let writer = LogWriter { out, form, told: 0, torn: false };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&queued))?;
        Ok(LogQueue { entries })
    }

    /// Takes a line; drops it if too many wait. Never blocks.
    pub(super) fn push(&self, line: String) {
        if self.entries.try_send(QueueEntry::Line(line)).is_err() {
            LogLines::drop_one();
        }
    }

    /// Waits until all lines before are written, but no longer than `within`.
    pub(super) fn finish(&self, within: Duration) {
        // Room for the one answer: the thread that writes never waits for a command that has given up.
        let (tell, told) = bounded(1);
        if self.entries.send_timeout(QueueEntry::Flush(tell), within).is_ok() {
            let _written_or_late = told.recv_timeout(within);
        }
    }
}

/// The far end.
struct LogWriter<W> {
    out: W,
    form: Form,
    /// How many dropped lines the log has told of.
    told: u64,
    /// The last write stopped in the middle of a line: the next one begins on a line of its own.
    torn: bool,
}

impl<W: Write> LogWriter<W> {
    fn run(mut self, entries: &Receiver<QueueEntry>) {
        for entry in entries {
            match entry {
                QueueEntry::Line(line) if self.write(&line).is_ok() => self.tell_of_dropped(),
                QueueEntry::Line(_) => LogLines::drop_one(),
                QueueEntry::Flush(tell) => drop(tell.send(())),
            }
        }
    }

    /// Once lines can be written again, the log says how many are missing.
    fn tell_of_dropped(&mut self) {
        let dropped = LogLines::dropped();
        if dropped > self.told {
            let line = line::of_dropped(self.form, dropped - self.told);
            if self.write(&line).is_ok() {
                self.told = dropped;
            }
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.torn {
            self.out.write_all(b"\n")?;
            self.torn = false;
        }
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = &rest[count..];
                    self.torn = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `free` bytes, then none.
    struct Disk {
        free: usize,
        taken: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.free);
            self.free -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_is_cut_off_by_a_full_disk_does_not_spoil_the_next() {
        let disk = Disk { free: 7, taken: Vec::new() };
        let mut writer = LogWriter {
            out: disk,
            form: Form::Text { colour: false },
            told: LogLines::dropped(),
            torn: false,
        };
        assert!(writer.write("one\n").is_ok());
        assert!(writer.write("two three\n").is_err());
        assert!(writer.write("four\n").is_err());
        writer.out.free = 1000;
        assert!(writer.write("five\n").is_ok());
        assert_eq!(String::from_utf8_lossy(&writer.out.taken), "one\ntwo\nfive\n");
    }

    /// Blocks until it is let go.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _let_go = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_stuck_costs_lines_and_nobody_waits() {
        let (release, stuck) = bounded(0);
        let queue = LogQueue::start(Stuck(stuck), Form::Json).unwrap();
        let before = LogLines::dropped();
        (0..LINES_MAX + 10).for_each(|_| queue.push("line\n".to_owned()));
        // The thread may have taken one out of the queue.
        assert!(LogLines::dropped() - before >= 9);
        queue.finish(Duration::from_millis(1));
        drop(release);
        queue.finish(Duration::from_secs(30));
        assert!(queue.entries.is_empty());
    }
}
