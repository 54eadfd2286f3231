//! What routes do: header edits, rewrites, answers of their own.

mod echo_support;

use echo_support::Proxy;

#[tokio::test]
async fn headers_are_edited_by_route_then_host_then_table() {
    let edits = |level: &str| {
        format!(
            "request_headers_to_add: [{{header: {{key: x-add, value: {level}}}}}], \
             response_headers_to_add: [{{header: {{key: x-radd, value: {level}}}}}]"
        )
    };
    let routes = format!(
        "virtual_hosts: [{{name: v, domains: ['*'], {}, routes: [\
         {{match: {{prefix: /}}, route: {{cluster: CLUSTER}}, {}, \
         request_headers_to_remove: [x-drop], response_headers_to_remove: [x-rdrop]}}]}}], {}",
        edits("host"),
        edits("route"),
        edits("table")
    );
    let proxy = Proxy::start("", &routes).await;
    let answer = proxy.get("/", &["x-add: own", "x-drop: 1", "x-respond: x-rdrop=1"]).await;
    assert_eq!(answer.seen("x-add").as_deref(), Some("own|route|host|table"));
    assert_eq!(answer.seen("x-drop"), None);
    assert_eq!(answer.header("x-radd").as_deref(), Some("route|host|table"));
    assert_eq!(answer.header("x-rdrop"), None);
    assert_eq!(proxy.get("/", &[]).await.status, 200);
}

#[tokio::test]
async fn header_values_are_made_of_the_request() {
    let routes = "{name: r, match: {prefix: /}, route: {cluster: CLUSTER, prefix_rewrite: /y/}, \
        request_headers_to_add: [{header: {key: x-up, value: \
        '%PROTOCOL% %REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(x-in)% %ROUTE_NAME% \
        %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_CLUSTER%'}}], \
        response_headers_to_add: [{header: {key: x-down, value: \
        '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %REQ(x-in)% %REQ(:PATH)% \
        %UPSTREAM_CLUSTER% %RESP(x-app)%'}}]}";
    let proxy = Proxy::with_routes("", routes).await;
    let lines = ["x-in: hi", "x-respond: x-app=there", "x-forwarded-for: 203.0.113.9"];
    let answer = proxy.get("/a?b", &lines).await;
    assert_eq!(
        answer.seen("x-up").as_deref(),
        Some("HTTP/1.1 GET /a?b front.example hi r 203.0.113.9 CLUSTER")
    );
    assert_eq!(
        answer.header("x-down").as_deref(),
        Some("200 - via_upstream hi /y/a?b CLUSTER there")
    );
}

#[tokio::test]
async fn so_are_those_of_timeouts_and_refused_upgrades() {
    let route = "{name: r, match: {prefix: /}, route: {cluster: CLUSTER}, \
                 response_headers_to_add: [{header: {key: x-route, value: '%ROUTE_NAME%'}}]}";
    let half = "POST / HTTP/1.1\r\nHost: a\r\nx-hang: 1\r\nContent-Length: 8\r\n\r\nabc";
    for limit in [
        "request_timeout: 0.1s",
        "stream_idle_timeout: 0.1s",
        "common_http_protocol_options: {max_stream_duration: 0.1s}",
    ] {
        let proxy = Proxy::with_routes(limit, route).await;
        let answer = proxy.send(half).await;
        assert!(matches!(answer.status, 408 | 504), "{limit}");
        assert_eq!(answer.header("x-route").as_deref(), Some("r"), "{limit}");
    }
    let proxy = Proxy::with_routes("", route).await;
    let answer = proxy.get("/", &["connection: upgrade", "upgrade: other"]).await;
    assert_eq!((answer.status, answer.header("x-route").as_deref()), (403, Some("r")));
}

#[tokio::test]
async fn an_answer_without_a_body_has_no_type() {
    let route = "{match: {prefix: /}, direct_response: {status: 200}, \
                 response_headers_to_add: [{header: {key: content-type, value: a/b}}]}";
    let answer = Proxy::with_routes("", route).await.get("/", &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, None));
}

#[tokio::test]
async fn answers_of_the_proxy_are_edited_too() {
    let add = "response_headers_to_add: [{header: {key: x-why, value: \
               '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%'}}]";
    let routes = format!(
        "{add}, virtual_hosts: [{{name: v, domains: ['*'], routes: [\
         {{match: {{prefix: /empty}}, route: {{cluster: empty}}}}, \
         {{match: {{prefix: /missing}}, route: {{cluster: nobody}}}}, \
         {{match: {{prefix: /direct}}, direct_response: {{status: 200, body: {{inline_string: hi}}}}, \
           response_headers_to_add: [{{header: {{key: content-type, value: text/x}}}}]}}, \
         {{match: {{prefix: /away}}, redirect: {{path_redirect: /x}}}}]}}]"
    );
    let proxy = Proxy::start("", &routes).await;
    for (path, status, why, body) in [
        ("/empty", 503, Some("0 UH no_healthy_upstream"), "no healthy upstream"),
        ("/missing", 503, Some("0 NC cluster_not_found"), ""),
        ("/direct", 200, Some("0 - direct_response"), "hi"),
        ("/away", 301, Some("0 - direct_response"), ""),
        ("/none", 404, None, ""),
    ] {
        let answer = proxy.get(path, &[]).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
        assert_eq!(answer.header("x-why").as_deref(), why, "{path}");
    }
    let direct = proxy.get("/direct", &[]).await;
    assert_eq!(direct.header("content-type").as_deref(), Some("text/x"));
    assert_eq!(proxy.counter("http.test.rq_direct_response"), 3);
    assert_eq!(proxy.counter("http.test.rq_redirect"), 0);
    assert_eq!(proxy.counter("http.test.no_cluster"), 1);

    // HEAD gets the same headers without the body.
    let head = proxy.send("HEAD /direct HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(head.header("content-length").as_deref(), Some("2"));
}

#[tokio::test]
async fn weighted_clusters_have_edits_of_their_own() {
    let cluster = "{name: CLUSTER, weight: 1, request_headers_to_add: \
                   [{header: {key: x-add, value: cluster}}]}";
    let routes = format!(
        "{{match: {{prefix: /}}, route: {{weighted_clusters: {{clusters: [{cluster}]}}}}, \
         request_headers_to_add: [{{header: {{key: x-add, value: route}}}}]}}"
    );
    let proxy = Proxy::with_routes("", &routes).await;
    assert_eq!(proxy.get("/", &[]).await.seen("x-add").as_deref(), Some("cluster|route"));
}

#[tokio::test]
async fn hosts_are_rewritten() {
    let routes = "{match: {prefix: /auto}, route: {cluster: CLUSTER, auto_host_rewrite: true, \
                  append_x_forwarded_host: true}}, \
        {match: {prefix: /header}, route: {cluster: CLUSTER, host_rewrite_header: x-added}, \
         request_headers_to_add: [{header: {key: x-added, value: added.example}}]}, \
        {match: {prefix: /literal}, route: {cluster: CLUSTER, host_rewrite_literal: in.example}}";
    let proxy = Proxy::with_routes("", routes).await;
    for (path, host, forwarded) in [
        ("/auto", "127.0.0.1", Some("front.example")),
        ("/header", "added.example", None),
        ("/literal", "in.example", None),
    ] {
        let answer = proxy.get(path, &[]).await;
        assert_eq!(answer.seen("host").as_deref(), Some(host), "{path}");
        assert_eq!(answer.seen("x-envoy-original-host").as_deref(), Some("front.example"));
        assert_eq!(answer.seen("x-forwarded-host").as_deref(), forwarded, "{path}");
    }
}

#[tokio::test]
async fn a_route_may_keep_its_timeout_to_itself() {
    let routes = "{match: {prefix: /}, route: {cluster: CLUSTER}, \
                  request_headers_to_remove: [x-envoy-expected-rq-timeout-ms]}";
    let proxy = Proxy::with_routes("", routes).await;
    assert_eq!(proxy.get("/", &[]).await.seen("x-envoy-expected-rq-timeout-ms"), None);
}

#[tokio::test]
async fn canaries_are_counted_apart() {
    let proxy = Proxy::with_routes("", "{match: {prefix: /}, route: {cluster: CLUSTER}}").await;
    proxy.get("/", &["x-respond: x-envoy-upstream-canary=true"]).await;
    proxy.get("/", &[]).await;
    assert_eq!(proxy.counter("cluster.CLUSTER.canary.upstream_rq_200"), 1);
    assert_eq!(proxy.counter("cluster.CLUSTER.upstream_rq_200"), 2);
}

#[tokio::test]
async fn a_direct_response_with_a_place_to_go_names_the_request_itself() {
    for (status, want) in [
        (200, None),
        (201, Some("http://front.example/a?b")),
        (302, Some("http://front.example/a?b")),
        (404, None),
    ] {
        let routes = format!("{{match: {{prefix: /}}, direct_response: {{status: {status}}}}}");
        let answer = Proxy::with_routes("", &routes).await.get("/a?b", &[]).await;
        assert_eq!((answer.status, answer.header("location").as_deref()), (status, want));
    }
}

#[tokio::test]
async fn a_host_that_wants_tls_answers_grpc_in_its_words() {
    let routes = "virtual_hosts: [{name: v, domains: ['*'], require_tls: ALL, routes: []}]";
    let proxy = Proxy::start("", routes).await;
    let answer = proxy.get("/a", &[]).await;
    assert_eq!(answer.status, 301);
    let answer = proxy.get("/a", &["content-type: application/grpc"]).await;
    assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("2")));
    assert_eq!(answer.header("location").as_deref(), Some("https://front.example/a"));
}

#[tokio::test]
async fn a_host_that_is_empty_is_no_original() {
    let routes =
        "{match: {prefix: /}, route: {cluster: CLUSTER, host_rewrite_literal: new.example}}";
    let proxy = Proxy::with_routes("", routes).await;
    let answer = proxy.send("GET / HTTP/1.1\r\nhost: \r\n\r\n").await;
    assert_eq!(answer.seen("host").as_deref(), Some("new.example"));
    assert_eq!(answer.seen("x-envoy-original-host"), None);
}

#[tokio::test]
async fn no_edit_takes_the_number_of_tries_away() {
    let routes = "virtual_hosts: [{name: v, domains: ['*'], \
                  include_attempt_count_in_response: true, \
                  response_headers_to_remove: [x-envoy-attempt-count], \
                  routes: [{match: {prefix: /}, route: {cluster: CLUSTER}}]}]";
    let answer = Proxy::start("", routes).await.get("/", &[]).await;
    assert_eq!(answer.header("x-envoy-attempt-count").as_deref(), Some("1"));
}

#[tokio::test]
async fn what_the_router_tells_the_upstream_can_be_taken_away() {
    let routes = "virtual_hosts: [{name: v, domains: ['*'], include_request_attempt_count: true, \
                  routes: [{match: {prefix: /}, request_headers_to_remove: \
                  [x-envoy-attempt-count, x-envoy-expected-rq-timeout-ms], route: {cluster: \
                  CLUSTER, retry_policy: {retry_on: 5xx, per_try_timeout: 3s}}}]}]";
    let answer = Proxy::start("", routes).await.get("/", &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.seen("x-envoy-attempt-count"), None);
    assert_eq!(answer.seen("x-envoy-expected-rq-timeout-ms"), None);
}

#[tokio::test]
async fn appended_lines_join_those_of_headers_that_have_one() {
    let add = "{header: {key: location, value: b}}, {header: {key: x-a, value: b}}";
    let routes = format!(
        "{{match: {{prefix: /}}, route: {{cluster: CLUSTER}}, response_headers_to_add: [{add}]}}"
    );
    let proxy = Proxy::with_routes("", &routes).await;
    let answer = proxy.get("/", &["x-respond: location=a;x-a=a"]).await;
    assert_eq!(answer.header("location").as_deref(), Some("a,b"));
    assert_eq!(answer.header("x-a").as_deref(), Some("a|b"));
}

#[tokio::test]
async fn only_who_balances_by_a_hash_gives_a_cookie_for_it() {
    let routes = "{match: {prefix: /}, route: {cluster: CLUSTER, hash_policy: [{cookie: {name: c, ttl: 9s}}]}}";
    let answer = Proxy::with_routes("", routes).await.get("/", &[]).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
}

#[tokio::test]
async fn the_status_of_the_proxys_own_answers_is_known_to_their_headers() {
    let add = "response_headers_to_add: [{header: {key: x-status, \
               value: '%RESP(:STATUS)% %RESPONSE_CODE%'}}]";
    let routes = format!(
        "virtual_hosts: [{{name: v, domains: ['*'], {add}, \
         include_attempt_count_in_response: true, routes: [\
         {{match: {{path: /moved}}, redirect: {{path_redirect: /x}}}}, \
         {{match: {{path: /late}}, route: {{cluster: CLUSTER, timeout: 0.1s}}}}, \
         {{match: {{prefix: /}}, route: {{cluster: CLUSTER}}}}]}}]"
    );
    let proxy = Proxy::start("", &routes).await;
    let status = async |path, lines: &[&str]| proxy.get(path, lines).await.header("x-status");
    assert_eq!(status("/moved", &[]).await.as_deref(), Some("301 0"));
    assert_eq!(status("/", &[]).await.as_deref(), Some("200 200"));
    assert_eq!(status("/late", &["x-hang: 1"]).await.as_deref(), Some("504 0"));
    let call = ["x-hang: 1", "content-type: application/grpc"];
    assert_eq!(status("/late", &call).await.as_deref(), Some("200 0"), "gRPC's own");
    let late = proxy.get("/late", &["x-hang: 1"]).await;
    assert_eq!(late.header("x-envoy-attempt-count").as_deref(), Some("1"));
}

#[tokio::test]
async fn the_client_is_told_the_request_id_that_the_upstream_got() {
    let edits = "request_headers_to_add: [{header: {key: x-request-id, value: v}}]";
    let routes = format!("{{match: {{prefix: /}}, route: {{cluster: CLUSTER}}, {edits}}}");
    let proxy = Proxy::with_routes("always_set_request_id_in_response: true", &routes).await;
    let answer = proxy.get("/", &["x-request-id: a"]).await;
    assert_eq!(answer.seen("x-request-id").as_deref(), Some("a,v"));
    assert_eq!(answer.header("x-request-id").as_deref(), Some("a,v"));
}

#[tokio::test]
async fn a_host_made_of_the_request_may_be_one_that_no_host_has() {
    let routes = "{match: {prefix: /}, route: {cluster: CLUSTER, host_rewrite_header: x-host}}";
    let proxy = Proxy::with_routes("", routes).await;
    for (given, want) in [("a%20b", "a%20b"), ("b.example", "b.example"), ("", "front.example")] {
        let answer = proxy.get("/", &[&format!("x-host: {given}")]).await;
        assert_eq!(answer.seen("host").as_deref(), Some(want));
    }
}
