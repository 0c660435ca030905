//! The channels that are listened to, whoever asks for them, each with the master that has its partition.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redis::cmd;

use super::layout::Master;
use super::rooms::Room;
use super::topology::Topology;
use super::wire::WireWriter;
use crate::system::RandomState;

/// Hears whether a channel is listened to, once.
pub(super) type Waiter = Box<dyn FnOnce(bool) + Send>;

/// The channel of one room.
struct Channel {
    room: Arc<Room>,
    /// Where it is subscribed, if anywhere.
    at: Option<Arc<Master>>,
    /// How many want it. Nobody: it is on its way out.
    users: u32,
    /// Subscriptions that were sent over this connection, and those that Redis has confirmed; likewise endings.
    sent: u64,
    confirmed: u64,
    endings: u64,
    /// Whether it was subscribed before, over another connection.
    is_renewed: bool,
    /// Each waits for this number of confirmations, until this time.
    waiters: Vec<(u64, Instant, Waiter)>,
}

#[derive(Default)]
struct Channels {
    writers: Vec<(Arc<Master>, WireWriter)>,
    by_name: HashMap<String, Channel, RandomState>,
}

/// The channels that are listened to.
pub(super) struct Subscriptions {
    topology: Arc<Topology>,
    channels: Mutex<Channels>,
}

/// A subscription was confirmed.
pub(super) struct Confirmed {
    pub(super) room: Arc<Room>,
    /// Something may have been announced before that nobody here heard.
    pub(super) is_renewed: bool,
    pub(super) waiters: Vec<Waiter>,
}

impl Channel {
    fn is_at(&self, master: &Arc<Master>) -> bool {
        self.at.as_ref().is_some_and(|at| Arc::ptr_eq(at, master))
    }

    /// It is not subscribed any more.
    fn leave(&mut self) {
        self.at = None;
        self.is_renewed |= self.confirmed > 0;
        (self.sent, self.confirmed, self.endings) = (0, 0, 0);
    }

    /// It is about to be subscribed at a master.
    fn enter(&mut self, master: &Arc<Master>) {
        self.leave();
        self.at = Some(master.clone());
        self.sent = 1;
        self.waiters.iter_mut().for_each(|(due, ..)| *due = 1);
    }
}

impl Channels {
    fn is_connected(&self, master: &Arc<Master>) -> bool {
        self.writers.iter().any(|(to, _)| Arc::ptr_eq(to, master))
    }

    /// Sends a command. If that fails, the connection ends, and the thread that listens makes another one.
    fn send(&mut self, master: &Arc<Master>, command: &str, channels: &[String]) {
        let Some((_, writer)) = self.writers.iter_mut().find(|(to, _)| Arc::ptr_eq(to, master)) else {
            return;
        };
        // Each alone: a Redis Cluster takes no two of different slots in one command.
        let packed: Vec<u8> =
            channels.iter().flat_map(|channel| cmd(command).arg(channel).get_packed_command()).collect();
        if writer.write_all(&packed).is_err() {
            writer.shutdown();
            self.writers.retain(|(to, _)| !Arc::ptr_eq(to, master));
        }
    }
}

impl Subscriptions {
    pub(super) fn new(topology: Arc<Topology>) -> Subscriptions {
        Subscriptions { topology, channels: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to the channel of a room until it is [released](Subscriptions::release); `waiter` hears when that is so,
    /// or at `until` that it is not.
    pub(super) fn acquire(&self, room: &Arc<Room>, until: Instant, waiter: Waiter) {
        let name = room.partition.channel(&room.name);
        let mut channels = self.lock();
        let home = self.topology.layout().home(room.partition).cloned();
        let home = home.filter(|home| channels.is_connected(home));
        let channel = channels.by_name.entry(name.clone()).or_insert_with(|| Channel {
            room: room.clone(),
            at: None,
            users: 0,
            sent: 0,
            confirmed: 0,
            endings: 0,
            is_renewed: false,
            waiters: Vec::new(),
        });
        channel.room = room.clone();
        channel.users += 1;
        let to = match (&channel.at, home) {
            (Some(at), Some(home)) if Arc::ptr_eq(at, &home) && channel.users == 1 => {
                channel.sent += 1;
                Some(home)
            }
            (None, Some(home)) => {
                channel.enter(&home);
                Some(home)
            }
            // It is there, or comes when whoever listens has a connection, or has seen that it is elsewhere.
            _ => None,
        };
        let due = channel.sent.max(1);
        if channel.confirmed >= due {
            drop(channels);
            return waiter(true);
        }
        channel.waiters.push((due, until, waiter));
        if let Some(to) = to {
            channels.send(&to, "SSUBSCRIBE", &[name]);
        }
    }

    /// One less wants it.
    pub(super) fn release(&self, room: &Room) {
        let name = room.partition.channel(&room.name);
        let mut channels = self.lock();
        let Some(channel) = channels.by_name.get_mut(&name) else { return };
        channel.users = channel.users.saturating_sub(1);
        if channel.users > 0 {
            return;
        }
        let Some(at) = channel.at.clone() else {
            channels.by_name.remove(&name);
            return;
        };
        channel.endings += 1;
        channels.send(&at, "SUNSUBSCRIBE", &[name]);
    }

    /// The channel belongs to this room by now, which has the name of the one before.
    pub(super) fn belongs_to(&self, room: &Arc<Room>) {
        if let Some(channel) = self.lock().by_name.get_mut(&room.partition.channel(&room.name)) {
            channel.room = room.clone();
        }
    }

    /// The room that a channel belongs to, if it is listened to at this master, which still has it.
    pub(super) fn room(&self, channel: &str, master: &Arc<Master>) -> Option<Arc<Room>> {
        let channels = self.lock();
        let channel = channels.by_name.get(channel).filter(|channel| channel.is_at(master))?;
        // What another master has announced since stands in another log, if this one has lost something.
        self.topology.is_home(channel.room.partition, master).then(|| channel.room.clone())
    }

    /// The rooms whose channels are wanted.
    pub(super) fn rooms(&self) -> Vec<Arc<Room>> {
        let channels = self.lock();
        let wanted = channels.by_name.values().filter(|channel| channel.users > 0);
        wanted.map(|channel| channel.room.clone()).collect()
    }

    /// There is a connection to a master: what belongs there is subscribed over it.
    pub(super) fn connected(&self, master: &Arc<Master>, writer: WireWriter) {
        let mut channels = self.lock();
        channels.writers.retain(|(to, _)| !Arc::ptr_eq(to, master));
        channels.writers.push((master.clone(), writer));
        channels.by_name.values_mut().filter(|channel| channel.is_at(master)).for_each(Channel::leave);
        drop(channels);
        self.go_home();
    }

    /// Partitions have come to other masters: their channels are subscribed there.
    pub(super) fn go_home(&self) {
        let mut channels = self.lock();
        let layout = self.topology.layout();
        let connected: Vec<Arc<Master>> = channels.writers.iter().map(|(to, _)| to.clone()).collect();
        let mut moved: Vec<Vec<String>> = connected.iter().map(|_| Vec::new()).collect();
        let mut left: Vec<(Arc<Master>, String)> = Vec::new();
        channels.by_name.retain(|name, channel| {
            let home = layout.home(channel.room.partition);
            if home.is_some_and(|home| channel.is_at(home)) {
                return true;
            }
            left.extend(channel.at.take().map(|at| (at, name.clone())));
            channel.leave();
            let place = connected.iter().position(|to| home.is_some_and(|home| Arc::ptr_eq(home, to)));
            if let Some((place, to)) = place.and_then(|place| Some((place, connected.get(place)?)))
                && channel.users > 0
            {
                channel.enter(to);
                moved[place].push(name.clone());
            }
            channel.users > 0
        });
        for (at, name) in left {
            channels.send(&at, "SUNSUBSCRIBE", &[name]);
        }
        for (to, names) in connected.iter().zip(&moved) {
            names.chunks(1_000).for_each(|some| channels.send(to, "SSUBSCRIBE", some));
        }
    }

    /// The connection to a master is gone.
    pub(super) fn disconnected(&self, master: &Arc<Master>) {
        let mut channels = self.lock();
        channels.writers.retain(|(to, _)| !Arc::ptr_eq(to, master));
        channels.by_name.values_mut().filter(|channel| channel.is_at(master)).for_each(Channel::leave);
        channels.by_name.retain(|_, channel| channel.users > 0);
    }

    /// A master has confirmed a subscription.
    pub(super) fn confirmed(&self, name: &str, master: &Arc<Master>) -> Option<Confirmed> {
        let mut channels = self.lock();
        let channel = channels.by_name.get_mut(name).filter(|channel| channel.is_at(master))?;
        channel.confirmed += 1;
        let confirmed = channel.confirmed;
        let waiters = channel.waiters.extract_if(.., |(due, ..)| *due <= confirmed);
        let waiters: Vec<Waiter> = waiters.map(|(_, _, waiter)| waiter).collect();
        let is_renewed = std::mem::take(&mut channel.is_renewed);
        Some(Confirmed { room: channel.room.clone(), is_renewed, waiters })
    }

    /// A master has ended a subscription. False if nobody has asked for that: it has the channel no more.
    pub(super) fn ended(&self, name: &str, master: &Arc<Master>) -> bool {
        let mut channels = self.lock();
        let Some(channel) = channels.by_name.get_mut(name).filter(|channel| channel.is_at(master)) else {
            return true;
        };
        if channel.endings == 0 {
            channel.leave();
            return false;
        }
        channel.endings -= 1;
        if channel.users == 0 && channel.endings == 0 && channel.confirmed >= channel.sent {
            channels.by_name.remove(name);
        }
        true
    }

    /// Those who have waited long enough.
    pub(super) fn expired(&self, now: Instant) -> Vec<Waiter> {
        let mut channels = self.lock();
        let waiting = channels.by_name.values_mut();
        let expired =
            waiting.flat_map(|channel| channel.waiters.extract_if(.., |(_, until, _)| *until <= now));
        expired.map(|(_, _, waiter)| waiter).collect()
    }
}
