//! Stats in the process's `metrics` recorder.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::sync::Arc;

use super::handles::{CounterValue, GaugeValue, HistogramValue};
use super::{Counter, Gauge, Histogram, StatName, StatsSink, Unit};

/// Sends stats to the [`metrics`](https://docs.rs/metrics) recorder of the process, under their
/// Prometheus names.
///
/// An axum app that already exports metrics sees the proxy's beside its own. The recorder must be
/// installed before the layers are built; without one, handles do nothing. The recorder has to be of
/// the same version (0.24) of the crate: those of another are not seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricsSink;

impl StatsSink for MetricsSink {
    fn counter(&self, name: &StatName) -> Counter {
        counter(MetricName::of(name))
    }

    fn gauge(&self, name: &StatName) -> Gauge {
        gauge(MetricName::of(name))
    }

    fn histogram(&self, name: &StatName, _: Unit) -> Histogram {
        histogram(MetricName::of(name))
    }
}

/// Sends stats to the recorder of the process as [`MetricsSink`] does, under names of yours.
///
/// ```
/// use std::sync::Arc;
///
/// use front_proxy_layers::stats::{MetricName, RenamedMetrics, Scope, StatName};
///
/// let names = RenamedMetrics::new(|name: &StatName| match name.base() {
///     "cluster.upstream_rq_total" => Some(MetricName::new("calls_total")),
///     // Not wanted.
///     _ => None,
/// });
/// let stats = Scope::new(Arc::new(names));
/// # stats.counter("x").increment(1);
/// ```
pub struct RenamedMetrics<F>(F);

impl<F> RenamedMetrics<F>
where
    F: Fn(&StatName) -> Option<MetricName> + Send + Sync + 'static,
{
    /// `names` says what a stat is called; what it has no name for is not recorded. It is asked when
    /// clusters and layers are built, never for a request, with exceptions: a status code that comes
    /// for the first time has a counter of its own.
    pub fn new(names: F) -> Self {
        Self(names)
    }
}

impl<F> StatsSink for RenamedMetrics<F>
where
    F: Fn(&StatName) -> Option<MetricName> + Send + Sync + 'static,
{
    fn counter(&self, name: &StatName) -> Counter {
        (self.0)(name).map_or_else(Counter::noop, counter)
    }

    fn gauge(&self, name: &StatName) -> Gauge {
        (self.0)(name).map_or_else(Gauge::noop, gauge)
    }

    fn histogram(&self, name: &StatName, _: Unit) -> Histogram {
        (self.0)(name).map_or_else(Histogram::noop, histogram)
    }
}

impl<F> Debug for RenamedMetrics<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenamedMetrics").finish_non_exhaustive()
    }
}

/// What a stat is called in the process's recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricName {
    name: Cow<'static, str>,
    labels: Vec<(Cow<'static, str>, String)>,
}

impl MetricName {
    /// A name without labels.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), labels: Vec::new() }
    }

    /// The name and the labels that Envoy's Prometheus output has.
    pub fn of(name: &StatName) -> Self {
        let labels = name.tags().iter().map(|(tag, value)| (Cow::Borrowed(*tag), value.clone()));
        Self { name: name.prometheus().into(), labels: labels.collect() }
    }

    /// With one more label.
    #[must_use]
    pub fn label(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    fn key(self) -> metrics::Key {
        let labels = self.labels.into_iter().map(|(key, value)| metrics::Label::new(key, value));
        metrics::Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }
}

static METADATA: metrics::Metadata<'static> =
    metrics::Metadata::new("front_proxy", metrics::Level::INFO, Some(module_path!()));

fn counter(name: MetricName) -> Counter {
    let theirs = metrics::with_recorder(|r| r.register_counter(&name.key(), &METADATA));
    Counter::new(Arc::new(Theirs(theirs)))
}

fn gauge(name: MetricName) -> Gauge {
    let theirs = metrics::with_recorder(|r| r.register_gauge(&name.key(), &METADATA));
    Gauge::new(Arc::new(Theirs(theirs)))
}

fn histogram(name: MetricName) -> Histogram {
    let theirs = metrics::with_recorder(|r| r.register_histogram(&name.key(), &METADATA));
    Histogram::new(Arc::new(Theirs(theirs)))
}

/// A handle of the recorder's.
struct Theirs<T>(T);

impl CounterValue for Theirs<metrics::Counter> {
    fn increment(&self, by: u64) {
        self.0.increment(by);
    }
}

impl GaugeValue for Theirs<metrics::Gauge> {
    fn add(&self, change: f64) {
        if change < 0.0 {
            self.0.decrement(-change);
        } else {
            self.0.increment(change);
        }
    }

    fn set(&self, value: f64) {
        self.0.set(value);
    }
}

impl HistogramValue for Theirs<metrics::Histogram> {
    fn record(&self, sample: f64) {
        self.0.record(sample);
    }
}
