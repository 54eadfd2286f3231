//! What a query found: handles to stats, to be read when a page is written.

use std::sync::Arc;

use front_proxy_layers::stats::Unit;

use super::cells::{CounterCell, FloatCell, GaugeCell};
use super::histogram::Distribution;
use super::name::Name;
use super::query::Kind;
use super::registry::{Entry, HistogramStat, TextCell};

/// What a [`Query`](super::Query) found.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub(super) values: Vec<Stat>,
    pub(super) histograms: Vec<HistogramReading>,
}

impl Selection {
    /// Counters, gauges and text readouts by name.
    pub fn values(&self) -> &[Stat] {
        &self.values
    }

    /// The value of the one of this name, where it was selected.
    ///
    /// ```
    /// use front_proxy::stats::{Query, Registry, StatValue};
    ///
    /// let registry = Registry::new(1);
    /// registry.scope().child("server").gauge("live").set(1.0);
    /// let all = registry.select(&Query::default());
    /// assert_eq!(all.value("server.live"), Some(StatValue::Gauge(1)));
    /// assert_eq!(all.value("server.state"), None);
    /// ```
    pub fn value(&self, name: &str) -> Option<StatValue> {
        self.values().iter().find(|stat| stat.name() == name).map(Stat::value)
    }

    /// Histograms by name.
    pub fn histograms(&self) -> &[HistogramReading] {
        &self.histograms
    }
}

/// A counter, gauge or text readout.
#[derive(Clone, Debug)]
pub struct Stat(pub(super) Handle);

impl Stat {
    /// The dotted name.
    pub fn name(&self) -> &str {
        self.parts().full()
    }

    /// The value at this moment.
    pub fn value(&self) -> StatValue {
        match &self.0 {
            Handle::Counter(stat) => StatValue::Counter(stat.cell.value()),
            Handle::Gauge(stat) => StatValue::Gauge(stat.cell.value()),
            Handle::Float(stat) => StatValue::Float(stat.cell.value()),
            Handle::Text(stat) => StatValue::Text(stat.read().unwrap_or_default()),
        }
    }

    /// What sinks are told of it, once for each flush: a counter's part since the last, a gauge's
    /// value.
    pub(super) fn latch(&self) -> Option<StatValue> {
        match &self.0 {
            Handle::Counter(stat) => Some(StatValue::Counter(stat.cell.latch())),
            Handle::Gauge(_) | Handle::Float(_) => Some(self.value()),
            Handle::Text(_) => None,
        }
    }

    pub(super) fn parts(&self) -> &Name {
        match &self.0 {
            Handle::Counter(stat) => &stat.name,
            Handle::Gauge(stat) => &stat.name,
            Handle::Float(stat) => &stat.name,
            Handle::Text(stat) => &stat.name,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match &self.0 {
            Handle::Counter(_) => Kind::Counters,
            Handle::Gauge(_) | Handle::Float(_) => Kind::Gauges,
            Handle::Text(_) => Kind::TextReadouts,
        }
    }
}

/// A value as it was read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StatValue {
    /// Of a counter.
    Counter(u64),
    /// Of a gauge.
    Gauge(u64),
    /// Of a gauge that came through the `metrics` facade.
    Float(f64),
    /// Of a text readout.
    Text(Box<str>),
}

/// A histogram.
#[derive(Clone, Debug)]
pub struct HistogramReading(pub(super) Arc<Entry<HistogramStat>>);

impl HistogramReading {
    /// The dotted name.
    pub fn name(&self) -> &str {
        self.0.name.full()
    }

    /// Everything recorded until now.
    pub fn total(&self) -> Distribution {
        self.0.cell.cell.total()
    }

    /// What came between the last two flushes.
    pub fn interval(&self) -> Distribution {
        self.0.cell.cell.interval()
    }

    /// Upper bounds of the buckets.
    pub fn bounds(&self) -> &[f64] {
        &self.0.cell.bounds
    }

    /// What one recorded unit is in print: percentages are kept in parts per million.
    pub fn scale(&self) -> f64 {
        if self.0.cell.unit == Unit::Percent { 1e-6 } else { 1.0 }
    }

    /// What it measures.
    pub(super) fn unit(&self) -> Unit {
        self.0.cell.unit
    }

    /// Whether it came through the `metrics` facade, where milliseconds can't be assumed.
    pub(super) fn is_foreign(&self) -> bool {
        self.0.cell.foreign
    }

    pub(super) fn parts(&self) -> &Name {
        &self.0.name
    }
}

#[derive(Clone, Debug)]
pub(super) enum Handle {
    Counter(Arc<Entry<CounterCell>>),
    Gauge(Arc<Entry<GaugeCell>>),
    Float(Arc<Entry<FloatCell>>),
    Text(Arc<Entry<TextCell>>),
}
