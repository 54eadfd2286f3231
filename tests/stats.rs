//! Stats as they are shown: compared with what Envoy 1.40 printed for the same samples, and with
//! the grammars of the formats.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use front_proxy::stats::prometheus::Exposition;
use front_proxy::stats::{
    Buckets, Chunks, DEFAULT_BUCKETS, Query, Registry, flush_every, json, prometheus, text,
};
use front_proxy_layers::stats::{Scope, StatsSink as _, Unit};
use metrics::{Key, Label, Recorder as _};
use regex::Regex;

/// Samples of `upstream_rq_time` of one run of Envoy, before and after a flush.
const BEFORE: [f64; 3] = [0.0, 44.0, 46.0];
const AFTER: [f64; 10] = [0.0, 41.0, 42.0, 43.0, 43.0, 43.0, 43.0, 44.0, 91.0, 493.0];

fn envoys_run() -> Registry {
    let registry = Registry::new(1);
    let histogram = cluster(&registry, "service1").histogram_ms("upstream_rq_time");
    BEFORE.iter().for_each(|sample| histogram.record(*sample));
    registry.flush();
    AFTER.iter().for_each(|sample| histogram.record(*sample));
    registry.flush();
    registry
}

fn cluster(registry: &Registry, name: &str) -> Scope {
    registry.scope().child("cluster").tagged("envoy_cluster_name", name)
}

fn query(query: &str) -> Query {
    Query::parse(Some(query)).expect("a valid query")
}

fn page(chunks: Chunks) -> String {
    chunks.map(|chunk| String::from_utf8(chunk.to_vec()).expect("text")).collect()
}

fn text_page(registry: &Registry, asked: &str) -> String {
    let query = query(asked);
    page(text::render(registry.select(&query), query.buckets))
}

fn json_page(registry: &Registry, asked: &str) -> serde_json::Value {
    let query = query(asked);
    let page = page(json::render(registry.select(&query), query.buckets));
    serde_json::from_str(&page).expect("JSON")
}

fn prometheus_page(registry: &Registry, asked: &str) -> String {
    exposed(registry, asked, Exposition::Prometheus)
}

fn exposed(registry: &Registry, asked: &str, form: Exposition) -> String {
    page(prometheus::render(registry, &query(asked), form).expect("can be shown"))
}

#[test]
fn quantiles_are_envoys() {
    let registry = envoys_run();
    let summary = "P0(0,0) P25(42.5,42.5) P50(43.4,43.6) P75(44.5,44.666666666666664) \
        P90(91.5,91.5) P95(495.00000000000006,495.00000000000006) \
        P99(495.00000000000006,495.00000000000006) P99.5(495.00000000000006,495.00000000000006) \
        P99.9(495.00000000000006,495.00000000000006) P100(495.00000000000006,495.00000000000006)";
    let name = "cluster.service1.upstream_rq_time";
    assert_eq!(text_page(&registry, ""), format!("{name}: {summary}\n"));
    assert_eq!(
        text_page(&registry, "histogram_buckets=detailed"),
        format!(
            "{name}:\n  totals=0,0:2, 41,1:1, 42,1:1, 43,1:4, 44,1:2, 46,1:1, 91,1:1, 490,10:1\n  \
             intervals=0,0:1, 41,1:1, 42,1:1, 43,1:4, 44,1:1, 91,1:1, 490,10:1\n  \
             summary={summary}\n"
        )
    );
    // An interval without samples.
    registry.flush();
    assert!(text_page(&registry, "").contains(": P0(nan,0) P25(nan,42.5) P50(nan,43.6) "));
}

#[test]
fn buckets_are_envoys() {
    let registry = envoys_run();
    assert_eq!(
        text_page(&registry, "histogram_buckets=cumulative"),
        "cluster.service1.upstream_rq_time: B0.5(1,2) B1(1,2) B5(1,2) B10(1,2) B25(1,2) B50(8,11) \
         B100(9,12) B250(9,12) B500(10,13) B1000(10,13) B2500(10,13) B5000(10,13) B10000(10,13) \
         B30000(10,13) B60000(10,13) B300000(10,13) B600000(10,13) B1.8e+06(10,13) \
         B3.6e+06(10,13)\n"
    );
    assert!(
        text_page(&registry, "histogram_buckets=disjoint")
            .contains(" B25(0,0) B50(7,9) B100(1,1) B250(0,0) B500(1,1) B1000(0,0) ")
    );
    let page = json_page(&registry, "histogram_buckets=disjoint");
    let buckets = &page["stats"][0]["histograms"][0]["buckets"];
    let expected = serde_json::json!({ "upper_bound": 50, "interval": 7, "cumulative": 9 });
    assert_eq!(buckets[5], expected);
    assert_eq!(buckets[15]["upper_bound"], 300_000);
}

/// Of another run: samples that lie on bounds are below them.
#[test]
fn bounds_belong_to_their_buckets() {
    let registry = Registry::new(1);
    let histogram = registry.scope().histogram_ms("h");
    for (sample, count) in [(0.0, 2), (1.0, 1), (49.0, 43), (50.0, 3), (51.0, 17), (100.0, 1)] {
        (0..count).for_each(|_| histogram.record(sample));
    }
    let page = text_page(&registry, "histogram_buckets=cumulative");
    let expected = "h: B0.5(0,2) B1(0,3) B5(0,3) B10(0,3) B25(0,3) B50(0,49) B100(0,67) ";
    assert!(page.starts_with(expected), "{page}");
}

#[test]
fn json_has_envoys_shape() {
    let registry = envoys_run();
    cluster(&registry, "service1").counter("upstream_rq_total").increment(13);
    let page = json_page(&registry, "");
    let first = serde_json::json!({ "name": "cluster.service1.upstream_rq_total", "value": 13 });
    assert_eq!(page["stats"][0], first);
    let histograms = &page["stats"][1]["histograms"];
    let percents = serde_json::json!([0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]);
    assert_eq!(histograms["supported_quantiles"], percents);
    let computed = &histograms["computed_quantiles"][0];
    assert_eq!(computed["name"], "cluster.service1.upstream_rq_time");
    let median = serde_json::json!({ "cumulative": 43.6, "interval": 43.4 });
    assert_eq!(computed["values"][2], median);
    let detailed = json_page(&registry, "histogram_buckets=detailed&type=Histograms");
    let details = &detailed["stats"][0]["histograms"]["details"][0];
    assert_eq!(
        details["totals"][1],
        serde_json::json!({ "lower_bound": 41, "width": 1, "count": 1 })
    );
    assert_eq!(details["percentiles"].as_array().map(Vec::len), Some(10));
    let empty = serde_json::json!({ "stats": [] });
    assert_eq!(json_page(&registry, "type=TextReadouts"), empty);
}

#[test]
fn names_are_sorted_across_kinds_and_histograms_come_last() {
    let registry = Registry::new(1);
    let scope = registry.scope();
    let _histogram = scope.histogram_ms("a.time");
    let _counter = scope.counter("b.count");
    scope.gauge("a.level").set(2.0);
    registry.text_readout(&scope.name("a.text")).set("1 \"2\"\n3");
    assert_eq!(
        text_page(&registry, ""),
        "a.level: 2\na.text: \"1 \\\"2\\\"\\n3\"\nb.count: 0\na.time: No recorded values\n"
    );
    let line = Regex::new(r#"^\S+: (\d+|P0\(.*\).* P100\(.*\)|No recorded values|".*")$"#);
    let line = line.expect("valid");
    assert!(text_page(&registry, "").lines().all(|text| line.is_match(text)));
}

#[test]
fn filters_find_parts_of_names_and_can_be_turned_round() {
    let registry = Registry::new(1);
    for name in ["cluster.a.rq", "cluster.b.rq", "server.live"] {
        let _handle = registry.scope().counter(name);
    }
    assert_eq!(text_page(&registry, "filter=cluster.a"), "cluster.a.rq: 0\n");
    assert_eq!(text_page(&registry, "filter=^rq"), "");
    assert_eq!(text_page(&registry, "filter=rq$&invert_filter"), "server.live: 0\n");
    assert_eq!(text_page(&registry, "filter=a&type=Gauges"), "");
}

#[test]
fn used_means_written_since_the_start() {
    let registry = Registry::new(2);
    let scope = registry.scope();
    let counter = scope.counter("counter");
    let gauge = scope.gauge("gauge");
    let histogram = scope.histogram_ms("histogram");
    assert_eq!(text_page(&registry, "usedonly"), "");
    counter.increment(1);
    gauge.set(0.0);
    histogram.record(0.0);
    registry.reset_counters();
    let page = text_page(&registry, "usedonly");
    assert!(page.starts_with("counter: 0\ngauge: 0\nhistogram: P0(nan,0) "), "{page}");
}

#[test]
fn a_name_asked_for_twice_is_one_stat() {
    let registry = Registry::new(1);
    let twice = [registry.scope(), registry.clone().scope()];
    for scope in &twice {
        scope.counter("c").increment(2);
        scope.gauge("g").increment(3.0);
        scope.histogram_ms("h").record(5.0);
    }
    let page = text_page(&registry, "histogram_buckets=disjoint");
    assert!(page.starts_with("c: 4\ng: 6\nh: "), "{page}");
    assert!(page.contains(" B1(0,0) B5(0,2) B10(0,0) "), "{page}");
}

#[test]
fn gauges_add_up_after_they_were_set() {
    let registry = Registry::new(2);
    let gauge = registry.scope().gauge("g");
    gauge.increment(5.0);
    gauge.set(10.0);
    gauge.increment(2.0);
    gauge.decrement(1.0);
    assert_eq!(text_page(&registry, ""), "g: 11\n");
    gauge.set(0.0);
    gauge.decrement(1.0);
    assert_eq!(text_page(&registry, ""), "g: 0\n", "no reader sees less than nothing");
}

#[test]
fn counters_follow_another_counter_forwards_only() {
    let registry = Registry::new(2);
    let metadata = metrics::Metadata::new("", metrics::Level::INFO, None);
    let counter = registry.register_counter(&Key::from_name("c"), &metadata);
    counter.absolute(7);
    counter.absolute(3);
    assert_eq!(text_page(&registry, ""), "c: 7\n");
}

#[test]
fn workers_lose_nothing() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 2_000;
    // More threads than lanes: some share.
    let registry = Registry::new(3);
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let registry = registry.clone();
            threads.spawn(move || {
                front_proxy_layers::worker::enter(thread);
                let scope = registry.scope();
                for round in 0..ROUNDS {
                    // Registered anew each time, as by many clusters at once.
                    scope.counter(&format!("shared.{}", round % 100)).increment(1);
                    let gauge = scope.gauge("gauge");
                    gauge.increment(2.0);
                    gauge.decrement(1.0);
                    #[expect(clippy::cast_precision_loss, reason = "small")]
                    scope.histogram_ms("histogram").record(round as f64);
                    if round % 500 == 0 {
                        registry.flush();
                        assert!(text_page(&registry, "filter=gauge").starts_with("gauge: "));
                    }
                }
            });
        }
    });
    let page = text_page(&registry, "type=Counters");
    assert_eq!(page.lines().count(), 100);
    let each = THREADS * ROUNDS / 100;
    assert!(page.lines().all(|line| line.ends_with(&format!(": {each}"))), "{page}");
    let all = THREADS * ROUNDS;
    assert_eq!(text_page(&registry, "type=Gauges"), format!("gauge: {all}\n"));
    let histograms = registry.select(&query("type=Histograms"));
    assert_eq!(histograms.histograms()[0].total().count(), all as u64);
}

#[test]
fn percentages_are_shown_as_such() {
    let registry = Registry::new(1);
    let histogram = registry.scope().histogram("h", Unit::Percent);
    histogram.record(500_000.0);
    let page = text_page(&registry, "histogram_buckets=cumulative");
    assert!(page.starts_with("h: B0.5(0,1) B1(0,1) "), "{page}");
}

#[tokio::test(start_paused = true)]
async fn intervals_end_by_the_clock() {
    let registry = Registry::new(1);
    registry.scope().histogram_ms("h").record(20.0);
    let flusher = tokio::spawn(flush_every(registry.clone(), std::time::Duration::from_secs(5)));
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert!(text_page(&registry, "").starts_with("h: P0(nan,20.5) "));
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(text_page(&registry, "").starts_with("h: P0(20.5,20.5) "));
    flusher.abort();
}

#[test]
fn prometheus_families_are_envoys() {
    let registry = Registry::new(1);
    for name in ["service1", "service2"] {
        let scope = cluster(&registry, name);
        scope.counter("upstream_rq_total").increment(2);
        let code =
            scope.leaf_tagged("upstream_rq_200", "upstream_rq", "envoy_response_code", "200");
        registry.counter(&code).increment(1);
        scope.gauge("membership_total").set(1.0);
    }
    registry.scope().child("cluster_manager").counter("cluster_added").increment(2);
    registry.scope().child("server").gauge("live").set(1.0);
    // By base name, in which a dot stands before an underscore; kinds one after the other.
    assert_eq!(
        prometheus_page(&registry, ""),
        "# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"service1\"} 1
envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"service2\"} 1
# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name=\"service1\"} 2
envoy_cluster_upstream_rq_total{envoy_cluster_name=\"service2\"} 2
# TYPE envoy_cluster_manager_cluster_added counter
envoy_cluster_manager_cluster_added{} 2
# TYPE envoy_cluster_membership_total gauge
envoy_cluster_membership_total{envoy_cluster_name=\"service1\"} 1
envoy_cluster_membership_total{envoy_cluster_name=\"service2\"} 1
# TYPE envoy_server_live gauge
envoy_server_live{} 1
"
    );
    let listener = registry.scope().child("listener").tagged("envoy_listener_address", "[__]_80");
    let http = listener.child("http").tagged("envoy_http_conn_manager_prefix", "in");
    http.counter("downstream_rq_completed").increment(1);
    assert!(prometheus_page(&registry, "filter=^listener").ends_with(
        "{envoy_http_conn_manager_prefix=\"in\",envoy_listener_address=\"[__]_80\"} 1\n"
    ));
    let filtered = prometheus_page(&registry, "filter=service2.upstream&type=Gauges");
    assert_eq!(filtered.lines().count(), 4);
}

#[test]
fn prometheus_histograms_are_envoys() {
    let page = prometheus_page(&envoys_run(), "");
    let lines = page.lines().collect::<Vec<_>>();
    assert_eq!(lines[0], "# TYPE envoy_cluster_upstream_rq_time histogram");
    let sample = |suffix: &str| format!("envoy_cluster_upstream_rq_time{suffix}");
    assert_eq!(lines[1], sample("_bucket{envoy_cluster_name=\"service1\",le=\"0.5\"} 2"));
    assert_eq!(lines[6], sample("_bucket{envoy_cluster_name=\"service1\",le=\"50\"} 11"));
    assert_eq!(lines[19], sample("_bucket{envoy_cluster_name=\"service1\",le=\"3600000\"} 13"));
    assert_eq!(lines[20], sample("_bucket{envoy_cluster_name=\"service1\",le=\"+Inf\"} 13"));
    assert_eq!(lines[22], sample("_count{envoy_cluster_name=\"service1\"} 13"));
    let sum = lines[21].strip_prefix(&sample("_sum{envoy_cluster_name=\"service1\"} "));
    let sum = sum.and_then(|sum| sum.parse::<f64>().ok()).unwrap_or_default();
    assert!((sum - 979.895_255_454_841_8).abs() < 1e-9, "{sum}");
    check_exposition(&page);

    let page = prometheus_page(&envoys_run(), "histogram_buckets=summary");
    assert!(page.starts_with("# TYPE envoy_cluster_upstream_rq_time summary\n"));
    assert!(page.contains("{envoy_cluster_name=\"service1\",quantile=\"0.25\"} 42.5\n"));
    assert!(page.contains("_count{envoy_cluster_name=\"service1\"} 10\n"));
    check_exposition(&page);
    // Nothing came since.
    let registry = envoys_run();
    registry.flush();
    registry.flush();
    let page = prometheus_page(&registry, "histogram_buckets=summary");
    assert!(page.contains("quantile=\"0.5\"} nan\n"), "{page}");

    let refused = |asked: &str| {
        prometheus::render(&envoys_run(), &query(asked), Exposition::Prometheus)
            .err()
            .map(|error| error.to_string())
    };
    let modes = "unsupported prometheus histogram bucket mode";
    assert_eq!(refused("histogram_buckets=detailed").as_deref(), Some(modes));
    assert!(refused("histogram_buckets=prometheusnative").is_some());
}

/// The same series under the same names: only types differ where OpenMetrics has rules for names.
#[test]
fn openmetrics_has_the_same_samples() {
    let registry = envoys_run();
    let scope = cluster(&registry, "service1");
    for counter in ["upstream_cx_total", "upstream_rq_total", "upstream_rq_completed"] {
        scope.counter(counter).increment(2);
    }
    let code = scope.leaf_tagged("upstream_rq_200", "upstream_rq", "envoy_response_code", "200");
    registry.counter(&code).increment(1);
    scope.gauge("membership_total").set(1.0);
    let page = exposed(&registry, "", Exposition::OpenMetrics);
    for line in [
        "# TYPE envoy_cluster_upstream_cx counter",
        "envoy_cluster_upstream_cx_total{envoy_cluster_name=\"service1\"} 2",
        "# TYPE envoy_cluster_upstream_rq_completed unknown",
        // Not a counter `envoy_cluster_upstream_rq`: that is the name of the next one.
        "# TYPE envoy_cluster_upstream_rq_total unknown",
        "# TYPE envoy_cluster_upstream_rq unknown",
        "# TYPE envoy_cluster_membership_total gauge",
        "# TYPE envoy_cluster_upstream_rq_time histogram",
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"service1\",le=\"0.5\"} 2",
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"service1\",le=\"100.0\"} 12",
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"service1\",le=\"1.8e+06\"} 13",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}:\n{page}");
    }
    assert!(page.ends_with("} 13\n# EOF\n"), "{page}");
    let samples = |page: &str| -> Vec<String> {
        let samples = page.lines().filter(|line| !line.starts_with('#') && !line.contains("le="));
        samples.map(str::to_owned).collect()
    };
    assert_eq!(samples(&page), samples(&prometheus_page(&registry, "")));
}

#[test]
fn whatever_the_names_the_exposition_stays_valid() {
    let registry = Registry::new(1);
    for name in ["a.b", "quote\"back\\slash\nline", "ünicode", "", "{le=\"1\"}"] {
        let scope = cluster(&registry, name);
        scope.counter("rq").increment(1);
        scope.gauge("cx").set(1.0);
        let histogram = scope.histogram_ms("time");
        (0..50).for_each(|sample| histogram.record(f64::from(sample) * 37.0));
    }
    // Different dotted names of one Prometheus name, of one kind and of two.
    let scope = registry.scope();
    scope.counter("x.y").increment(1);
    scope.counter("x_y_z").increment(1);
    let _counters = (scope.counter("x_y"), scope.counter("same"));
    let _gauge = scope.gauge("same");
    registry.text_readout(&scope.name("text")).set("v\"1\"\n");
    let key = Key::from_parts("9 strange name", vec![Label::new("key-1", "a\\b")]);
    let metadata = metrics::Metadata::new("", metrics::Level::INFO, None);
    registry.register_counter(&key, &metadata).increment(1);
    registry.register_gauge(&Key::from_name("load"), &metadata).set(0.25);
    registry.register_histogram(&Key::from_name("took_seconds"), &metadata).record(0.004);

    for asked in ["", "text_readouts", "usedonly", "histogram_buckets=summary"] {
        let samples = check_exposition(&prometheus_page(&registry, asked));
        assert_eq!(samples["load{}"], 0.25);
        assert_eq!(samples["__strange_name{key_1=\"a\\\\b\"}"], 1.0);
        assert_eq!(samples["took_seconds_count{}"], 1.0);
        let escaped = "envoy_cluster_rq{envoy_cluster_name=\"quote\\\"back\\\\slash\\nline\"}";
        assert_eq!(samples[escaped], 1.0);
    }
    let page = prometheus_page(&registry, "text_readouts&filter=^text$");
    assert_eq!(page, "# TYPE envoy_text gauge\nenvoy_text{text_value=\"v\\\"1\\\"\\n\"} 0\n");
}

#[test]
fn metrics_of_other_code_stand_beside_under_their_own_names() {
    let registry = Registry::new(1);
    cluster(&registry, "s").counter("upstream_rq_total").increment(1);
    metrics::with_local_recorder(&registry, || {
        metrics::counter!("jobs_total", "queue" => "mail").increment(3);
        metrics::gauge!("load").set(0.5);
        metrics::gauge!("load").increment(0.25);
        metrics::histogram!("took_seconds").record(0.012);
    });
    let page = prometheus_page(&registry, "");
    assert!(page.contains("# TYPE jobs_total counter\njobs_total{queue=\"mail\"} 3\n"), "{page}");
    assert!(page.contains("# TYPE load gauge\nload{} 0.75\n"), "{page}");
    assert!(page.contains("# TYPE took_seconds summary\n"), "{page}");
    let text = text_page(&registry, "");
    assert!(text.contains("\njobs_total.queue.mail: 3\nload: 0.75\n"), "{text}");
}

/// Reads a page by the rules of the text exposition format; gives its samples.
fn check_exposition(page: &str) -> HashMap<String, f64> {
    let kind = Regex::new(r"^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary)$");
    let kind = kind.expect("valid");
    let sample = Regex::new(
        r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*",?)*\}) (\S+)$"#,
    );
    let sample = sample.expect("valid");
    let label = Regex::new(r#"([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)""#).expect("valid");
    assert!(page.is_empty() || page.ends_with('\n'));

    let (mut families, mut samples) = (HashSet::new(), HashMap::new());
    let mut family = (String::new(), String::new());
    let mut buckets = BTreeMap::<String, Vec<(f64, f64)>>::new();
    for line in page.lines() {
        if let Some(found) = kind.captures(line) {
            family = (found[1].to_owned(), found[2].to_owned());
            assert!(families.insert(family.0.clone()), "a family's lines stand together: {line}");
            continue;
        }
        let found = sample.captures(line).unwrap_or_else(|| panic!("{line}"));
        let (name, labels) = (&found[1], &found[2]);
        let value = found[3].parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        let suffix = name.strip_prefix(&family.0).unwrap_or_else(|| panic!("{line}"));
        let suffixes: &[&str] = match family.1.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            "summary" => &["", "_sum", "_count"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        let mut keys = BTreeSet::new();
        for label in label.captures_iter(labels) {
            assert!(keys.insert(label[1].to_owned()), "a label twice: {line}");
        }
        assert!(samples.insert(format!("{name}{labels}"), value).is_none(), "twice: {line}");
        if suffix == "_bucket" {
            let (others, bound) = labels.rsplit_once("le=\"").unwrap_or_else(|| panic!("{line}"));
            let bound = bound.trim_end_matches("\"}").replace("+Inf", "inf");
            let bound = bound.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            let series = format!("{}{}}}", family.0, others.trim_end_matches(','));
            buckets.entry(series).or_default().push((bound, value));
        }
    }
    for (series, buckets) in buckets {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "cumulative: {series}");
        assert_eq!(buckets.len(), DEFAULT_BUCKETS.len() + 1);
        let (bound, all) = buckets[buckets.len() - 1];
        assert!(bound.is_infinite());
        let (name, labels) = series.split_once('{').unwrap_or((&series, "}"));
        assert_eq!(samples[&format!("{name}_count{{{labels}")], all, "{series}");
        assert!(samples.contains_key(&format!("{name}_sum{{{labels}")), "{series}");
    }
    samples
}

mod bounds {
    use proptest::prelude::*;

    use super::*;

    /// Samples from nanoseconds in seconds to an hour in milliseconds, and nothing at all.
    fn samples() -> impl Strategy<Value = Vec<f64>> {
        let sample = prop_oneof![
            1 => Just(0.0),
            4 => (0_u32..100_000).prop_map(f64::from),
            4 => (-8.0..12.0_f64).prop_map(|power| 10_f64.powf(power)),
        ];
        proptest::collection::vec(sample, 1..300)
    }

    fn recorded(samples: &[f64]) -> front_proxy::stats::Distribution {
        let registry = Registry::new(2);
        let histogram = registry.scope().histogram_ms("h");
        samples.iter().for_each(|sample| histogram.record(*sample));
        registry.select(&query("")).histograms()[0].total()
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_a_bin_off(samples in samples(), quantile in 0.0..=1.0_f64) {
            let [found] = recorded(&samples).quantiles_at([quantile]);
            let mut sorted = samples;
            sorted.sort_by(f64::total_cmp);
            #[expect(
                clippy::cast_precision_loss, clippy::cast_possible_truncation,
                clippy::cast_sign_loss, reason = "small and positive"
            )]
            let rank = ((sorted.len() as f64 * quantile).ceil() as usize).max(1);
            let exact = sorted[rank - 1];
            // A bin is a tenth of its lower edge wide at most.
            prop_assert!((found - exact).abs() <= exact * 0.1 + 1e-12, "{found} for {exact}");
        }

        #[test]
        fn every_sample_is_in_one_bin(samples in samples()) {
            let distribution = recorded(&samples);
            prop_assert_eq!(distribution.count(), samples.len() as u64);
            for bin in distribution.bins() {
                let (low, high) = (bin.lower(), bin.lower() + bin.width());
                let slack = high * 1e-9;
                let inside = samples.iter().filter(|sample| {
                    (low - slack..=high + slack).contains(*sample)
                });
                prop_assert!(inside.count() as u64 >= bin.count());
            }
            let edges = distribution.bins().iter().map(front_proxy::stats::Bin::lower);
            prop_assert!(edges.is_sorted_by(|a, b| a < b));
        }

        #[test]
        fn the_sum_is_within_the_bins_width(samples in samples()) {
            let (exact, found) = (samples.iter().sum::<f64>(), recorded(&samples).sum());
            prop_assert!((found - exact).abs() <= exact * 0.1 + 1e-12, "{found} for {exact}");
        }

        #[test]
        fn buckets_miss_nothing_and_take_a_tenth_too_much_at_most(samples in samples()) {
            let below = recorded(&samples).cumulative(&DEFAULT_BUCKETS);
            for (bound, count) in DEFAULT_BUCKETS.into_iter().zip(below) {
                let up_to = |bound| samples.iter().filter(|sample| **sample <= bound).count() as u64;
                let (least, most) = (up_to(bound), up_to(bound * 1.1 + 1e-9));
                prop_assert!((least..=most).contains(&count), "{count} up to {bound}");
            }
        }

        #[test]
        fn intervals_add_up(first in samples(), second in samples()) {
            let registry = Registry::new(1);
            let histogram = registry.scope().histogram_ms("h");
            first.iter().for_each(|sample| histogram.record(*sample));
            registry.flush();
            second.iter().for_each(|sample| histogram.record(*sample));
            registry.flush();
            let reading = registry.select(&query("")).histograms()[0].clone();
            prop_assert_eq!(reading.interval(), recorded(&second));
            prop_assert_eq!(reading.total().count(), (first.len() + second.len()) as u64);
        }
    }

    #[test]
    fn what_is_not_a_number_is_not_counted() {
        let odd = recorded(&[f64::NAN, f64::INFINITY, -1.0, f64::MAX, 1e-300]);
        assert_eq!(odd.count(), 4);
        assert_eq!(odd.quantiles()[0], 0.0);
        assert!(odd.quantiles()[9].is_finite() && odd.sum().is_finite());
        assert!(Registry::new(1).select(&query("")).histograms().is_empty());
        assert_eq!(Buckets::default(), Buckets::Default);
    }
}
