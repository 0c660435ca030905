//! From the configuration to what the parts of the server want to know.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config};
use crate::handshake::DeflateTerms;
use crate::http::HeadLimits;
use crate::reactor::ReactorLimits;
use crate::rooms::log::Window;
use crate::rooms::store_api::{Durability, Retention};
use crate::rooms::{BlockSize, Bounds, Notices, OnLag, RoomLimits};
use crate::store;
use crate::transport::CertificateFiles;
use crate::ws::deflate::{Deflate, Level, WindowBits};

/// Keys, and beginnings of keys, that [`ServerHandle::reload`](super::ServerHandle::reload) takes over.
#[doc(hidden)]
pub const RESTART_FREE_KEYS: [&str; 12] = [
    "limits.",
    "heartbeat.ping_interval",
    "heartbeat.idle_timeout",
    "origins.",
    "auth.",
    "tls.",
    "proxy.trusted",
    "shutdown.grace",
    "signaling.",
    "stomp.",
    "metrics.",
    "admin.connections",
];

pub(super) fn reactor_limits(config: &Config) -> ReactorLimits {
    let limits = &config.limits;
    ReactorLimits {
        head: HeadLimits { head_bytes: limits.request_head_bytes, ..HeadLimits::default() },
        body_bytes: limits.body_bytes,
        reply_bytes: limits.reply_bytes,
        inflated_bytes: limits.inflated_bytes,
        connections: limits.connections,
        connections_per_ip: (limits.connections_per_ip > 0).then_some(limits.connections_per_ip),
        admin_connections: config.admin.connections,
        trusted: config.proxy.trusted.clone(),
        tls_timeout: limits.tls_timeout,
        sessions_per_user: (limits.sessions_per_user > 0).then_some(limits.sessions_per_user),
        rooms_per_session: limits.rooms_per_session,
        close_over_limit: limits.on_flood == config::OnFlood::Close,
        control_frames: control_frames(limits),
        burst: limits.burst,
        memory: (limits.memory > 0).then_some(limits.memory),
        handshake_timeout: limits.handshake_timeout,
        close_timeout: limits.close_timeout,
        message_timeout: limits.message_timeout,
        write_timeout: limits.write_timeout,
        ping_interval: unless_zero(config.heartbeat.ping_interval),
        idle_timeout: unless_zero(config.heartbeat.idle_timeout),
        shutdown_grace: config.shutdown.grace,
        deflate: deflate(&config.deflate),
    }
}

pub(super) fn certificate_files(config: &Config) -> Option<CertificateFiles> {
    let (certificate, key) = config.tls.certificate.clone().zip(config.tls.key.clone())?;
    Some(CertificateFiles { certificate, key })
}

/// Control frames of one session in the time of a burst; `None` without limit.
fn control_frames(limits: &config::Limits) -> Option<u32> {
    let frames = (limits.control_frames_per_second as u128).saturating_mul(limits.burst.as_millis()) / 1000;
    (limits.control_frames_per_second > 0).then(|| u32::try_from(frames).unwrap_or(u32::MAX))
}

fn unlimited_if_zero(count: usize) -> usize {
    if count == 0 { usize::MAX } else { count }
}

pub(super) fn set_bounds(bounds: &Bounds, limits: &config::Limits) {
    bounds.set(unlimited_if_zero(limits.members_per_room), limits.rooms);
    bounds.set_openings(limits.openings, limits.opening_bytes);
    bounds.set_bans(limits.bans);
    bounds.set_publishers(limits.messages_per_second, limits.burst);
    bounds.creations.set(limits.room_creations_per_second, limits.burst);
}

pub(super) fn room_limits(config: &Config, bounds: Arc<Bounds>, stored: bool) -> RoomLimits {
    RoomLimits {
        window: window(config),
        on_lag: match config.rooms.on_lag {
            config::OnLag::CatchUp => OnLag::CatchUp,
            config::OnLag::Gap => OnLag::Gap,
            config::OnLag::Close => OnLag::Close,
        },
        open_rooms: config.chat.open_rooms,
        store: stored.then_some(durability(config.history.durability)),
        bounds,
        block_size: BlockSize::DEFAULT,
        parallel_members: unlimited_if_zero(config.rooms.lane_members),
        dedup_window: config.chat.dedup_window,
        deflate: deflate(&config.deflate),
        notices: Notices {
            join: config.chat.join_notice.clone(),
            leave: config.chat.leave_notice.clone(),
            members_max: unlimited_if_zero(config.chat.notices_max_members),
        },
    }
}

fn durability(durability: config::Durability) -> Durability {
    match durability {
        config::Durability::Off => Durability::Off,
        config::Durability::Async => Durability::Async,
        config::Durability::Commit => Durability::Commit,
        config::Durability::Fsync => Durability::Fsync,
    }
}

/// What a store has to be told to suit a server of this configuration.
#[must_use]
pub fn store_options(config: &Config) -> store::Options {
    let history = &config.history;
    let memory = store::MemoryLimits {
        room_messages: history.memory_messages as u64,
        room_bytes: history.memory_room_bytes,
        bytes: history.memory_bytes,
        rooms: config.limits.rooms,
    };
    store::Options {
        memory,
        log_bytes_max: history.log_bytes as u64,
        window: window(config),
        dedup_window: config.chat.dedup_window,
        durability: durability(history.durability),
        retention: retention(config),
        ..store::Options::default()
    }
}

/// Where the rooms are that a server of this configuration keeps, unless it is one of a cluster.
#[must_use]
pub fn store_location(config: &Config) -> store::Location {
    match &config.store.url {
        Some(url) => store::Location::MongoDb(store::MongoDb {
            url: url.clone(),
            timeout: config.store.timeout,
            lease: config.store.lease,
        }),
        None if config.memory => store::Location::Memory,
        None => store::Location::Directory(config.data.clone()),
    }
}

/// What is kept of a room that does not say; in a cluster no more than that allows.
fn retention(config: &Config) -> Retention {
    let limit = |value: usize| (value > 0).then_some(value as u64);
    let history = &config.history;
    let own = Retention {
        messages_max: limit(history.messages_max),
        bytes_max: limit(history.mebibytes_max).map(|mebibytes| mebibytes << 20),
        age_max: unless_zero(history.age_max),
    };
    if config.cluster.url.is_none() {
        return own;
    }
    let (messages, age) = (config.cluster.retention as u64, config.cluster.retention_age);
    Retention {
        messages_max: Some(own.messages_max.map_or(messages, |own| own.min(messages))),
        age_max: Some(own.age_max.map_or(age, |own| own.min(age))),
        ..own
    }
}

fn window(config: &Config) -> Window {
    Window { messages: config.rooms.window_messages, bytes: config.rooms.window_bytes }
}

fn deflate(config: &config::Compression) -> Deflate {
    Deflate {
        level: u8::try_from(config.level).ok().and_then(Level::new).unwrap_or(Level::FASTEST),
        threshold_bytes: config.threshold,
        window: window_bits(config.server_window_bits),
    }
}

pub(super) fn deflate_terms(config: &config::Compression) -> DeflateTerms {
    DeflateTerms {
        server_takeover: config.server_context_takeover,
        client_takeover: config.client_context_takeover,
        server_window: window_bits(config.server_window_bits),
        client_window: window_bits(config.client_window_bits),
    }
}

/// The configuration has checked the range.
fn window_bits(bits: usize) -> WindowBits {
    u8::try_from(bits).ok().and_then(WindowBits::new).unwrap_or(WindowBits::MAX)
}

fn unless_zero(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}
