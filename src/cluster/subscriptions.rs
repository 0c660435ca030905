//! The channels that are listened to, whoever asks for them.

use std::collections::HashMap;
use std::io::Write;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redis::cmd;

use super::rooms::Room;
use crate::system::{RandomState, TcpStream};

/// Hears whether a channel is listened to, once.
pub(super) type Waiter = Box<dyn FnOnce(bool) + Send>;

/// The channel of one room.
struct Channel {
    room: Arc<Room>,
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
    writer: Option<TcpStream>,
    by_name: HashMap<String, Channel, RandomState>,
}

/// The channels that are listened to.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<Channels>);

/// A subscription was confirmed.
pub(super) struct Confirmed {
    pub(super) room: Arc<Room>,
    /// Something may have been announced before that nobody here heard.
    pub(super) is_renewed: bool,
    pub(super) waiters: Vec<Waiter>,
}

impl Channels {
    /// Sends a command. If that fails, the connection ends, and the thread that listens makes another one.
    fn send(&mut self, command: &str, channels: &[&str]) {
        let Some(writer) = &mut self.writer else { return };
        let packed: Vec<u8> =
            channels.iter().flat_map(|channel| cmd(command).arg(channel).get_packed_command()).collect();
        if writer.write_all(&packed).is_err() {
            let _is_gone = writer.shutdown(Shutdown::Both);
            self.writer = None;
        }
    }
}

impl Subscriptions {
    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to the channel of a room until it is [released](Subscriptions::release); `waiter` hears when that is so,
    /// or at `until` that it is not.
    pub(super) fn acquire(&self, room: &Arc<Room>, until: Instant, waiter: Waiter) {
        let name = room.partition.channel(&room.name);
        let mut channels = self.lock();
        let is_connected = channels.writer.is_some();
        let channel = channels.by_name.entry(name.clone()).or_insert_with(|| Channel {
            room: room.clone(),
            users: 0,
            sent: 0,
            confirmed: 0,
            endings: 0,
            is_renewed: false,
            waiters: Vec::new(),
        });
        channel.room = room.clone();
        channel.users += 1;
        let is_new = channel.users == 1 && is_connected;
        if is_new {
            channel.sent += 1;
        }
        let due = channel.sent.max(1);
        if channel.confirmed >= due {
            drop(channels);
            return waiter(true);
        }
        channel.waiters.push((due, until, waiter));
        if is_new {
            channels.send("SSUBSCRIBE", &[&name]);
        }
    }

    /// One less wants it.
    pub(super) fn release(&self, room: &Room) {
        let name = room.partition.channel(&room.name);
        let mut channels = self.lock();
        let is_connected = channels.writer.is_some();
        let Some(channel) = channels.by_name.get_mut(&name) else { return };
        channel.users = channel.users.saturating_sub(1);
        if channel.users > 0 {
            return;
        }
        if !is_connected {
            channels.by_name.remove(&name);
            return;
        }
        channel.endings += 1;
        channels.send("SUNSUBSCRIBE", &[&name]);
    }

    /// The channel belongs to this room by now, which has the name of the one before.
    pub(super) fn belongs_to(&self, room: &Arc<Room>) {
        if let Some(channel) = self.lock().by_name.get_mut(&room.partition.channel(&room.name)) {
            channel.room = room.clone();
        }
    }

    /// The room that a channel belongs to.
    pub(super) fn room(&self, channel: &str) -> Option<Arc<Room>> {
        self.lock().by_name.get(channel).map(|channel| channel.room.clone())
    }

    /// The rooms whose channels are wanted.
    pub(super) fn rooms(&self) -> Vec<Arc<Room>> {
        let channels = self.lock();
        let wanted = channels.by_name.values().filter(|channel| channel.users > 0);
        wanted.map(|channel| channel.room.clone()).collect()
    }

    /// There is a connection: everything is subscribed over it.
    pub(super) fn connected(&self, writer: TcpStream) {
        let mut channels = self.lock();
        channels.by_name.retain(|_, channel| channel.users > 0);
        for channel in channels.by_name.values_mut() {
            channel.is_renewed = channel.confirmed > 0 || channel.is_renewed;
            (channel.sent, channel.confirmed, channel.endings) = (1, 0, 0);
            channel.waiters.iter_mut().for_each(|(due, ..)| *due = 1);
        }
        channels.writer = Some(writer);
        let names: Vec<String> = channels.by_name.keys().cloned().collect();
        for some in names.chunks(1_000) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            channels.send("SSUBSCRIBE", &some);
        }
    }

    /// The connection is gone.
    pub(super) fn disconnected(&self) {
        let mut channels = self.lock();
        channels.writer = None;
        for channel in channels.by_name.values_mut() {
            channel.is_renewed |= channel.confirmed > 0;
            (channel.sent, channel.confirmed, channel.endings) = (0, 0, 0);
        }
    }

    /// Redis has confirmed a subscription.
    pub(super) fn confirmed(&self, name: &str) -> Option<Confirmed> {
        let mut channels = self.lock();
        let channel = channels.by_name.get_mut(name)?;
        channel.confirmed += 1;
        let confirmed = channel.confirmed;
        let waiters = channel.waiters.extract_if(.., |(due, ..)| *due <= confirmed);
        let waiters: Vec<Waiter> = waiters.map(|(_, _, waiter)| waiter).collect();
        let is_renewed = std::mem::take(&mut channel.is_renewed);
        Some(Confirmed { room: channel.room.clone(), is_renewed, waiters })
    }

    /// Redis has confirmed that a subscription has ended.
    pub(super) fn ended(&self, name: &str) {
        let mut channels = self.lock();
        let Some(channel) = channels.by_name.get_mut(name) else { return };
        channel.endings = channel.endings.saturating_sub(1);
        if channel.users == 0 && channel.endings == 0 && channel.confirmed >= channel.sent {
            channels.by_name.remove(name);
        }
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
