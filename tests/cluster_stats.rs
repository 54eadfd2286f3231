//! The stats of clusters, where Envoy 1.40 was seen to have these values for the same configuration.

mod proxy_support;

use std::net::TcpListener;
use std::time::Duration;

use front_proxy::config::load_str;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, StatValue};
use proxy_support::{Proxy, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A cluster of these groups of endpoints, of which nobody is asked anything.
fn cluster(name: &str, more: &str, groups: &str) -> String {
    format!(
        "  - {{name: {name}, connect_timeout: 1s, {more}, \
         load_assignment: {{cluster_name: {name}, endpoints: [{groups}]}}}}\n"
    )
}

/// Endpoints of a priority, by host, health and weight.
fn group(priority: u32, endpoints: &[(&str, &str, u32)]) -> String {
    let endpoint = |(host, health, weight): &(&str, &str, u32)| {
        format!(
            "{{health_status: {health}, load_balancing_weight: {weight}, endpoint: {{address: \
             {{socket_address: {{address: {host}, port_value: 9}}}}}}}}"
        )
    };
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    format!("{{priority: {priority}, lb_endpoints: [{}]}}", endpoints.join(", "))
}

const A: (&str, &str, u32) = ("127.0.0.1", "HEALTHY", 1);
const B: (&str, &str, u32) = ("127.0.0.2", "HEALTHY", 1);
const C: (&str, &str, u32) = ("127.0.0.3", "HEALTHY", 1);
const SICK: (&str, &str, u32) = ("127.0.0.4", "UNHEALTHY", 1);
const WEAK: (&str, &str, u32) = ("127.0.0.5", "DEGRADED", 1);
const NAMED: (&str, &str, u32) = ("localhost", "HEALTHY", 7);

async fn start(clusters: &str) -> Server {
    let text = format!("static_resources:\n  clusters:\n{clusters}");
    let bootstrap = load_str("test.yaml", &text).expect("valid");
    Server::start(bootstrap, ServerOptions::default()).await.expect("started")
}

/// A number, where it is shown; `None` also where it is not in use and that is asked for.
fn stat(server: &Server, name: &str, used_only: bool) -> Option<u64> {
    let selection = server.stats().select(&Query { used_only, ..Query::default() });
    match selection.value(name)? {
        StatValue::Counter(value) | StatValue::Gauge(value) => Some(value),
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_at_rest() {
    let (fixed, maglev) = ("type: STATIC", "type: STATIC, lb_policy: MAGLEV");
    let ring = "type: STATIC, lb_policy: RING_HASH";
    let dns = "dns_lookup_family: V4_ONLY, dns_refresh_rate: 100s";
    let (strict, logical) =
        (format!("type: STRICT_DNS, {dns}"), format!("type: LOGICAL_DNS, {dns}"));
    let two = format!("{}, {}", group(0, &[A]), group(1, &[A, B]));
    let elsewhere = "{locality: {zone: a}, lb_endpoints: [{endpoint: {address: {socket_address: \
                     {address: 127.0.0.1, port_value: 9}}}}]}";
    let there = elsewhere.replace("zone: a", "zone: b");
    let spare_sick = format!("{}, {}", group(0, &[A, B]), group(1, &[SICK]));
    let spare_weak = format!("{}, {}", group(0, &[A, B, C]), group(1, &[WEAK, B]));
    let clusters = [
        cluster("two", fixed, &two),
        cluster("zones", fixed, &format!("{elsewhere}, {there}")),
        cluster("one", maglev, &group(0, &[A])),
        cluster("panic", maglev, &group(0, &[SICK, ("127.0.0.9", "UNHEALTHY", 1), A])),
        cluster("weak", maglev, &group(0, &[A, B, WEAK])),
        cluster("spare", maglev, &two),
        cluster("spare-sick", maglev, &spare_sick),
        cluster("spare-weak", maglev, &spare_weak),
        cluster("nobody", maglev, &group(0, &[])),
        cluster("ring", ring, &two),
        cluster("no-ring", ring, &group(0, &[])),
        cluster("strict", &strict, &group(0, &[NAMED])),
        cluster("logical", &logical, &group(0, &[NAMED])),
    ];
    let server = start(&clusters.concat()).await;
    for (name, value) in [
        // Each priority is a set of its own, a locality is not.
        ("two.membership_change", Some(2)),
        ("zones.membership_change", Some(1)),
        ("two.max_host_weight", None),
        ("one.maglev_lb.min_entries_per_host", Some(1)),
        ("one.maglev_lb.max_entries_per_host", Some(1)),
        ("panic.maglev_lb.min_entries_per_host", Some(21_845)),
        ("panic.maglev_lb.max_entries_per_host", Some(21_846)),
        // The degraded have a table only here, and are not told of.
        ("weak.maglev_lb.min_entries_per_host", Some(32_768)),
        ("weak.maglev_lb.max_entries_per_host", Some(32_769)),
        // The last priority that has somebody, though it gets nothing.
        ("spare.maglev_lb.min_entries_per_host", Some(32_768)),
        ("spare.maglev_lb.max_entries_per_host", Some(32_769)),
        ("spare-sick.maglev_lb.min_entries_per_host", Some(32_768)),
        ("spare-weak.maglev_lb.min_entries_per_host", Some(1)),
        ("nobody.maglev_lb.min_entries_per_host", None),
        ("nobody.membership_total", Some(0)),
        ("ring.ring_hash_lb.size", Some(1024)),
        ("ring.ring_hash_lb.min_hashes_per_host", Some(512)),
        ("no-ring.ring_hash_lb.size", None),
        ("strict.max_host_weight", Some(7)),
        ("logical.max_host_weight", None),
        ("logical.default.total_match_count", Some(1)),
    ] {
        assert_eq!(stat(&server, &format!("cluster.{name}"), true), value, "{name}");
    }
    assert_eq!(stat(&server, "cluster_manager.cluster_updated", false), Some(0));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_of_0_is_open_from_its_first_use_on() {
    let upstream = Upstream::good("a").await;
    let limits = "circuit_breakers: {thresholds: [{max_connections: 0, max_retries: 0}]}";
    let proxy = Proxy::start(&[upstream.address], 1, "", limits).await;
    assert_eq!(proxy.stat("circuit_breakers.default.cx_open").await, 0);
    // There is always one connection.
    assert_eq!(proxy.client().await.get("/").await.status, 200);
    assert_eq!(proxy.stat("circuit_breakers.default.cx_open").await, 1);
    assert_eq!(proxy.stat("circuit_breakers.default.rq_retry_open").await, 0);
}

/// Every 20 ms, from the start on.
fn checks(more: &str) -> String {
    format!(
        "health_checks:\n- {{timeout: 5s, interval: 0.02s, no_traffic_interval: 0.02s, \
         unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {{path: /healthz{more}}}}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_show_their_codecs_and_what_breaks_them() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    let codec_of = async |more: &str| {
        let proxy = Proxy::start(&[closed], 1, "", &checks(more)).await;
        let http1 = proxy.find_stat("http1.response_flood").await;
        (http1, proxy.find_stat("http2.nghttp2_upstream_connections").await.is_some_and(|n| n > 0))
    };
    assert_eq!(codec_of("").await, (Some(0), false));
    assert_eq!(codec_of(", codec_client_type: HTTP2").await, (None, true));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let rude = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"what do you want?\r\n\r\n").await;
        }
    });
    for more in ["", ", codec_client_type: HTTP2"] {
        let proxy = Proxy::start(&[rude], 1, "", &checks(more)).await;
        let mut broken = 0;
        for _ in 0..2000 {
            broken = proxy.stat("upstream_cx_protocol_error").await;
            if broken > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(broken > 0, "{more}");
        assert_eq!(proxy.stat("upstream_cx_total").await, 0, "nobody's traffic");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_say_when_they_expire() {
    let certificate = |year: i32| {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
    };
    let quoted = |text: &str| format!("\"{}\"", text.replace('\n', "\\n"));
    let (first, second) = (certificate(2090).0, certificate(2080).0);
    let (own, key) = certificate(2070);
    let trusted = quoted(&(first + &second));
    let tls = |name: &str, own: &str| {
        let transport = format!(
            "type: STATIC, transport_socket: {{name: tls, typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
             common_tls_context: {{validation_context: {{trusted_ca: {{inline_string: {trusted}}}}}\
             {own}}}}}}}"
        );
        cluster(name, &transport, &group(0, &[A]))
    };
    let own = format!(
        ", tls_certificates: [{{certificate_chain: {{inline_string: {}}}, private_key: \
         {{inline_string: {}}}}}]",
        quoted(&(own + &certificate(2060).0)),
        quoted(&key),
    );
    let server = start(&[tls("trusting", ""), tls("both", &own)].concat()).await;
    let expires = |cluster: &str, which: &str| {
        let certificate = format!("cluster.{cluster}.ssl.certificate.{which}_e3b0c442");
        stat(&server, &format!("{certificate}.expiration_unix_time_seconds"), false)
    };
    // The first of the bundle to expire, and the certificate itself.
    assert_eq!(expires("trusting", "unnamed_ca_cert"), Some(3_471_292_800));
    assert_eq!(expires("trusting", "unnamed_cert"), None);
    assert_eq!(expires("both", "unnamed_ca_cert"), Some(3_471_292_800));
    assert_eq!(expires("both", "unnamed_cert"), Some(3_155_760_000));
    server.shutdown().await;
}
