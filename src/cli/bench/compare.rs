//! `foghorn bench compare`: two reports side by side.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::output::write;
use super::show;
use crate::bench::{self, BenchError, Comparison, Side};

/// Maximum size of a report. The largest ones have a curve of an hour, and are a tenth of this.
const REPORT_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct CompareArgs {
    /// A report, as `--json` has written it
    first: PathBuf,
    /// Another one
    second: PathBuf,
    /// Write both as one page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Shows in what two reports differ.
///
/// # Errors
/// [`BenchError::Read`], [`BenchError::Compare`], [`BenchError::Write`].
pub(super) fn run(args: &CompareArgs) -> Result<(), BenchError> {
    let names = names(&args.first, &args.second);
    let [first, second] = [(&args.first, &names[0]), (&args.second, &names[1])].map(|(path, name)| {
        read(path)
            .and_then(|json| Side::parse(name, &json))
            .map_err(|why| BenchError::Read(path.clone(), why))
    });
    let comparison = Comparison::of(first?, second?).map_err(BenchError::Compare)?;
    print(&comparison).map_err(|error| BenchError::System("print the comparison", error))?;
    match &args.html {
        Some(path) => write(path, Ok(bench::comparison_page(&comparison).into_bytes())),
        None => Ok(()),
    }
}

/// What the files are called: their names without folders and ending, unless these are the same.
fn names(first: &Path, second: &Path) -> [String; 2] {
    let stem = |path: &Path| path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let [short, other] = [first, second].map(stem);
    if short == other { [first, second].map(|path| path.display().to_string()) } else { [short, other] }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(REPORT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > REPORT_BYTES_MAX {
        return Err("it is longer than any report".to_owned());
    }
    Ok(bytes)
}

fn print(comparison: &Comparison) -> io::Result<()> {
    let [first, second] = &comparison.names;
    for ((name, table), facts) in comparison.tables().into_iter().zip(comparison.facts()) {
        let mut stdout = io::stdout().lock();
        if !name.is_empty() {
            writeln!(stdout, "\n{name}")?;
        }
        for (fact, [a, b]) in facts {
            if a == b {
                writeln!(stdout, "{fact:>12}  {a}")?;
            } else {
                writeln!(stdout, "{fact:>12}  {first}: {a}\n{:>12}  {second}: {b}", "")?;
            }
        }
        drop(stdout);
        show::print_table(&table)?;
    }
    let mut stdout = io::stdout().lock();
    comparison.remarks().iter().try_for_each(|remark| writeln!(stdout, "{remark}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_their_names_or_else_by_their_paths() {
        assert_eq!(names(Path::new("x/before.json"), Path::new("now.json")), ["before", "now"]);
        assert_eq!(names(Path::new("a/r.json"), Path::new("b/r.json")), ["a/r.json", "b/r.json"]);
    }
}
