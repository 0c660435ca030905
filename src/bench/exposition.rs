//! What a server tells of its inside: the text format of Prometheus, as far as it is needed here.

use std::collections::BTreeMap;

/// Behind the last bound.
const INFINITY: &str = "+Inf";

/// No version is longer.
const VERSION_CHARS_MAX: usize = 64;

/// One answer of `/metrics`: its histograms and its plain values without labels, by name.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    histograms: BTreeMap<String, Buckets>,
    values: BTreeMap<String, f64>,
    version: Option<String>,
}

/// A histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets {
    /// Ascending bounds, each with the number of values up to it; behind them infinity.
    counts: Vec<(f64, f64)>,
    sum: f64,
}

impl Scrape {
    /// Reads what is known of; of other lines nothing is said.
    pub(super) fn parse(text: &str) -> Scrape {
        let mut scrape = Scrape::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((series, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse::<f64>()
            {
                scrape.note(series, value);
            }
        }
        scrape
    }

    fn note(&mut self, series: &str, value: f64) {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        if let Some(name) = name.strip_suffix("_bucket") {
            let bound = labels.strip_prefix("le=\"").and_then(|rest| rest.strip_suffix("\"}"));
            let bound = bound.and_then(|bound| match bound {
                INFINITY => Some(f64::INFINITY),
                bound => bound.parse().ok(),
            });
            if let Some(bound) = bound {
                self.histograms.entry(name.to_owned()).or_default().counts.push((bound, value));
            }
        } else if let Some(name) = name.strip_suffix("_sum")
            && labels.is_empty()
        {
            self.histograms.entry(name.to_owned()).or_default().sum = value;
        } else if name == "foghorn_build_info" {
            let version = labels.strip_prefix("version=\"").and_then(|rest| rest.split('"').next());
            self.version = version.map(|version| version.chars().take(VERSION_CHARS_MAX).collect());
        } else if labels.is_empty() {
            self.values.insert(name.to_owned(), value);
        }
    }

    /// A histogram with buckets in order.
    pub(super) fn histogram(&self, name: &str) -> Option<&Buckets> {
        self.histograms.get(name).filter(|buckets| buckets.is_whole())
    }

    /// What the server calls its version.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }
}

impl Buckets {
    fn is_whole(&self) -> bool {
        let ascends = self.counts.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        ascends && self.counts.len() > 1 && self.counts.last().is_some_and(|(bound, _)| bound.is_infinite())
    }

    /// What was counted since `earlier`; `None` if it has counted less, or with other bounds: it is another process's.
    pub(super) fn since(&self, earlier: &Buckets) -> Option<Buckets> {
        if self.counts.len() != earlier.counts.len() || self.sum < earlier.sum {
            return None;
        }
        let pairs = self.counts.iter().zip(&earlier.counts);
        let counts: Option<Vec<_>> = pairs
            .map(|(&(bound, now), &(before, then))| {
                (bound == before && now >= then).then_some((bound, now - then))
            })
            .collect();
        Some(Buckets { counts: counts?, sum: self.sum - earlier.sum })
    }

    /// How many values there are.
    pub(super) fn count(&self) -> f64 {
        self.counts.last().map_or(0.0, |&(_, count)| count)
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// The largest bound that is a number.
    pub(super) fn bound_max(&self) -> f64 {
        self.counts.iter().map(|&(bound, _)| bound).filter(|bound| bound.is_finite()).fold(0.0, f64::max)
    }

    /// What this part of the values does not exceed, as Prometheus estimates it: within a bucket they are taken to be spread
    /// evenly. `None` if there are none, or it is above all bounds.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let rank = part * self.count();
        let at = self.counts.iter().position(|&(_, count)| count > 0.0 && count >= rank)?;
        let (upper, count) = self.counts[at];
        let (lower, below) = at.checked_sub(1).map_or((0.0, 0.0), |before| self.counts[before]);
        upper
            .is_finite()
            .then(|| lower + (upper - lower) * (rank - below) / (count - below).max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_seconds Something.\n# TYPE a_seconds histogram\na_seconds_sum 2.5\na_seconds_count 10\n\
                        a_seconds_bucket{le=\"0.001\"} 4\na_seconds_bucket{le=\"0.01\"} 8\na_seconds_bucket{le=\"+Inf\"} 10\n\
                        b_total 7\nfoghorn_build_info{version=\"1.2\"} 1\nc{kind=\"x\"} 1\nnonsense\nd_bucket{le=\"1\"} 2\nd_bucket{le=\"x\"} 2\n";

    #[test]
    fn histograms_and_values_are_found_and_the_rest_is_left() {
        let scrape = Scrape::parse(TEXT);
        let buckets = scrape.histogram("a_seconds").unwrap();
        assert_eq!((buckets.count(), buckets.sum(), buckets.bound_max()), (10.0, 2.5, 0.01));
        assert_eq!((scrape.value("b_total"), scrape.version()), (Some(7.0), Some("1.2")));
        assert_eq!((scrape.value("c"), scrape.histogram("d"), scrape.histogram("e")), (None, None, None));
        for text in
            ["", "\u{0}{}", "x{le=\"", "_bucket{le=\"\"} 1", "a_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1"]
        {
            assert_eq!(Scrape::parse(text).histogram("a"), None, "{text:?}");
        }
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let buckets = |counts: [f64; 3]| Buckets {
            counts: vec![(1.0, counts[0]), (3.0, counts[1]), (f64::INFINITY, counts[2])],
            sum: 1.0,
        };
        assert_eq!(buckets([4.0, 8.0, 8.0]).quantile(0.5), Some(1.0));
        assert_eq!(buckets([4.0, 8.0, 8.0]).quantile(0.75), Some(2.0));
        assert_eq!(buckets([0.0, 8.0, 8.0]).quantile(0.25), Some(1.5));
        assert_eq!(buckets([0.0, 1.0, 10.0]).quantile(0.5), None);
        assert_eq!(buckets([0.0, 0.0, 0.0]).quantile(0.5), None);
    }

    #[test]
    fn only_the_same_histogram_has_a_difference() {
        let scrape = Scrape::parse(TEXT);
        let earlier = scrape.histogram("a_seconds").unwrap();
        let later = Buckets { counts: vec![(0.001, 5.0), (0.01, 11.0), (f64::INFINITY, 13.0)], sum: 3.0 };
        let grown = later.since(earlier).unwrap();
        assert_eq!((grown.count(), grown.sum()), (3.0, 0.5));
        assert_eq!(grown.counts, [(0.001, 1.0), (0.01, 3.0), (f64::INFINITY, 3.0)]);
        assert_eq!(earlier.since(&later), None, "it counts less");
        let other = Buckets { counts: vec![(0.002, 5.0), (0.01, 11.0), (f64::INFINITY, 13.0)], sum: 3.0 };
        assert_eq!(other.since(earlier), None, "other bounds");
    }
}
