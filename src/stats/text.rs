//! `/stats` as text: a line per stat.
//!
//! ```
//! use front_proxy::stats::{Query, Registry, text};
//!
//! let registry = Registry::new(1);
//! registry.scope().child("server").gauge("live").set(1.0);
//! let page = text::render(registry.select(&Query::default()), Default::default());
//! let page: String = page.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect();
//! assert_eq!(page, "server.live: 1\n");
//! ```

use std::fmt::Write as _;

use super::Chunks;
use super::chunks::chunks;
use super::histogram::{Bin, Distribution, QUANTILES};
use super::number::{Shortest, SixDigits};
use super::query::Buckets;
use super::selection::{HistogramReading, Selection, Stat, StatValue};

/// Counters, gauges and texts by name, then histograms by name.
pub fn render(selection: Selection, buckets: Buckets) -> Chunks {
    let values = chunks(selection.values.into_iter(), |page, stat| {
        value(page, &stat);
    });
    let histograms = chunks(selection.histograms.into_iter(), move |page, stat| {
        histogram(page, &stat, buckets);
    });
    Box::new(values.chain(histograms))
}

pub(super) fn value(page: &mut String, stat: &Stat) {
    page.push_str(stat.name());
    let _ = match stat.value() {
        StatValue::Counter(value) | StatValue::Gauge(value) => writeln!(page, ": {value}"),
        StatValue::Float(value) => writeln!(page, ": {}", Shortest(value)),
        StatValue::Text(text) => writeln!(page, ": \"{}\"", text.escape_debug()),
    };
}

pub(super) fn histogram(page: &mut String, stat: &HistogramReading, buckets: Buckets) {
    let (total, interval, scale) = (stat.total(), stat.interval(), stat.scale());
    page.push_str(stat.name());
    if total.is_empty() {
        page.push_str(": No recorded values\n");
        return;
    }
    page.push(':');
    match buckets {
        Buckets::Default | Buckets::Summary | Buckets::PrometheusNative => {
            page.push(' ');
            summary(page, &total, &interval, scale);
        }
        Buckets::Cumulative | Buckets::Disjoint => {
            for (bound, during, ever) in rows(stat, buckets) {
                let _ = write!(page, " B{}({during},{ever})", SixDigits(bound));
            }
        }
        Buckets::Detailed => {
            page.push_str("\n  totals=");
            bins(page, total.bins(), scale);
            page.push_str("\n  intervals=");
            bins(page, interval.bins(), scale);
            page.push_str("\n  summary=");
            summary(page, &total, &interval, scale);
        }
    }
    page.push('\n');
}

/// Upper bound, samples of the interval and samples ever of each bucket.
pub(super) fn rows(stat: &HistogramReading, buckets: Buckets) -> Vec<(f64, u64, u64)> {
    let edges = stat.bounds().iter().map(|bound| bound / stat.scale()).collect::<Vec<_>>();
    let (during, ever) = (stat.interval().cumulative(&edges), stat.total().cumulative(&edges));
    let mut below = (0, 0);
    let rows = stat.bounds().iter().zip(during).zip(ever).map(|((bound, during), ever)| {
        let row = (*bound, during - below.0, ever - below.1);
        if buckets == Buckets::Disjoint {
            below = (during, ever);
        }
        row
    });
    rows.collect()
}

fn summary(page: &mut String, total: &Distribution, interval: &Distribution, scale: f64) {
    let values = interval.quantiles().into_iter().zip(total.quantiles());
    for (nth, (quantile, (during, ever))) in QUANTILES.iter().zip(values).enumerate() {
        let _ = write!(
            page,
            "{}P{}({},{})",
            if nth == 0 { "" } else { " " },
            SixDigits(quantile * 100.0),
            Shortest(during * scale),
            Shortest(ever * scale),
        );
    }
}

fn bins(page: &mut String, bins: &[Bin], scale: f64) {
    for (nth, bin) in bins.iter().enumerate() {
        let _ = write!(
            page,
            "{}{},{}:{}",
            if nth == 0 { "" } else { ", " },
            SixDigits(bin.lower() * scale),
            SixDigits(bin.width() * scale),
            bin.count(),
        );
    }
}
