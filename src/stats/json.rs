//! `/stats` as JSON.
//!
//! ```
//! use front_proxy::stats::{Query, Registry, json};
//!
//! let registry = Registry::new(1);
//! registry.scope().child("server").gauge("live").set(1.0);
//! let page = json::render(registry.select(&Query::default()), Default::default());
//! let page: String = page.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect();
//! assert!(page.starts_with(r#"{"stats":[{"name":"server.live","value":1}"#), "{page}");
//! ```

use bytes::Bytes;
use serde_json::{Value, json};

use super::Chunks;
use super::chunks::chunks;
use super::histogram::{Bin, Distribution, QUANTILES};
use super::number;
use super::query::Buckets;
use super::selection::{HistogramReading, Selection, Stat, StatValue};
use super::text;

/// `{"stats":[...]}`: an object per counter, gauge and text, and a last one that holds all
/// histograms, if there are any.
pub fn render(selection: Selection, buckets: Buckets) -> Chunks {
    let Selection { values, histograms } = selection;
    let (opening, closing) = if histograms.is_empty() {
        (String::new(), "]}")
    } else {
        let comma = if values.is_empty() { "" } else { "," };
        let percents = percents();
        match buckets {
            Buckets::Cumulative | Buckets::Disjoint => {
                (format!("{comma}{{\"histograms\":["), "]}]}")
            }
            Buckets::Detailed => (
                format!(
                    "{comma}{{\"histograms\":{{\"supported_percentiles\":{percents},\"details\":["
                ),
                "]}}]}",
            ),
            Buckets::Default | Buckets::Summary | Buckets::PrometheusNative => (
                format!(
                    "{comma}{{\"histograms\":{{\"supported_quantiles\":{percents},\"computed_quantiles\":["
                ),
                "]}}]}",
            ),
        }
    };
    let histogram = move |stat: HistogramReading| histogram(&stat, buckets);
    Box::new(
        std::iter::once(Bytes::from_static(b"{\"stats\":["))
            .chain(list(values, |stat| value(&stat)))
            .chain(std::iter::once(Bytes::from(opening)))
            .chain(list(histograms, histogram))
            .chain(std::iter::once(Bytes::from_static(closing.as_bytes()))),
    )
}

fn list<T>(items: Vec<T>, mut json: impl FnMut(T) -> Value) -> impl Iterator<Item = Bytes> {
    let mut comma = "";
    chunks(items.into_iter(), move |page, item| {
        page.push_str(std::mem::replace(&mut comma, ","));
        page.push_str(&json(item).to_string());
    })
}

fn value(stat: &Stat) -> Value {
    let value = match stat.value() {
        StatValue::Counter(value) | StatValue::Gauge(value) => Value::from(value),
        StatValue::Float(value) => number::json(value),
        StatValue::Text(text) => Value::from(&*text),
    };
    json!({ "name": stat.name(), "value": value })
}

fn histogram(stat: &HistogramReading, buckets: Buckets) -> Value {
    let (total, interval, scale) = (stat.total(), stat.interval(), stat.scale());
    match buckets {
        Buckets::Cumulative | Buckets::Disjoint => {
            let rows = text::rows(stat, buckets).into_iter();
            let rows = rows.map(|(bound, during, ever)| {
                json!({
                    "upper_bound": number::json(bound), "interval": during, "cumulative": ever,
                })
            });
            json!({ "name": stat.name(), "buckets": rows.collect::<Value>() })
        }
        Buckets::Detailed => json!({
            "name": stat.name(),
            "totals": bins(total.bins(), scale),
            "intervals": bins(interval.bins(), scale),
            "percentiles": quantiles(&total, &interval, scale),
        }),
        Buckets::Default | Buckets::Summary | Buckets::PrometheusNative => json!({
            "name": stat.name(), "values": quantiles(&total, &interval, scale),
        }),
    }
}

fn quantiles(total: &Distribution, interval: &Distribution, scale: f64) -> Value {
    let values = total.quantiles().into_iter().zip(interval.quantiles());
    let values = values.map(|(ever, during)| {
        json!({
            "cumulative": number::json(ever * scale), "interval": number::json(during * scale),
        })
    });
    values.collect()
}

fn bins(bins: &[Bin], scale: f64) -> Value {
    let bins = bins.iter().map(|bin| {
        json!({
            "lower_bound": number::json(bin.lower() * scale),
            "width": number::json(bin.width() * scale),
            "count": bin.count(),
        })
    });
    bins.collect()
}

fn percents() -> Value {
    QUANTILES.iter().map(|quantile| number::json(quantile * 100.0)).collect()
}
