//! Fields that Envoy calls deprecated: they are read, named in the log, and counted as it counts them.

use front_proxy::config::load_str;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, StatValue};

/// Each of them once. Envoy 1.40 names 28 in its log, those of routes twice, and counts 21, for it
/// does not count yet when it reads clusters.
const ALL: &str = r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains: [{filters: [{name: http, typed_config: {
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      stat_prefix: in,
      access_log: [
        {name: a, typed_config: {"@type": &file type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null, format: "x"}},
        {name: b, typed_config: {"@type": *file, path: /dev/null, json_format: {a: b}}},
        {name: d, typed_config: {"@type": *file, path: /dev/null, log_format: {text_format: "x"}}}],
      http_filters: [{name: router, typed_config: {
        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}],
      route_config: {virtual_hosts: [{name: b, domains: ["*"], cors: {allow_methods: GET},
        request_headers_to_add: [{header: {key: a, value: b}, append: true}],
        routes: [
          {match: {prefix: /, headers: [{name: a, exact_match: b}]}, route: {cluster: one, cors: {allow_methods: GET}}},
          {match: {prefix: /, headers: [{name: a, prefix_match: b}]}, route: {cluster: one}},
          {match: {prefix: /, headers: [{name: a, suffix_match: b}]}, route: {cluster: one}},
          {match: {prefix: /, headers: [{name: a, contains_match: b}]}, route: {cluster: one}},
          {match: {prefix: /, headers: [{name: a, safe_regex_match: {regex: b}}]}, route: {cluster: one}},
          {match: {safe_regex: {google_re2: {}, regex: /a}}, route: {cluster: two}}]}]}}}]}]
  clusters:
  - name: one
    type: STATIC
    max_requests_per_connection: 5
    common_http_protocol_options: {}
    http_protocol_options: {}
    dns_refresh_rate: 5s
    respect_dns_ttl: true
    use_tcp_for_dns_lookups: true
  - name: two
    type: STATIC
    http2_protocol_options: {}
"#;

#[tokio::test]
async fn deprecated_fields_are_counted() {
    let bootstrap = load_str("test.yaml", ALL).expect("valid");
    assert_eq!(bootstrap.deprecated.len(), 19);
    let append = bootstrap.deprecated.iter().find(|found| found.field == "append");
    let append = append.expect("the one of headers");
    assert_eq!(append.message, "envoy.config.core.v3.HeaderValueOption");
    assert_eq!(append.place, "test.yaml:15:63");

    let server = Server::start(bootstrap, ServerOptions::default()).await.expect("started");
    let selection = server.stats().select(&Query::default());
    let value = |name: &str| selection.value(name).expect("a stat");
    assert_eq!(value("runtime.deprecated_feature_use"), StatValue::Counter(21));
    let seen = "runtime.deprecated_feature_seen_since_process_start";
    assert_eq!(value(seen), StatValue::Gauge(21));
    server.shutdown().await;
}
