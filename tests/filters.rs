//! HTTP filters before the router, and what routes say about them.

mod echo_support;

use echo_support::Proxy;

const ALL: &str = "percentage: {numerator: 100}";

fn fault(name: &str, fields: &str) -> String {
    format!("{{name: {name}, typed_config: {{'@type': EXT/fault.v3.HTTPFault, {fields}}}}},")
}

fn abort(status: u16) -> String {
    format!("abort: {{http_status: {status}, {ALL}}}")
}

fn own(filter: &str, message: &str, fields: &str) -> String {
    format!("typed_per_filter_config: {{{filter}: {{'@type': {message}, {fields}}}}}")
}

const FAULT: &str = "EXT/fault.v3.HTTPFault";
const FILTER_CONFIG: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

#[tokio::test]
async fn the_most_specific_word_about_a_filter_counts() {
    let own = |status| own("f", FAULT, &abort(status));
    let routes = format!(
        "{table}, virtual_hosts: [\
         {{name: own, domains: [own.example], {host}, routes: [\
         {{match: {{prefix: /cluster}}, {route}, route: {{weighted_clusters: {{clusters: [\
           {{name: CLUSTER, weight: 1, {cluster}}}]}}}}}}, \
         {{match: {{prefix: /route}}, {route}, route: {{cluster: CLUSTER}}}}, \
         {{match: {{prefix: /direct}}, {route}, direct_response: {{status: 200}}}}, \
         {{match: {{prefix: /host}}, route: {{cluster: CLUSTER}}}}]}}, \
         {{name: all, domains: ['*'], routes: [\
         {{match: {{prefix: /table}}, route: {{cluster: CLUSTER}}}}]}}]",
        table = own(450),
        host = own(451),
        route = own(452),
        cluster = own(453),
    );
    let proxy = Proxy::with_filters(&fault("f", &abort(418)), "", &routes).await;
    for (host, path, wanted) in [
        ("own.example", "/cluster", 453),
        ("own.example", "/route", 452),
        ("own.example", "/direct", 452),
        ("own.example", "/host", 451),
        ("other.example", "/table", 450),
        // Nothing there is about what no route is for.
        ("other.example", "/nowhere", 418),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(proxy.send(&request).await.status, wanted, "{path}");
    }
    proxy.counts("http.test.fault.aborts_injected", 6).await;
    assert_eq!(proxy.counter("http.test.rq_total"), 0, "the router has seen none of them");
}

#[tokio::test]
async fn a_filter_is_switched_on_and_off_for_routes() {
    let filters = format!(
        "{} {{name: two, disabled: true, typed_config: {{'@type': {FAULT}, {}}}}},",
        fault("one", &abort(418)),
        abort(419)
    );
    let routes = format!(
        "{{match: {{prefix: /off}}, route: {{cluster: CLUSTER}}, {}}}, \
         {{match: {{prefix: /second}}, route: {{cluster: CLUSTER}}, typed_per_filter_config: {{\
           one: {{'@type': {FILTER_CONFIG}, disabled: true}}, \
           two: {{'@type': {FILTER_CONFIG}, config: {{}}}}}}}}, \
         {{match: {{prefix: /}}, route: {{cluster: CLUSTER}}}}",
        own("one", FILTER_CONFIG, "disabled: true"),
    );
    let host = format!("virtual_hosts: [{{name: v, domains: ['*'], routes: [{routes}]}}]");
    let proxy = Proxy::with_filters(&filters, "", &host).await;
    for (path, wanted) in [("/off", 200), ("/second", 419), ("/", 418)] {
        assert_eq!(proxy.get(path, &[]).await.status, wanted, "{path}");
    }
}

fn one_route(route: &str) -> String {
    format!(
        "virtual_hosts: [{{name: v, domains: ['*'], routes: [\
         {{match: {{prefix: /}}, route: {{cluster: CLUSTER}}, {route}}}]}}]"
    )
}

#[tokio::test]
async fn a_fault_may_be_for_one_cluster_only() {
    let filters = fault("f", &format!("{}, upstream_cluster: CLUSTER", abort(418)));
    let routes = "virtual_hosts: [{name: v, domains: ['*'], routes: [\
                  {match: {prefix: /direct}, direct_response: {status: 201}}, \
                  {match: {prefix: /empty}, route: {cluster: empty}}, \
                  {match: {prefix: /}, route: {cluster: CLUSTER}}]}]";
    let proxy = Proxy::with_filters(&filters, "", routes).await;
    for (path, wanted) in [("/direct", 201), ("/empty", 503), ("/", 418)] {
        assert_eq!(proxy.get(path, &[]).await.status, wanted, "{path}");
    }
}

#[tokio::test]
async fn an_answer_to_a_request_that_was_not_read_closes_the_connection() {
    let proxy = Proxy::with_filters(&fault("f", &abort(418)), "", &one_route("name: r")).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(proxy.send(post).await.header("connection").as_deref(), Some("close"));
    assert_eq!(proxy.get("/", &[]).await.header("connection"), None);
}

#[tokio::test]
async fn timeouts_go_on_while_a_filter_keeps_the_request() {
    let delay = format!("delay: {{fixed_delay: 3600s, {ALL}}}");
    let routes = one_route("response_headers_to_add: [{header: {key: x-route, value: yes-it-is}}]");
    let proxy =
        Proxy::with_filters(&fault("f", &delay), "stream_idle_timeout: 0.1s", &routes).await;
    let answer = proxy.get("/", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (504, "stream timeout"));
    assert_eq!(answer.header("x-route").as_deref(), Some("yes-it-is"));
    proxy.counts("http.test.downstream_rq_idle_timeout", 1).await;
    proxy.counts("http.test.fault.active_faults", 0).await;

    let buffer = "{name: b, typed_config: {'@type': EXT/buffer.v3.Buffer, max_request_bytes: 9}},";
    let proxy = Proxy::with_filters(buffer, "request_timeout: 0.1s", &one_route("name: r")).await;
    let half = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabc";
    let answer = proxy.send(half).await;
    assert_eq!((answer.status, answer.body.as_str()), (408, "request timeout"));
    proxy.counts("http.test.downstream_rq_timeout", 1).await;
}

#[tokio::test]
async fn a_buffer_gives_requests_a_length() {
    let buffer = "{name: b, typed_config: {'@type': EXT/buffer.v3.Buffer, max_request_bytes: 9}},";
    let off = own("b", "EXT/buffer.v3.BufferPerRoute", "disabled: true");
    let routes = format!(
        "virtual_hosts: [{{name: v, domains: ['*'], routes: [\
         {{match: {{prefix: /off}}, route: {{cluster: CLUSTER}}, {off}}}, \
         {{match: {{prefix: /}}, route: {{cluster: CLUSTER}}}}]}}]"
    );
    let proxy = Proxy::with_filters(buffer, "", &routes).await;
    let chunked = |path: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             {length:x}\r\n{body}\r\n0\r\n\r\n"
        )
    };
    let answer = proxy.send(&chunked("/", "123456789")).await;
    assert_eq!(answer.seen("content-length").as_deref(), Some("9"));
    assert_eq!(answer.seen("transfer-encoding"), None);

    let answer = proxy.send(&chunked("/", "1234567890")).await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "Payload Too Large"));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    proxy.counts("http.test.downstream_rq_too_large", 1).await;

    let answer = proxy.send(&chunked("/off", "1234567890")).await;
    assert_eq!(answer.seen("transfer-encoding").as_deref(), Some("chunked"));
}

#[tokio::test]
async fn cors_policies_complete_each_other_and_go_with_the_filter() {
    const POLICY: &str = "EXT/cors.v3.CorsPolicy";
    let cors = "{name: c, typed_config: {'@type': EXT/cors.v3.Cors}},";
    let host = "allow_origin_string_match: [{suffix: .example}], allow_methods: PUT, max_age: '9'";
    let routes = format!(
        "virtual_hosts: [{{name: v, domains: ['*'], {}, routes: [\
         {{match: {{prefix: /own}}, route: {{cluster: CLUSTER}}, {}}}, \
         {{match: {{prefix: /direct}}, direct_response: {{status: 201}}}}, \
         {{match: {{prefix: /}}, route: {{cluster: CLUSTER}}}}]}}]",
        own("c", POLICY, host),
        own("c", POLICY, "max_age: '5'"),
    );
    let proxy = Proxy::with_filters(cors, "", &routes).await;
    let preflight = |path: &str| {
        format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\
             Access-Control-Request-Method: PUT\r\n\r\n"
        )
    };
    for (path, age) in [("/own", "5"), ("/", "9")] {
        let answer = proxy.send(&preflight(path)).await;
        assert_eq!(answer.header("access-control-max-age").as_deref(), Some(age));
        assert_eq!(answer.header("access-control-allow-methods").as_deref(), Some("PUT"));
    }
    // Not for routes that forward nothing.
    assert_eq!(proxy.send(&preflight("/direct")).await.status, 201);
    proxy.counts("http.test.cors.origin_valid", 2).await;

    // `cors` of a route counts where nothing is set for the filter, and only with it.
    let old = "virtual_hosts: [{name: v, domains: ['*'], \
               cors: {allow_origin_string_match: [{exact: '*'}]}, routes: [\
               {match: {prefix: /}, route: {cluster: CLUSTER, cors: {allow_credentials: true}}}]}]";
    let origin = ["origin: https://a.example"];
    let answer = Proxy::with_filters(cors, "", old).await.get("/", &origin).await;
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://a.example"));
    assert_eq!(answer.header("access-control-allow-credentials").as_deref(), Some("true"));
    let answer = Proxy::start("", old).await.get("/", &origin).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn routes_of_one_limit_share_its_tokens() {
    const LIMIT: &str = "EXT/local_ratelimit.v3.LocalRateLimit";
    let limit = |prefix: &str, tokens: u32| {
        format!(
            "stat_prefix: {prefix}, token_bucket: {{max_tokens: {tokens}, fill_interval: 3600s}}, \
             filter_enabled: {{default_value: {{numerator: 100}}}}, \
             filter_enforced: {{default_value: {{numerator: 100}}}}, \
             response_headers_to_add: [{{header: {{key: x-limited, value: '%REQ(:PATH)%'}}}}]"
        )
    };
    let filters = format!("{{name: l, typed_config: {{'@type': {LIMIT}, {}}}}},", limit("base", 2));
    let forward = "route: {cluster: CLUSTER}";
    let routes = format!(
        "virtual_hosts: [\
         {{name: own, domains: [own.example], {}, routes: [\
         {{match: {{prefix: /a}}, {forward}}}, {{match: {{prefix: /b}}, {forward}}}]}}, \
         {{name: all, domains: ['*'], routes: [\
         {{match: {{prefix: /a}}, {forward}}}, {{match: {{prefix: /b}}, {forward}}}]}}]",
        own("l", LIMIT, &limit("own", 1)),
    );
    let proxy = Proxy::with_filters(&filters, "", &routes).await;
    let ask = async |host: &str, path: &str| {
        proxy.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    };
    for (host, path, wanted) in [
        ("a.example", "/a", 200),
        ("a.example", "/b", 200),
        ("a.example", "/a", 429),
        ("own.example", "/a", 200),
        ("own.example", "/b", 429),
    ] {
        let answer = ask(host, path).await;
        assert_eq!(answer.status, wanted, "{host}{path}");
        let refused = (wanted == 429).then(|| path.to_owned());
        assert_eq!(answer.header("x-limited"), refused);
    }
    for (name, count) in [("enabled", 3), ("ok", 2), ("rate_limited", 1), ("enforced", 1)] {
        proxy.counts(&format!("base.http_local_rate_limit.{name}"), count).await;
    }
    proxy.counts("own.http_local_rate_limit.enforced", 1).await;
}

#[tokio::test]
async fn a_process_that_was_told_to_fail_fails_its_health_checks() {
    let check = "{name: h, typed_config: {'@type': EXT/health_check.v3.HealthCheck, \
                 pass_through_mode: PASS, \
                 headers: [{name: ':path', string_match: {exact: /healthz}}]}},";
    let proxy =
        Proxy::with_filters(&check.replace("PASS", "false"), "", &one_route("name: r")).await;
    let answer = proxy.get("/healthz", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let whose = answer.header("x-envoy-upstream-healthchecked-cluster");
    assert_eq!(whose.as_deref(), Some("node-cluster"));
    assert_eq!(proxy.get("/other", &[]).await.header("x-envoy-immediate-health-check-fail"), None);

    proxy.admin("/healthcheck/fail").await;
    assert_eq!(proxy.get("/healthz", &[]).await.status, 503);
    let other = proxy.get("/other", &[]).await;
    assert_eq!(other.status, 200);
    assert_eq!(other.header("x-envoy-immediate-health-check-fail").as_deref(), Some("true"));
    proxy.admin("/healthcheck/ok").await;
    assert_eq!(proxy.get("/healthz", &[]).await.status, 200);

    // Checks are counted as such, and not as requests that somebody made.
    for (name, count) in [("request_total", 3), ("ok", 2), ("failed", 1)] {
        proxy.counts(&format!("http.test.health_check.{name}"), count).await;
    }
    proxy.counts("http.test.tracing.health_check", 3).await;
    proxy.counts("http.test.downstream_rq_total", 5).await;
    proxy.counts("http.test.downstream_rq_completed", 2).await;

    let proxy =
        Proxy::with_filters(&check.replace("PASS", "true"), "", &one_route("name: r")).await;
    assert!(proxy.get("/healthz", &[]).await.seen_line().starts_with("GET /healthz "));
    proxy.counts("cluster.CLUSTER.upstream_rq_total", 1).await;
    assert_eq!(proxy.counter("cluster.CLUSTER.upstream_rq_completed"), 0);
}

#[tokio::test]
async fn what_is_told_of_a_request_is_what_went_upstream_behind_filters_too() {
    let filter =
        "{name: buffer, typed_config: {'@type': EXT/buffer.v3.Buffer, max_request_bytes: 9}},";
    let route = "{match: {prefix: /}, route: {cluster: CLUSTER, prefix_rewrite: /new, \
                 host_rewrite_literal: new.example}, response_headers_to_add: \
                 [{header: {key: x-told, value: '%REQ(:AUTHORITY)% %REQ(:PATH)%'}}]}";
    for filters in ["", filter] {
        let routes = format!("virtual_hosts: [{{name: v, domains: ['*'], routes: [{route}]}}]");
        let answer = Proxy::with_filters(filters, "", &routes).await.get("/a", &[]).await;
        assert_eq!(answer.header("x-told").as_deref(), Some("new.example /newa"), "{filters}");
    }
}
