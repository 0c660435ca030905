//! Foghorn against the raw limit and against other servers, on one machine in one go.
//!
//! `cargo bench --bench server` starts each server in turn on one processor, puts the load on the other one, goes round
//! several times so that slow and fast phases of the machine hit everybody, and prints one table of medians. What the
//! figures mean, and how to read them, is in `benches/README.md`.

mod fastwebsockets;
mod peers;
mod raw;
mod rows;
mod scrape;
mod table;
mod tokio_tungstenite;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use foghorn::bench::{self, Inside, Pace, Report, Rooms, Spawned, Target, Workload};
use indicatif::{ProgressBar, ProgressStyle};

use self::peers::Peer;
use self::rows::Row;
use self::table::Figures;

/// Compare servers: processor time per delivery, memory per connection, latency.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only rows whose name contains this; may be repeated
    #[arg(long, value_name = "TEXT")]
    row: Vec<String>,
    /// Only peers of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    peer: Vec<String>,
    /// One peer more, that prints `listening on http://ADDR:PORT`: another build, for example
    #[arg(long, value_name = "NAME=COMMAND")]
    also: Vec<String>,
    /// How many times each pair of row and peer is run
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// How long each run is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// Write all reports to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo adds to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be one of the peers
    Serve {
        /// raw, raw+, fastwebsockets or tokio-tungstenite
        peer: String,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(Command::Serve { peer }) = arguments.command {
        return match &*peer {
            "raw" => Ok(raw::serve(false)?),
            "raw+" => Ok(raw::serve(true)?),
            "fastwebsockets" => Ok(fastwebsockets::serve()?),
            "tokio-tungstenite" => Ok(tokio_tungstenite::serve()?),
            unknown => Err(format!("there is no peer {unknown}").into()),
        };
    }
    let wanted = |names: &[String], name: &str, exact: bool| {
        names.is_empty() || names.iter().any(|n| if exact { n == name } else { name.contains(&**n) })
    };
    let rows: Vec<Row> =
        rows::all().into_iter().filter(|row| wanted(&arguments.row, row.name, false)).collect();
    let peers: Vec<Peer> = peers::all(&arguments.also)?
        .into_iter()
        .filter(|peer| wanted(&arguments.peer, &peer.name, true))
        .collect();
    let (figures, reports) = run_all(&rows, &peers, arguments.runs, arguments.seconds);
    if let Some(path) = arguments.json {
        fs::write(path, reports)?;
    }
    let names: Vec<String> = peers.into_iter().map(|peer| peer.name).collect();
    writeln!(io::stdout(), "{}", figures.table(&rows, &names))?;
    Ok(())
}

/// Round after round: every peer in every row.
fn run_all(rows: &[Row], peers: &[Peer], runs: usize, seconds: f64) -> (Figures, String) {
    let (mut figures, mut reports) = (Figures::default(), String::new());
    let bar = ProgressBar::new((rows.len() * peers.len() * runs) as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {msg}") {
        bar.set_style(style);
    }
    for _ in 0..runs {
        for (number, row) in rows.iter().enumerate() {
            for (column, peer) in peers.iter().enumerate() {
                bar.set_message(format!("{}: {}", row.name, peer.name));
                match run_one(row, peer, seconds) {
                    Ok(Some(report)) => {
                        if let Ok(line) = serde_json::to_string(&(&peer.name, row.name, &report)) {
                            reports.extend([&*line, "\n"]);
                        }
                        match row.unit.of(&report) {
                            Some(figure) if row.unit.is_shown(&report) => {
                                figures.add(number, column, figure);
                            }
                            _ => figures.fail(
                                number,
                                column,
                                format!("{} {:?}", report.verdict, report.faults),
                            ),
                        }
                    }
                    Ok(None) => {}
                    Err(error) => figures.fail(number, column, error.to_string()),
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    (figures, reports)
}

fn run_one(row: &Row, peer: &Peer, seconds: f64) -> Result<Option<Report>, Box<dyn Error>> {
    let Some(path) = peer.path(row) else { return Ok(None) };
    let server = Spawned::start(&peer.command, true)?;
    let target = Target::parse(server.url(), path)?;
    let target = target.with_metrics(row.scraped.then(scrape::each_second));
    let mut plan = row.plan(seconds, server.id());
    plan.protocol = peer.protocol(row);
    if let (Some(share), Workload::Fanout(rooms)) = (row.share, plan.workload) {
        let most = bench::saturation(&plan, rooms, &target, &mut |_| ())?.messages_per_second();
        plan.workload = Workload::Fanout(Rooms { pace: Pace::Rate(most * share), ..rooms });
    }
    let report = bench::run(&plan, &target, &mut |_| ())?;
    if let Some(Inside::Unknown { why }) = &report.inside {
        return Err(why.clone().into());
    }
    Ok(Some(report))
}
