//! The query of `/stats` and `/stats/prometheus`.

use std::fmt::{Display, Formatter};

use percent_encoding::percent_decode_str;
use regex::{Regex, RegexBuilder};
use regex_syntax::ast;

/// Which stats are wanted, and how.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// `usedonly`: leave out what was never written.
    pub used_only: bool,
    /// `filter`: only names in which this is found.
    pub filter: Option<Regex>,
    /// `invert_filter`: only names in which `filter` is not found.
    pub invert_filter: bool,
    /// `type`.
    pub kind: Kind,
    /// `format`.
    pub format: Format,
    /// `histogram_buckets`.
    pub buckets: Buckets,
    /// `text_readouts`: show Prometheus texts as labels.
    pub text_readouts: bool,
    /// `hidden=only`: only what is not shown unless asked for. Nothing is hidden here, so nothing is
    /// found.
    pub hidden_only: bool,
}

impl Query {
    /// Reads a URL's query.
    ///
    /// # Errors
    ///
    /// A value is none of those that its parameter may have, or no regular expression.
    pub fn parse(query: Option<&str>) -> Result<Self, InvalidQuery> {
        let query = query.unwrap_or_default();
        let value = |name| parameter(query, name).filter(|value| !value.is_empty());
        // Checked in Envoy's order: a request with several mistakes gets the same answer.
        let buckets = match value("histogram_buckets").as_deref() {
            None | Some("none") => Buckets::Default,
            Some("cumulative") => Buckets::Cumulative,
            Some("disjoint") => Buckets::Disjoint,
            Some("detailed") => Buckets::Detailed,
            Some("summary") => Buckets::Summary,
            Some("prometheusnative") => Buckets::PrometheusNative,
            Some(_) => return Err(InvalidQuery(USAGE_BUCKETS.to_owned())),
        };
        let filter = value("filter").map(|filter| filter_regex(&filter)).transpose()?;
        let hidden_only = match value("hidden").as_deref() {
            None | Some("include" | "exclude") => false,
            Some("only") => true,
            Some(_) => return Err(InvalidQuery(USAGE_HIDDEN.to_owned())),
        };
        let format = match value("format").as_deref() {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some("html") => Format::Html,
            Some("active-html") => Format::ActiveHtml,
            Some("prometheus") => Format::Prometheus,
            Some(_) => return Err(InvalidQuery(USAGE_FORMAT.to_owned())),
        };
        let kind = match value("type").as_deref() {
            None | Some("All") => Kind::All,
            Some("Counters") => Kind::Counters,
            Some("Gauges") => Kind::Gauges,
            Some("Histograms") => Kind::Histograms,
            Some("TextReadouts") => Kind::TextReadouts,
            Some(_) => return Err(InvalidQuery("invalid &type= param".to_owned())),
        };
        Ok(Self {
            used_only: parameter(query, "usedonly").is_some(),
            filter,
            invert_filter: parameter(query, "invert_filter").is_some(),
            kind,
            format,
            buckets,
            text_readouts: parameter(query, "text_readouts").is_some(),
            hidden_only,
        })
    }

    /// Native histograms have no form but Prometheus's own.
    pub(crate) fn check_buckets(&self) -> Result<(), InvalidQuery> {
        if self.buckets == Buckets::PrometheusNative {
            let why = "Invalid histogram_buckets type for non prometheus stats type";
            return Err(InvalidQuery(why.to_owned()));
        }
        Ok(())
    }

    pub(super) fn takes(&self, name: &str, used: impl FnOnce() -> bool) -> bool {
        let found = |filter: &Regex| filter.is_match(name) != self.invert_filter;
        !self.hidden_only && self.filter.as_ref().is_none_or(found) && (!self.used_only || used())
    }
}

/// Kinds of stats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Every kind.
    #[default]
    All,
    /// Counters.
    Counters,
    /// Gauges.
    Gauges,
    /// Histograms.
    Histograms,
    /// Texts.
    TextReadouts,
}

/// How a page is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A line per stat.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// A web page.
    Html,
    /// A web page that renews itself.
    ActiveHtml,
    /// Prometheus's text format.
    Prometheus,
}

/// How histograms are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buckets {
    /// As quantiles, and as cumulative buckets to Prometheus.
    #[default]
    Default,
    /// How many samples lie below each bound.
    Cumulative,
    /// How many samples lie between each bound and the one before.
    Disjoint,
    /// Every bin.
    Detailed,
    /// As quantiles.
    Summary,
    /// As native histograms, which have no text form.
    PrometheusNative,
}

/// A query that can't be answered: the text says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidQuery(pub(super) String);

impl Display for InvalidQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidQuery {}

/// The first value of a parameter; empty where it stands alone.
///
/// `+` stays a plus: it is common in filters, which people type unescaped.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    parameters(query).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// All parameters in their order.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// Compiles a filter; an error reads as Envoy's, which are those of RE2.
pub(crate) fn filter_regex(pattern: &str) -> Result<Regex, InvalidQuery> {
    let regex = RegexBuilder::new(pattern).size_limit(1 << 20).build();
    regex.map_err(|error| {
        let why = match error {
            regex::Error::CompiledTooBig(_) => "pattern too large - compile failed".to_owned(),
            _ => ast::parse::Parser::new()
                .parse(pattern)
                .map_or_else(|error| re2_message(&error), |_| "invalid pattern".to_owned()),
        };
        InvalidQuery(format!("Invalid re2 regex: {why}"))
    })
}

fn re2_message(error: &ast::Error) -> String {
    use ast::ErrorKind;
    let pattern = error.pattern();
    let range = error.span().start.offset..error.span().end.offset;
    let part = pattern.get(range.clone()).unwrap_or_default();
    let from = pattern.get(range.start..).unwrap_or_default();
    let until = pattern.get(..range.end).unwrap_or_default();
    match error.kind() {
        ErrorKind::ClassUnclosed => format!("missing ]: {from}"),
        ErrorKind::GroupUnclosed => format!("missing ): {pattern}"),
        ErrorKind::GroupUnopened => format!("unexpected ): {pattern}"),
        // Points between the operator and what is not there.
        ErrorKind::RepetitionMissing => {
            let operator = from.chars().next().map(String::from).unwrap_or_default();
            format!("no argument for repetition operator: {operator}")
        }
        ErrorKind::ClassRangeInvalid | ErrorKind::ClassRangeLiteral => {
            format!("invalid character class range: {part}")
        }
        ErrorKind::RepetitionCountInvalid
        | ErrorKind::RepetitionCountUnclosed
        | ErrorKind::RepetitionCountDecimalEmpty => format!("invalid repetition size: {part}"),
        ErrorKind::FlagUnrecognized | ErrorKind::UnsupportedLookAround => {
            let group = until.rfind('(').map_or(until, |start| &until[start..]);
            format!("invalid perl operator: {group}")
        }
        ErrorKind::EscapeUnexpectedEof => "trailing \\".to_owned(),
        ErrorKind::EscapeUnrecognized | ErrorKind::UnsupportedBackreference => {
            format!("invalid escape sequence: {part}")
        }
        other => format!("{other}: {part}"),
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

const USAGE_BUCKETS: &str =
    "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)\n";
const USAGE_HIDDEN: &str = "usage: /stats?hidden=(include|only|exclude)\n\n";
const USAGE_FORMAT: &str = "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is asked for, it is a query or a refusal.
        #[test]
        fn any_query_is_answered(query in "(usedonly|filter=|format=|histogram_buckets=|type=|&|%[0-9a-f]{0,2}|[ -~]|\\PC){0,12}") {
            let _ = Query::parse(Some(&query));
        }
    }

    fn refusal(query: &str) -> String {
        Query::parse(Some(query)).expect_err("refused").to_string()
    }

    #[test]
    fn bad_filters_are_explained_in_re2s_words() {
        let cases = [
            ("[", "missing ]: ["),
            ("a[b", "missing ]: [b"),
            ("(", "missing ): ("),
            ("a)", "unexpected ): a)"),
            ("*a", "no argument for repetition operator: *"),
            ("(?z)", "invalid perl operator: (?z"),
            ("(?=a)", "invalid perl operator: (?="),
            ("[b-a]", "invalid character class range: b-a"),
            ("a{2,1}", "invalid repetition size: {2,1}"),
            ("a%5C", "trailing \\"),
        ];
        for (filter, why) in cases {
            assert_eq!(refusal(&format!("filter={filter}")), format!("Invalid re2 regex: {why}"));
        }
    }

    #[test]
    fn a_filter_can_not_grow_without_bound() {
        let why = refusal("filter=((a{100}){100}){100}");
        assert_eq!(why, "Invalid re2 regex: pattern too large - compile failed");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(refusal("type=counters"), "invalid &type= param");
        assert_eq!(refusal("format=xml"), USAGE_FORMAT);
        assert_eq!(refusal("histogram_buckets=some"), USAGE_BUCKETS);
        assert_eq!(refusal("hidden=some&format=xml"), USAGE_HIDDEN);
    }

    #[test]
    fn an_empty_value_is_as_good_as_none() {
        let query = Query::parse(Some("filter=&type=&format=&histogram_buckets=&usedonly"));
        let query = query.expect("valid");
        assert!(query.filter.is_none() && query.used_only);
        assert_eq!((query.kind, query.format), (Kind::All, Format::Text));
        assert_eq!(query.buckets, Buckets::Default);
    }

    #[test]
    fn the_first_of_two_filters_counts_and_is_unescaped() {
        let query = Query::parse(Some("filter=%5Ea+%5C.b$&filter=c")).expect("valid");
        let filter = query.filter.expect("a filter");
        assert_eq!(filter.as_str(), "^a+\\.b$");
    }
}
