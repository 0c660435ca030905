//! Several nodes over one engine under simulation: whose turn it is, step by step, and what must be true after each.
//!
//! Real are the nodes from the sockets of their clients to those of the engine: reactor, shards, `foghorn::cluster` with its
//! threads, of which one runs at a time, each until it waits; and the scripts, which Lua runs. Simulated are the time, the
//! network, and Redis itself ([`redis`](crate::redis)): one server, without Sentinel, Redis Cluster, TLS, ACL.
//!
//! | file | subject |
//! |---|---|
//! | this one | whose turn it is |
//! | `plan` | what follows from a seed |
//! | `nodes` | nodes begin and end |
//! | `faults` | what goes wrong |
//! | `end` | what must be true when everything has come to rest |
//! | `tests` | runs |

mod end;
mod faults;
mod nodes;
mod plan;
mod tests;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use foghorn::config::Config;
use foghorn::simulation::World;

use self::faults::Troubles;
use self::nodes::Place;
use self::plan::{ClusterPlan, STEPS, Step};
use crate::client::{Around, Bans, Client};
use crate::model::{Model, Wrong};
use crate::random::Random;
use crate::redis::Redis;
use crate::run::{Outcome, config_of};
use crate::story::Story;

/// Steps of one part of a run at most: nothing that the clients do takes so many.
const STEPS_MAX: u64 = 200_000;
/// Steps in which clients do what they do, at most: some wait for what only comes when time has passed.
const ACTING_MAX: u64 = 20_000;
/// What a pump lets pass when nothing else happens.
const MOMENT: Duration = Duration::from_millis(1);

struct Run<'p> {
    plan: &'p ClusterPlan,
    world: Rc<World>,
    redis: Rc<RefCell<Redis>>,
    config: Config,
    places: Vec<Place>,
    random: Random,
    clients: Vec<Client>,
    /// At which place each client is, or was last.
    homes: Vec<usize>,
    model: Model,
    story: Story,
    bans: Bans,
    troubles: Troubles,
    trace: u64,
    steps: u64,
    has_faults: bool,
}

/// Does what the plan says, and looks whether what must be true is so.
fn run(plan: &ClusterPlan, is_told: bool) -> Outcome {
    let world = Rc::new(World::enter(plan.base.seed));
    let redis = Rc::new(RefCell::new(Redis::new(plan.base.seed)));
    redis.borrow_mut().keeps_everything = plan.keeps_everything;
    world.set_pump(Some(pump(&world, &redis)));
    let mut config = config_of(&plan.base);
    (config.cluster.timeout, config.cluster.lease) = (plan.timeout, plan.lease);
    let mut model = Model::new(true, false);
    model.is_shared = true;
    let mut clients: Vec<Client> = plan
        .base
        .clients
        .iter()
        .cloned()
        .enumerate()
        .map(|(number, plan)| Client::new(number, plan))
        .collect();
    clients.iter_mut().for_each(|client| client.is_shared = true);
    let mut run = Run {
        plan,
        redis,
        config,
        places: (0..plan.nodes).map(Place::new).collect(),
        random: Random::new(plan.base.seed, 5),
        homes: vec![0; clients.len()],
        clients,
        model,
        story: Story { is_told, ..Story::default() },
        bans: Bans::new(),
        troubles: Troubles::default(),
        trace: 0xcbf2_9ce4_8422_2325,
        steps: 0,
        has_faults: false,
        world,
    };
    let ended = catch_unwind(AssertUnwindSafe(|| run.play()));
    let wrong = match ended {
        Ok(played) => played.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Some(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
        }
    };
    let outcome = Outcome {
        wrong: wrong.map(|wrong| wrong.chars().take(600).collect()),
        steps: run.steps,
        shown: run.model.shown,
        trace: run.trace,
        story: std::mem::take(&mut run.story.lines),
    };
    run.world.set_pump(None);
    (0..run.places.len()).for_each(|place| run.world.kill(run.places[place].name));
    if outcome.wrong.is_some() {
        // What is broken is not to be ended in good order, which could panic once more.
        run.places.into_iter().for_each(std::mem::forget);
    }
    outcome
}

/// What goes on while a server starts and waits for the engine.
fn pump(world: &Rc<World>, redis: &Rc<RefCell<Redis>>) -> Box<dyn FnMut()> {
    let (world, redis) = (Rc::downgrade(world), redis.clone());
    Box::new(move || {
        let Some(world) = world.upgrade() else { return };
        let mut happened = false;
        for thread in world.threads() {
            if thread.is_ready(&world) {
                thread.run();
                happened = true;
            }
        }
        let mut redis = redis.borrow_mut();
        happened |= redis.accept(&world);
        for index in redis.asked() {
            redis.serve(index, &world);
            happened = true;
        }
        for index in redis.answering() {
            redis.deliver(index, true);
            happened = true;
        }
        if !happened {
            world.pass(MOMENT);
        }
    })
}

impl Run<'_> {
    fn play(&mut self) -> Result<(), Wrong> {
        self.see_all_nodes()?;
        self.has_faults = true;
        while self.clients.iter().any(Client::has_more) && self.steps < ACTING_MAX {
            self.step()?;
        }
        self.end()
    }

    fn is_paused(&self, place: usize) -> bool {
        self.places[place].paused_until > self.world.elapsed()
    }

    /// The place at which a node of this name is.
    fn place_of(name: usize) -> usize {
        name % nodes::PLACES_MAX
    }

    /// The places at which somebody does something of which this is true.
    fn awake(&mut self, mut is_it: impl FnMut(&mut foghorn::simulation::Node) -> bool) -> Vec<usize> {
        let awake = (0..self.places.len()).filter(|place| !self.is_paused(*place)).collect::<Vec<_>>();
        awake.into_iter().filter(|place| self.places[*place].node().is_some_and(&mut is_it)).collect()
    }

    fn ready_threads(&self) -> Vec<foghorn::simulation::Thread> {
        let is_ready = |thread: &foghorn::simulation::Thread| {
            !self.is_paused(Self::place_of(thread.node())) && thread.is_ready(&self.world)
        };
        self.world.threads().into_iter().filter(is_ready).collect()
    }

    fn tend(&mut self) -> bool {
        let mut happened = self.redis.borrow_mut().accept(&self.world);
        for index in 0..self.places.len() {
            if !self.is_paused(index) {
                let before = self.places[index].name;
                let is_other = self.places[index].tend(&self.world, &self.config);
                happened |= is_other;
                let (name, serves) = (self.places[index].name, self.places[index].serves());
                if is_other {
                    self.story.tell(|| format!("at place {index} is node {name:02}; it serves: {serves}"));
                }
                if before != name {
                    self.set_reach(index);
                }
            }
        }
        happened
    }

    // Steps.

    /// One step of those that are possible.
    fn step(&mut self) -> Result<(), Wrong> {
        let mut weights = self.plan.weights;
        for (step, weight) in STEPS.iter().zip(&mut weights) {
            *weight *= match step {
                Step::Time => 1,
                Step::Fault => 8,
                _ => 32,
            };
        }
        let mut left = self.random.below(weights.iter().sum());
        let first = weights.iter().position(|weight| {
            let is_it = left < *weight;
            left = left.saturating_sub(*weight);
            is_it
        });
        let first = first.unwrap_or(0);
        // If it is not possible, the next one that is.
        for index in 0..STEPS.len() {
            let step = STEPS[(first + index) % STEPS.len()];
            if (step == Step::Fault && (index > 0 || !self.has_faults)) || !self.take(step)? {
                continue;
            }
            return Ok(());
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
        self.tend();
        self.end_troubles();
        let happened = match step {
            Step::Reactor => self.turn()?,
            Step::Worker => self.work(),
            Step::Thread => self.run_thread()?,
            Step::Serve => self.serve(),
            Step::Hear => self.hear(),
            Step::Deliver => self.deliver(),
            Step::Command => self.command(),
            Step::Receive => self.receive()?,
            Step::Fault => self.fault(),
            Step::Time => self.pass_time(),
        };
        Ok(happened)
    }

    fn turn(&mut self) -> Result<bool, Wrong> {
        let world = self.world.clone();
        let ready = self.awake(|node| node.is_reactor_ready(&world));
        if ready.is_empty() {
            return Ok(false);
        }
        let place = self.random.pick(&ready);
        let random = &mut self.random;
        let Some(node) = self.places[place].node() else { return Ok(false) };
        node.turn(&world, &mut |count| random.below(count)).map_err(|error| error.to_string())?;
        Ok(true)
    }

    fn work(&mut self) -> bool {
        let ready = self.awake(|node| (0..node.workers()).any(|worker| node.is_worker_ready(worker)));
        if ready.is_empty() {
            return false;
        }
        let place = self.random.pick(&ready);
        let Some(node) = self.places[place].node() else { return false };
        let ready: Vec<usize> = (0..node.workers()).filter(|worker| node.is_worker_ready(*worker)).collect();
        let random = &mut self.random;
        let worker = random.pick(&ready);
        node.work(worker, &mut |count| random.below(count));
        if self.steps.is_multiple_of(16) {
            node.check();
        }
        true
    }

    fn run_thread(&mut self) -> Result<bool, Wrong> {
        let ready = self.ready_threads();
        let index = self.random.below(ready.len());
        let Some(thread) = ready.get(index) else { return Ok(false) };
        thread.run();
        self.world.panic().map_or(Ok(true), |panic| Err(format!("panic of {}: {panic}", thread.name())))
    }

    fn serve(&mut self) -> bool {
        let mut redis = self.redis.borrow_mut();
        let asked = redis.asked();
        if asked.is_empty() {
            return false;
        }
        redis.serve(self.random.pick(&asked), &self.world);
        true
    }

    fn hear(&mut self) -> bool {
        let mut redis = self.redis.borrow_mut();
        let answering = redis.answering();
        if answering.is_empty() {
            return false;
        }
        redis.deliver(self.random.pick(&answering), self.random.once_in(2));
        true
    }

    fn deliver(&mut self) -> bool {
        let all = self.random.once_in(2);
        let max = if all { usize::MAX } else { self.random.pick(&[1, 7, 60, 600]) };
        let lines: Vec<_> = self
            .places
            .iter_mut()
            .filter_map(Place::node)
            .flat_map(|node| node.under_way().collect::<Vec<_>>())
            .collect();
        let index = self.random.below(lines.len());
        let Some(line) = lines.get(index) else { return false };
        line.deliver(max);
        line.tell_of_room();
        true
    }

    /// Has a client do something, at the node where it is or to which it comes.
    fn with_client<T>(
        &mut self,
        client: usize,
        act: impl FnOnce(&mut Client, &mut Around<'_>) -> T,
    ) -> Option<T> {
        if self.clients[client].line.is_none() && client < self.plan.base.clients.len() {
            let serving: Vec<usize> =
                (0..self.places.len()).filter(|place| self.places[*place].serves()).collect();
            if serving.is_empty() {
                return None;
            }
            self.homes[client] = self.random.pick(&serving);
        }
        let home = self.homes[client];
        let place = if self.places[home].node().is_some() {
            home
        } else {
            (0..self.places.len()).find(|place| self.places[*place].node().is_some())?
        };
        let redis = self.redis.borrow();
        let mut around = Around {
            node: self.places[place].node()?,
            disk: &*redis,
            model: &mut self.model,
            story: &mut self.story,
            plan: &self.plan.base,
            elapsed: self.world.elapsed(),
            bans: &mut self.bans,
            trace: &mut self.trace,
        };
        let done = act(&mut self.clients[client], &mut around);
        drop(redis);
        // Another node hears of a ban later.
        self.bans.clear();
        Some(done)
    }

    fn command(&mut self) -> bool {
        let able: Vec<usize> =
            (0..self.clients.len()).filter(|client| self.clients[*client].may_act()).collect();
        if able.is_empty() {
            return false;
        }
        let client = self.random.pick(&able);
        self.with_client(client, |client, around| client.act(around)).unwrap_or(false)
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
            let received = self.with_client(client, |client, around| client.receive(max, around));
            if received.unwrap_or(Ok(false))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// When something is due, if nothing else happens.
    fn next_deadline(&mut self) -> Duration {
        let now = self.world.elapsed();
        let mut deadline = now + Duration::from_secs(1);
        for thread in self.world.threads() {
            let paused_until = self.places[Self::place_of(thread.node())].paused_until;
            let wakes_at = thread.wakes_at().map(|at| at.max(paused_until));
            deadline = deadline.min(wakes_at.unwrap_or(deadline));
        }
        for place in &mut self.places {
            let paused_until = place.paused_until;
            let wakes_at = place.node().and_then(|node| node.next_deadline());
            deadline = deadline.min(wakes_at.map_or(deadline, |at| at.max(paused_until)));
        }
        deadline.max(now)
    }

    fn note_bans(&mut self) {
        let world = self.world.clone();
        for place in self.awake(|node| node.is_note_due(&world)) {
            if let Some(node) = self.places[place].node() {
                node.note_bans(&world);
            }
        }
    }

    fn pass_time(&mut self) -> bool {
        let left = self.next_deadline() - self.world.elapsed();
        let some = Duration::from_micros(self.random.next() % 50_000);
        let time = if self.random.once_in(3) { left } else { left.min(some) };
        self.world.pass(time);
        self.note_bans();
        true
    }

    /// Everything that can be done without time passing.
    fn settle(&mut self, what: &str) -> Result<(), Wrong> {
        let until = self.steps + STEPS_MAX;
        loop {
            let mut happened = self.tend();
            for step in STEPS {
                if matches!(step, Step::Time | Step::Fault) {
                    continue;
                }
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

    /// False if there is certainly nothing to do.
    fn is_possible(&self, step: Step) -> bool {
        match step {
            Step::Serve => !self.redis.borrow().asked().is_empty(),
            Step::Hear => !self.redis.borrow().answering().is_empty(),
            Step::Command => self.clients.iter().any(Client::may_act),
            Step::Receive => self.clients.iter().any(Client::may_receive),
            Step::Reactor | Step::Worker | Step::Thread | Step::Deliver | Step::Fault | Step::Time => true,
        }
    }

    fn pass_until_quiet(&mut self, time: Duration, what: &str) -> Result<(), Wrong> {
        let until = self.world.elapsed() + time;
        while self.world.elapsed() < until {
            let next = self.next_deadline().clamp(self.world.elapsed(), until);
            self.world.pass((next - self.world.elapsed()).max(Duration::from_micros(1)));
            self.note_bans();
            self.settle(what)?;
        }
        Ok(())
    }
}
