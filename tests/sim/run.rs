//! A run: whose turn it is, step by step, and what must be true after each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foghorn::config::{self, Config};
use foghorn::server::{Router, Server, store_options};
use foghorn::simulation::{Disk, Ended, Fate, Node, World};
use foghorn::store::Store;
use foghorn::{chat, demo, feed, signaling, stomp, web};

use crate::client::{Around, Bans, Client};
use crate::model::{Logs, Model, Wrong};
use crate::plan::{ClientPlan, Fault, Plan, ROOMS, STEPS, Step};
use crate::random::Random;
use crate::story::Story;

/// Steps of one part of a run at most: nothing that the clients do takes so many.
const STEPS_MAX: u64 = 60_000;
/// The longest that anybody may stay who says nothing more: until its silence is noticed, until its line is full, and until
/// it is given up for taking nothing, which is seen within half as much again.
pub(crate) const STAY_MAX: Duration = Duration::from_secs(60);
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const DEDUP_WINDOW: Duration = Duration::from_secs(3600);
const GRACE: Duration = Duration::from_secs(10);
/// What a connection may hold of replies that are not taken, and of a message that is not whole.
const HELD_BYTES_MAX: usize = 512 * 1024;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) wrong: Option<Wrong>,
    pub(crate) steps: u64,
    pub(crate) shown: u64,
    /// Everything that anybody has received, in one number.
    pub(crate) trace: u64,
    pub(crate) story: Vec<String>,
}

/// A directory of this run alone, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        Directory(parent.join(format!("foghorn-sim-{}-{number}", std::process::id())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _there_is_none_without_a_database = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(feature = "store")]
fn disk(plan: &Plan, directory: &Directory, config: &Config) -> Disk {
    if !plan.has_database {
        return Disk::new(&store_options(config), plan.jobs_max);
    }
    std::fs::create_dir_all(&directory.0).expect("a directory");
    Disk::database(directory.0.clone(), &store_options(config), plan.jobs_max).expect("a database")
}

#[cfg(not(feature = "store"))]
fn disk(plan: &Plan, _: &Directory, config: &Config) -> Disk {
    Disk::new(&store_options(config), plan.jobs_max)
}

struct Run<'p> {
    plan: &'p Plan,
    world: &'p World,
    node: Node,
    disk: Disk,
    random: Random,
    clients: Vec<Client>,
    model: Model,
    story: Story,
    bans: Bans,
    trace: u64,
    steps: u64,
    settings: Settings,
    /// Until when transactions fail, pages cannot be read, nobody is accepted.
    store_fails_until: Duration,
    reads_fail_until: Duration,
    accept_fails_until: Duration,
    /// The clock on the wall was set forward: what is read back from the store seems older than it is.
    is_wall_ahead: bool,
    has_faults: bool,
}

/// Does what the plan says, and looks whether what must be true is so.
pub(crate) fn run(plan: &Plan, is_told: bool) -> Outcome {
    let world = World::enter(plan.seed);
    let config = config(plan, &Settings::of(plan));
    let directory = Directory::new();
    let disk = disk(plan, &directory, &config);
    let mut run = Run {
        plan,
        world: &world,
        node: start(&world, &config, &disk),
        disk,
        random: Random::new(plan.seed, 2),
        clients: plan
            .clients
            .iter()
            .cloned()
            .enumerate()
            .map(|(number, plan)| Client::new(number, plan))
            .collect(),
        model: Model::new(plan.durability != "async", plan.messages_max > 0),
        story: Story { is_told, ..Story::default() },
        bans: Bans::new(),
        trace: 0xcbf2_9ce4_8422_2325,
        steps: 0,
        settings: Settings::of(plan),
        store_fails_until: Duration::ZERO,
        reads_fail_until: Duration::ZERO,
        accept_fails_until: Duration::ZERO,
        is_wall_ahead: false,
        has_faults: true,
    };
    let ended = catch_unwind(AssertUnwindSafe(|| run.play()));
    let wrong = match ended {
        Ok(played) => played.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            Some(format!("panic: {text}"))
        }
    };
    let outcome = Outcome {
        wrong: wrong.map(|wrong| wrong.chars().take(600).collect()),
        steps: run.steps,
        shown: run.model.shown,
        trace: run.trace,
        story: std::mem::take(&mut run.story.lines),
    };
    if outcome.wrong.is_some() {
        // What is broken is not to be ended in good order, which could panic once more.
        std::mem::forget(run);
    }
    outcome
}

/// What the operator changes while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    messages_per_second: usize,
    sessions_per_user: usize,
    connections: usize,
    members_per_room: usize,
    rooms: usize,
}

impl Settings {
    /// As they are at the beginning, and at the end.
    fn of(plan: &Plan) -> Settings {
        let Plan { messages_per_second, sessions_per_user, .. } = *plan;
        let config::Limits { connections, members_per_room, rooms, .. } = Config::default().limits;
        Settings { messages_per_second, sessions_per_user, connections, members_per_room, rooms }
    }

    fn any(random: &mut Random, plan: &Plan) -> Settings {
        let usual = Settings::of(plan);
        Settings {
            messages_per_second: random.pick(&[0, 20, 50]),
            sessions_per_user: random.pick(&[0, 1, 2]),
            connections: random.pick(&[usual.connections, usual.connections, 1, 3]),
            members_per_room: random.pick(&[0, 0, 1, 3]),
            rooms: random.pick(&[usual.rooms, usual.rooms, 1, 2]),
        }
    }
}

pub(crate) fn config_of(plan: &Plan) -> Config {
    config(plan, &Settings::of(plan))
}

fn config(plan: &Plan, settings: &Settings) -> Config {
    let mut config = Config::default();
    config.workers = Some(plan.workers);
    config.rooms.window_messages = plan.window_messages;
    config.rooms.on_lag = match plan.on_lag {
        "gap" => config::OnLag::Gap,
        "close" => config::OnLag::Close,
        _ => config::OnLag::CatchUp,
    };
    config.history.durability = match plan.durability {
        "async" => config::Durability::Async,
        "fsync" => config::Durability::Fsync,
        _ => config::Durability::Commit,
    };
    config.history.messages_max = plan.messages_max;
    config.deflate.threshold = 16;
    config.limits.messages_per_second = settings.messages_per_second;
    config.limits.sessions_per_user = settings.sessions_per_user;
    config.limits.connections = settings.connections;
    config.limits.members_per_room = settings.members_per_room;
    config.limits.rooms = settings.rooms;
    // Nothing takes so long: an id is not forgotten.
    config.chat.dedup_window = DEDUP_WINDOW;
    config.limits.burst = Duration::from_secs(1);
    config.limits.write_timeout = Duration::from_secs(15);
    config.limits.close_timeout = Duration::from_secs(2);
    config.limits.reply_bytes = 16 * 1024;
    config.heartbeat.ping_interval = Duration::from_secs(8);
    config.heartbeat.idle_timeout = IDLE_TIMEOUT;
    config.shutdown.grace = GRACE;
    config
}

fn start(world: &World, config: &Config, disk: &Disk) -> Node {
    start_over(world, config, disk.open())
}

/// Starts a server whose rooms are kept there.
pub(crate) fn start_over(world: &World, config: &Config, store: Store) -> Node {
    let router = web::routes(chat::routes(demo::routes(Router::new()), config));
    let router = stomp::routes(router, config);
    let router = chat::rest::routes(router, config, &store);
    let router = feed::routes(router, config);
    let router = signaling::routes(router, config);
    Node::start(world, Server::builder().config(config.clone()).router(router).store(store))
}

impl Run<'_> {
    fn play(&mut self) -> Result<(), Wrong> {
        while self.has_commands() && self.steps < STEPS_MAX {
            self.step()?;
        }
        self.end_faults()?;
        self.settle("what was begun comes to an end")?;
        self.pass_until_quiet(Duration::from_secs(6), "everybody is served")?;
        self.check_rooms()?;
        for client in &self.clients {
            client.check_served(&self.model, self.world.elapsed())?;
        }
        self.model.check_acknowledged(&self.disk)?;
        self.serve_witnesses()?;
        self.see_everybody_go()?;
        self.shut_down()?;
        self.check_presence()
    }

    fn has_commands(&self) -> bool {
        self.clients.iter().any(Client::may_act)
    }

    // Steps.

    fn is_possible(&mut self, step: Step) -> bool {
        match step {
            Step::Reactor => self.node.is_reactor_ready(self.world),
            Step::Worker => (0..self.node.workers()).any(|worker| self.node.is_worker_ready(worker)),
            Step::Commit => self.disk.jobs() > 0,
            Step::Read => self.disk.reads() > 0,
            Step::Answer => self.disk.answers() > 0,
            Step::Deliver => self.node.under_way().next().is_some(),
            Step::Command => self.clients.iter().any(Client::may_act),
            Step::Receive => self.clients.iter().any(Client::may_receive),
            Step::Fault => self.has_faults && !self.plan.faults.is_empty(),
            Step::Time => true,
        }
    }

    fn lines(&self) -> impl Iterator<Item = &foghorn::simulation::Line> {
        self.clients.iter().filter_map(|client| client.line.as_ref())
    }

    /// One step of those that are possible.
    fn step(&mut self) -> Result<(), Wrong> {
        let mut weights = self.plan.weights;
        for (step, weight) in STEPS.iter().zip(&mut weights) {
            *weight *= match step {
                Step::Time => 1,
                Step::Fault => 12,
                _ => 32,
            };
        }
        let mut left = self.random.below(weights.iter().sum());
        // If it is not possible, the next one that is.
        let first = weights.iter().position(|weight| {
            let is_it = left < *weight;
            left = left.saturating_sub(*weight);
            is_it
        });
        let first = first.unwrap_or(0);
        let order = (0..STEPS.len()).map(|index| STEPS[(first + index) % STEPS.len()]);
        for step in order {
            if (step == Step::Fault && step != STEPS[first]) || !self.is_possible(step) {
                continue;
            }
            return self.take(step).map(drop);
        }
        Ok(())
    }

    /// Whether something happened.
    fn take(&mut self, step: Step) -> Result<bool, Wrong> {
        self.steps += 1;
        self.story.step = self.steps;
        if self.random.once_in(3) {
            self.world.pass(Duration::from_micros(self.random.next() % 300));
        }
        let happened = match step {
            Step::Reactor => self.turn()?,
            Step::Worker => self.work(),
            Step::Commit => self.commit(),
            Step::Read => self.read(),
            Step::Answer => self.answer(),
            Step::Deliver => self.deliver(),
            Step::Command => self.command(),
            Step::Receive => return self.receive(),
            Step::Fault => self.fault()?,
            Step::Time => self.pass_time(),
        };
        self.check_memory()?;
        Ok(happened)
    }

    fn turn(&mut self) -> Result<bool, Wrong> {
        let random = &mut self.random;
        self.node.turn(self.world, &mut |count| random.below(count)).map_err(|error| error.to_string())?;
        Ok(true)
    }

    fn work(&mut self) -> bool {
        let ready: Vec<usize> =
            (0..self.node.workers()).filter(|worker| self.node.is_worker_ready(*worker)).collect();
        if ready.is_empty() {
            return false;
        }
        let worker = self.random.pick(&ready);
        let random = &mut self.random;
        self.node.work(worker, &mut |count| random.below(count));
        if self.steps.is_multiple_of(16) {
            self.node.check();
        }
        true
    }

    fn commit(&mut self) -> bool {
        let jobs = self.disk.jobs();
        let count = if self.random.once_in(2) { jobs } else { self.random.between(1, jobs.max(1)) };
        let fails = self.world.elapsed() < self.store_fails_until;
        let fate = if fails { Fate::Unavailable } else { Fate::Stored };
        self.story.tell(|| format!("the store takes {count} jobs: {fate:?}"));
        self.disk.commit(count, fate);
        if self.random.once_in(16) {
            self.disk.sync();
        }
        if self.random.once_in(16) {
            self.disk.sweep();
        }
        true
    }

    fn read(&mut self) -> bool {
        let index = self.random.below(self.disk.reads());
        self.disk.read(index, self.world.elapsed() < self.reads_fail_until);
        true
    }

    fn answer(&mut self) -> bool {
        self.disk.answer(self.random.below(self.disk.answers()));
        true
    }

    fn deliver(&mut self) -> bool {
        let all = self.random.once_in(2);
        let max = if all { usize::MAX } else { self.random.pick(&[1, 7, 60, 600]) };
        let lines: Vec<_> = self.node.under_way().collect();
        let index = self.random.below(lines.len());
        let Some(line) = lines.get(index) else { return false };
        line.deliver(max);
        line.tell_of_room();
        true
    }

    fn around<'a>(
        (node, disk, model, story, plan): (&'a mut Node, &'a Disk, &'a mut Model, &'a mut Story, &'a Plan),
        elapsed: Duration,
        bans: &'a mut Bans,
        trace: &'a mut u64,
    ) -> Around<'a> {
        Around { node, disk, model, story, plan, elapsed, bans, trace }
    }

    fn command(&mut self) -> bool {
        let able: Vec<usize> =
            (0..self.clients.len()).filter(|client| self.clients[*client].may_act()).collect();
        if able.is_empty() {
            return false;
        }
        let client = self.random.pick(&able);
        let parts = (&mut self.node, &self.disk, &mut self.model, &mut self.story, self.plan);
        let mut around = Self::around(parts, self.world.elapsed(), &mut self.bans, &mut self.trace);
        self.clients[client].act(&mut around)
    }

    fn receive(&mut self) -> Result<bool, Wrong> {
        let able: Vec<usize> =
            (0..self.clients.len()).filter(|client| self.clients[*client].may_receive()).collect();
        if able.is_empty() {
            return Ok(false);
        }
        let first = self.random.below(able.len());
        let max = self.random.pick(&[usize::MAX, usize::MAX, 200, 20]);
        // The first that has something to read.
        for index in 0..able.len() {
            let client = able[(first + index) % able.len()];
            let parts = (&mut self.node, &self.disk, &mut self.model, &mut self.story, self.plan);
            let mut around = Self::around(parts, self.world.elapsed(), &mut self.bans, &mut self.trace);
            if self.clients[client].receive(max, &mut around)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn pass_time(&mut self) -> bool {
        let until = self.node.next_deadline().unwrap_or_default();
        let left = until.saturating_sub(self.world.elapsed());
        let some = Duration::from_micros(self.random.next() % 50_000);
        let time = if self.random.once_in(3) { left } else { left.min(some) };
        self.world.pass(time);
        if self.node.is_note_due(self.world) {
            self.node.note_bans(self.world);
        }
        if self.world.elapsed() >= self.accept_fails_until {
            self.node.fail_to_accept(None);
        }
        true
    }

    fn check_memory(&self) -> Result<(), Wrong> {
        let (connections, bytes) = self.node.burden();
        if bytes > (connections + 1) * HELD_BYTES_MAX {
            return Err(format!("{bytes} bytes wait for {connections} connections"));
        }
        Ok(())
    }

    // Faults.

    fn fault(&mut self) -> Result<bool, Wrong> {
        let faults: Vec<Fault> = self.plan.faults.iter().copied().collect();
        let fault = self.random.pick(&faults);
        let elapsed = self.world.elapsed();
        let while_ = Duration::from_micros(self.random.next() % 3_000_000);
        let lines: Vec<_> = self.lines().cloned().collect();
        match fault {
            Fault::SpuriousEvents => lines.iter().for_each(|line| line.be_spurious()),
            Fault::ShortMemory => {
                let bytes = self.random.below(100);
                let index = self.random.below(lines.len());
                lines.get(index).iter().for_each(|line| line.be_short(bytes));
            }
            // What follows is rare, since each of it goes on for long.
            _ if !self.random.once_in(4) => return Ok(false),
            Fault::WallJumps => {
                let far = if self.random.once_in(2) { 2 * DEDUP_WINDOW.as_secs() } else { 5 };
                let far = usize::try_from(far).unwrap();
                let seconds =
                    i64::try_from(self.random.below(2 * far)).unwrap() - i64::try_from(far).unwrap();
                self.story.tell(|| format!("the clock is set by {seconds} s"));
                self.world.set_wall(seconds * 1_000_000);
                self.is_wall_ahead |= seconds > 60;
            }
            Fault::Standstill => {
                self.story.tell(|| "the process stands still".to_owned());
                self.world.pass(Duration::from_secs(5));
            }
            Fault::StoreUnavailable => {
                self.store_fails_until = elapsed + while_;
            }
            Fault::ReadsFail => self.reads_fail_until = elapsed + while_,
            Fault::AcceptFails => {
                self.node.fail_to_accept(Some(24));
                self.accept_fails_until = elapsed + while_;
            }
            Fault::StoreFails | Fault::Kill | Fault::PowerLoss | Fault::Restart
                if !self.random.once_in(2) =>
            {
                return Ok(false);
            }
            Fault::StoreFails => {
                self.story.tell(|| "the disk does not confirm".to_owned());
                self.disk.commit(self.disk.jobs(), Fate::Failed);
                // Whatever was not known to be safe may be gone after the restart.
                self.model.may_lose = true;
            }
            Fault::Kill => self.crash(Ended::Killed),
            Fault::PowerLoss => {
                self.model.may_lose |= self.plan.durability != "fsync";
                self.crash(Ended::WithoutPower);
            }
            Fault::Restart => {
                self.shut_down()?;
                self.begin_anew(Ended::Well);
            }
            Fault::Reload => {
                let settings = Settings::any(&mut self.random, self.plan);
                self.reload(settings)?;
            }
        }
        Ok(true)
    }

    fn reload(&mut self, settings: Settings) -> Result<(), Wrong> {
        self.story.tell(|| format!("new limits: {settings:?}"));
        self.settings = settings;
        let config = config(self.plan, &self.settings);
        self.node.handle().reload(&config).map_err(|error| error.to_string())
    }

    fn crash(&mut self, ended: Ended) {
        let committed = self.random.below(self.disk.jobs() + 1);
        self.story.tell(|| format!("the process ends: {ended:?}, {committed} jobs are committed unheard"));
        self.disk.end(ended, committed);
        self.node.crash();
        self.start_again();
    }

    fn begin_anew(&mut self, ended: Ended) {
        self.disk.end(ended, 0);
        self.start_again();
    }

    fn start_again(&mut self) {
        // Ids are read back from the messages that the store has: those that retention has removed it has not.
        self.model.forgets_ids |= self.model.has_retention || self.is_wall_ahead;
        self.node.crash();
        self.disk = self.disk.next();
        let config = config(self.plan, &self.settings);
        self.node = start(self.world, &config, &self.disk);
        self.accept_fails_until = Duration::ZERO;
        self.story.tell(|| "a new process serves".to_owned());
    }

    // The end.

    fn end_faults(&mut self) -> Result<(), Wrong> {
        self.story.tell(|| "nothing goes wrong any more".to_owned());
        self.has_faults = false;
        let now = self.world.elapsed();
        (self.store_fails_until, self.reads_fail_until, self.accept_fails_until) = (now, now, now);
        self.node.fail_to_accept(None);
        if self.disk.has_failed() {
            self.crash(Ended::Killed);
        }
        self.clients.iter_mut().for_each(Client::settle);
        let usual = Settings::of(self.plan);
        if self.settings != usual { self.reload(usual) } else { Ok(()) }
    }

    /// Everything that can be done without time passing.
    fn settle(&mut self, what: &str) -> Result<(), Wrong> {
        let until = self.steps + STEPS_MAX;
        loop {
            let mut happened = false;
            for step in [
                Step::Command,
                Step::Deliver,
                Step::Reactor,
                Step::Worker,
                Step::Commit,
                Step::Read,
                Step::Answer,
                Step::Receive,
            ] {
                while self.is_possible(step) && self.take(step)? {
                    happened = true;
                    if self.steps > until {
                        return Err(format!("it does not come to rest: {what}"));
                    }
                    if !self.random.once_in(4) {
                        break;
                    }
                }
            }
            if !happened {
                return Ok(());
            }
        }
    }

    fn pass_until_quiet(&mut self, time: Duration, what: &str) -> Result<(), Wrong> {
        let until = self.world.elapsed() + time;
        while self.world.elapsed() < until {
            let next = self.node.next_deadline().unwrap_or(until).clamp(self.world.elapsed(), until);
            self.world.pass(next - self.world.elapsed());
            if self.node.is_note_due(self.world) {
                self.node.note_bans(self.world);
            }
            self.settle(what)?;
            if next < until && !self.is_possible(Step::Reactor) {
                self.world.pass(Duration::from_micros(1));
            }
        }
        Ok(())
    }

    /// Whoever is in a room is in the one that is kept under its name: there is no other.
    fn check_rooms(&self) -> Result<(), Wrong> {
        for follower in self.clients.iter().filter_map(Client::member) {
            match self.disk.log(&follower.room) {
                Some((epoch, _)) if epoch == follower.epoch => {}
                kept => {
                    let (room, epoch, kept) = (&follower.room, follower.epoch, kept.map(|(epoch, _)| epoch));
                    return Err(format!("somebody is in {room} {epoch:016x}, and {kept:016x?} is kept"));
                }
            }
        }
        Ok(())
    }

    /// Whoever comes now is shown everything that is kept, in each room.
    fn serve_witnesses(&mut self) -> Result<(), Wrong> {
        let first = self.clients.len();
        let kept = (0..ROOMS.len()).filter(|room| self.disk.log(ROOMS[*room]).is_some());
        let witnesses =
            kept.zip(first..).map(|(room, number)| Client::new(number, ClientPlan::witness(room)));
        let witnesses: Vec<_> = witnesses.collect();
        self.clients.extend(witnesses);
        self.settle("witnesses are served")?;
        self.pass_until_quiet(Duration::from_secs(6), "witnesses are served")?;
        for witness in &self.clients[first..] {
            witness.check_served(&self.model, self.world.elapsed())?;
            let room = ROOMS[witness.plan.room];
            let Some((epoch, log)) = self.disk.log(room) else { continue };
            let tail = log.first().map_or(0, |first| first.seq);
            let shown =
                witness.follower.as_ref().map(|follower| (follower.epoch, follower.seq, follower.entries));
            let kept = log.last().map(|last| (epoch, last.seq, last.seq + 1 - tail));
            if shown != kept
                && !self.model.may_lose
                && !self.model.has_retention
                && self.plan.on_lag == "catch-up"
            {
                return Err(format!("a witness is shown {shown:?} of {room}, where {kept:?} is kept"));
            }
        }
        Ok(())
    }

    /// Everybody falls silent; nothing is left of them once their time is up.
    fn see_everybody_go(&mut self) -> Result<(), Wrong> {
        self.story.tell(|| "everybody falls silent".to_owned());
        self.clients.iter_mut().for_each(Client::stop_coming_back);
        for client in &mut self.clients {
            client.fall_silent();
        }
        let until = self.world.elapsed() + STAY_MAX;
        while self.node.burden() != (0, 0) {
            if self.world.elapsed() > until {
                return Err(format!("silent clients are still here: {:?}", self.node.burden()));
            }
            self.pass_until_quiet(Duration::from_secs(1), "the silent are given up")?;
        }
        self.pass_until_quiet(Duration::from_secs(1), "what is left of them is stored")
    }

    fn shut_down(&mut self) -> Result<(), Wrong> {
        self.story.tell(|| "the server is told to shut down".to_owned());
        self.node.handle().shutdown();
        let until = self.world.elapsed() + GRACE + Duration::from_secs(1);
        while !self.node.is_over() {
            if self.world.elapsed() > until {
                return Err("the server does not end in its time".into());
            }
            self.pass_until_quiet(Duration::from_millis(200), "the server ends")?;
        }
        self.node.abandon_workers();
        while !self.node.have_workers_ended() {
            if self.world.elapsed() > until + GRACE {
                return Err("the workers do not end in their time".into());
            }
            self.pass_until_quiet(Duration::from_millis(200), "the workers end")?;
        }
        Ok(())
    }

    fn check_presence(&self) -> Result<(), Wrong> {
        if self.model.has_retention || self.model.may_lose {
            return Ok(());
        }
        for room in ROOMS {
            let Some((_, log)) = Logs::log(&self.disk, room) else { continue };
            let notices: Vec<_> =
                log.iter().map(|logged| (logged.kind.clone(), logged.user.clone(), logged.online)).collect();
            self.model.check_presence(room, &notices)?;
        }
        Ok(())
    }
}
