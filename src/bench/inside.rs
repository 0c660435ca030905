//! What the server has said of its inside while it was measured.

use serde::{Deserialize, Serialize};

use super::exposition::{Buckets, Scrape};
use super::plot::number;

const READ_TO_SHARD: &str = "foghorn_read_to_shard_seconds";
const SHARD_TO_COMMIT: &str = "foghorn_shard_to_commit_seconds";
const COMMIT_TO_SEND: &str = "foghorn_commit_to_send_seconds";
const COMMIT: &str = "foghorn_store_commit_seconds";
const COMMIT_MESSAGES: &str = "foghorn_store_commit_messages";
const TURN: &str = "foghorn_reactor_turn_seconds";
const TURNS: &str = "foghorn_reactor_turns_total";

/// What the metrics have, in seconds, and reports have, in milliseconds.
const MILLIS: f64 = 1e3;

/// What the server has said of its inside while it was measured.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Inside {
    /// Nothing, or nothing that is understood.
    Unknown {
        /// Why.
        why: String,
    },
    /// How long messages took, and what else there is in the metrics.
    Known(Box<Way>),
}

/// The way inside: the steps that messages took, and what they wait for. What the server does not count is absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Way {
    /// The server's version.
    pub version: Option<String>,
    /// Milliseconds from the turn that read a message to its shard.
    pub read_to_shard: Option<Spread>,
    /// Milliseconds from there to the commit.
    pub shard_to_commit: Option<Spread>,
    /// Milliseconds from there to the sockets, for each delivery.
    pub commit_to_send: Option<Spread>,
    /// Milliseconds that commits took.
    pub commit: Option<Spread>,
    /// Messages of each commit.
    pub commit_messages: Option<Spread>,
    /// Milliseconds that turns took.
    pub turn: Option<Spread>,
    /// How many turns there were.
    pub turns: u64,
    /// The steps from one look at them to the next, if there were several.
    pub over_time: Vec<WaySlice>,
}

/// How values are spread, as far as the bounds of a histogram tell.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Spread {
    /// How many there were.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half of them were at most this; absent if that is above `bound`.
    pub p50: Option<f64>,
    /// 99 in a hundred.
    pub p99: Option<f64>,
    /// The largest value that the histogram tells from larger ones.
    pub bound: f64,
}

/// The steps in a part of the time: what 99 in a hundred took at most, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct WaySlice {
    /// When it ended, in seconds since the measurement began.
    pub at: f64,
    /// From the turn to the shard.
    pub read_to_shard: Option<f64>,
    /// From there to the commit.
    pub shard_to_commit: Option<f64>,
    /// From there to the sockets.
    pub commit_to_send: Option<f64>,
}

impl Way {
    /// What has happened between two looks; or why that is not known.
    pub(super) fn between(before: &Scrape, after: &Scrape) -> Result<Way, String> {
        let spread = |name: &str, scale: f64| -> Result<Option<Spread>, String> {
            let (Some(before), Some(after)) = (before.histogram(name), after.histogram(name)) else {
                return Ok(None);
            };
            let grown = after.since(before).ok_or("it counts anew: it was restarted meanwhile")?;
            Ok(Spread::of(&grown, scale))
        };
        if after.histogram(TURN).is_none() {
            return Err("it has metrics, but not those of Foghorn".to_owned());
        }
        let turns = after.value(TURNS).unwrap_or(0.0) - before.value(TURNS).unwrap_or(0.0);
        Ok(Way {
            version: after.version().map(str::to_owned),
            read_to_shard: spread(READ_TO_SHARD, MILLIS)?,
            shard_to_commit: spread(SHARD_TO_COMMIT, MILLIS)?,
            commit_to_send: spread(COMMIT_TO_SEND, MILLIS)?,
            commit: spread(COMMIT, MILLIS)?,
            commit_messages: spread(COMMIT_MESSAGES, 1.0)?,
            turn: spread(TURN, MILLIS)?,
            turns: whole(turns),
            over_time: Vec::new(),
        })
    }

    /// The same as a part of the time that ended `at`.
    pub(super) fn slice(&self, at: f64) -> WaySlice {
        let p99 = |step: Option<Spread>| step.and_then(|step| step.p99);
        WaySlice {
            at,
            read_to_shard: p99(self.read_to_shard),
            shard_to_commit: p99(self.shard_to_commit),
            commit_to_send: p99(self.commit_to_send),
        }
    }

    /// The steps by their names, in order.
    #[must_use]
    pub fn steps(&self) -> [(&'static str, Option<Spread>); 3] {
        [
            ("read to shard", self.read_to_shard),
            ("shard to commit", self.shard_to_commit),
            ("commit to send", self.commit_to_send),
        ]
    }
}

impl Spread {
    /// As people read it: half of them, 99 in a hundred, and the mean.
    #[must_use]
    pub fn text(&self, unit: &str) -> String {
        let [p50, p99] = [self.p50, self.p99].map(|value| self.shown(value));
        format!("p50 {p50} {unit}, p99 {p99} {unit}, mean {} {unit}", number(self.mean))
    }

    /// A part of the values; more than can be told is said to be so.
    pub(super) fn shown(&self, value: Option<f64>) -> String {
        value.map_or_else(|| format!("over {}", number(self.bound)), number)
    }

    /// `None` of no values.
    fn of(buckets: &Buckets, scale: f64) -> Option<Spread> {
        let count = buckets.count();
        (count > 0.0).then(|| Spread {
            count: whole(count),
            mean: buckets.sum() / count * scale,
            p50: buckets.quantile(0.5).map(|value| value * scale),
            p99: buckets.quantile(0.99).map(|value| value * scale),
            bound: buckets.bound_max() * scale,
        })
    }
}

/// A count that was written as a number of any kind.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^53; a cast saturates"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(counts: [u64; 3], turns: u64) -> Scrape {
        let [fast, slow, all] = counts;
        let histogram = |name: &str| {
            format!(
                "{name}_sum {}\n{name}_bucket{{le=\"0.001\"}} {fast}\n{name}_bucket{{le=\"0.01\"}} {slow}\n\
                 {name}_bucket{{le=\"+Inf\"}} {all}\n",
                all * 2
            )
        };
        Scrape::parse(&format!("{}{}{TURNS} {turns}\n", histogram(TURN), histogram(READ_TO_SHARD)))
    }

    #[test]
    fn the_way_is_what_was_counted_in_between() {
        let way = Way::between(&scrape([10, 10, 10], 5), &scrape([10, 30, 30], 905)).unwrap();
        let found = way.read_to_shard.unwrap();
        assert_eq!((found.count, found.mean, found.bound), (20, 2000.0, 10.0));
        let parts = [(found.p50, 5.5), (found.p99, 9.91)];
        assert!(parts.iter().all(|(part, expected)| (part.unwrap() - expected).abs() < 1e-9), "{found:?}");
        assert_eq!((way.turns, way.shard_to_commit, way.commit), (900, None, None));
        assert_eq!(way.slice(2.0).read_to_shard, found.p99);
        let slow = Way::between(&scrape([0, 0, 0], 0), &scrape([0, 0, 5], 1)).unwrap();
        assert_eq!(slow.read_to_shard.map(|step| (step.p50, step.bound)), Some((None, 10.0)));
        let silent = Way::between(&scrape([1, 1, 1], 0), &scrape([1, 1, 1], 1)).unwrap();
        assert_eq!(silent.read_to_shard, None);
    }

    #[test]
    fn it_is_not_known_of_another_server_or_another_process() {
        let foreign = Scrape::parse("go_goroutines 8\n");
        assert!(Way::between(&foreign, &foreign).unwrap_err().contains("not those of Foghorn"));
        let error = Way::between(&scrape([9, 9, 9], 9), &scrape([1, 1, 1], 1)).unwrap_err();
        assert!(error.contains("restarted"), "{error}");
    }
}
