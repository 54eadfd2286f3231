//! `stats_config`, `stats_sinks` and `stats_flush_*` of a bootstrap: how they are read, and what a
//! running proxy makes of them. The datagrams are those that Envoy 1.40 sent for the same requests.

mod proxy_support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use front_proxy::config::load_str;
use front_proxy::config::model::StatsFlush;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::StatsdOptions;
use proxy_support::{Client, Upstream};
use tokio::net::UdpSocket;

/// Each mistake on a line: `line:column message (help)`.
fn mistakes(text: &str) -> Vec<String> {
    let Err(errors) = load_str("f.yaml", text) else { return Vec::new() };
    let shown = errors.iter().map(|e| {
        let place =
            e.place().map_or(String::new(), |(_, line, column)| format!("{line}:{column} "));
        let help = e.suggestion().map_or(String::new(), |help| format!(" ({help})"));
        format!("{place}{}{help}", e.message())
    });
    shown.collect()
}

fn sink(kind: &str, fields: &str) -> String {
    let package = "type.googleapis.com/envoy.config.metrics.v3";
    format!("stats_sinks: [{{name: s, typed_config: {{'@type': {package}.{kind}, {fields}}}}}]\n")
}

#[test]
fn mistakes_are_refused_with_their_places() {
    let tag = |tag: &str| format!("stats_config: {{stats_tags: [{tag}]}}");
    let buckets = |buckets: &str| {
        format!(
            "stats_config: {{histogram_bucket_settings: [{{match: {{prefix: a}}, {buckets}}}]}}"
        )
    };
    let at = "address: {socket_address: {address: 127.0.0.1, port_value: 8125}}";
    let cases = [
        (
            "stats_flush_interval: 300s".to_owned(),
            "1:23 `stats_flush_interval` must be from 0.001s to less than 300s",
        ),
        (
            "stats_flush_on_admin: false".to_owned(),
            "1:23 `stats_flush_on_admin` can only be `true` (leave it out)",
        ),
        (
            "stats_flush_on_admin: true\nstats_flush_interval: 1s".to_owned(),
            "1:1 `stats_flush_on_admin` can't be given with `stats_flush_interval` (only one of \
             `stats_flush_interval` or `stats_flush_on_admin` may be set)",
        ),
        (tag("{tag_name: a}"), "1:29 `a` is none of Envoy's own tags, so it needs a `regex`"),
        (tag("{regex: (a)}"), "1:29 `tag_name` is required in `TagSpecifier`"),
        (
            tag("{tag_name: a, regex: b}"),
            "1:50 the regular expression has no group, so it finds no tag (its first group is left \
             out of the name, its second is the value)",
        ),
        (
            tag("{tag_name: a, regex: (}"),
            "1:50 this regular expression is not valid: unclosed group (no look-around and no \
             back-references are supported)",
        ),
        (
            "stats_config: {stats_matcher: {}}".to_owned(),
            "1:31 `StatsMatcher` needs one of `reject_all`, `exclusion_list` or `inclusion_list`",
        ),
        (
            "stats_config: {stats_matcher: {inclusion_list: {patterns: []}}}".to_owned(),
            "1:48 `patterns` is required in `ListStringMatcher`",
        ),
        (buckets("buckets: [0]"), "1:75 a bucket's bound must be a number above 0"),
        (buckets("buckets: [2, 2]"), "1:78 the bound 2 is given twice"),
        (buckets("bins: 7"), "1:65 `bins` is not supported yet"),
        (
            sink("StatsdSink", "tcp_cluster_name: c"),
            "1:105 `tcp_cluster_name` is not supported yet",
        ),
        (sink("StatsdSink", "prefix: p"), "1:39 `address` is required in `StatsdSink`"),
        (
            sink("DogStatsdSink", &format!("{at}, max_bytes_per_datagram: 0")),
            "1:199 `max_bytes_per_datagram` must be at least 1, not 0",
        ),
        (
            sink("MetricsServiceConfig", ""),
            "1:49 `MetricsServiceConfig` is not supported yet as a stats sink \
             (`envoy.config.metrics.v3.MetricsServiceConfig`) (supported here: `StatsdSink` or \
             `DogStatsdSink`)",
        ),
    ];
    for (text, mistake) in cases {
        assert_eq!(mistakes(&text), [mistake], "{text}");
    }
}

#[test]
fn values_are_read_with_envoys_defaults() {
    let load = |text: &str| load_str("f.yaml", text).expect("valid");
    assert_eq!(load("{}").stats_flush, StatsFlush::Every(Duration::from_secs(5)));
    let quick = load("stats_flush_interval: 0.001s").stats_flush;
    assert_eq!(quick, StatsFlush::Every(Duration::from_millis(1)));
    assert_eq!(load("stats_flush_on_admin: true").stats_flush, StatsFlush::OnAdmin);

    let at = "address: {socket_address: {protocol: UDP, address: 127.0.0.1, port_value: 8125}}";
    let address = SocketAddr::from(([127, 0, 0, 1], 8125));
    assert_eq!(load(&sink("StatsdSink", at)).stats_sinks, [StatsdOptions::new(address)]);
    let fields = format!("{at}, prefix: p, max_bytes_per_datagram: 1432");
    assert_eq!(
        load(&sink("DogStatsdSink", &fields)).stats_sinks,
        [StatsdOptions {
            prefix: "p".to_owned(),
            tags: true,
            max_bytes_per_datagram: Some(1432),
            ..StatsdOptions::new(address)
        }]
    );
}

/// A proxy with one cluster, and `stats` at the top of its bootstrap.
async fn start(stats: &str, upstream: SocketAddr) -> Server {
    let bootstrap = format!(
        "{stats}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  listeners:
  - name: main
    stat_prefix: main
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains: [{{filters: [{{name: http, typed_config: {{
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      stat_prefix: ingress_http,
      http_filters: [{{name: router, typed_config: {{
        '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}],
      route_config: {{virtual_hosts: [{{name: all, domains: ['*'], routes: [
        {{match: {{prefix: /}}, route: {{cluster: service1}}}}]}}]}}}}}}]}}]
  clusters:
  - name: service1
    load_assignment: {{cluster_name: service1, endpoints: [{{lb_endpoints: [{{endpoint: {{address:
      {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]}}
",
        upstream.ip(),
        upstream.port(),
    );
    let bootstrap = load_str("test.yaml", &bootstrap).expect("valid");
    Server::start(bootstrap, ServerOptions::default()).await.expect("started")
}

async fn send(server: &Server, requests: usize) {
    let (_, address) = server.listeners().next().expect("a listener");
    let mut client = Client::connect(address).await;
    for _ in 0..requests {
        assert_eq!(client.get("/").await.status, 200);
    }
}

async fn page(server: &Server, path: &str) -> String {
    let admin = server.admin_address().expect("an admin address");
    Client::connect(admin).await.get(path).await.body
}

/// Collects datagrams until `line` has come in one of them.
async fn datagrams_until(socket: &UdpSocket, line: &str) -> Vec<String> {
    let mut datagrams = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        let read = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut buffer));
        let read = read.await.expect("a datagram").expect("received");
        let datagram = String::from_utf8(buffer[..read].to_vec()).expect("text");
        let found = datagram.lines().any(|found| found == line);
        datagrams.push(datagram);
        if found {
            return datagrams;
        }
    }
}

async fn listening(kind: &str, fields: &str) -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let port = socket.local_addr().expect("an address").port();
    let address =
        format!("address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}{fields}");
    (socket, sink(kind, &address))
}

#[tokio::test(flavor = "multi_thread")]
async fn statsd_is_told_of_whole_names_line_by_line() {
    let upstream = Upstream::good("a").await;
    let (socket, sink) = listening("StatsdSink", "").await;
    let server = start(&format!("{sink}stats_flush_on_admin: true"), upstream.address).await;
    send(&server, 3).await;
    page(&server, "/stats").await;
    let first = datagrams_until(&socket, "envoy.http.ingress_http.rq_total:3|c").await;
    assert!(first.iter().all(|datagram| datagram.lines().count() == 1), "{first:?}");
    for line in [
        "envoy.cluster.service1.upstream_rq_200:3|c",
        "envoy.cluster.service1.external.upstream_rq_2xx:3|c",
        "envoy.cluster.service1.membership_total:1|g",
        "envoy.http.ingress_http.downstream_rq_total:3|c",
    ] {
        assert!(first.iter().any(|datagram| datagram == line), "{line}: {first:?}");
    }
    // What was never used is not told.
    assert!(!first.iter().any(|datagram| datagram.contains("upstream_rq_retry:")), "{first:?}");
    let live = datagrams_until(&socket, "envoy.server.live:1|g").await;
    assert!(!live.is_empty());

    // The next time only what has come since.
    send(&server, 1).await;
    page(&server, "/stats").await;
    datagrams_until(&socket, "envoy.http.ingress_http.rq_total:1|c").await;
    // A reset loses nothing.
    send(&server, 2).await;
    let admin = server.admin_address().expect("an admin address");
    let mut client = Client::connect(admin).await;
    client.send("POST", "/reset_counters", &[], Vec::new()).await;
    page(&server, "/stats").await;
    datagrams_until(&socket, "envoy.http.ingress_http.rq_total:2|c").await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dogstatsd_is_told_of_tags_in_full_datagrams() {
    let upstream = Upstream::good("a").await;
    let (socket, sink) =
        listening("DogStatsdSink", ", prefix: p, max_bytes_per_datagram: 400").await;
    let stats = format!(
        "{sink}stats_flush_interval: 0.05s
stats_config: {{stats_tags: [{{tag_name: region, fixed_value: eu}}]}}"
    );
    let server = start(&stats, upstream.address).await;
    send(&server, 2).await;
    let line = "p.http.rq_total:2|c|#region:eu,envoy.http_conn_manager_prefix:ingress_http";
    let mut datagrams = datagrams_until(&socket, line).await;
    let live = "p.server.live:1|g|#region:eu";
    datagrams.extend(datagrams_until(&socket, live).await);
    let lines = datagrams.iter().flat_map(|datagram| datagram.lines()).collect::<BTreeSet<_>>();
    for line in [
        "p.cluster.upstream_rq:2|c|#envoy.response_code:200,region:eu,envoy.cluster_name:service1",
        "p.listener.worker_downstream_cx_total:1|c|#envoy.worker_id:0,region:eu,envoy.listener_address:main",
    ] {
        assert!(lines.contains(line), "{line}: {lines:?}");
    }
    assert!(datagrams.iter().all(|datagram| datagram.len() <= 400));
    assert!(datagrams.iter().any(|datagram| datagram.lines().count() > 1));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_matcher_takes_is_there() {
    let upstream = Upstream::good("a").await;
    let stats = "stats_config: {stats_matcher: {inclusion_list: {patterns: [
        {suffix: upstream_rq_total}, {exact: server.live}]}}}";
    let server = start(stats, upstream.address).await;
    send(&server, 2).await;
    let live = "cluster.service1.upstream_rq_total: 2\nserver.live: 1\n";
    assert_eq!(page(&server, "/stats").await, live);
    server.shutdown().await;

    let server = start("stats_config: {stats_matcher: {reject_all: true}}", upstream.address).await;
    send(&server, 1).await;
    assert_eq!(page(&server, "/stats").await, "");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_tags_are_those_that_were_asked_for() {
    let upstream = Upstream::good("a").await;
    let stats = "stats_config: {
        use_all_default_tags: false,
        stats_tags: [{tag_name: envoy.response_code}],
        histogram_bucket_settings: [
          {match: {suffix: .upstream_rq_time}, buckets: [600000, 300000]}]}";
    let server = start(stats, upstream.address).await;
    send(&server, 1).await;
    let page = page(&server, "/stats/prometheus?filter=service1.upstream_rq_(200|2xx|time$)").await;
    let histogram = page.split_once("_sum{}").expect("a sum").0;
    assert_eq!(
        histogram,
        "# TYPE envoy_cluster_service1_upstream_rq counter
envoy_cluster_service1_upstream_rq{envoy_response_code=\"200\"} 1
# TYPE envoy_cluster_service1_upstream_rq_2xx counter
envoy_cluster_service1_upstream_rq_2xx{} 1
# TYPE envoy_cluster_service1_upstream_rq_time histogram
envoy_cluster_service1_upstream_rq_time_bucket{le=\"300000\"} 1
envoy_cluster_service1_upstream_rq_time_bucket{le=\"600000\"} 1
envoy_cluster_service1_upstream_rq_time_bucket{le=\"+Inf\"} 1
envoy_cluster_service1_upstream_rq_time"
    );
    server.shutdown().await;
}

/// As Envoy 1.40 was seen to count.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_failed_had_no_requests() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = gone.local_addr().expect("an address");
    drop(gone);
    let server = start("", dead).await;
    let (_, address) = server.listeners().next().expect("a listener");
    assert_eq!(Client::connect(address).await.get("/").await.status, 503);
    let stats = page(&server, "/stats").await;
    for line in [
        "cluster.service1.max_host_weight: 0",
        "cluster.service1.upstream_cx_connect_fail: 1",
        "cluster.service1.upstream_cx_destroy: 1",
        "cluster.service1.upstream_rq_per_cx: No recorded values",
        "runtime.load_success: 2",
    ] {
        assert!(stats.lines().any(|found| found == line), "{line}: {stats}");
    }
    let accepted = page(&server, "/stats/prometheus?filter=accepted_per_socket_event").await;
    let sum = "envoy_listener_connections_accepted_per_socket_event_count\
               {envoy_listener_address=\"main\"} 1";
    assert!(accepted.lines().any(|line| line == sum), "{accepted}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_were_left_out_are_counted() {
    let text = "{node: {nonsense: 1}, rubbish: 2, admin: {address: {socket_address: \
                {address: 127.0.0.1, port_value: 0}}}}";
    let loader = front_proxy::config::Loader::new().text("f.yaml", text);
    let bootstrap = loader.allow_unknown_fields(true).load().expect("valid");
    assert_eq!(bootstrap.source.0.get("rubbish"), None);
    let server = Server::start(bootstrap, ServerOptions::default()).await.expect("started");
    let stats = page(&server, "/stats?filter=static_unknown_fields").await;
    assert_eq!(stats, "server.static_unknown_fields: 2\n");
    server.shutdown().await;
}
