//! The integration tests, one program: a module for each subject, `support` for what they share.
//!
//! `cargo test --test it stomp::` runs one subject.

mod admin;
mod auth;
mod backup;
mod bans;
mod bench;
mod chat;
mod cluster;
mod connections;
mod crash;
mod deflate;
mod demo;
mod epochs;
mod examples;
mod export;
mod feed;
mod frames;
mod handshake;
mod hostile;
mod ids;
mod library;
mod listeners;
mod load;
mod memory;
mod metrics;
#[cfg(feature = "mongodb")]
mod mongo;
mod operations;
mod protocols_agree;
mod quarantine;
mod race;
mod raw;
mod rest;
mod signaling;
mod stomp;
mod support;
mod tls;
