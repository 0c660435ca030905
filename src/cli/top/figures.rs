//! What the server answers (`/api/stats`), and what has happened between two answers.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;

use crate::histogram::quantile;

/// Answers that are kept for the curve: as many as a wide terminal has columns.
const KEPT_MAX: usize = 256;

/// One answer, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    pub(super) version: String,
    /// Since the start of the server.
    pub(super) uptime_micros: u64,
    pub(super) connections: u64,
    pub(super) sessions: u64,
    pub(super) streams: u64,
    pub(super) rooms: u64,
    pub(super) openings: u64,
    pub(super) members: u64,
    pub(super) messages: u64,
    pub(super) unstored: u64,
    pub(super) lag_max: u64,
    pub(super) store: String,
    pub(super) limits: BTreeMap<String, u64>,
    pub(super) memory: Memory,
    pub(super) traffic: Traffic,
    pub(super) closes: BTreeMap<String, u64>,
    pub(super) commits: Commits,
    pub(super) reactor: Reactor,
    /// An older server does not tell it.
    #[serde(default)]
    pub(super) way: Way,
    /// Of a node of a cluster.
    pub(super) cluster: Option<ClusterNode>,
    pub(super) lags: Distribution,
    pub(super) shards: Vec<Shard>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Memory {
    pub(super) resident: Option<u64>,
    pub(super) waiting: u64,
    pub(super) windows: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Traffic {
    pub(super) accepted: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) messages_received: u64,
    pub(super) messages_sent: u64,
    pub(super) deliveries: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Commits {
    pub(super) count: u64,
    pub(super) messages: u64,
    pub(super) micros: Distribution,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reactor {
    pub(super) turns: u64,
    pub(super) turn_micros: Distribution,
    pub(super) busy_micros: Option<u64>,
}

/// How long messages take from step to step.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Way {
    pub(super) read_to_shard: Distribution,
    pub(super) shard_to_commit: Distribution,
    pub(super) commit_to_send: Distribution,
}

/// How a node of a cluster is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterNode {
    /// Whether Redis answers, and since when.
    pub(super) contact: bool,
    pub(super) contact_micros: u64,
    pub(super) nodes: u64,
    pub(super) unsettled: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shard {
    pub(super) busy_micros: Option<u64>,
}

/// How many values there were up to each bound; last, how many above all.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Distribution {
    bounds: Vec<u64>,
    counts: Vec<u64>,
}

impl Distribution {
    /// How many there were since `before`.
    fn since(&self, before: &Distribution) -> Distribution {
        let earlier = before.counts.iter().copied().chain(std::iter::repeat(0));
        let counts = self.counts.iter().zip(earlier).map(|(now, then)| now.saturating_sub(then)).collect();
        Distribution { bounds: self.bounds.clone(), counts }
    }

    /// The bound that this part of the values (0 to 1) is not above; nothing without values, `None` inside above all bounds.
    pub(super) fn quantile(&self, part: f64) -> Option<Option<u64>> {
        let bounds = self.bounds.iter().map(|&bound| Some(bound)).chain([None]);
        // Whatever a server answers, it is no sum that overflows.
        let count = self.counts.iter().fold(0, |all, &count| u64::saturating_add(all, count));
        quantile(bounds.zip(self.counts.iter().copied()), count, part)
    }

    /// How many values are above the first bound.
    pub(super) fn above_first(&self) -> u64 {
        self.counts.iter().skip(1).sum()
    }
}

/// What has happened between two answers, in a second where it is a number.
#[derive(Debug)]
pub(super) struct Rates {
    seconds: f64,
    before: Figures,
}

impl Rates {
    /// In a second, of a count that only grows.
    pub(super) fn of(&self, now: &Figures, count: impl Fn(&Figures) -> u64) -> f64 {
        count(now).saturating_sub(count(&self.before)) as f64 / self.seconds
    }

    /// How what has happened is spread.
    pub(super) fn spread(&self, now: &Figures, of: impl Fn(&Figures) -> &Distribution) -> Distribution {
        of(now).since(of(&self.before))
    }

    /// The part of the time that threads were busy, in percent.
    pub(super) fn busy(&self, now: &Figures, of: impl Fn(&Figures) -> Option<u64>) -> Option<f64> {
        let (now, before) = (of(now)?, of(&self.before)?);
        Some(now.saturating_sub(before) as f64 / self.seconds / 10_000.0)
    }
}

/// The newest answer, and what came before.
#[derive(Debug, Default)]
pub(super) struct History {
    now: Option<Figures>,
    rates: Option<Rates>,
    /// Deliveries in a second, the newest last.
    curve: VecDeque<f64>,
}

impl History {
    pub(super) fn push(&mut self, figures: Figures) {
        let before = self.now.take().filter(|before| before.uptime_micros < figures.uptime_micros);
        // A server that was started anew counts anew.
        self.rates = before.map(|before| {
            let seconds = (figures.uptime_micros - before.uptime_micros) as f64 / 1e6;
            Rates { seconds, before }
        });
        if let Some(rates) = &self.rates {
            self.curve.push_back(rates.of(&figures, |figures| figures.traffic.deliveries));
            if self.curve.len() > KEPT_MAX {
                self.curve.pop_front();
            }
        }
        self.now = Some(figures);
    }

    pub(super) fn now(&self) -> Option<&Figures> {
        self.now.as_ref()
    }

    pub(super) fn rates(&self) -> Option<&Rates> {
        self.rates.as_ref()
    }

    /// The newest `count` values of the curve.
    pub(super) fn curve(&self, count: usize) -> impl Iterator<Item = f64> + '_ {
        self.curve.iter().skip(self.curve.len().saturating_sub(count)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(uptime_micros: u64, deliveries: u64, counts: &[u64]) -> Figures {
        let mut figures = Figures { uptime_micros, ..Figures::default() };
        figures.traffic.deliveries = deliveries;
        figures.commits.micros = Distribution { bounds: vec![50, 100], counts: counts.to_vec() };
        figures
    }

    #[test]
    fn rates_are_made_of_two_answers_of_the_same_server() {
        let mut history = History::default();
        history.push(answer(10_000_000, 1_000, &[100, 0, 0]));
        assert!(history.rates().is_none());
        history.push(answer(12_000_000, 1_500, &[100, 98, 2]));
        let (now, rates) = (history.now().unwrap(), history.rates().unwrap());
        assert_eq!(rates.of(now, |figures| figures.traffic.deliveries), 250.0);
        let spread = rates.spread(now, |figures| &figures.commits.micros);
        assert_eq!((spread.quantile(0.5), spread.quantile(0.99)), (Some(Some(100)), Some(None)));
        assert_eq!(spread.above_first(), 100);
        history.push(answer(1_000_000, 3, &[1, 0, 0]));
        assert!(history.rates().is_none(), "another process");
        assert_eq!(history.curve(10).collect::<Vec<_>>(), [250.0]);
        assert_eq!(Distribution::default().quantile(0.5), None);
    }

    #[test]
    fn the_curve_is_as_long_as_a_terminal_is_wide() {
        let mut history = History::default();
        (1..1000).for_each(|second| history.push(answer(second * 1_000_000, second, &[])));
        assert_eq!(history.curve(usize::MAX).count(), KEPT_MAX);
        assert_eq!(history.curve(3).count(), 3);
    }
}
