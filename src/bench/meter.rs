//! Counts and latencies of a run, whole and in slices of time.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::clock::{Nanos, nanos};

/// Length of a slice.
const SLICE: Duration = Duration::from_millis(250);
/// Latencies above this count as this: ten minutes.
const LATENCY_MAX: Nanos = 600_000_000_000;

/// Latencies with a resolution of three digits.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    pub(super) fn new() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX, 3);
        Latencies { histogram: histogram.expect("the bounds are those that the histogram allows") }
    }

    #[inline]
    pub(super) fn record(&mut self, latency: Nanos) {
        self.histogram.saturating_record(latency.max(1));
    }

    fn add(&mut self, other: &Latencies) {
        let added = self.histogram.add(&other.histogram);
        debug_assert!(added.is_ok(), "both have the same bounds");
    }

    /// In milliseconds.
    pub(super) fn at(&self, percentile: f64) -> f64 {
        millis(self.histogram.value_at_percentile(percentile))
    }

    /// The percentiles that a report names; `None` if nothing was recorded.
    pub(super) fn summary(&self) -> Option<Summary> {
        if self.histogram.is_empty() {
            return None;
        }
        Some(Summary {
            count: self.histogram.len(),
            mean: self.histogram.mean() / 1e6,
            p50: self.at(50.0),
            p90: self.at(90.0),
            p99: self.at(99.0),
            p999: self.at(99.9),
            max: millis(self.histogram.max()),
            curve: self.curve(),
        })
    }

    /// Points of the percentile curve, denser towards the end.
    fn curve(&self) -> Vec<(f64, f64)> {
        let points = self.histogram.iter_quantiles(4).map(|step| {
            let percentile = step.quantile_iterated_to() * 100.0;
            (percentile, millis(step.value_iterated_to()))
        });
        // The last step stands at 100 %, which no logarithmic axis has.
        points.filter(|(percentile, _)| *percentile < 100.0).collect()
    }
}
fn millis(latency: Nanos) -> f64 {
    latency as f64 / 1e6
}

/// Latencies in milliseconds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Summary {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half of them were at most this.
    pub p50: f64,
    /// Nine in ten.
    pub p90: f64,
    /// 99 in a hundred.
    pub p99: f64,
    /// 999 in a thousand.
    pub p999: f64,
    /// All of them.
    pub max: f64,
    /// Percentile and latency, for the plot.
    pub curve: Vec<(f64, f64)>,
}

/// What happened in a quarter of a second.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Slice {
    /// When it began, in seconds since the measurement did.
    pub at: f64,
    /// Deliveries per second.
    pub deliveries_per_second: f64,
    /// Half of the latencies were at most this, in milliseconds.
    pub p50: f64,
    /// 99 in a hundred.
    pub p99: f64,
}

/// What is counted of a run that is being measured: what arrives meanwhile, for rates, and of what is *sent* meanwhile the
/// latencies, whenever it arrives. A server that stands still at the end is not to look faster for it.
#[derive(Debug)]
pub(super) struct Meter {
    measuring: bool,
    /// The time that is measured; until it has begun, and until it has ended, that lies as far ahead as can be.
    began: Nanos,
    ended: Nanos,
    /// Deliveries since the program started, measured or not.
    pub(super) received: u64,
    /// Deliveries that arrived while measuring.
    pub(super) deliveries: u64,
    /// Messages sent while measuring.
    pub(super) sent: u64,
    /// Messages that reached the last member while measuring.
    pub(super) completed: u64,
    /// From the intended time of sending to each delivery.
    pub(super) each: Latencies,
    /// From the intended time of sending to the last member's delivery.
    pub(super) last: Latencies,
    /// How long after its intended time a message was really sent.
    pub(super) lateness: Latencies,
    pub(super) slices: Vec<Slice>,
    slice: Latencies,
    slice_began: Nanos,
    slice_deliveries: u64,
}

impl Meter {
    pub(super) fn new() -> Meter {
        Meter {
            measuring: false,
            began: Nanos::MAX,
            ended: Nanos::MAX,
            received: 0,
            deliveries: 0,
            sent: 0,
            completed: 0,
            each: Latencies::new(),
            last: Latencies::new(),
            lateness: Latencies::new(),
            slices: Vec::new(),
            slice: Latencies::new(),
            slice_began: 0,
            slice_deliveries: 0,
        }
    }

    pub(super) fn begin(&mut self, now: Nanos) {
        (self.measuring, self.began, self.slice_began) = (true, now, now);
    }

    pub(super) fn end(&mut self, now: Nanos) {
        self.close_slice(now);
        (self.measuring, self.ended) = (false, now);
    }

    /// Seconds measured.
    pub(super) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.ended.saturating_sub(self.began)).as_secs_f64()
    }

    #[inline]
    pub(super) fn sent(&mut self, intended: Nanos, now: Nanos) {
        if self.measuring {
            self.sent += 1;
            self.lateness.record(now.saturating_sub(intended));
        }
    }

    #[inline]
    pub(super) fn delivered(&mut self, intended: Nanos, now: Nanos) {
        self.received += 1;
        let latency = now.saturating_sub(intended);
        if self.measuring {
            self.slice_deliveries += 1;
            if self.is_measured(intended) {
                self.slice.record(latency);
            }
        } else if self.is_measured(intended) {
            self.each.record(latency);
        }
    }

    /// The last member has the message.
    #[inline]
    pub(super) fn completed(&mut self, intended: Nanos, now: Nanos) {
        self.completed += u64::from(self.measuring);
        if self.is_measured(intended) {
            self.last.record(now.saturating_sub(intended));
        }
    }

    /// Whether a message was to be sent while measuring.
    #[inline]
    fn is_measured(&self, intended: Nanos) -> bool {
        (self.began..self.ended).contains(&intended)
    }

    /// Begins a new slice when it is time to.
    #[inline]
    pub(super) fn tick(&mut self, now: Nanos) {
        if self.measuring && now - self.slice_began >= nanos(SLICE) {
            self.close_slice(now);
        }
    }
    fn close_slice(&mut self, now: Nanos) {
        let seconds = Duration::from_nanos(now - self.slice_began).as_secs_f64();
        self.deliveries += self.slice_deliveries;
        // What is left over when the measurement ends is too short for a rate.
        if now - self.slice_began >= nanos(SLICE) / 2 {
            self.slices.push(Slice {
                at: Duration::from_nanos(self.slice_began - self.began).as_secs_f64(),
                deliveries_per_second: self.slice_deliveries as f64 / seconds,
                p50: self.slice.at(50.0),
                p99: self.slice.at(99.0),
            });
        }
        self.each.add(&self.slice);
        self.slice.histogram.reset();
        (self.slice_began, self.slice_deliveries) = (now, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_while_measuring_counts_whenever_it_arrives() {
        let (ms, mut meter) = (1_000_000, Meter::new());
        meter.delivered(0, 5 * ms);
        meter.begin(10 * ms);
        meter.sent(10 * ms, 11 * ms);
        meter.delivered(10 * ms, 12 * ms);
        meter.completed(10 * ms, 14 * ms);
        meter.tick(200 * ms);
        assert!(meter.slices.is_empty());
        meter.tick(260 * ms);
        meter.delivered(10 * ms, 300 * ms);
        // Sent before: it counts for the rate alone.
        meter.delivered(5 * ms, 300 * ms);
        meter.completed(5 * ms, 300 * ms);
        meter.end(300 * ms);
        meter.delivered(0, 400 * ms);
        meter.completed(300 * ms, 400 * ms);
        assert_eq!((meter.received, meter.deliveries, meter.sent, meter.slices.len()), (5, 3, 1, 1));
        assert_eq!(meter.completed, 2);
        assert!((meter.slices[0].deliveries_per_second - 4.0).abs() < 1e-9);
        assert!((meter.seconds() - 0.29).abs() < 1e-9);
        let (each, last) = (meter.each.summary().unwrap(), meter.last.summary().unwrap());
        assert_eq!((each.count, last.count), (2, 1));
        assert!((each.p50 - 2.0).abs() < 0.01 && (each.max - 290.0).abs() < 1.0, "{each:?}");
        assert!(meter.lateness.at(99.0) >= 1.0);
        // The server stood still at the end: what was sent then arrives late.
        meter.delivered(299 * ms, 2_299 * ms);
        meter.completed(299 * ms, 2_299 * ms);
        let (each, last) = (meter.each.summary().unwrap(), meter.last.summary().unwrap());
        assert_eq!((each.count, last.count, meter.deliveries, meter.completed), (3, 2, 3, 2));
        assert!((each.max - 2_000.0).abs() < 2.0 && (last.max - 2_000.0).abs() < 2.0, "{each:?}");
    }

    #[test]
    fn nothing_recorded_has_no_summary() {
        assert_eq!(Latencies::new().summary(), None);
    }
}
