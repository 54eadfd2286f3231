//! The registry: every stat by its name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use front_proxy_layers::stats::{
    Counter, CounterValue, Gauge, GaugeValue, Histogram, HistogramValue, Scope, ScopeInstalled,
    StatName, StatsSink, Unit,
};

use super::cells::{CounterCell, FloatCell, GaugeCell, Slots};
use super::histogram::HistogramCell;
use super::lookups::Lookups;
use super::name::Name;
use super::query::{Kind, Query};
use super::rules::Rules;
use super::selection::{Handle, HistogramReading, Selection, Stat};
use super::statsd::StatsdSink;

/// Every stat of the process, by name. Clones are handles to the same stats.
///
/// Names are looked up when a handle is made, under a lock; recording through a handle takes no
/// lock and allocates nothing (a histogram allocates once for each power of ten it meets on a
/// worker). A name that is asked for twice gives the same stat.
#[derive(Clone, Debug)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// For as many workers as there are processors.
impl Default for Registry {
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }
}

impl Registry {
    /// A registry for `concurrency` workers. More threads than that may record; they share.
    pub fn new(concurrency: usize) -> Self {
        Self::with_rules(concurrency, Rules::default())
    }

    /// A registry whose stats are named, chosen and divided by `rules`.
    pub fn with_rules(concurrency: usize, rules: Rules) -> Self {
        let workers = concurrency.max(1);
        Self {
            inner: Arc::new(Inner {
                workers,
                slots: Mutex::new(Slots::new(workers)),
                stats: RwLock::default(),
                lookups: Lookups::default(),
                sinks: Mutex::default(),
                rules,
            }),
        }
    }

    /// A registry for as many workers as there are processors, into which clusters and proxies count
    /// that are built from here on and not told otherwise ([`Scope::install`]).
    ///
    /// # Errors
    ///
    /// The process has installed another place for stats.
    pub fn install() -> Result<Self, ScopeInstalled> {
        let registry = Self::default();
        registry.scope().install()?;
        Ok(registry)
    }

    /// The root scope: names are used as they are.
    pub fn scope(&self) -> Scope {
        Scope::new(Arc::new(self.clone()))
    }

    /// A stat whose value is a text.
    pub fn text_readout(&self, name: &StatName) -> TextReadout {
        let entry = self.takes(name).then(|| {
            self.inner.entry(
                name.full(),
                |stats| &mut stats.texts,
                |stats| &stats.texts,
                || (self.own(name), Mutex::default()),
            )
        });
        TextReadout { entry }
    }

    /// Sends what every flush finds to a StatsD server as well.
    pub fn add_sink(&self, sink: StatsdSink) {
        self.inner.sinks.lock().unwrap_or_else(PoisonError::into_inner).push(sink);
    }

    /// The stats that `query` asks for, as they are now.
    ///
    /// What comes back are handles: values are read when a page is rendered, so that a page of
    /// any length is written without holding a lock or a copy of it.
    pub fn select(&self, query: &Query) -> Selection {
        let stats = self.inner.read();
        let wanted = |kind| query.kind == Kind::All || query.kind == kind;
        let mut values = Vec::new();
        if wanted(Kind::Counters) {
            let counters = stats.counters.values();
            let counters =
                counters.filter(|stat| query.takes(stat.name.full(), || stat.cell.used()));
            values.extend(counters.map(|stat| Stat(Handle::Counter(Arc::clone(stat)))));
        }
        if wanted(Kind::Gauges) {
            let gauges = stats.gauges.values();
            let gauges = gauges.filter(|stat| query.takes(stat.name.full(), || stat.cell.used()));
            values.extend(gauges.map(|stat| Stat(Handle::Gauge(Arc::clone(stat)))));
            let floats = stats.floats.values();
            let floats = floats.filter(|stat| query.takes(stat.name.full(), || stat.cell.used()));
            values.extend(floats.map(|stat| Stat(Handle::Float(Arc::clone(stat)))));
        }
        if wanted(Kind::TextReadouts) {
            let texts = stats.texts.values();
            let texts =
                texts.filter(|stat| query.takes(stat.name.full(), || stat.read().is_some()));
            values.extend(texts.map(|stat| Stat(Handle::Text(Arc::clone(stat)))));
        }
        let mut histograms = Vec::new();
        if wanted(Kind::Histograms) {
            let all = stats.histograms.values();
            let all = all.filter(|stat| {
                query.takes(stat.name.full(), || !stat.cell.cell.total().is_empty())
            });
            histograms.extend(all.map(|stat| HistogramReading(Arc::clone(stat))));
        }
        drop(stats);
        values.sort_by(|a, b| a.name().cmp(b.name()));
        Selection { values, histograms }
    }

    /// Sets every counter back to zero; gauges and histograms keep their values.
    pub fn reset_counters(&self) {
        for counter in self.inner.read().counters.values() {
            counter.cell.reset();
        }
    }

    /// Ends an interval: histograms show what came since the last flush, and [sinks](Self::add_sink)
    /// are told. See [`flush_every`].
    pub fn flush(&self) {
        // Held throughout: two flushes at a time would tell sinks one thing twice.
        let mut sinks = self.inner.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let histograms = self.inner.read().histograms.values().cloned().collect::<Vec<_>>();
        for histogram in &histograms {
            histogram.cell.cell.flush();
        }
        if sinks.is_empty() {
            return;
        }
        let used = Query { used_only: true, ..Query::default() };
        let Selection { values, histograms } = self.select(&used);
        for stat in &values {
            let Some(reading) = stat.latch() else { continue };
            sinks.iter_mut().for_each(|sink| sink.scalar(stat.parts(), &reading));
        }
        for stat in &histograms {
            let interval = stat.interval();
            sinks.iter_mut().for_each(|sink| sink.histogram(stat, &interval));
        }
        sinks.iter_mut().for_each(StatsdSink::end);
    }

    /// Lookups of names.
    pub fn lookups(&self) -> &Lookups {
        &self.inner.lookups
    }

    pub(super) fn histogram_entry(
        &self,
        full: &str,
        unit: Unit,
        name: impl FnOnce() -> (Name, bool),
    ) -> Arc<Entry<HistogramStat>> {
        let workers = self.inner.workers;
        self.inner.entry(
            full,
            |stats| &mut stats.histograms,
            |stats| &stats.histograms,
            || {
                let (name, foreign) = name();
                let cell = HistogramCell::new(workers);
                let bounds = self.inner.rules.bounds(full);
                (name, HistogramStat { cell, unit, bounds, foreign })
            },
        )
    }

    pub(super) fn counter_entry(
        &self,
        full: &str,
        name: impl FnOnce() -> Name,
    ) -> Arc<Entry<CounterCell>> {
        self.inner.entry(
            full,
            |stats| &mut stats.counters,
            |stats| &stats.counters,
            || (name(), CounterCell::new(&mut self.inner.slots())),
        )
    }

    pub(super) fn float_entry(
        &self,
        full: &str,
        name: impl FnOnce() -> Name,
    ) -> Arc<Entry<FloatCell>> {
        self.inner.entry(
            full,
            |stats| &mut stats.floats,
            |stats| &stats.floats,
            || (name(), FloatCell::default()),
        )
    }

    fn own(&self, name: &StatName) -> Name {
        Name::own(name, &self.inner.rules)
    }

    fn takes(&self, name: &StatName) -> bool {
        self.inner.rules.matcher.takes(name.full())
    }
}

impl StatsSink for Registry {
    fn counter(&self, name: &StatName) -> Counter {
        if !self.takes(name) {
            return Counter::noop();
        }
        Counter::new(self.counter_entry(name.full(), || self.own(name)))
    }

    fn gauge(&self, name: &StatName) -> Gauge {
        if !self.takes(name) {
            return Gauge::noop();
        }
        Gauge::new(self.inner.entry(
            name.full(),
            |stats| &mut stats.gauges,
            |stats| &stats.gauges,
            || (self.own(name), GaugeCell::new(&mut self.inner.slots())),
        ))
    }

    fn histogram(&self, name: &StatName, unit: Unit) -> Histogram {
        if !self.takes(name) {
            return Histogram::noop();
        }
        Histogram::new(self.histogram_entry(name.full(), unit, || (self.own(name), false)))
    }
}

/// [Flushes](Registry::flush) each `interval`, for ever. Envoy's default is 5 s.
pub async fn flush_every(registry: Registry, interval: Duration) {
    every(interval, || registry.flush()).await;
}

/// Calls `flush` each `interval`, for ever.
pub(crate) async fn every(interval: Duration, flush: impl Fn()) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is at once.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        flush();
    }
}

/// A handle to a stat whose value is a text.
#[derive(Clone, Debug)]
pub struct TextReadout {
    /// None where the registry's rules leave it out.
    entry: Option<Arc<Entry<TextCell>>>,
}

impl TextReadout {
    /// Replaces the text.
    pub fn set(&self, value: &str) {
        let Some(entry) = &self.entry else { return };
        let mut text = entry.cell.lock().unwrap_or_else(PoisonError::into_inner);
        *text = Some(value.into());
    }
}

#[derive(Debug)]
struct Inner {
    workers: usize,
    slots: Mutex<Slots>,
    stats: RwLock<Stats>,
    lookups: Lookups,
    sinks: Mutex<Vec<StatsdSink>>,
    rules: Rules,
}

impl Inner {
    fn entry<T>(
        &self,
        full: &str,
        table_mut: impl FnOnce(&mut Stats) -> &mut Table<T>,
        table: impl FnOnce(&Stats) -> &Table<T>,
        new: impl FnOnce() -> (Name, T),
    ) -> Arc<Entry<T>> {
        self.lookups.note(full);
        if let Some(known) = table(&self.read()).get(full) {
            return Arc::clone(known);
        }
        let mut stats = self.stats.write().unwrap_or_else(PoisonError::into_inner);
        let entry = table_mut(&mut stats).entry(full.into()).or_insert_with(|| {
            let (name, cell) = new();
            Arc::new(Entry { name, cell })
        });
        Arc::clone(entry)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Stats> {
        self.stats.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text, once it was set.
pub(super) type TextCell = Mutex<Option<Box<str>>>;

type Table<T> = BTreeMap<Box<str>, Arc<Entry<T>>>;

#[derive(Debug, Default)]
struct Stats {
    counters: Table<CounterCell>,
    gauges: Table<GaugeCell>,
    floats: Table<FloatCell>,
    texts: Table<TextCell>,
    histograms: Table<HistogramStat>,
}

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) name: Name,
    pub(super) cell: T,
}

impl CounterValue for Entry<CounterCell> {
    #[inline]
    fn increment(&self, by: u64) {
        self.cell.increment(by);
    }
}

impl GaugeValue for Entry<GaugeCell> {
    #[inline]
    fn add(&self, change: f64) {
        self.cell.add(change);
    }

    fn set(&self, value: f64) {
        self.cell.set(value);
    }
}

impl HistogramValue for Entry<HistogramStat> {
    #[inline]
    fn record(&self, sample: f64) {
        self.cell.cell.record(sample, 1);
    }
}

impl Entry<TextCell> {
    pub(super) fn read(&self) -> Option<Box<str>> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
pub(super) struct HistogramStat {
    pub(super) cell: HistogramCell,
    pub(super) unit: Unit,
    /// Upper bounds of the buckets that are shown.
    pub(super) bounds: Arc<[f64]>,
    pub(super) foreign: bool,
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use front_proxy_layers::cluster::Cluster;
    use front_proxy_layers::proxy::Proxy;
    use http::Request;
    use http_body_util::{BodyExt as _, Empty};
    use tower::ServiceExt as _;

    use super::*;

    /// Every lock of the registry is held while requests pass all layers.
    #[test]
    fn a_request_waits_for_no_lock() {
        let registry = Registry::new(1);
        let scope = registry.scope();
        let (warm, warmed) = channel();
        let (lock, locked) = channel();
        let (finish, finished) = channel();
        let requests = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let app = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
                let address = app.local_addr().expect("an address").to_string();
                let routes = axum::Router::new().fallback(|| async { "ok" });
                tokio::spawn(async move { axum::serve(app, routes).await });
                let cluster = Cluster::builder("service1").stats(scope.clone());
                let cluster = cluster.endpoints([address]).expect("an address").build();
                let proxy = Proxy::builder().route("/app", cluster).stats(&scope, "app").build();
                let get = async |path: &'static str| {
                    let request = Request::get(path).body(Empty::<bytes::Bytes>::new());
                    let response = proxy.clone().oneshot(request.expect("a request")).await;
                    response.expect("infallible").into_body().collect().await.expect("a body");
                };
                // The first of a kind makes what is counted of it.
                for path in ["/app", "/none"] {
                    get(path).await;
                }
                warm.send(()).expect("awaited");
                locked.recv().expect("sent");
                for path in ["/app", "/none", "/app"] {
                    get(path).await;
                }
                finish.send(()).expect("awaited");
            });
        });
        let wait = Duration::from_secs(30);
        warmed.recv_timeout(wait).expect("the first requests");
        let inner = &registry.inner;
        let held = (
            inner.stats.write().expect("no panic"),
            inner.slots.lock().expect("no panic"),
            inner.sinks.lock().expect("no panic"),
        );
        lock.send(()).expect("awaited");
        finished.recv_timeout(wait).expect("requests that wait for a lock");
        drop(held);
        requests.join().expect("no panic");
        let query = Query::parse(Some("filter=http.app.downstream_rq_total")).expect("valid");
        let total = registry.select(&query).values()[0].value();
        assert_eq!(total, crate::stats::StatValue::Counter(5));
    }
}
