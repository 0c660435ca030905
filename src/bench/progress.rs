//! How far a run has got, and what it is good for.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far a run has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// One run of several begins.
    Part {
        /// What it is about.
        name: &'static str,
        /// Which one, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// Connections are being opened.
    Connecting {
        /// Open by now.
        opened: usize,
        /// To be opened.
        of: usize,
    },
    /// The members join, the load begins.
    WarmingUp,
    /// The load is measured.
    Measuring {
        /// For so long by now.
        elapsed: Duration,
        /// So long in all.
        of: Duration,
    },
    /// Those who were cut off are coming back.
    Recovering {
        /// Have everything by now.
        back: usize,
        /// Were cut off.
        of: usize,
    },
    /// The last messages are waited for.
    Draining,
    /// What SQLite does by itself is measured.
    SqliteBaseline,
}

/// What the run is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// The figures are the server's.
    Result,
    /// The load generator was the bottleneck of a closed loop: throughput and latencies are its own. What a delivery
    /// costs the server is a result all the same.
    GeneratorBusy,
    /// The load generator could not send when it should have: nothing can be said about the server.
    GeneratorLate,
    /// The server fell so far behind that the run was given up, or messages stopped coming.
    Overloaded,
    /// Messages were lost, repeated or mixed up: how fast that was does not matter.
    Incorrect,
}

impl Verdict {
    /// Whether the run says something about the server.
    #[must_use]
    pub fn is_result(&self) -> bool {
        match self {
            Verdict::Result | Verdict::GeneratorBusy => true,
            Verdict::GeneratorLate | Verdict::Overloaded | Verdict::Incorrect => false,
        }
    }

    /// Whether throughput and latencies are the server's.
    #[must_use]
    pub fn has_speed(&self) -> bool {
        match self {
            Verdict::Result => true,
            Verdict::GeneratorBusy | Verdict::GeneratorLate | Verdict::Overloaded | Verdict::Incorrect => {
                false
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Result => "result",
            Verdict::GeneratorBusy => {
                "no throughput and no latency: the load generator was the bottleneck, they are its own; what a \
                 delivery costs the server is a result"
            }
            Verdict::GeneratorLate => {
                "no result: the load generator could not keep its schedule; ask for a lower rate"
            }
            Verdict::Overloaded => "no result: the server could not keep up",
            Verdict::Incorrect => "no result: messages were lost, repeated, garbled or mixed up",
        })
    }
}
