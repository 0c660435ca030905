//! The load engine against a server of this crate, and the command that runs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod compare;
mod inside;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use foghorn::bench::{
    self, Durable, Pace, Plan, Progress, Protocol, Report, Returning, Rooms, Spawned, StoringServer, Target,
    Verdict, Wait, Workload,
};
use foghorn::config::Config;
use foghorn::rooms::store_api::Durability;
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
        let router = router
            .endpoint("/cutter", Endpoint::new(Garbler { instead: "" }))
            .endpoint("/garbler", Endpoint::new(Garbler { instead: "y" }))
            .endpoint("/longer", Endpoint::new(Garbler { instead: "xx" }));
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

/// Leaves out the last byte of what it is told, or says another one.
struct Garbler {
    instead: &'static str,
}

impl Handler for Garbler {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        if let Message::Text(text) = message {
            cx.send_text(&(text[..text.len() - 1].to_owned() + self.instead));
        }
    }
}

/// Says everything twice.
struct Liar;

impl Handler for Liar {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        if let Message::Text(text) = message {
            cx.send_text(text);
            cx.send_text(text);
        }
    }
}

const CHAT: &str = "/ws/chat?roomId={room}&username={member}";
const RELAY: &str = "/ws/raw?roomId={room}";
const PROGRAM: &str = env!("CARGO_BIN_EXE_foghorn");

const ROOMS: Rooms = Rooms { rooms: 2, members: 5, publishers: 2, stalled: 0, pace: Pace::Window(3) };

fn plan(workload: Workload, protocol: Protocol, size: usize) -> Plan {
    Plan {
        workload,
        protocol,
        size,
        warmup: Duration::from_millis(50),
        measure: Duration::from_millis(600),
        wait: if matches!(workload, Workload::Idle { .. }) { Wait::Spin } else { Wait::Sleep },
        server: Some(std::process::id()),
        database: None,
    }
}

fn run(path: &str, workload: Workload, protocol: Protocol, size: usize) -> Report {
    let server = Running::start();
    let target = Target::parse(&format!("ws://{}{path}", server.addr), "/").unwrap();
    bench::run(&plan(workload, protocol, size), &target, &mut |_| ()).unwrap()
}

fn assert_sound(report: &Report) {
    assert!(report.verdict.is_result() && report.faults.is_none(), "{report:?}");
    assert!(report.sent > 0 && report.deliveries > 0, "{report:?}");
    let latency = report.latency.as_ref().unwrap();
    assert!(latency.p50 > 0.0 && latency.p50 <= latency.p99 && latency.p99 <= latency.max, "{latency:?}");
    // What was sent before arrives while measuring, and what was sent then may arrive later.
    assert!(latency.count > 0, "{report:?}");
}

#[test]
fn a_relay_delivers_text_and_binary_to_every_member_once() {
    for protocol in [Protocol::Text, Protocol::Binary] {
        let report = run(RELAY, Workload::Fanout(ROOMS), protocol, 128);
        assert_sound(&report);
        assert_eq!(report.connections, 10);
        assert!(report.deliveries >= report.sent, "five members get what one publisher sends");
        let to_last = report.latency_to_last.unwrap();
        assert!(to_last.p50 >= report.latency.unwrap().p50);
    }
}

#[test]
fn the_chat_delivers_to_every_member_once() {
    assert_sound(&run(CHAT, Workload::Fanout(ROOMS), Protocol::Chat, 64));
}

#[test]
fn an_open_loop_sends_what_its_rate_says() {
    let rooms = Rooms { pace: Pace::Rate(500.0), stalled: 1, ..ROOMS };
    let report = run(RELAY, Workload::Fanout(rooms), Protocol::Text, 100);
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
    assert_eq!(
        page.matches("class=\"plot\"").count(),
        3,
        "latency by percentile, throughput and latency over time"
    );
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

#[test]
fn a_server_that_cuts_or_garbles_what_it_sends_gets_no_result() {
    let rooms = Rooms { rooms: 1, members: 1, publishers: 1, stalled: 0, pace: Pace::Window(1) };
    for path in ["/cutter", "/garbler", "/longer"] {
        let report = run(path, Workload::Fanout(rooms), Protocol::Text, 100);
        assert_eq!(report.verdict, Verdict::Incorrect, "{path}");
        assert!(report.faults.garbled > 0 && report.faults.missing == 0, "{path}: {:?}", report.faults);
        let wrong = report.lines().into_iter().find(|(name, _)| name == "wrong").unwrap().1;
        assert!(wrong.starts_with("0 missing, 0 repeated, 0 out of order, "), "{wrong}");
    }
}

/// The server is stopped from 0.8 s before the end of the measurement for 1.5 s: what was sent meanwhile waits, in every
/// mode, for 0.7 s at least.
#[test]
fn a_server_that_stands_still_at_the_end_does_not_look_faster_for_it() {
    let one = |pace| Rooms { rooms: 4, members: 1, publishers: 1, stalled: 0, pace };
    for (workload, path, protocol) in [
        (Workload::Fanout(one(Pace::Rate(500.0))), "/echo", Protocol::Text),
        (Workload::Fanout(one(Pace::Window(1))), "/echo", Protocol::Binary),
        (
            Workload::Fanout(one(Pace::Rate(500.0))),
            "/ws/chat?roomId=r{room}&username=u{member}",
            Protocol::Chat,
        ),
        (Workload::Churn { connections: 4 }, "/echo", Protocol::Text),
    ] {
        let words =
            [env!("CARGO_BIN_EXE_foghorn"), "serve", "--memory", "--listen", "127.0.0.1:0", "--log", "error"];
        let server = Spawned::start(&words.map(str::to_owned), false).unwrap();
        let target = Target::parse(server.url(), path).unwrap();
        let measure = Duration::from_millis(1_600);
        let plan = Plan { measure, server: Some(server.id()), ..plan(workload, protocol, 100) };
        let pid = server.id().to_string();
        let signal = move |name: &str| {
            let sent = Command::new("sh").args(["-c", "kill -\"$1\" \"$0\"", &pid, name]).status().unwrap();
            assert!(sent.success());
        };
        let mut stopped = None;
        let report = bench::run(&plan, &target, &mut |progress| {
            if let Progress::Measuring { elapsed, of } = progress
                && stopped.is_none()
                && of - elapsed <= Duration::from_millis(800)
            {
                signal("STOP");
                let (signal, (_kept, never)) = (signal.clone(), std::sync::mpsc::sync_channel::<()>(0));
                stopped = Some(std::thread::spawn(move || {
                    let _time_is_up = (never.recv_timeout(Duration::from_millis(1_500)), _kept);
                    signal("CONT");
                }));
            }
        });
        stopped.unwrap().join().unwrap();
        let report = report.unwrap();
        let latency = report.latency.as_ref().unwrap();
        assert!(report.faults.is_none(), "{path}: {:?}", report.faults);
        assert!(latency.max > 600.0, "{path} {protocol:?}: {latency:?}");
        if matches!(workload, Workload::Fanout(Rooms { pace: Pace::Rate(_), .. })) {
            // Half of what was sent was sent then.
            assert!(latency.p99 > 600.0 && latency.p90 > 600.0, "{path}: {latency:?}");
        }
    }
}

#[test]
fn a_busy_load_generator_shows_what_the_server_spent_and_nothing_else() {
    let report = run(RELAY, Workload::Fanout(ROOMS), Protocol::Text, 16);
    let speed = |report: &Report| {
        let lines = report.lines();
        let named = |name: &str| lines.iter().any(|(line, _)| line == name);
        (named("throughput"), named("latency"), named("to the last member"))
    };
    let clear = Report { verdict: Verdict::Result, ..report.clone() };
    assert_eq!(speed(&clear), (true, true, true));
    let busy = Report { verdict: Verdict::GeneratorBusy, ..report };
    assert_eq!(speed(&busy), (false, false, false));
    let costs =
        busy.lines().into_iter().filter(|(_, value)| value.contains("of processor time per delivery"));
    assert_eq!(costs.count(), usize::from(cfg!(target_os = "linux")));
    assert_eq!(bench::page(&busy).matches("<svg").count(), 0);
}

/// A run with a server of its own process, which stores what it is told.
fn recover(returning: Returning) -> Report {
    let parent = tempfile::tempdir().unwrap();
    let stored = StoringServer::start(Path::new(PROGRAM), parent.path(), Durability::Commit, false).unwrap();
    let target = Target::parse(stored.server().url(), CHAT).unwrap();
    let plan = plan(Workload::Recovery(returning), Protocol::Chat, 32);
    let plan = Plan { server: Some(stored.server().id()), database: Some(stored.data().to_owned()), ..plan };
    bench::run(&plan, &target, &mut |_| ()).unwrap()
}

#[test]
fn members_that_come_back_have_everything_once_from_the_window_and_from_the_store() {
    for behind in [0, 300] {
        let report = recover(Returning { rooms: 3, members: 4, missed: 5, behind });
        assert!(report.verdict.is_result() && report.faults.is_none(), "{report:?}");
        assert_eq!((report.sent, report.deliveries, report.connections), (12, 12, 15));
        assert_eq!(report.latency.as_ref().map(|latency| latency.count), Some(12));
        assert!(report.stored.is_some(), "the database was looked into");
        let text = format!("{:?}", report.lines());
        // A load generator that was the bottleneck, on a busy machine, shows no times.
        let shows_times = text.contains("12 of 12 members");
        assert!(shows_times == report.verdict.has_speed() && text.contains("per recovery"), "{text}");
    }
}

#[test]
fn a_server_that_has_forgotten_what_was_missed_gets_no_result() {
    // Without a store there is nothing beyond the window.
    let returning = Returning { rooms: 1, members: 2, missed: 1, behind: 400 };
    let report = run(CHAT, Workload::Recovery(returning), Protocol::Chat, 32);
    assert_eq!((report.verdict, report.faults.gap), (Verdict::Incorrect, 2));
    assert!(report.faults.missing > 0, "{report:?}");
}

#[test]
fn every_durability_stores_what_it_promises() {
    let parent = tempfile::tempdir().unwrap();
    let how = Durable {
        program: PROGRAM.into(),
        parent: parent.path().to_owned(),
        path: CHAT,
        pin: false,
        metrics: None,
        rounds: 1,
    };
    let mut parts = Vec::new();
    let series = bench::durable(&plan(Workload::Fanout(ROOMS), Protocol::Chat, 64), &how, &mut |progress| {
        if let bench::Progress::Part { name, .. } = progress {
            parts.push(name);
        }
    });
    let series = series.unwrap();
    assert_eq!(parts, ["off", "async", "commit", "fsync"]);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0, "the data are gone");
    assert_eq!(series.table().len(), 5);
    let page = bench::series_page(&series);
    for (run, name) in series.runs.iter().zip(parts) {
        assert_sound(&run.report);
        assert!(run.report.published > run.report.sent, "the warming up is published, too");
        let stored = run.report.stored.unwrap();
        assert_eq!((stored.messages > 0, stored.commits > 0), (name != "off", name != "off"), "{name}");
        assert_eq!(
            (run.ratio().is_some(), run.sqlite_baseline.is_some()),
            (name != "off", name != "off"),
            "{name}"
        );
        assert!(page.contains(&format!("<th scope=\"row\">{name}</th>")), "{name}");
    }
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="));
}

#[test]
fn latency_is_measured_at_parts_of_the_rate_that_saturates() {
    let server = Running::start();
    let target = Target::parse(&format!("ws://{}", server.addr), RELAY).unwrap();
    let rooms = Rooms { rooms: 1, publishers: 1, ..ROOMS };
    let plan = plan(Workload::Fanout(rooms), Protocol::Text, 64);
    let series = bench::latency(&plan, rooms, &target, &mut |_| ()).unwrap();
    let rates = series.runs.iter().map(|run| {
        if let Workload::Fanout(Rooms { pace: Pace::Rate(rate), .. }) = run.report.plan.workload {
            return rate;
        }
        run.report.messages_per_second()
    });
    let rates: Vec<f64> = rates.collect();
    let [saturated, rest @ ..] = &rates[..] else { panic!("{rates:?}") };
    assert_eq!(rest.len(), bench::SHARES.len());
    for (rate, (name, share)) in rest.iter().zip(bench::SHARES) {
        assert!((rate / saturated - share).abs() < 1e-9, "{name}: {rate} of {saturated}");
    }
    assert_eq!(
        series.remarks().len(),
        series.runs.iter().filter(|run| !run.report.verdict.has_speed()).count()
    );
}

#[test]
fn small_rooms_are_measured_beside_a_crowd() {
    let server = Running::start();
    let target = Target::parse(&format!("ws://{}", server.addr), RELAY).unwrap();
    let rooms = Rooms { publishers: 1, pace: Pace::Rate(100.0), ..ROOMS };
    let plan = plan(Workload::Fanout(rooms), Protocol::Text, 64);
    let series = bench::fairness(&plan, rooms, 30, 50.0, &target, &mut |_| ()).unwrap();
    let [silent, loud] = &series.runs[..] else { panic!("{series:?}") };
    for run in [silent, loud] {
        assert!(run.report.faults.is_none() && run.report.connections == 40, "{run:?}");
        assert!((30..=100).contains(&run.report.sent), "{} in 0.6 s", run.report.sent);
        // A stall at the beginning lets some of the messages before it count; the crowd gets some 900.
        assert!(run.report.deliveries <= 5 * run.report.sent + 200, "the crowd's deliveries count apart");
    }
    let rate = |run: &bench::Run| {
        let Workload::MixedLoad { crowd_rate, .. } = run.report.plan.workload else { panic!("{run:?}") };
        crowd_rate
    };
    assert_eq!((rate(silent), rate(loud)), (None, Some(50.0)));
}
