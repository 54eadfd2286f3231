//! `stats_config`: which stats there are, what is a tag, and how histograms are divided.
//!
//! All of it is applied when a stat's handle is made, and costs nothing afterwards.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use front_proxy_layers::route::StringMatch;
use front_proxy_layers::stats::{StatName, without};
use regex::Regex;

use super::histogram::DEFAULT_BUCKETS;

/// Envoy's `StatsConfig`. The default is Envoy's: every stat, its own tags, its own buckets.
///
/// ```
/// use front_proxy::stats::{Matcher, Registry, Rules, Tag};
/// use front_proxy_layers::route::StringMatch;
///
/// let rules = Rules {
///     tags: vec![Tag::Fixed { name: "region".into(), value: "eu".into() }],
///     matcher: Matcher::Exclude(vec![StringMatch::Prefix {
///         value: "http.".into(),
///         ignore_case: false,
///     }]),
///     ..Rules::default()
/// };
/// let registry = Registry::with_rules(1, rules);
/// registry.scope().counter("kept").increment(1);
/// registry.scope().child("http").counter("left_out").increment(1);
/// let query = front_proxy::stats::Query::default();
/// assert_eq!(registry.select(&query).values().len(), 1);
/// let page = front_proxy::stats::prometheus::render(&registry, &query, Default::default())?;
/// let page = page.flat_map(|piece| piece.to_vec()).collect::<Vec<_>>();
/// assert_eq!(page, b"# TYPE envoy_kept counter\nenvoy_kept{region=\"eu\"} 1\n");
/// # Ok::<(), front_proxy::stats::InvalidQuery>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    /// `use_all_default_tags`: take Envoy's tags out of names. Otherwise only those among `tags`.
    pub default_tags: bool,
    /// `stats_tags`, in their order.
    pub tags: Vec<Tag>,
    /// `stats_matcher`.
    pub matcher: Matcher,
    /// `histogram_bucket_settings`: the first one that matches a name counts.
    pub buckets: Vec<HistogramBuckets>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { default_tags: true, tags: Vec::new(), matcher: Matcher::All, buckets: Vec::new() }
    }
}

/// One of `stats_tags`.
#[derive(Clone, Debug)]
pub enum Tag {
    /// One of Envoy's own, such as `envoy.cluster_name`.
    Default(String),
    /// On every stat.
    Fixed {
        /// `tag_name`
        name: String,
        /// `fixed_value`
        value: String,
    },
    /// Found in a stat's whole name.
    Found {
        /// `tag_name`
        name: String,
        /// `regex`: what its first group finds is left out of the name, what its second finds (or
        /// the first, without a second) is the value.
        regex: Regex,
        /// Whether the expression begins with a literal first part of the name, as `^cluster\.`
        /// does: such tags come behind Envoy's own.
        prefixed: bool,
    },
}

impl Tag {
    /// A tag found by a regular expression; `pattern` is how it was written.
    pub fn found(name: String, pattern: &str, regex: Regex) -> Self {
        Self::Found { name, prefixed: begins_with_literal(pattern), regex }
    }
}

/// `stats_matcher`, by whole names.
#[derive(Clone, Debug, Default)]
pub enum Matcher {
    /// Every stat.
    #[default]
    All,
    /// `reject_all`
    None,
    /// `inclusion_list`
    Include(Vec<StringMatch>),
    /// `exclusion_list`
    Exclude(Vec<StringMatch>),
}

impl Matcher {
    /// Whether there is a stat of this name.
    pub fn takes(&self, name: &str) -> bool {
        let any = |list: &[StringMatch]| list.iter().any(|rule| rule.matches(name.as_bytes()));
        match self {
            Self::All => true,
            Self::None => false,
            Self::Include(list) => any(list),
            Self::Exclude(list) => !any(list),
        }
    }
}

/// One of `histogram_bucket_settings`.
#[derive(Clone, Debug)]
pub struct HistogramBuckets {
    /// Which histograms, by whole name.
    pub names: StringMatch,
    /// Upper bounds, ascending; Envoy's own where there are none.
    pub bounds: Arc<[f64]>,
}

/// A name as it is shown: its base, and tags under their dotted names.
pub(super) type Tagged<'n> = (Cow<'n, str>, Vec<(Cow<'static, str>, Cow<'n, str>)>);

impl Rules {
    /// Upper bounds of a histogram's buckets.
    pub(super) fn bounds(&self, name: &str) -> Arc<[f64]> {
        let found = self.buckets.iter().find(|rule| rule.names.matches(name.as_bytes()));
        match found {
            Some(rule) if !rule.bounds.is_empty() => Arc::clone(&rule.bounds),
            _ => Arc::new(DEFAULT_BUCKETS),
        }
    }

    /// Takes the tags out of a name.
    pub(super) fn apply<'n>(&'n self, name: &'n StatName) -> Tagged<'n> {
        if self.default_tags && self.tags.is_empty() {
            let tags = name.tags().iter();
            let tags = tags.map(|(key, value)| (dotted(key), Cow::Borrowed(value.as_str())));
            return (Cow::Borrowed(name.base()), tags.collect());
        }
        let wanted = |key: &str| {
            self.default_tags
                || self.tags.iter().any(|tag| matches!(tag, Tag::Default(name) if *name == key))
        };
        let mut places = Vec::new();
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for ((key, value), place) in name.tags().iter().zip(name.places()) {
            let key = dotted(key);
            if wanted(&key) {
                let list = if PREFIXED.contains(&&*key) { &mut last } else { &mut first };
                list.push((key, Cow::Borrowed(value.as_str())));
                places.push(place.clone());
            }
        }
        for tag in &self.tags {
            let Some((key, prefixed, value, place)) = tag.find(name.full()) else { continue };
            // Whichever comes first keeps the name.
            if first.iter().chain(&last).any(|(known, _)| known == key) {
                continue;
            }
            let list = if prefixed { &mut last } else { &mut first };
            list.push((Cow::Owned(key.to_owned()), Cow::Borrowed(value)));
            places.extend(place);
        }
        first.append(&mut last);
        (Cow::Owned(without(name.full(), &places)), first)
    }
}

impl Tag {
    /// Name, whether it is prefixed, value, and what is left out of the name for it.
    fn find<'n>(&'n self, full: &'n str) -> Option<(&'n str, bool, &'n str, Option<Range<usize>>)> {
        match self {
            Self::Default(_) => None,
            Self::Fixed { name, value } => Some((name, false, value, None)),
            Self::Found { name, regex, prefixed } => {
                let found = regex.captures(full)?;
                let taken = found.get(1)?;
                let value = found.get(2).unwrap_or(taken);
                Some((name, *prefixed, value.as_str(), Some(taken.range())))
            }
        }
    }
}

/// `envoy_cluster_name` is Envoy's `envoy.cluster_name`.
fn dotted(key: &'static str) -> Cow<'static, str> {
    key.strip_prefix("envoy_")
        .map_or(Cow::Borrowed(key), |rest| Cow::Owned(format!("envoy.{rest}")))
}

/// Of the tags that are told here, those that Envoy finds by a literal first part of the name.
const PREFIXED: [&str; 3] =
    ["envoy.cluster_name", "envoy.http_conn_manager_prefix", "envoy.listener_address"];

fn begins_with_literal(pattern: &str) -> bool {
    let Some(rest) = pattern.strip_prefix('^') else { return false };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let Some((first, rest)) = end.map(|end| rest.split_at(end)) else { return false };
    !first.is_empty() && (rest == "$" || rest.starts_with("\\."))
}

#[cfg(test)]
mod tests {
    use front_proxy_layers::stats::Scope;

    use super::*;

    fn found(name: &str, pattern: &str) -> Tag {
        Tag::found(name.to_owned(), pattern, Regex::new(pattern).expect("valid"))
    }

    fn shown(rules: &Rules, name: &StatName) -> String {
        let (base, tags) = rules.apply(name);
        let tags = tags.iter().map(|(key, value)| format!(" {key}={value}"));
        format!("{base}{}", tags.collect::<String>())
    }

    fn code() -> StatName {
        let cluster = Scope::noop().child("cluster").tagged("envoy_cluster_name", "service1");
        cluster.leaf_tagged("upstream_rq_200", "upstream_rq", "envoy_response_code", "200")
    }

    #[test]
    fn found_tags_stand_where_envoy_puts_them() {
        let rules = Rules {
            tags: vec![
                found("my.svc", r"^cluster\.((service)(\d)\.)"),
                found("up", "up(stream)_"),
                Tag::Fixed { name: "region".to_owned(), value: "eu".to_owned() },
                found("absent", "(nothing)"),
            ],
            ..Rules::default()
        };
        assert_eq!(
            shown(&rules, &code()),
            "cluster.up_rq envoy.response_code=200 up=stream region=eu \
             envoy.cluster_name=service1 my.svc=service"
        );
    }

    #[test]
    fn without_default_tags_names_are_whole_but_for_those_asked_for() {
        let mut rules = Rules { default_tags: false, ..Rules::default() };
        assert_eq!(shown(&rules, &code()), "cluster.service1.upstream_rq_200");
        rules.tags.push(Tag::Default("envoy.response_code".to_owned()));
        assert_eq!(shown(&rules, &code()), "cluster.service1.upstream_rq envoy.response_code=200");
    }

    #[test]
    fn a_second_tag_of_one_name_changes_nothing() {
        let tags = vec![found("envoy.cluster_name", r"^cluster\.((serv)ice1\.)")];
        let rules = Rules { tags, ..Rules::default() };
        assert_eq!(shown(&rules, &code()), shown(&Rules::default(), &code()));
    }

    #[test]
    fn the_first_setting_that_matches_divides_a_histogram() {
        let suffix =
            |value: &str| StringMatch::Suffix { value: value.to_owned(), ignore_case: false };
        let setting = |names, bounds: &[f64]| HistogramBuckets { names, bounds: bounds.into() };
        let rules = Rules {
            buckets: vec![
                setting(suffix("_ms"), &[1.0, 2.0]),
                setting(suffix("s"), &[3.0]),
                setting(suffix("_time"), &[]),
            ],
            ..Rules::default()
        };
        assert_eq!(*rules.bounds("cx_ms"), [1.0, 2.0]);
        assert_eq!(*rules.bounds("bytes"), [3.0]);
        assert_eq!(*rules.bounds("rq_time"), DEFAULT_BUCKETS);
        assert_eq!(*rules.bounds("rq"), DEFAULT_BUCKETS);
    }
}
