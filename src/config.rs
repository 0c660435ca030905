//! The configuration: every key with its unit and default.
#![allow(missing_docs)]
use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Vec<SocketAddr>,
    pub workers: Option<NonZeroUsize>,
    pub limits: Limits,
    pub heartbeat: Heartbeat,
    pub rooms: Rooms,
    pub chat: Chat,
    pub origins: OriginsC,
    pub shutdown: Shutdown,
}
#[derive(Clone, Debug)]
pub struct Limits {
    pub request_head_bytes: usize,
    pub body_bytes: usize,
    pub reply_bytes: usize,
    pub connections: usize,
    pub connections_per_ip: usize,
    pub handshake_timeout: Duration,
    pub close_timeout: Duration,
    pub message_timeout: Duration,
    pub write_timeout: Duration,
    pub message_bytes: usize,
    pub members_per_room: usize,
    pub rooms: usize,
}
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub ping_interval: Duration,
    pub idle_timeout: Duration,
    pub text_interval: Duration,
}
#[derive(Clone, Copy, Debug)]
pub enum OnLag {
    Gap,
    Close,
}
#[derive(Clone, Debug)]
pub struct Rooms {
    pub window_messages: usize,
    pub window_bytes: usize,
    pub on_lag: OnLag,
}
#[derive(Clone, Debug)]
pub struct Chat {
    pub join_notice: String,
    pub leave_notice: String,
    pub dedup_window: Duration,
}
#[derive(Clone, Debug)]
pub struct OriginsC {
    pub allowed: crate::http::Origins,
}
#[derive(Clone, Debug)]
pub struct Shutdown {
    pub grace: Duration,
}
impl Default for Config {
    fn default() -> Self {
        let s = Duration::from_secs;
        Config {
            listen: vec!["127.0.0.1:8080".parse().unwrap()],
            workers: None,
            limits: Limits {
                request_head_bytes: 16384,
                body_bytes: 1 << 20,
                reply_bytes: 1 << 20,
                connections: 100000,
                connections_per_ip: 0,
                handshake_timeout: s(10),
                close_timeout: s(5),
                message_timeout: s(30),
                write_timeout: s(60),
                message_bytes: 65536,
                members_per_room: 0,
                rooms: 1000000,
            },
            heartbeat: Heartbeat { ping_interval: s(30), idle_timeout: s(75), text_interval: s(25) },
            rooms: Rooms { window_messages: 256, window_bytes: 1 << 20, on_lag: OnLag::Gap },
            chat: Chat {
                join_notice: "{username} joined".into(),
                leave_notice: "{username} left".into(),
                dedup_window: s(120),
            },
            origins: OriginsC { allowed: crate::http::Origins::SameOrigin },
            shutdown: Shutdown { grace: s(10) },
        }
    }
}
