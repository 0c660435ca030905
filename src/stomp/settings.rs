//! What the configuration says of STOMP, as it is now.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::codec::FrameLimits;
use super::queues::QueueLimits;
use super::session::SessionLimits;
use crate::config::Config;

/// Maximum number of headers in a frame. Clients send about ten.
const HEADERS_MAX: usize = 64;
/// Maximum number of bytes in a line of a frame: room for a token, which is the longest value that clients send.
const LINE_BYTES_MAX: usize = 4096;

/// A value that changes when the configuration is read anew. Read with each message, so it is no lock.
#[derive(Debug, Default)]
pub(super) struct Setting(AtomicUsize);

impl Setting {
    fn set(&self, value: usize) {
        // Relaxed: each setting stands by itself; a session may see the old one for a moment.
        self.0.store(value, Ordering::Relaxed);
    }

    fn set_time(&self, time: Duration) {
        self.set(usize::try_from(time.as_millis()).unwrap_or(usize::MAX));
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn time(&self) -> Duration {
        Duration::from_millis(self.count() as u64)
    }
}

/// What sessions may cost. Counts and times hold for those that are there, too; the length of a body and the heart-beats
/// are those that a session began with.
#[derive(Debug, Default)]
pub(super) struct Settings {
    heartbeat: Setting,
    subscriptions: Setting,
    transactions: Setting,
    transaction_bytes: Setting,
    body_bytes: Setting,
    pub(super) connect_timeout: Setting,
    pub(super) frame_timeout: Setting,
}

impl Settings {
    pub(super) fn set(&self, config: &Config) {
        let Config { limits, stomp, .. } = config;
        self.heartbeat.set_time(stomp.heartbeat);
        self.subscriptions.set(stomp.subscriptions);
        self.transactions.set(stomp.transactions);
        self.transaction_bytes.set(stomp.transaction_bytes);
        self.body_bytes.set(limits.message_bytes);
        self.connect_timeout.set_time(limits.handshake_timeout);
        self.frame_timeout.set_time(limits.message_timeout);
    }

    pub(super) fn frames(&self) -> FrameLimits {
        FrameLimits {
            headers_max: HEADERS_MAX,
            line_bytes_max: LINE_BYTES_MAX,
            body_bytes_max: self.body_bytes.count(),
        }
    }

    pub(super) fn session(&self) -> SessionLimits {
        SessionLimits {
            heartbeat: self.heartbeat.time(),
            subscriptions_max: self.subscriptions.count(),
            transactions_max: self.transactions.count(),
            transaction_bytes_max: self.transaction_bytes.count(),
        }
    }
}

pub(super) fn queue_limits(config: &Config) -> QueueLimits {
    let stomp = &config.stomp;
    QueueLimits {
        length_max: stomp.queue_length,
        bytes_max: stomp.queue_bytes,
        queues_max: stomp.queues,
        all_bytes_max: stomp.memory,
        unacknowledged_max: stomp.unacknowledged,
    }
}
