//! The load engine against a server of this crate.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use foghorn::bench::{self, Pace, Plan, Protocol, Report, Rooms, Target, Verdict, Wait, Workload};
use foghorn::config::Config;
use foghorn::server::{Context, Endpoint, Handler, Router, Server, ServerHandle};
use foghorn::ws::Message;
use foghorn::{chat, demo};

/// A server on a thread of its own; stops when dropped.
struct Running {
    addr: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Running {
        let config = Config::default();
        let router =
            chat::routes(demo::routes(Router::new()), &config).endpoint("/liar", Endpoint::new(Liar));
        let server = Server::builder()
            .config(config)
            .listen("127.0.0.1:0".parse().unwrap())
            .router(router)
            .start()
            .unwrap();
        let (addr, handle) = (server.addresses()[0], server.handle());
        let thread = std::thread::spawn(move || server.run().unwrap());
        Running { addr, handle, thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Says everything twice.
struct Liar;

impl Handler for Liar {
    fn message(&self, cx: &mut Context<'_>, message: Message<'_>) {
        if let Message::Text(text) = message {
            cx.send_text(text);
            cx.send_text(text);
        }
    }
}

const ROOMS: Rooms = Rooms { rooms: 2, members: 5, publishers: 2, stalled: 0, pace: Pace::Window(3) };

fn run(path: &str, workload: Workload, protocol: Protocol, size: usize) -> Report {
    let server = Running::start();
    let target = Target::parse(&format!("ws://{}{path}", server.addr), "/").unwrap();
    let plan = Plan {
        workload,
        protocol,
        size,
        warmup: Duration::from_millis(50),
        measure: Duration::from_millis(600),
        wait: if matches!(workload, Workload::Idle { .. }) { Wait::Spin } else { Wait::Sleep },
        server: Some(std::process::id()),
        database: None,
    };
    bench::run(&plan, &target, &mut |_| ()).unwrap()
}

fn assert_sound(report: &Report) {
    assert!(report.verdict.is_result() && report.faults.is_none(), "{report:?}");
    assert!(report.sent > 0 && report.deliveries > 0, "{report:?}");
    let latency = report.latency.as_ref().unwrap();
    assert!(latency.p50 > 0.0 && latency.p50 <= latency.p99 && latency.p99 <= latency.max, "{latency:?}");
    assert_eq!(latency.count, report.deliveries);
}

#[test]
fn a_relay_delivers_text_and_binary_to_every_member_once() {
    for protocol in [Protocol::Text, Protocol::Binary] {
        let report = run("/ws/raw?roomId={room}", Workload::Fanout(ROOMS), protocol, 128);
        assert_sound(&report);
        assert_eq!(report.connections, 10);
        assert!(report.deliveries >= report.sent, "five members get what one publisher sends");
        let to_last = report.latency_to_last.unwrap();
        assert!(to_last.p50 >= report.latency.unwrap().p50);
    }
}

#[test]
fn the_chat_delivers_to_every_member_once() {
    let path = "/ws/chat?roomId={room}&username={member}";
    assert_sound(&run(path, Workload::Fanout(ROOMS), Protocol::Chat, 64));
}

#[test]
fn an_open_loop_sends_what_its_rate_says() {
    let rooms = Rooms { pace: Pace::Rate(500.0), stalled: 1, ..ROOMS };
    let report = run("/ws/raw?roomId={room}", Workload::Fanout(rooms), Protocol::Text, 100);
    assert!(report.faults.is_none(), "{report:?}");
    assert!((200..=350).contains(&report.sent), "{} in 0.6 s", report.sent);
}

#[test]
fn an_echo_of_any_size_comes_back() {
    for size in [16, 20_000, 300_000] {
        let rooms = Rooms { rooms: 3, members: 1, publishers: 1, stalled: 0, pace: Pace::Window(2) };
        assert_sound(&run("/echo", Workload::Fanout(rooms), Protocol::Binary, size));
    }
}

#[test]
fn connections_come_and_go() {
    let report = run("/echo", Workload::Churn { connections: 4 }, Protocol::Text, 16);
    assert_sound(&report);
}

#[test]
fn idle_connections_are_weighed() {
    let report = run("/echo", Workload::Idle { rooms: 1, members: 50 }, Protocol::Text, 16);
    assert_eq!((report.verdict, report.connections, report.deliveries), (Verdict::Result, 50, 0));
    assert_eq!(report.memory.map(|memory| memory.connections), cfg!(target_os = "linux").then_some(50));
    assert!(report.generator_busy < 0.5, "spinning is not work: {}", report.generator_busy);
}

#[test]
fn the_page_shows_what_the_report_says_and_needs_nothing_else() {
    let report = run("/ws/raw?roomId={room}&a=<b>", Workload::Fanout(ROOMS), Protocol::Text, 16);
    let page = bench::page(&report);
    assert_eq!(page.matches("<svg").count(), 3, "latency by percentile, throughput and latency over time");
    assert!(page.contains("&amp;a=&lt;b&gt;") && !page.contains("<b>"));
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="));
    for (name, value) in report.lines() {
        assert!(page.contains(&name) && (name == "server" || page.contains(&value)), "{name}: {value}");
    }
}

#[test]
fn a_server_that_repeats_itself_gets_no_result() {
    let rooms = Rooms { rooms: 1, members: 1, publishers: 1, stalled: 0, pace: Pace::Window(1) };
    let report = run("/liar", Workload::Fanout(rooms), Protocol::Text, 16);
    assert!(report.faults.duplicate > 0);
    assert_eq!(report.verdict, Verdict::Incorrect);
}
