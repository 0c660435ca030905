//! What a run shows while it goes on, and at its end.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::bench::{Progress, Report, Series};

/// The bar on standard error.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub(super) fn new() -> Bar {
        Bar { bar: ProgressBar::new(1) }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    pub(super) fn show(&self, progress: Progress) {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        match progress {
            Progress::Part { name, number, of } => self.bar.set_prefix(format!("{number}/{of} {name}  ")),
            Progress::Connecting { opened, of } => self.count("connecting", opened as u64, of as u64),
            Progress::WarmingUp => self.say("warming up"),
            Progress::Measuring { elapsed, of } => {
                self.style("{prefix}{msg:11} {bar:40} {elapsed}");
                self.set("measuring", millis(elapsed), millis(of));
            }
            Progress::Recovering { back, of } => self.count("recovering", back as u64, of as u64),
            Progress::Draining => self.say("waiting for the last messages"),
            Progress::SqliteBaseline => self.say("measuring what SQLite does by itself"),
        }
    }

    fn count(&self, message: &'static str, position: u64, of: u64) {
        self.style("{prefix}{msg:11} {bar:40} {pos}/{len}");
        self.set(message, position, of);
    }

    fn set(&self, message: &'static str, position: u64, of: u64) {
        self.bar.set_message(message);
        self.bar.set_length(of);
        self.bar.set_position(position);
    }

    fn say(&self, message: &'static str) {
        self.style("{prefix}{msg}");
        self.bar.set_message(message);
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }
}

/// Prints one run, a line for each figure.
pub(super) fn print(report: &Report) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for (name, value) in report.lines() {
        writeln!(stdout, "{name:>20}  {value}")?;
    }
    writeln!(stdout, "{:>20}  {}", "verdict", report.verdict)
}

/// Prints several runs as a table.
pub(super) fn print_series(series: &Series) -> io::Result<()> {
    print_table(&series.table())?;
    let inside = series.inside_table();
    let mut stdout = io::stdout().lock();
    if !inside.is_empty() {
        writeln!(stdout)?;
        print_table(&inside)?;
    }
    series.remarks().iter().try_for_each(|remark| writeln!(stdout, "{remark}"))
}

pub(super) fn print_table(table: &[Vec<String>]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        for (number, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match number {
                0 => write!(stdout, "{cell:width$}")?,
                _ => write!(stdout, "  {cell:>width$}")?,
            }
        }
        writeln!(stdout)?;
    }
    Ok(())
}
