//! What follows the runtime while requests come in: a test for each kind.

mod echo_support;
mod proxy_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use echo_support::Proxy as Echo;
use proxy_support::{Act, Proxy, Upstream};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const ROUTE: &str = "{match: {prefix: /}, route: {cluster: CLUSTER}}";

fn filter(name: &str, message: &str, fields: &str) -> String {
    format!("{{name: {name}, typed_config: {{'@type': EXT/{message}, {fields}}}}},")
}

async fn filtered(filter: &str, route: &str) -> Echo {
    let host = format!("virtual_hosts: [{{name: v, domains: ['*'], routes: [{route}]}}]");
    Echo::with_filters(filter, "", &host).await
}

#[tokio::test]
async fn routes_take_the_fraction_that_the_runtime_says() {
    let fraction = "runtime_fraction: {default_value: {numerator: 0}, runtime_key: canary}";
    let routes =
        format!("{{match: {{prefix: /, {fraction}}}, direct_response: {{status: 299}}}}, {ROUTE}");
    let proxy = filtered("", &routes).await;
    for (value, status) in [
        ("", 200),
        ("100", 299),
        ("%7Bnumerator%3A%201000000%2C%20denominator%3A%20MILLION%7D", 299),
        ("0", 200),
        ("5000", 299),
        ("text", 200),
    ] {
        proxy.admin(&format!("/runtime_modify?canary={value}")).await;
        assert_eq!(proxy.get("/", &[]).await.status, status, "{value}");
    }
}

#[tokio::test]
async fn weights_follow_the_runtime() {
    let clusters = "clusters: [{name: CLUSTER, weight: 1}, {name: empty, weight: 0}]";
    let weighted = |prefix: &str| format!("route: {{weighted_clusters: {{{prefix} {clusters}}}}}");
    let proxy = filtered(
        "",
        &format!("{{match: {{prefix: /}}, {}}}", weighted("runtime_key_prefix: share,")),
    )
    .await;
    for (values, status) in [
        ("a=b", 200),
        // There are no endpoints.
        ("share.CLUSTER=0&share.empty=7", 503),
        // Nobody has a weight.
        ("share.empty=0", 404),
        ("share.CLUSTER=", 200),
    ] {
        proxy.admin(&format!("/runtime_modify?{values}")).await;
        assert_eq!(proxy.get("/", &[]).await.status, status, "{values}");
    }
}

#[tokio::test]
async fn faults_follow_the_runtime() {
    let abort = "abort: {http_status: 418, percentage: {numerator: 0}}";
    let delay = "delay: {fixed_delay: 600s, percentage: {numerator: 0}}";
    let keys = "max_active_faults_runtime: most";
    let fault = filter("fault", "fault.v3.HTTPFault", &format!("{abort}, {delay}, {keys}"));
    let proxy = filtered(&fault, ROUTE).await;
    for (values, status) in [
        ("a=b", 200),
        ("fault.http.abort.abort_percent=100", 418),
        ("fault.http.abort.http_status=503", 503),
        ("fault.http.abort.http_status=42", 418),
        ("most=0", 200),
        ("most=", 418),
        ("fault.http.abort.abort_percent=", 200),
        // The delay that is configured would last for minutes.
        ("fault.http.delay.fixed_delay_percent=100&fault.http.delay.fixed_duration_ms=1", 200),
    ] {
        proxy.admin(&format!("/runtime_modify?{values}")).await;
        assert_eq!(proxy.get("/", &[]).await.status, status, "{values}");
    }
    assert_eq!(proxy.counter("http.test.fault.delays_injected"), 1);
}

#[tokio::test]
async fn cross_origin_policies_follow_the_runtime() {
    let fraction = |numerator: u32, key: &str| {
        format!("{{default_value: {{numerator: {numerator}}}, runtime_key: {key}}}")
    };
    let policy = format!(
        "typed_per_filter_config: {{cors: {{'@type': EXT/cors.v3.CorsPolicy, \
         allow_origin_string_match: [{{exact: 'http://a'}}], \
         filter_enabled: {}, shadow_enabled: {}}}}}",
        fraction(100, "cors.on"),
        fraction(0, "shadow")
    );
    let route = format!("{{match: {{prefix: /}}, route: {{cluster: CLUSTER}}, {policy}}}");
    let filter = "{name: cors, typed_config: {'@type': EXT/cors.v3.Cors}},";
    let proxy = filtered(filter, &route).await;
    let counted = || proxy.counter("http.test.cors.origin_valid");
    for (values, allowed, count) in
        [("a=b", true, 1), ("cors.on=0", false, 1), ("shadow=100", false, 2), ("cors.on=", true, 3)]
    {
        proxy.admin(&format!("/runtime_modify?{values}")).await;
        let answer = proxy.get("/", &["Origin: http://a"]).await;
        let header = answer.header("access-control-allow-origin");
        assert_eq!((header.is_some(), counted()), (allowed, count), "{values}");
    }
}

#[tokio::test]
async fn local_rate_limits_follow_the_runtime() {
    let fraction = |key: &str| format!("{{default_value: {{numerator: 100}}, runtime_key: {key}}}");
    let fields = format!(
        "stat_prefix: l, token_bucket: {{max_tokens: 1, fill_interval: 3600s}}, \
         filter_enabled: {}, filter_enforced: {}",
        fraction("limit.on"),
        fraction("limit.enforced")
    );
    let limit = filter("limit", "local_ratelimit.v3.LocalRateLimit", &fields);
    let proxy = filtered(&limit, ROUTE).await;
    for (values, status, limited) in [
        ("a=b", 200, 0),
        ("a=b", 429, 1),
        ("limit.enforced=0", 200, 2),
        ("limit.on=0", 200, 2),
        ("limit.on=&limit.enforced=", 429, 3),
    ] {
        proxy.admin(&format!("/runtime_modify?{values}")).await;
        assert_eq!(proxy.get("/", &[]).await.status, status, "{values}");
        assert_eq!(proxy.counter("l.http_local_rate_limit.rate_limited"), limited, "{values}");
    }
}

#[tokio::test]
async fn a_cluster_in_maintenance_is_not_asked() {
    let upstream = Upstream::good("a").await;
    let retry = "retry_policy: {retry_on: 5xx, num_retries: 2}";
    let proxy = Proxy::start(&[upstream.address], 1, retry, "").await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    proxy.modify_runtime("upstream.maintenance_mode.service1=100").await;
    let refused = client.get("/").await;
    assert_eq!((refused.status, refused.body.as_str()), (503, "maintenance mode"));
    assert_eq!(refused.headers["x-envoy-overloaded"], "true");
    proxy.until_stat("upstream_rq_maintenance_mode", 1).await;
    proxy.until_stat("upstream_rq_503", 1).await;
    assert_eq!((proxy.stat("upstream_rq_total").await, upstream.requests()), (1, 1));
    proxy.modify_runtime("upstream.maintenance_mode.service1=").await;
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn circuit_breakers_follow_the_runtime() {
    let upstream = Upstream::good("a").await;
    let limits = "circuit_breakers: {thresholds: [{max_requests: 1, track_remaining: true}]}";
    let proxy = Proxy::start(&[upstream.address], 1, "", limits).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    proxy.until_stat("circuit_breakers.default.remaining_rq", 1).await;
    proxy.modify_runtime("circuit_breakers.service1.default.max_requests=0").await;
    assert_eq!(client.get("/").await.status, 503);
    // As in Envoy the gauges are those of the last request that was let in.
    assert_eq!(proxy.stat("circuit_breakers.default.rq_open").await, 0);
    assert_eq!(proxy.stat("circuit_breakers.default.remaining_rq").await, 1);
    proxy.modify_runtime("circuit_breakers.service1.default.max_requests=7").await;
    assert_eq!(client.get("/").await.status, 200);
    proxy.until_stat("circuit_breakers.default.remaining_rq", 7).await;
}

#[tokio::test]
async fn retries_follow_the_runtime() {
    let upstream = Upstream::start("a", |_, _| Act::Answer(503)).await;
    let retry = "retry_policy: {retry_on: 5xx, num_retries: 2}";
    let proxy = Proxy::start(&[upstream.address], 1, retry, "").await;
    let mut client = proxy.client().await;
    for (values, tries) in [("a=b", 3), ("upstream.use_retry=0", 1), ("upstream.use_retry=100", 3)]
    {
        proxy.modify_runtime(values).await;
        let before = upstream.requests();
        assert_eq!(client.get("/").await.status, 503);
        assert_eq!(upstream.requests() - before, tries, "{values}");
    }
}

#[tokio::test]
async fn outlier_detection_follows_the_runtime() {
    let upstream = Upstream::start("a", |_, _| Act::Answer(500)).await;
    let outlier = "outlier_detection: {consecutive_5xx: 100, max_ejection_percent: 100}\n\
                   common_lb_config: {healthy_panic_threshold: {value: 0}}";
    let proxy = Proxy::start(&[upstream.address], 1, "", outlier).await;
    let mut client = proxy.client().await;
    proxy.modify_runtime("outlier_detection.consecutive_5xx=2").await;
    for status in [500, 500, 503] {
        assert_eq!(client.get("/").await.status, status);
    }
    assert_eq!(proxy.health_flags(upstream.address).await, "/failed_outlier_check");
}

#[tokio::test]
async fn panic_follows_the_runtime() {
    let upstream = Upstream::good("a").await;
    let no_panic = "common_lb_config: {healthy_panic_threshold: {value: 0}}\n\
                    health_checks: {timeout: 1s, interval: 3600s, unhealthy_threshold: 1, \
                    healthy_threshold: 1, http_health_check: {path: /, expected_statuses: \
                    [{start: 299, end: 300}]}}";
    let proxy = Proxy::start(&[upstream.address], 1, "", no_panic).await;
    let mut client = proxy.client().await;
    for (value, status) in [("", 503), ("50", 200), ("0", 503)] {
        proxy.modify_runtime(&format!("upstream.healthy_panic_threshold={value}")).await;
        assert_eq!(client.get("/").await.status, status, "{value}");
    }
}

#[tokio::test]
async fn health_checks_follow_the_runtime() {
    let checks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&checks);
    let upstream = Upstream::start("a", move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Act::Answer(200)
    });
    let upstream = upstream.await;
    let check = "health_checks: {timeout: 1s, interval: 3600s, no_traffic_interval: 0.01s, \
                 unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /}}";
    let proxy = Proxy::start(&[upstream.address], 1, "", check).await;
    // From now on each hour. That may not be.
    proxy.modify_runtime("health_check.max_interval=1").await;
    assert_eq!(proxy.client().await.get("/").await.status, 200);
    let before = checks.load(Ordering::SeqCst);
    for _ in 0..500 {
        if checks.load(Ordering::SeqCst) > before + 3 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("there were no more checks");
}

#[tokio::test]
async fn limits_of_listeners_follow_the_runtime() {
    let upstream = Upstream::good("a").await;
    let text = format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}\n\
         layered_runtime: {{layers: [{{name: admin, admin_layer: {{}}}}]}}\n\
         static_resources:\n  listeners:\n  - name: main\n    \
         address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}\n    filter_chains:\n    \
         - filters: [{{name: hcm, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: x, \
         http_filters: [{{name: router, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}], \
         route_config: {{virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]}}}}}}]\n\
         # {}\n",
        upstream.address
    );
    let bootstrap = front_proxy::config::load_str("test", &text).unwrap_or_else(|e| panic!("{e}"));
    let server = front_proxy::server::Server::start(bootstrap, Default::default()).await.unwrap();
    let (_, address) = server.listeners().next().unwrap();
    let admin = server.admin_address().unwrap();
    let set = async |value: &str| {
        let key = "envoy.resource_limits.listener.main.connection_limit";
        let path = format!("/runtime_modify?{key}={value}");
        let mut client = proxy_support::Client::connect(admin).await;
        assert_eq!(client.send("POST", &path, &[], Vec::new()).await.status, 200);
    };
    set("0").await;
    let mut refused = TcpStream::connect(address).await.unwrap();
    let read = refused.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "closed at once: {read:?}");
    set("").await;
    assert_eq!(proxy_support::Client::connect(address).await.get("/").await.status, 200);
    server.shutdown().await;
}
