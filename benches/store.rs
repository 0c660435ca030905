//! How many messages a second can be stored, and how far is that from what SQLite does in a plain loop?
//!
//! `cargo bench --bench store [-- SECONDS]`. Every cell is the median of five measurements of half a second, taken in
//! turns, each on a fresh database in the directory for temporary files; what a commit costs is the disk's.
//!
//! - *plain*: one connection, one room, prepared insert, one transaction a batch.
//! - *indexed*: the same with an index on `(room, at)`, which the store does without.
//! - *store*: eight shards with a room each, which have two batches under way all the time.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use foghorn::rooms::store_api::{Durability, Record, RecordBatch, RecordText, RoomId};
use foghorn::rooms::{Kind, Timestamp};
use foghorn::store::{Location, Options, Store};
use rusqlite::Connection;

const BATCH_SIZES: [usize; 4] = [1, 16, 256, 4096];
const REPEATS: usize = 5;
const SHARDS: usize = 8;
const BATCHES_UNDER_WAY: usize = 2;
/// Messages in the store that is started.
const MANY: u64 = 1_000_000;
const SENDER: &str = "publisher";
const CONTENT: &str =
    "A message of one hundred bytes, which is about what people write to each other in a chat, or less.";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next_back();
    let time = Duration::from_secs_f64(seconds.unwrap_or(0.5));
    println!("messages/s stored, {} bytes of content each", CONTENT.len());
    println!(
        "{:>10} {:>6} {:>10} {:>10} {:>10} {:>12}",
        "", "batch", "indexed", "plain", "store", "store/plain"
    );
    for durability in [Durability::Commit, Durability::Fsync] {
        for batch in BATCH_SIZES {
            let mut rates = [const { Vec::new() }; 3];
            for _repeat in 0..REPEATS {
                rates[0].push(in_directory(|dir| plain(dir, durability, batch, true, time))?);
                rates[1].push(in_directory(|dir| plain(dir, durability, batch, false, time))?);
                rates[2].push(in_directory(|dir| store(dir, durability, batch, time))?);
            }
            let [indexed, plain, store] = rates.map(median);
            println!(
                "{:>10} {batch:>6} {indexed:>10.0} {plain:>10.0} {store:>10.0} {:>12.2}",
                durability.name(),
                store / plain
            );
        }
    }
    in_directory(|dir| {
        println!("opening a store of {MANY} messages and its room takes {:?}", start_up(dir)?);
        Ok(0.0)
    })?;
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn in_directory(measure: impl FnOnce(&Path) -> Result<f64, Failure>) -> Result<f64, Failure> {
    measure(tempfile::tempdir()?.path())
}

fn plain(
    dir: &Path,
    durability: Durability,
    batch: usize,
    indexed: bool,
    time: Duration,
) -> Result<f64, Failure> {
    let conn = Connection::open(dir.join("plain.db"))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if durability == Durability::Fsync { "FULL" } else { "NORMAL" };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.execute_batch(
        "CREATE TABLE messages (room INTEGER, seq INTEGER, at INTEGER, kind INTEGER, sender TEXT, content TEXT,
                                client_id TEXT, PRIMARY KEY (room, seq)) WITHOUT ROWID;",
    )?;
    if indexed {
        conn.execute_batch("CREATE INDEX messages_by_time ON messages (room, at);")?;
    }
    let (start, mut seq) = (Instant::now(), 0i64);
    while start.elapsed() < time {
        let tx = conn.unchecked_transaction()?;
        let mut insert = tx.prepare_cached("INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for _ in 0..batch {
            seq += 1;
            insert.execute((1, seq, 1_000_000 + seq, 0, SENDER, CONTENT, None::<&str>))?;
        }
        drop(insert);
        tx.commit()?;
    }
    Ok(f64::from(i32::try_from(seq)?) / start.elapsed().as_secs_f64())
}

fn store(dir: &Path, durability: Durability, batch: usize, time: Duration) -> Result<f64, Failure> {
    let (store, _threads) = Store::open(Location::Directory(dir.into()), Options::default())?;
    let mut rooms = Vec::new();
    for shard in 0..SHARDS {
        let (answer, answered) = mpsc::sync_channel(1);
        let name = format!("room-{shard}");
        let done = Box::new(move |opened| drop(answer.send(opened)));
        store.open_room(&name, true, Timestamp::from_micros(1), done)?;
        rooms.push((answered.recv()??.id, 0));
    }
    let (answer, answered) = mpsc::sync_channel(SHARDS * BATCHES_UNDER_WAY);
    let append = |mut records: RecordBatch, (room, seq): &mut (RoomId, u64)| -> Result<(), Failure> {
        fill(&mut records, *room, seq, batch);
        let answer = answer.clone();
        store.append(records, Box::new(move |stored| drop(answer.send(stored))))?;
        Ok(())
    };
    for _ in 0..BATCHES_UNDER_WAY {
        for (shard, room) in rooms.iter_mut().enumerate() {
            append(RecordBatch { shard, durability, ..RecordBatch::default() }, room)?;
        }
    }
    let (start, mut stored) = (Instant::now(), 0);
    while start.elapsed() < time {
        let records = answered.recv()??;
        stored += batch;
        let shard = records.shard;
        append(records, &mut rooms[shard])?;
    }
    Ok(f64::from(u32::try_from(stored)?) / start.elapsed().as_secs_f64())
}

/// How long it takes until a room of many messages is open, after a start.
fn start_up(dir: &Path) -> Result<Duration, Failure> {
    let opened = |store: &Store| -> Result<_, Failure> {
        let (answer, answered) = mpsc::sync_channel(1);
        let done = Box::new(move |opened| drop(answer.send(opened)));
        store.open_room("room", true, Timestamp::from_micros(1), done)?;
        Ok(answered.recv()??)
    };
    let (store, threads) = Store::open(Location::Directory(dir.into()), Options::default())?;
    let (room, mut seq) = (opened(&store)?.id, 0);
    while seq < MANY {
        let mut batch = RecordBatch::default();
        fill(&mut batch, room, &mut seq, 10_000);
        let (answer, answered) = mpsc::sync_channel(1);
        store.append(batch, Box::new(move |stored| drop(answer.send(stored))))?;
        answered.recv()??;
    }
    drop((store, threads));
    let start = Instant::now();
    let (store, _threads) = Store::open(Location::Directory(dir.into()), Options::default())?;
    let head = opened(&store)?.head;
    let took = start.elapsed();
    if head == MANY { Ok(took) } else { Err("messages are missing".into()) }
}

/// Puts the next `count` messages of a room into a batch.
fn fill(batch: &mut RecordBatch, room: RoomId, seq: &mut u64, count: usize) {
    for _ in 0..count {
        *seq += 1;
        batch.records.push(Record {
            room,
            seq: *seq,
            at: Timestamp::from_micros(1_000_000 + *seq),
            kind: Kind::Message,
            sender: RecordText::store(&mut batch.text, SENDER),
            content: RecordText::store(&mut batch.text, CONTENT),
            client_id: None,
            presence: None,
        });
    }
}
