//! Families of metrics: one name, one line of help, a sample for each set of labels.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Labels of a sample, in the order in which they are shown.
pub(super) type Labels<'l> = Vec<(&'static str, &'l str)>;

/// Where families are written.
pub(super) struct Families<'e>(pub(super) DescriptorEncoder<'e>);

impl Families<'_> {
    /// Counters that only rise; `_total` is put behind their name.
    pub(super) fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        self.family(
            name,
            help,
            None,
            samples.into_iter().map(|(labels, count)| (labels, ConstCounter::new(count))),
        )
    }

    /// Seconds that only rise, if they are known.
    pub(super) fn seconds(&mut self, name: &str, help: &str, seconds: Option<f64>) -> fmt::Result {
        let samples = seconds.into_iter().map(|seconds| (vec![], ConstCounter::new(seconds)));
        self.family(name, help, Some(Unit::Seconds), samples)
    }

    /// Values that rise and fall.
    pub(super) fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        self.family(
            name,
            help,
            unit,
            samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))),
        )
    }

    /// A distribution, from counts below ascending bounds; the last count has no bound.
    pub(super) fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, Vec<(Duration, u64)>, u64, f64)>,
    ) -> fmt::Result {
        let unit = Unit::Seconds;
        let mut family = self.0.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
        for (labels, bounded, unbounded, sum) in samples {
            let count = bounded.iter().map(|(_, count)| count).sum::<u64>() + unbounded;
            let buckets: Vec<(f64, u64)> = bounded
                .into_iter()
                .map(|(bound, count)| (bound.as_secs_f64(), count))
                .chain([(f64::INFINITY, unbounded)])
                .collect();
            let mut sample = family.encode_family(&labels)?;
            sample.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn family<'l, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: impl Iterator<Item = (Labels<'l>, M)>,
    ) -> fmt::Result {
        let mut samples = samples.peekable();
        let Some((_, first)) = samples.peek() else { return Ok(()) };
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), first.metric_type())?;
        for (labels, metric) in samples {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
