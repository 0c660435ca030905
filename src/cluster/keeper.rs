//! The thread that looks after things from time to time: leases of this node and of others, where logs stand, whether
//! announcements are heard, what had to be left for later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use redis::Value;

use super::appender::Input;
use super::asker::Asker;
use super::error::{not_understood, unavailable, understood};
use super::fence::fence;
use super::following::miss;
use super::orders;
use super::partition::Partition;
use super::presence::renewed;
use super::question::{Ask, Question};
use super::reaping::reap;
use super::registry;
use super::rooms::Room;
use super::scripts::{HEADS, RENEW};
use super::shared::{Shared, nonce};
use super::telling;
use super::value::{hex, list, texts, whole};
use crate::store::{ClusterEvent, StoreError, Watch};
use crate::system::instant;

/// How often it is looked after what was left for later.
const ROUND: Duration = Duration::from_millis(500);

/// How often it is tried whether announcements are heard.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// How often it is looked where logs stand.
const HEADS_INTERVAL: Duration = Duration::from_secs(10);

/// How often it is looked for imports that nobody goes on with, and how long nobody has.
const IMPORTS_INTERVAL: Duration = Duration::from_secs(60);
const IMPORT_IDLE: Duration = Duration::from_secs(600);

/// Something that is due every so often.
struct Due {
    interval: Duration,
    at: Instant,
}

impl Due {
    fn every(interval: Duration) -> Due {
        Due { interval, at: instant() }
    }

    fn is_now(&mut self, now: Instant) -> bool {
        let is_due = now >= self.at;
        if is_due {
            self.at = now + self.interval;
        }
        is_due
    }
}

/// Looks after things.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    inputs: Sender<Input>,
    asker: Asker,
    probe: Due,
    leases: Due,
    heads: Due,
    imports: Due,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, inputs: Sender<Input>) -> Keeper {
        let asker = shared.asker(&shared.counters.keeps);
        let lease = shared.lease;
        Keeper {
            shared,
            inputs,
            asker,
            probe: Due::every(PROBE_INTERVAL),
            leases: Due::every(lease / 6),
            heads: Due::every(HEADS_INTERVAL),
            imports: Due::every(IMPORTS_INTERVAL),
        }
    }

    pub(super) fn run(mut self) {
        let _watch = Watch(self.shared.monitor.clone());
        let round = ROUND.min(self.shared.lease / 12);
        while !self.shared.is_ending.load(Ordering::Relaxed) {
            if let Err(error) = self.round() {
                tracing::debug!(%error, "what is due has to wait for Redis");
            }
            crate::system::threads::park_timeout(round);
        }
    }

    fn round(&mut self) -> Result<(), StoreError> {
        let now = instant();
        for room in self.shared.behind.take() {
            // Whoever tells its shard something has the room locked, and may wait for the shard.
            let shared = self.shared.clone();
            self.shared.tasks.push(move |_| miss(&shared, &room));
        }
        self.announce_again();
        // What one master does not answer keeps nothing from the others.
        let mut outcome = Ok(());
        if self.leases.is_now(now) {
            outcome = self.renew();
        }
        if self.probe.is_now(now) {
            outcome = outcome.and(self.send_probes());
            self.count_nodes();
            outcome = outcome.and(telling::hear(&self.shared, &mut self.asker));
        }
        outcome = outcome.and(telling::give(&self.shared, &mut self.asker));
        if self.heads.is_now(now) {
            outcome = outcome.and(self.compare_heads());
        }
        if self.imports.is_now(now) {
            let options = &self.shared.options;
            let taken_back = registry::take_back_overdue(&mut self.asker.once(), IMPORT_IDLE, options);
            outcome = outcome.and(taken_back.map(drop));
        }
        outcome
    }

    /// Says something to each master that those who listen there should hear.
    fn send_probes(&mut self) -> Result<(), StoreError> {
        let layout = self.shared.topology.layout();
        let probes: Vec<_> = layout
            .masters()
            .iter()
            .filter_map(|master| {
                // Where nobody listens, it is asked as well whether it answers.
                let probe = master.hearing.next_probe();
                let partition = probe.map(|(partition, _)| partition);
                Some((
                    master,
                    partition.or_else(|| layout.partitions_of(master).next())?,
                    probe.map_or(0, |probe| probe.1),
                ))
            })
            .collect();
        let questions: Vec<Question> = probes
            .iter()
            .map(|(_, partition, number)| {
                Question::new(*partition, "SPUBLISH")
                    .arg(partition.probe_channel(&self.shared.node))
                    .arg(*number)
            })
            .collect();
        let mut outcome = Ok(());
        for master in layout.masters() {
            outcome = outcome.and(fence(&self.shared, &mut self.asker, master));
        }
        for ((master, _, number), answer) in probes.iter().zip(self.asker.ask_each(&questions)) {
            match answer {
                Ok(_) => {
                    if *number > 0 {
                        if !master.hearing.has_heard_all() {
                            self.shared.counters.note(ClusterEvent::ProbeMissed);
                        }
                        master.hearing.was_sent(*number);
                        self.shared.counters.note(ClusterEvent::ProbeSent);
                    }
                    master.contact.made();
                    self.shared.topology.answered(master);
                }
                Err(error) => {
                    master.contact.lost();
                    self.shared.topology.failed(master, &unavailable(&error));
                    outcome = Err(unavailable(&error));
                }
            }
        }
        outcome
    }

    /// Each node listens to the channel of orders once. Who may not ask for that does not know.
    fn count_nodes(&mut self) {
        let count =
            Question::new(orders::partition(), "PUBSUB").arg("SHARDNUMSUB").arg(orders::orders_channel());
        let answer = self.asker.ask(&count);
        let nodes = answer.ok().as_ref().and_then(|answer| match list(answer)? {
            [_, Value::Int(nodes)] => u64::try_from(*nodes).ok(),
            _ => None,
        });
        self.shared.counters.set_nodes(nodes.unwrap_or(0));
    }

    /// Has the stays of rooms announced again whose logs have lost something.
    fn announce_again(&self) {
        for room in self.shared.stays.take_lost() {
            if self.inputs.try_send(Input::Again(room.clone())).is_err() {
                self.shared.stays.lose(&room);
            }
        }
    }

    /// Renews the leases of this node, and looks after those that others have not renewed.
    fn renew(&mut self) -> Result<(), StoreError> {
        let mut own: BTreeMap<Partition, Vec<Arc<Room>>> = BTreeMap::new();
        for room in self.shared.stays.rooms() {
            own.entry(room.partition).or_default().push(room);
        }
        let mut partitions: BTreeSet<Partition> = own.keys().copied().collect();
        partitions.extend(self.shared.subscriptions.rooms().iter().map(|room| room.partition));
        let partitions: Vec<Partition> = partitions.into_iter().collect();
        let lease = self.shared.lease_millis();
        let questions = partitions.iter().map(|partition| {
            let question = Question::to_run(&RENEW, *partition, &[partition.nodes()]);
            question.arg(&self.shared.node).arg(if own.contains_key(partition) { lease } else { 0 })
        });
        let questions: Vec<Question> = questions.collect();
        let (mut overdue, mut outcome) = (Vec::new(), Ok(()));
        for (partition, answer) in partitions.into_iter().zip(self.asker.ask_each(&questions)) {
            let found = answer.and_then(|answer| renewed(&answer).ok_or_else(|| not_understood("leases")));
            let (is_held, nodes) = match understood(found) {
                Ok(found) => found,
                Err(error) => {
                    // Leases of others may have ended by this as well: they need the time to renew them.
                    if let Some(home) = self.shared.topology.layout().home(partition) {
                        home.contact.lost();
                    }
                    outcome = Err(error);
                    continue;
                }
            };
            let rooms = own.remove(&partition);
            if rooms.is_some() {
                let event = if is_held { ClusterEvent::LeaseRenewed } else { ClusterEvent::LeaseLost };
                self.shared.counters.note(event);
            }
            if let (false, Some(rooms)) = (is_held, rooms) {
                tracing::warn!(
                    rooms = rooms.len(),
                    "other nodes have taken this one for dead: its members are announced again"
                );
                rooms.iter().for_each(|room| self.shared.stays.lose(room));
            }
            overdue.extend(nodes.into_iter().map(|node| (partition, node)));
        }
        self.announce_again();
        // What takes longer than this would be at the cost of the own lease.
        let until = instant() + self.shared.lease / 12;
        for (partition, node) in overdue {
            if self.shared.may_reap(partition) {
                let reaped = reap(&self.shared, &mut self.asker, partition, &node, until);
                outcome = outcome.and(reaped);
            }
        }
        outcome
    }

    /// Looks where the logs stand that are followed here.
    fn compare_heads(&mut self) -> Result<(), StoreError> {
        let mut by_partition: BTreeMap<Partition, Vec<Arc<Room>>> = BTreeMap::new();
        for room in self.shared.subscriptions.rooms() {
            by_partition.entry(room.partition).or_default().push(room);
        }
        let groups: Vec<(Partition, Vec<Arc<Room>>)> = by_partition.into_iter().collect();
        let questions = groups.iter().map(|(partition, rooms)| {
            let rooms = rooms.iter().map(|room| partition.room(&room.name));
            let keys: Vec<String> = std::iter::once(partition.meta()).chain(rooms).collect();
            let seen = self.shared.generations.of(*partition);
            let question = Question::to_run(&HEADS, *partition, &keys);
            question.arg(&*seen.generation).arg(seen.changes).arg(nonce())
        });
        let questions: Vec<Question> = questions.collect();
        let mut outcome = Ok(());
        for ((partition, rooms), answer) in groups.iter().zip(self.asker.ask_each(&questions)) {
            let compared = answer.and_then(|answer| {
                self.compare(*partition, rooms, &answer).ok_or_else(|| not_understood("heads of logs"))
            });
            outcome = outcome.and(understood(compared));
        }
        outcome
    }

    fn compare(&self, partition: Partition, rooms: &[Arc<Room>], answer: &Value) -> Option<()> {
        let heads = texts(answer)?;
        let ([generation, changes], heads) = heads.split_first_chunk::<2>()?;
        super::generation::generation_number(generation)?;
        self.shared.generations.note(partition, generation, whole(changes)?);
        let (heads, []) = heads.as_chunks::<3>() else { return None };
        for (room, [uid, epoch, seq]) in rooms.iter().zip(heads) {
            // One that is being told something is looked at the next time.
            let Some(mut log) = room.try_lock() else { continue };
            let is_known = *log.uid == **uid;
            let is_shown = log.follow.live().is_none_or(|live| {
                is_known && hex(epoch) == Some(live.epoch) && whole(seq) == Some(live.shown)
            });
            drop(log);
            self.shared.counters.note(ClusterEvent::HeadCompared);
            if !is_shown {
                self.shared.counters.note(ClusterEvent::HeadBehind);
                self.shared.behind.note(room);
            }
        }
        Some(())
    }
}
