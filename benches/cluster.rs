//! What does a second node cost, and what does it bring?
//!
//! `cargo bench --bench cluster [-- SECONDS]`; needs `redis-server` (`FOGHORN_REDIS_SERVER` names another one). Nodes and
//! Redis are processes of their own; each row is measured once a round, five rounds, the median is printed.
//!
//! - *latency*: one publisher, 200 messages a second on schedule, from the moment that a message is due to the one at
//!   which a member has it, at the same node or at the other one.
//! - *throughput*: eight publishers with 32 messages each under way, at one node or half of them at each; a message
//!   counts when its publisher has it back.
//! - *Redis*: processor time of Redis for each message, and scripts for each message.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const ROUNDS: usize = 5;
const RATE: u32 = 200;
const PUBLISHERS: usize = 8;
const UNDER_WAY: usize = 32;
const CONTENT: &str =
    "A message of one hundred bytes, which is about what people write to each other in a chat, or less.";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A process that is killed when it is not needed any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _no_zombie_stays = self.0.wait();
    }
}

impl Running {
    /// Processor time of all its threads.
    fn busy(&self) -> Result<Duration, Failure> {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let times = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += times.split(' ').next().ok_or("no time")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }
}

struct Redis {
    process: Running,
    port: u16,
    _files: tempfile::TempDir,
}

impl Redis {
    fn start() -> Result<Redis, Failure> {
        let files = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = std::env::var("FOGHORN_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let process = Command::new(server)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"])
            .arg("--dir")
            .arg(files.path())
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Redis { process: Running(process), port, _files: files };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until {
                return Err("Redis does not answer".into());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(redis)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many scripts it has run.
    fn scripts(&self) -> Result<u64, Failure> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        let text: String = redis::cmd("INFO").arg("commandstats").query(&mut connection)?;
        let calls = |line: &str| {
            let rest =
                line.strip_prefix("cmdstat_evalsha:calls=").or(line.strip_prefix("cmdstat_eval:calls="))?;
            rest.split(',').next()?.parse::<u64>().ok()
        };
        Ok(text.lines().filter_map(calls).sum())
    }
}

/// A node, and where it listens.
struct Node {
    _process: Running,
    address: SocketAddr,
}

impl Node {
    fn start(arguments: &[&str]) -> Result<Node, Failure> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_foghorn"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "error"])
            .args(arguments)
            .env("FOGHORN_HEARTBEAT_TEXT_INTERVAL", "11h")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let process = Running(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").ok_or("no ready line")?.parse()?;
        Ok(Node { _process: process, address })
    }
}

/// A session in a room.
struct Session(WebSocket<TcpStream>);

impl Session {
    fn join(node: &Node, room: &str, user: &str) -> Result<Session, Failure> {
        let stream = TcpStream::connect(node.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let url = format!("ws://{}/ws/chat?roomId={room}&username={user}", node.address);
        let (socket, _) = tungstenite::client(url, stream)?;
        let mut session = Session(socket);
        // Its JOIN: from now on it is there.
        while session.next()?["username"] != user {}
        Ok(session)
    }

    fn next(&mut self) -> Result<Value, Failure> {
        loop {
            if let Message::Text(text) = self.0.read()? {
                return Ok(serde_json::from_str(&text)?);
            }
        }
    }

    fn say(&mut self, content: &str) -> Result<(), Failure> {
        Ok(self.0.send(Message::text(json!({ "content": content }).to_string()))?)
    }
}

/// Microseconds from when a message was due until a member had it, sorted.
fn latencies(publisher: &Node, member: &Node, time: Duration) -> Result<Vec<u64>, Failure> {
    let mut hears = Session::join(member, "latency", "member")?;
    let mut says = Session::join(publisher, "latency", "publisher")?;
    let count = u32::try_from(time.as_millis())? * RATE / 1000;
    let start = Instant::now() + Duration::from_millis(50);
    let listening: JoinHandle<Result<Vec<u64>, Failure>> = std::thread::spawn(move || {
        let mut found = Vec::new();
        while found.len() < count as usize {
            let value = hears.next()?;
            let Some(number) =
                value["content"].as_str().and_then(|text| text.split(' ').next()?.parse::<u32>().ok())
            else {
                continue;
            };
            let due = start + Duration::from_secs(1) * number / RATE;
            found.push(u64::try_from(Instant::now().saturating_duration_since(due).as_micros())?);
        }
        Ok(found)
    });
    for number in 0..count {
        let due = start + Duration::from_secs(1) * number / RATE;
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        while Instant::now() < due {}
        says.say(&format!("{number} {CONTENT}"))?;
    }
    let mut found = listening.join().map_err(|_| "a thread has panicked")??;
    found.sort_unstable();
    Ok(found)
}

/// Messages a second that come back to their publishers, which are spread over these nodes.
fn throughput(nodes: &[&Node], time: Duration) -> Result<f64, Failure> {
    let until = Instant::now() + time;
    let publishers: Vec<JoinHandle<Result<u64, Failure>>> = (0..PUBLISHERS)
        .map(|index| {
            let mut session =
                Session::join(nodes[index % nodes.len()], &format!("room-{index}"), "publisher")?;
            Ok(std::thread::spawn(move || {
                let mut count = 0;
                for _ in 0..UNDER_WAY {
                    session.say(CONTENT)?;
                }
                while Instant::now() < until {
                    if session.next()?["content"] == CONTENT {
                        count += 1;
                        session.say(CONTENT)?;
                    }
                }
                Ok(count)
            }))
        })
        .collect::<Result<_, Failure>>()?;
    let mut sum = 0;
    for publisher in publishers {
        sum += publisher.join().map_err(|_| "a thread has panicked")??;
    }
    Ok(sum as f64 / time.as_secs_f64())
}

/// What one round has found, by row: p50 and p99 in microseconds, or messages a second.
#[derive(Default)]
struct Found {
    latency: Vec<(&'static str, u64, u64)>,
    throughput: Vec<(&'static str, f64)>,
    redis_micros: f64,
    scripts: f64,
}

fn round(time: Duration) -> Result<Found, Failure> {
    let mut found = Found::default();
    let files = tempfile::tempdir()?;
    let alone = Node::start(&["--data", files.path().to_str().ok_or("a path")?])?;
    let memory = Node::start(&["--memory"])?;
    let redis = Redis::start()?;
    let url = redis.url();
    let (one, two) = (Node::start(&["--cluster", &url])?, Node::start(&["--cluster", &url])?);
    for (name, publisher, member) in [
        ("one node, embedded store", &alone, &alone),
        ("one node, memory", &memory, &memory),
        ("cluster, same node", &one, &one),
        ("cluster, other node", &one, &two),
    ] {
        let sorted = latencies(publisher, member, time)?;
        found.latency.push((name, sorted[sorted.len() / 2], sorted[sorted.len() * 99 / 100]));
    }
    found.throughput.push(("one node, embedded store", throughput(&[&alone], time)?));
    found.throughput.push(("one node, memory", throughput(&[&memory], time)?));
    found.throughput.push(("cluster, one node", throughput(&[&one], time)?));
    let (busy, scripts) = (redis.process.busy()?, redis.scripts()?);
    let rate = throughput(&[&one, &two], time)?;
    found.throughput.push(("cluster, two nodes", rate));
    let messages = rate * time.as_secs_f64();
    found.redis_micros = (redis.process.busy()? - busy).as_secs_f64() * 1e6 / messages;
    found.scripts = (redis.scripts()? - scripts) as f64 / messages;
    Ok(found)
}

fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied()
}

fn main() -> Result<(), Failure> {
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next_back();
    let time = Duration::from_secs_f64(seconds.unwrap_or(2.0));
    let rounds = (0..ROUNDS).map(|_| round(time)).collect::<Result<Vec<Found>, Failure>>()?;
    println!("| from publisher to member, {RATE} messages/s | p50 µs | p99 µs |\n|---|---|---|");
    for row in 0..rounds[0].latency.len() {
        let name = rounds[0].latency[row].0;
        let p50 = median(rounds.iter().map(|round| round.latency[row].1)).unwrap_or_default();
        let p99 = median(rounds.iter().map(|round| round.latency[row].2)).unwrap_or_default();
        println!("| {name} | {p50} | {p99} |");
    }
    println!("\n| {PUBLISHERS} publishers, {UNDER_WAY} messages each under way | messages/s |\n|---|---|");
    for row in 0..rounds[0].throughput.len() {
        let name = rounds[0].throughput[row].0;
        let rate = median(rounds.iter().map(|round| round.throughput[row].1)).unwrap_or_default();
        println!("| {name} | {rate:.0} |");
    }
    let micros = median(rounds.iter().map(|round| round.redis_micros)).unwrap_or_default();
    let scripts = median(rounds.iter().map(|round| round.scripts)).unwrap_or_default();
    println!("\nRedis, with two nodes: {micros:.1} µs of processor time and {scripts:.3} scripts a message");
    Ok(())
}
