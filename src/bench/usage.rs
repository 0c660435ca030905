//! What the server and the load generator used.

use std::time::Duration;

use super::connections::{Connections, Share};
use super::database::DbSnapshot;
use super::plan::Plan;
use super::process::{self, Usage};
use super::scraper::PendingInside;

/// What both sides have used up to a moment.
#[derive(Debug)]
pub(super) struct Reading {
    server: Option<Usage>,
    own: Duration,
    share: Share,
    unmetered: u64,
    database: Option<DbSnapshot>,
}

impl Reading {
    pub(super) fn take(plan: &Plan, connections: &Connections, unmetered: u64) -> Reading {
        Reading {
            database: plan.database.as_deref().and_then(DbSnapshot::of),
            server: plan.server.and_then(Usage::of),
            own: process::own_thread_time().unwrap_or_default(),
            share: connections.share(),
            unmetered,
        }
    }

    /// What was used since `earlier`.
    pub(super) fn since(self, earlier: &Reading) -> Used {
        Used {
            server: earlier.server.as_ref().zip(self.server).map(|(before, after)| after.since(before)),
            own: self.own.saturating_sub(earlier.own),
            busy: self.share.busy_since(earlier.share),
            unmetered: self.unmetered - earlier.unmetered,
            stored: earlier.database.zip(self.database).map(|(before, after)| after.since(before)),
            inside: None,
            stuck: false,
        }
    }
}

/// What both sides used while the run was measured.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) server: Option<Usage>,
    /// Processor time of the load generator.
    pub(super) own: Duration,
    /// The part of the time in which the load generator had something to do.
    pub(super) busy: f64,
    /// Deliveries that the server made besides those which were measured.
    pub(super) unmetered: u64,
    /// What the server's database took in.
    pub(super) stored: Option<DbSnapshot>,
    /// What its metrics say, as soon as they have.
    pub(super) inside: Option<PendingInside>,
    /// Messages stopped coming, or the server fell hopelessly behind.
    pub(super) stuck: bool,
}
