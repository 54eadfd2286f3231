//! A stat's name, ready to be printed.

use std::borrow::Cow;

use front_proxy_layers::stats::{StatName, prometheus_name};
use metrics::Key;
use metrics_exporter_prometheus::formatting::{
    sanitize_label_key, sanitize_label_value, sanitize_metric_name,
};

use super::rules::Rules;

/// A name in the forms that pages show, put together once.
#[derive(Debug)]
pub(super) struct Name {
    full: Box<str>,
    base: Box<str>,
    prometheus: Box<str>,
    labels: Box<str>,
    tags: Box<str>,
}

impl Name {
    /// A name of the proxy's own.
    pub(super) fn own(name: &StatName, rules: &Rules) -> Self {
        let (base, found) = rules.apply(name);
        let shown = found.iter().map(|(key, value)| {
            let key = key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            (Cow::Owned(key), &**value)
        });
        Self {
            full: name.full().into(),
            prometheus: prometheus_name(&base).into(),
            labels: labels(shown),
            tags: tags(found.iter().map(|(key, value)| (&**key, &**value))),
            base: base.into(),
        }
    }

    /// A name that came through the `metrics` facade: shown to Prometheus as it is, and with its
    /// labels as further dotted parts elsewhere.
    pub(super) fn foreign(key: &Key) -> Self {
        let prometheus = sanitize_metric_name(key.name()).into_boxed_str();
        let shown = key.labels().map(|label| {
            let key = sanitize_label_key(label.key());
            (Cow::Owned(key), label.value())
        });
        Self {
            full: foreign_full(key).into(),
            base: prometheus.clone(),
            prometheus,
            labels: labels(shown),
            tags: tags(key.labels().map(|label| (label.key(), label.value()))),
        }
    }

    /// The dotted name.
    pub(super) fn full(&self) -> &str {
        &self.full
    }

    /// What families are sorted by.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The family's name.
    pub(super) fn prometheus(&self) -> &str {
        &self.prometheus
    }

    /// `key="value",...`, escaped; empty without tags.
    pub(super) fn labels(&self) -> &str {
        &self.labels
    }

    /// `key:value,...` as DogStatsD takes them; empty without tags.
    pub(super) fn tags(&self) -> &str {
        &self.tags
    }
}

/// The dotted name of a foreign metric.
pub(super) fn foreign_full(key: &Key) -> String {
    let mut full = key.name().to_owned();
    for label in key.labels() {
        for part in [label.key(), label.value()] {
            full.push('.');
            full.push_str(part);
        }
    }
    // One stat is one line of `/stats`.
    if full.contains(char::is_whitespace) {
        full = full.replace(char::is_whitespace, "_");
    }
    full
}

fn labels<'a>(tags: impl Iterator<Item = (Cow<'static, str>, &'a str)>) -> Box<str> {
    let pairs = tags.map(|(key, value)| format!("{key}=\"{}\"", sanitize_label_value(value)));
    pairs.collect::<Vec<_>>().join(",").into()
}

fn tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Box<str> {
    let clean = |text: &str| text.replace(['|', ',', '\n'], "_");
    let pairs = tags.map(|(key, value)| format!("{}:{}", clean(key), clean(value)));
    pairs.collect::<Vec<_>>().join(",").into()
}
