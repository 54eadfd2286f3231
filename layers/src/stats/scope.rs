//! Stat names and where their values go: [`Scope`] names a stat, a [`StatsSink`] keeps it.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::{Counter, Gauge, Histogram, MetricsSink};

/// A stat's name in both of its forms.
///
/// Envoy shows a stat as one dotted name (`cluster.service1.upstream_rq_200`) in `/stats`, and as
/// a base name with tags (`cluster.upstream_rq` with `envoy_response_code` and
/// `envoy_cluster_name`) to Prometheus. Names are built from their parts, so a cluster whose name
/// holds dots is tagged as one value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatName {
    full: String,
    base: String,
    tags: Vec<(&'static str, String)>,
    places: Vec<Range<usize>>,
}

impl StatName {
    /// The whole dotted name, as `/stats` shows it.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// The dotted name without the values that became tags.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Tags in the order in which Envoy prints them: the leaf's own first.
    pub fn tags(&self) -> &[(&'static str, String)] {
        &self.tags
    }

    /// Which bytes of the full name each of the [`tags`](Self::tags) takes out of the base name: its
    /// value, with a dot or an underscore where one would be left over.
    pub fn places(&self) -> &[Range<usize>] {
        &self.places
    }

    /// The Prometheus name: `envoy_` and the base name with everything but `[a-zA-Z0-9_]` replaced by `_`.
    pub fn prometheus(&self) -> String {
        prometheus_name(&self.base)
    }

    fn push(&mut self, part: &str) {
        if !part.is_empty() {
            if !self.full.is_empty() {
                self.full.push('.');
            }
            self.full.push_str(part);
        }
        self.base = without(&self.full, &self.places);
    }

    /// Tags the part that comes next, or a piece of it, ahead of what was tagged before: the
    /// innermost comes first, as Envoy prints them.
    fn tag(&mut self, tag: &'static str, value: String, piece: Range<usize>) {
        let next = if self.full.is_empty() { 0 } else { self.full.len() + 1 };
        self.tags.insert(0, (tag, value));
        self.places.insert(0, next + piece.start..next + piece.end);
    }
}

/// As Envoy writes what a configuration calls something: a colon ends a name in StatsD's lines.
fn sanitized(value: &str) -> String {
    value.replace("://", "_").replace(":/", "_").replace([':', '\0'], "_")
}

/// `envoy_` and a dotted name with everything but `[a-zA-Z0-9_]` replaced by `_`.
pub fn prometheus_name(base: &str) -> String {
    let mut out = String::with_capacity(base.len() + 6);
    out.push_str("envoy_");
    out.extend(base.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    out
}

/// A text without some of its bytes. What lies beyond its end is left out of account.
pub fn without(full: &str, places: &[Range<usize>]) -> String {
    let mut places = places.to_vec();
    places.sort_by_key(|place| place.start);
    let mut out = String::with_capacity(full.len());
    let mut from = 0;
    for place in places {
        out.push_str(full.get(from..place.start).unwrap_or_default());
        from = from.max(place.end);
    }
    out.push_str(full.get(from..).unwrap_or_default());
    out
}

/// What a histogram measures. Envoy's Prometheus output shows milliseconds as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Bytes.
    Bytes,
    /// Hundredths of a percent up to one million (Envoy's `Percent` scale).
    Percent,
    /// A plain number.
    Unspecified,
}

/// Keeps stats: the second half of every handle that a layer records into.
///
/// Handles are made when a layer is built, never per request. Asking twice for one name must
/// return handles to one value: two listeners may share a `stat_prefix`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep stats",
    label = "needs `StatsSink`",
    note = "`Scope::from_metrics()` sends stats to the process's `metrics` recorder"
)]
pub trait StatsSink: Debug + Send + Sync + 'static {
    /// A counter, which only grows.
    fn counter(&self, name: &StatName) -> Counter;
    /// A gauge, which goes up and down. Envoy's gauges are whole numbers.
    fn gauge(&self, name: &StatName) -> Gauge;
    /// A histogram of samples in `unit`.
    fn histogram(&self, name: &StatName, unit: Unit) -> Histogram;
}

/// A sink that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStats;

impl StatsSink for NoStats {
    fn counter(&self, _: &StatName) -> Counter {
        Counter::noop()
    }
    fn gauge(&self, _: &StatName) -> Gauge {
        Gauge::noop()
    }
    fn histogram(&self, _: &StatName, _: Unit) -> Histogram {
        Histogram::noop()
    }
}

static PROCESS: OnceLock<Scope> = OnceLock::new();

/// The process has a [`Scope`] installed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeInstalled;

impl fmt::Display for ScopeInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process has a scope for stats already")
    }
}

impl std::error::Error for ScopeInstalled {}

/// A prefix for stat names, and the sink they go to.
#[derive(Clone, Debug)]
pub struct Scope {
    sink: Arc<dyn StatsSink>,
    prefix: StatName,
}

impl Scope {
    /// The root: names are used as they are.
    pub fn new(sink: Arc<dyn StatsSink>) -> Self {
        Self { sink, prefix: StatName::default() }
    }

    /// The root over the process's [`metrics`](https://docs.rs/metrics) recorder.
    pub fn from_metrics() -> Self {
        Self::new(Arc::new(MetricsSink))
    }

    /// Where clusters and proxies count that were not told where: the scope that the process has
    /// [installed](Self::install), and as long as it has not, that of its [`metrics`](https://docs.rs/metrics) recorder.
    pub fn process() -> Self {
        PROCESS.get().map_or_else(Self::from_metrics, Self::clone)
    }

    /// Makes this the [`process`](Self::process)'s scope, for what is built from here on. For programs:
    /// a library leaves it to them.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use front_proxy_layers::stats::{MetricsSink, Scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// Scope::new(Arc::new(MetricsSink)).child("my_app").install()?;
    /// assert_eq!(Scope::process().name("greetings").full(), "my_app.greetings");
    /// assert!(Scope::noop().install().is_err(), "there is one");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// One is installed already.
    pub fn install(self) -> Result<(), ScopeInstalled> {
        PROCESS.set(self).map_err(|_| ScopeInstalled)
    }

    /// A scope that records nothing.
    pub fn noop() -> Self {
        Self::new(Arc::new(NoStats))
    }

    /// `self.part`, in both forms of the name.
    #[must_use]
    pub fn child(&self, part: &str) -> Self {
        let mut prefix = self.prefix.clone();
        prefix.push(part);
        Self { sink: Arc::clone(&self.sink), prefix }
    }

    /// `self.value`, where Prometheus gets the value as a tag instead. A colon becomes an underscore,
    /// in both.
    #[must_use]
    pub fn tagged(&self, tag: &'static str, value: &str) -> Self {
        let mut prefix = self.prefix.clone();
        let value = &sanitized(value);
        // With the dot that will follow.
        prefix.tag(tag, value.clone(), 0..value.len() + 1);
        prefix.push(value);
        Self { sink: Arc::clone(&self.sink), prefix }
    }

    /// `self.worker_<index>`, which Prometheus gets as `worker` with the index as a tag.
    #[must_use]
    pub fn worker(&self, index: usize) -> Self {
        let mut prefix = self.prefix.clone();
        let part = format!("worker_{index}");
        // Envoy takes the index and the dot behind it: `worker_downstream_cx_total` is left.
        prefix.tag("envoy_worker_id", index.to_string(), "worker_".len()..part.len() + 1);
        prefix.push(&part);
        Self { sink: Arc::clone(&self.sink), prefix }
    }

    /// The name of `leaf` in this scope.
    pub fn name(&self, leaf: &str) -> StatName {
        let mut name = self.prefix.clone();
        name.push(leaf);
        name
    }

    /// The name of a leaf that carries a tag of its own, as `upstream_rq_200` does:
    /// `full` in the dotted name, `base` with the tag to Prometheus. The base is the full one
    /// without one of its pieces.
    pub fn leaf_tagged(
        &self,
        full: &str,
        base: &str,
        tag: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> StatName {
        let mut name = self.prefix.clone();
        let begin = full.bytes().zip(base.bytes()).take_while(|(a, b)| a == b).count();
        let end = begin + full.len().saturating_sub(base.len());
        debug_assert!(full.get(end..) == base.get(begin..), "{base} is not {full} but for a piece");
        name.tag(tag, value.into().into_owned(), begin..end);
        name.push(full);
        name
    }

    /// A counter of this scope.
    pub fn counter(&self, leaf: &str) -> Counter {
        self.sink.counter(&self.name(leaf))
    }

    /// A gauge of this scope.
    pub fn gauge(&self, leaf: &str) -> Gauge {
        self.sink.gauge(&self.name(leaf))
    }

    /// A histogram of this scope, in milliseconds.
    pub fn histogram_ms(&self, leaf: &str) -> Histogram {
        self.sink.histogram(&self.name(leaf), Unit::Milliseconds)
    }

    /// A histogram of this scope.
    pub fn histogram(&self, leaf: &str, unit: Unit) -> Histogram {
        self.sink.histogram(&self.name(leaf), unit)
    }

    /// The sink behind this scope, for names made by [`leaf_tagged`](Self::leaf_tagged).
    pub fn sink(&self) -> &Arc<dyn StatsSink> {
        &self.sink
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_dotted_and_a_tagged_form() {
        let scope = Scope::noop().child("cluster").tagged("envoy_cluster_name", "a.b");
        let name =
            scope.leaf_tagged("upstream_rq_200", "upstream_rq", "envoy_response_code", "200");
        assert_eq!(name.full(), "cluster.a.b.upstream_rq_200");
        assert_eq!(name.base(), "cluster.upstream_rq");
        let taken = name.places().iter().map(|place| &name.full()[place.clone()]);
        assert_eq!(taken.collect::<Vec<_>>(), ["_200", "a.b."]);
        let class = scope.leaf_tagged("rq_2xx", "rq_xx", "envoy_response_code_class", "2");
        assert_eq!(class.base(), "cluster.rq_xx");
        assert_eq!(name.prometheus(), "envoy_cluster_upstream_rq");
        assert_eq!(
            name.tags(),
            [("envoy_response_code", "200".to_owned()), ("envoy_cluster_name", "a.b".to_owned())]
        );
    }

    #[test]
    fn what_is_inside_is_tagged_first() {
        let name = Scope::noop()
            .child("listener")
            .tagged("envoy_listener_address", "a_1")
            .worker(0)
            .name("downstream_cx_total");
        assert_eq!(name.full(), "listener.a_1.worker_0.downstream_cx_total");
        assert_eq!(name.base(), "listener.worker_downstream_cx_total");
        assert_eq!(name.prometheus(), "envoy_listener_worker_downstream_cx_total");
        let tags = [("envoy_worker_id", "0"), ("envoy_listener_address", "a_1")];
        assert_eq!(name.tags(), tags.map(|(tag, value)| (tag, value.to_owned())));
    }

    #[test]
    fn an_external_code_keeps_its_place_in_the_base_name() {
        let scope =
            Scope::noop().child("cluster").tagged("envoy_cluster_name", "s").child("external");
        assert_eq!(
            scope.name("upstream_rq_completed").prometheus(),
            "envoy_cluster_external_upstream_rq_completed"
        );
    }
}
