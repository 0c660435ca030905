//! How often values of which size have occurred.

use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum number of bounds of a histogram.
// Each is a series in Prometheus: enough to see a change by half, few enough to keep for years.
pub const BOUNDS_MAX: usize = 15;

/// How often values of which size have occurred. One without bounds is empty, and takes those of what is added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Ascending.
    bounds: &'static [u64],
    /// By the first bound that is not below the value; behind the bounds stand the values above all of them.
    counts: [u64; BOUNDS_MAX + 1],
    sum: u64,
}

impl Histogram {
    /// An empty one with these bounds, in ascending order.
    ///
    /// # Panics
    /// If there are more than [`BOUNDS_MAX`].
    #[must_use]
    pub const fn new(bounds: &'static [u64]) -> Histogram {
        assert!(bounds.len() <= BOUNDS_MAX, "a histogram has too many bounds");
        Histogram { bounds, counts: [0; BOUNDS_MAX + 1], sum: 0 }
    }

    /// Counts a value.
    pub fn note(&mut self, value: u64) {
        self.note_many(value, 1);
    }

    /// Counts a value this number of times.
    pub fn note_many(&mut self, value: u64, times: u64) {
        self.counts[place(self.bounds, value)] += times;
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
    }

    /// Adds what another one with the same bounds has counted.
    pub fn add(&mut self, other: &Histogram) {
        if self.bounds.is_empty() {
            self.bounds = other.bounds;
        }
        debug_assert!(
            other.bounds.is_empty() || self.bounds == other.bounds,
            "histograms of different values"
        );
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Each bound with the number of values up to it and above the bound before; last the number of those above all
    /// bounds.
    pub fn counts(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().map(|&bound| Some(bound)).chain([None]);
        bounds.zip(self.counts)
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The values added up.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The bound that this part of the values (0 to 1) does not exceed. `None` if there is no value, or the bound would be
    /// above all others.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<u64> {
        quantile(self.counts(), self.count(), part).flatten()
    }
}

/// The bound that this part (0 to 1) of `count` values does not exceed, which are counted as [`Histogram::counts`] has them.
/// `None` if there is no value, and in it `None` if the bound would be above all others.
pub(crate) fn quantile(
    counts: impl IntoIterator<Item = (Option<u64>, u64)>,
    count: u64,
    part: f64,
) -> Option<Option<u64>> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate, and far fewer than 2^52 values")]
    let reaches = |reached: u64| reached as f64 >= part * count as f64;
    let mut reached = 0;
    let found = counts.into_iter().find(|&(_, count)| {
        reached = u64::saturating_add(reached, count);
        reaches(reached)
    });
    found.filter(|_| count > 0).map(|(bound, _)| bound)
}

/// A [`Histogram`] that one thread counts in and others read, without a lock.
#[derive(Debug)]
pub struct SharedHistogram {
    bounds: &'static [u64],
    counts: [AtomicU64; BOUNDS_MAX + 1],
    sum: AtomicU64,
}

impl SharedHistogram {
    /// As [`Histogram::new`].
    ///
    /// # Panics
    /// If there are more than [`BOUNDS_MAX`].
    #[must_use]
    pub const fn new(bounds: &'static [u64]) -> SharedHistogram {
        assert!(bounds.len() <= BOUNDS_MAX, "a histogram has too many bounds");
        SharedHistogram {
            bounds,
            counts: [const { AtomicU64::new(0) }; BOUNDS_MAX + 1],
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value. For one thread: of what two count at the same time, one may be lost.
    pub fn note(&self, value: u64) {
        // A load and a store instead of an addition that other processors have to agree on: nobody else writes here.
        let add = |counter: &AtomicU64, more| {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        };
        add(&self.counts[place(self.bounds, value)], 1);
        add(&self.sum, value);
    }

    /// Counts a value, on any thread.
    pub fn note_by_any(&self, value: u64) {
        self.counts[place(self.bounds, value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What has been counted so far.
    #[must_use]
    pub fn read(&self) -> Histogram {
        let counts = std::array::from_fn(|place| self.counts[place].load(Ordering::Relaxed));
        Histogram { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

fn place(bounds: &[u64], value: u64) -> usize {
    bounds.partition_point(|&bound| bound < value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[u64] = &[0, 10, 100];

    #[test]
    fn a_value_is_counted_at_the_first_bound_that_it_does_not_exceed() {
        let (mut own, shared) = (Histogram::new(BOUNDS), SharedHistogram::new(BOUNDS));
        for value in [0, 1, 10, 11, 100, 101, 1000] {
            own.note(value);
            shared.note(value);
        }
        let expected = [(Some(0), 1), (Some(10), 2), (Some(100), 2), (None, 2)];
        assert_eq!(own.counts().collect::<Vec<_>>(), expected);
        assert_eq!((own.count(), own.sum()), (7, 1223));
        assert_eq!(shared.read(), own);
    }

    #[test]
    fn a_value_that_counts_for_many_is_there_as_often() {
        let (mut many, mut single) = (Histogram::new(BOUNDS), Histogram::new(BOUNDS));
        many.note_many(7, 3);
        many.note_many(200, 0);
        (0..3).for_each(|_| single.note(7));
        assert_eq!(many, single);
    }

    #[test]
    fn sums_of_histograms_begin_without_bounds() {
        let (mut sum, mut one) = (Histogram::default(), Histogram::new(BOUNDS));
        one.note(5);
        sum.add(&one);
        sum.add(&one);
        sum.add(&Histogram::default());
        assert_eq!((sum.count(), sum.sum()), (2, 10));
        assert_eq!(sum.counts().nth(1), Some((Some(10), 2)));
    }

    #[test]
    fn a_quantile_is_a_bound() {
        let mut histogram = Histogram::new(BOUNDS);
        assert_eq!(histogram.quantile(0.5), None);
        (0..99).for_each(|_| histogram.note(3));
        histogram.note(50);
        assert_eq!(
            (histogram.quantile(0.5), histogram.quantile(0.99), histogram.quantile(1.0)),
            (Some(10), Some(10), Some(100))
        );
        histogram.note(1_000_000);
        assert_eq!(histogram.quantile(1.0), None, "above all bounds");
    }
}
