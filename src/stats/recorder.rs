//! The registry as the process's `metrics` recorder: what other code counts, beside our own.

use front_proxy_layers::stats::Unit;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit as MetricsUnit,
};

use super::cells::{CounterCell, FloatCell};
use super::name::{Name, foreign_full};
use super::registry::{Entry, HistogramStat, Registry};

/// Metrics of other code in the process, under their own names. Descriptions are not kept: Envoy
/// shows none.
impl Recorder for Registry {
    fn describe_counter(&self, _: KeyName, _: Option<MetricsUnit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<MetricsUnit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<MetricsUnit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.counter_entry(&foreign_full(key), || Name::foreign(key)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.float_entry(&foreign_full(key), || Name::foreign(key)))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let name = || (Name::foreign(key), true);
        Histogram::from_arc(self.histogram_entry(&foreign_full(key), Unit::Unspecified, name))
    }
}

impl CounterFn for Entry<CounterCell> {
    fn increment(&self, value: u64) {
        self.cell.increment(value);
    }

    fn absolute(&self, value: u64) {
        self.cell.absolute(value);
    }
}

impl GaugeFn for Entry<FloatCell> {
    fn increment(&self, value: f64) {
        self.cell.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.cell.decrement(value);
    }

    fn set(&self, value: f64) {
        self.cell.set(value);
    }
}

impl HistogramFn for Entry<HistogramStat> {
    fn record(&self, value: f64) {
        self.cell.cell.record(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.cell.cell.record(value, count as u64);
    }
}
