//! How one metric is written.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use crate::histogram::Histogram;

/// What the values of a histogram are counted in, and what they are shown in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    /// Counted in microseconds, shown in seconds.
    Seconds,
    /// Shown as they are.
    One,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has nothing but floating point")]
    fn of(self, value: u64) -> f64 {
        match self {
            Scale::Seconds => value as f64 / 1e6,
            Scale::One => value as f64,
        }
    }
}

/// Writes metrics, each with its help and its type.
pub(super) struct Encoder<'e>(pub(super) DescriptorEncoder<'e>);

impl Encoder<'_> {
    /// A counter, whose `name` is written with `_total` behind it.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        count(self.begin(name, help, MetricType::Counter)?, value)
    }

    /// A counter for each of these labels.
    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.begin(name, help, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| count(metric.encode_family(&labels)?, value))
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.begin(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A gauge for each of these labels.
    pub(super) fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.begin(name, help, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        histogram: &Histogram,
        scale: Scale,
    ) -> fmt::Result {
        encode(self.begin(name, help, MetricType::Histogram)?, histogram, scale)
    }

    /// A histogram for each of these labels.
    pub(super) fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (L, Histogram)>,
        scale: Scale,
    ) -> fmt::Result {
        let mut metric = self.begin(name, help, MetricType::Histogram)?;
        histograms
            .into_iter()
            .try_for_each(|(labels, histogram)| encode(metric.encode_family(&labels)?, &histogram, scale))
    }

    /// What never changes, as labels; `name` is written with `_info` behind it.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        self.begin(name, help, MetricType::Info)?.encode_info(labels)
    }

    fn begin<'m>(
        &'m mut self,
        name: &'m str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'m>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }
}

fn encode(mut metric: MetricEncoder<'_>, histogram: &Histogram, scale: Scale) -> fmt::Result {
    // What is above all bounds has a line of its own, which is written from the number of all.
    let bounded = histogram.counts().filter_map(|(bound, count)| Some((scale.of(bound?), count)));
    let buckets: Vec<_> = bounded.collect();
    metric.encode_histogram::<NoLabelSet>(scale.of(histogram.sum()), histogram.count(), &buckets, None)
}

fn count(mut metric: MetricEncoder<'_>, value: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)
}
