//! `/stats/prometheus`: the text exposition format, and OpenMetrics.
//!
//! Counters come first, then gauges, text readouts (where asked for) and histograms; families of a
//! kind go by the stat's base name, their samples by the whole name. A sample without labels has
//! empty braces and there are no `# HELP` lines, as in Envoy.
//!
//! OpenMetrics, which Envoy does not speak, has the same samples under the same names, so that a
//! scraper that prefers it stores the same series. It wants the names of counters to end in
//! `_total`: those that don't have no type there.
//!
//! ```
//! use front_proxy::stats::{Query, Registry, prometheus::{Exposition, render}};
//!
//! let registry = Registry::new(1);
//! registry.scope().child("server").gauge("live").set(1.0);
//! let page = render(&registry, &Query::default(), Exposition::Prometheus).expect("no buckets asked for");
//! let page: String = page.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect();
//! assert_eq!(page, "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n");
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use bytes::Bytes;
use metrics_exporter_prometheus::formatting::{sanitize_label_value, write_type_line};

use super::Chunks;
use super::chunks::chunks;
use super::histogram::{Distribution, QUANTILES};
use super::name::Name;
use super::number::{Shortest, SixDigits};
use super::query::{Buckets, InvalidQuery, Kind, Query};
use super::registry::Registry;
use super::selection::{HistogramReading, Selection, Stat, StatValue};

impl Registry {
    /// All stats as Prometheus reads them: for an app that has a page of metrics already, to be put
    /// behind what is there. Names begin with `envoy_`.
    ///
    /// ```
    /// use front_proxy::stats::Registry;
    ///
    /// let registry = Registry::new(1);
    /// registry.scope().child("app").counter("greetings").increment(1);
    /// assert!(registry.prometheus().contains("envoy_app_greetings{} 1\n"));
    /// ```
    pub fn prometheus(&self) -> String {
        // What can be wrong with a query is not in the default one.
        let Ok(pieces) = render(self, &Query::default(), Exposition::Prometheus) else {
            return String::new();
        };
        pieces.map(|piece| String::from_utf8_lossy(&piece).into_owned()).collect()
    }
}

/// How samples are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus's text format, as Envoy writes it.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Renders what `query` asks for. Its `type` and `format` don't matter here.
///
/// # Errors
///
/// This form has no such buckets.
pub fn render(
    registry: &Registry,
    query: &Query,
    form: Exposition,
) -> Result<Chunks, InvalidQuery> {
    let as_summary = match query.buckets {
        Buckets::Default | Buckets::Cumulative => false,
        Buckets::Summary => true,
        Buckets::Disjoint | Buckets::Detailed => {
            return Err(InvalidQuery("unsupported prometheus histogram bucket mode".to_owned()));
        }
        Buckets::PrometheusNative => {
            return Err(InvalidQuery(
                "unsupported prometheusnative histogram type when not using protobuf exposition format"
                    .to_owned(),
            ));
        }
    };
    let all_kinds = Query { kind: Kind::All, ..query.clone() };
    let Selection { values, histograms } = registry.select(&all_kinds);
    let (mut counters, mut gauges, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for stat in values {
        match stat.kind() {
            Kind::Counters => counters.push(stat),
            Kind::TextReadouts => texts.push(stat),
            Kind::All | Kind::Gauges | Kind::Histograms => gauges.push(stat),
        }
    }
    if !query.text_readouts {
        texts.clear();
    }
    // Two families of one name are not valid; the first kind keeps it.
    let mut taken = HashSet::new();
    let mut scalars = Vec::new();
    for (kind, stats) in [("counter", counters), ("gauge", gauges), ("gauge", texts)] {
        let families = families(stats, Stat::parts, &mut taken);
        scalars.extend(families.into_iter().map(|stats| (kind, stats)));
    }
    let histograms = families(histograms, HistogramReading::parts, &mut taken);
    let scalars = chunks(scalars.into_iter(), move |page, (kind, stats)| {
        let (family, kind) = typed(&stats, kind, form, &taken);
        write_type_line(page, family, None, None, kind);
        stats.iter().for_each(|stat| scalar(page, stat));
    });
    let histograms = chunks(histograms.into_iter(), move |page, stats| {
        distribution(page, as_summary, form, &stats);
    });
    let end = match form {
        Exposition::Prometheus => None,
        Exposition::OpenMetrics => Some(Bytes::from_static(b"# EOF\n")),
    };
    Ok(Box::new(scalars.chain(histograms).chain(end)))
}

/// The name and type of a family.
fn typed<'f>(
    family: &'f [Stat],
    kind: &'static str,
    form: Exposition,
    names: &HashSet<String>,
) -> (&'f str, &'static str) {
    let name = family.first().map_or("", |stat| stat.parts().prometheus());
    if form == Exposition::Prometheus || kind != "counter" {
        return (name, kind);
    }
    // There, the family of `requests_total` is `requests`: another may have that name.
    match name.strip_suffix("_total") {
        Some(short) if !names.contains(short) => (short, kind),
        _ => (name, "unknown"),
    }
}

/// Groups stats by their Prometheus names.
fn families<T>(
    mut stats: Vec<T>,
    name: impl Fn(&T) -> &Name,
    taken: &mut HashSet<String>,
) -> Vec<Vec<T>> {
    // They come sorted by their full names, and those of one base name stay so.
    stats.sort_by(|a, b| name(a).base().cmp(name(b).base()));
    let mut families: Vec<Vec<T>> = Vec::new();
    let mut places = HashMap::new();
    for stat in stats {
        let family = name(&stat).prometheus();
        // Mostly it is that of the one before.
        if let Some(last) = families.last_mut()
            && name(&last[0]).base() == name(&stat).base()
        {
            last.push(stat);
        } else if let Some(&place) = places.get(family) {
            let family: &mut Vec<T> = &mut families[place];
            // Dotted names that differ may be one name here (`a.b`, `a_b`); the first keeps it.
            let same = |other: &T| {
                name(other).base() != name(&stat).base()
                    && name(other).labels() == name(&stat).labels()
            };
            if !family.iter().any(same) {
                family.push(stat);
            }
        } else if taken.insert(family.to_owned()) {
            places.insert(family.to_owned(), families.len());
            families.push(vec![stat]);
        }
    }
    families
}

fn scalar(page: &mut String, stat: &Stat) {
    let name = stat.parts();
    match stat.value() {
        StatValue::Counter(value) | StatValue::Gauge(value) => sample(page, name, "", None, &value),
        StatValue::Float(value) => sample(page, name, "", None, &value),
        StatValue::Text(text) => {
            sample(page, name, "", Some(("text_value", &*sanitize_label_value(&text))), &0);
        }
    }
}

fn distribution(
    page: &mut String,
    as_summary: bool,
    form: Exposition,
    family: &[HistogramReading],
) {
    let Some(first) = family.first() else { return };
    // The buckets are made for milliseconds: what somebody else measures in seconds would all
    // fall into the first, so foreign histograms are shown by their quantiles.
    let as_summary = as_summary || first.is_foreign();
    let kind = if as_summary { "summary" } else { "histogram" };
    write_type_line(page, first.parts().prometheus(), None, None, kind);
    // Most of them have the same.
    let (mut bounds, mut labels): (&[f64], _) = (&[], Vec::new());
    for stat in family {
        let (name, scale) = (stat.parts(), stat.scale());
        let shown = if as_summary { stat.interval() } else { stat.total() };
        if as_summary {
            for (quantile, value) in QUANTILES.iter().zip(shown.quantiles()) {
                let label = number(*quantile, form);
                sample(page, name, "", Some(("quantile", &label)), &Spelled(value * scale, form));
            }
        } else {
            if bounds != stat.bounds() {
                bounds = stat.bounds();
                labels = bounds.iter().map(|bound| number(*bound, form)).collect();
            }
            buckets(page, &labels, stat, &shown);
        }
        // A rate needs sums that never fall: only Envoy's own summaries cover the interval alone.
        let summed = if stat.is_foreign() { stat.total() } else { shown };
        sample(page, name, "_sum", None, &(summed.sum() * scale));
        sample(page, name, "_count", None, &summed.count());
    }
}

/// `labels` are those of the bounds.
fn buckets(page: &mut String, labels: &[String], stat: &HistogramReading, shown: &Distribution) {
    let name = stat.parts();
    let edges = stat.bounds().iter().map(|bound| bound / stat.scale()).collect::<Vec<_>>();
    for (label, count) in labels.iter().zip(shown.cumulative(&edges)) {
        sample(page, name, "_bucket", Some(("le", label)), &count);
    }
    sample(page, name, "_bucket", Some(("le", "+Inf")), &shown.count());
}

/// A number in a label. OpenMetrics asks for one of its spellings.
fn number(value: f64, form: Exposition) -> String {
    let mut text = value.to_string();
    if form == Exposition::OpenMetrics {
        let short = SixDigits(value).to_string();
        if short.parse() == Ok(value) {
            text = short;
        }
        if !text.contains(['.', 'e']) {
            text.push_str(".0");
        }
    }
    text
}

/// A value. Where there is none, Envoy and OpenMetrics differ in the capitals; readers take both.
struct Spelled(f64, Exposition);

impl std::fmt::Display for Spelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            Exposition::Prometheus => Shortest(self.0).fmt(f),
            Exposition::OpenMetrics => self.0.fmt(f),
        }
    }
}

/// A sample. The crate's own writer leaves empty braces out, which Envoy never does.
fn sample(
    page: &mut String,
    name: &Name,
    suffix: &str,
    extra: Option<(&str, &str)>,
    value: &dyn std::fmt::Display,
) {
    let labels = name.labels();
    // Piece by piece: a format costs several times as much, and there are as many lines as clusters
    // have stats.
    for piece in [name.prometheus(), suffix, "{", labels] {
        page.push_str(piece);
    }
    if let Some((key, value)) = extra {
        let comma = if labels.is_empty() { "" } else { "," };
        for piece in [comma, key, "=\"", value, "\""] {
            page.push_str(piece);
        }
    }
    page.push_str("} ");
    let _ = writeln!(page, "{value}");
}
