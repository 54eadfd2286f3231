//! What the connection manager does to headers, hosts and paths.

mod echo_support;
mod proxy_support;

use echo_support::Proxy;
use proxy_support::{Act, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ALL: &str = "{match: {prefix: /}, route: {cluster: CLUSTER}}";

#[tokio::test]
async fn a_plain_request_gets_three_headers() {
    let proxy = Proxy::with_routes("", ALL).await;
    let answer = proxy.get("/a", &["x-own: 1"]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.seen_line(), "GET /a HTTP/1.1");
    let names: Vec<_> =
        answer.body.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(
        names,
        ["host", "x-own", "x-forwarded-proto", "x-request-id", "x-envoy-expected-rq-timeout-ms"]
    );
    assert_eq!(answer.header("server").as_deref(), Some("envoy"));
    assert!(answer.header("x-envoy-upstream-service-time").is_some());
}

#[tokio::test]
async fn repeated_lines_of_one_line_headers_are_joined() {
    let proxy = Proxy::with_routes("", ALL).await;
    let lines = ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2", "x-a: 1", "x-a: 2"];
    let answer = proxy.get("/", &lines).await;
    assert_eq!(answer.seen("x-forwarded-for").as_deref(), Some("1.1.1.1,2.2.2.2"));
    assert_eq!(answer.seen("x-a").as_deref(), Some("1|2"));
}

#[tokio::test]
async fn repeated_lines_of_answers_are_joined_where_envoy_has_one_line() {
    let proxy = Proxy::with_routes("", ALL).await;
    let answer =
        proxy.get("/", &["x-respond: location=a;location=b;x-a=1;x-a=2;vary=c;vary=d"]).await;
    assert_eq!(answer.header("location").as_deref(), Some("a,b"));
    assert_eq!(answer.header("vary").as_deref(), Some("c,d"));
    assert_eq!(answer.header("x-a").as_deref(), Some("1|2"));
}

#[tokio::test]
async fn answers_of_the_proxy_have_their_headers_in_envoys_order() {
    let proxy = Proxy::with_routes("via: me", "{match: {path: /a}, redirect: {}}").await;
    for (request, status, names) in [
        ("GET /b HTTP/1.1\r\nhost: h\r\n\r\n", 404, "date server via content-length"),
        ("GET /a HTTP/1.1\r\nhost: h\r\n\r\n", 301, "location date server via content-length"),
        ("GARBAGE\r\n\r\n", 400, "content-length content-type date server via connection"),
        ("GET /a#b HTTP/1.1\r\nhost: h\r\n\r\n", 400, "date server via connection content-length"),
    ] {
        let answer = proxy.send(request).await;
        assert_eq!(answer.status, status, "{request}");
        let got: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(got.join(" "), names, "{request}");
        assert_eq!(answer.header("via").as_deref(), Some("me"), "{request}");
    }
}

#[tokio::test]
async fn an_empty_answer_keeps_its_length_in_its_place() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-a: b\r\n\r\n";
    let upstream = Upstream::start("a", move |_, _| Act::Say(answer)).await;
    let proxy = proxy_support::Proxy::start(&[upstream.address], 1, "", "").await;
    let mut client = tokio::net::TcpStream::connect(proxy.address).await.expect("connected");
    let mut answers = String::new();
    for more in ["", "connection: close\r\n"] {
        let request = format!("GET / HTTP/1.1\r\nhost: h\r\n{more}\r\n");
        client.write_all(request.as_bytes()).await.expect("sent");
    }
    client.read_to_string(&mut answers).await.expect("two answers");
    let names: Vec<_> = answers.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    let expected = "content-length x-a x-envoy-upstream-service-time date server";
    assert_eq!(
        names.join(" ").replace(" x-envoy-attempt-count", ""),
        format!("{expected} {expected} connection")
    );
}

#[tokio::test]
async fn a_refused_request_is_one_of_those_that_a_connection_may_have() {
    let manager = "common_http_protocol_options: {max_requests_per_connection: 1}";
    let proxy = Proxy::with_routes(manager, ALL).await;
    assert_eq!(proxy.send("GARBAGE\r\n\r\n").await.status, 400);
    proxy.counts("http.test.downstream_cx_max_requests_reached", 1).await;
}

#[tokio::test]
async fn the_scheme_of_a_whole_url_is_the_requests() {
    let routes = "{match: {path: /a}, redirect: {path_redirect: /b}}";
    let proxy = Proxy::with_routes("", routes).await;
    for (url, want) in [
        ("http://x.example:80/a", "http://x.example:80/b"),
        ("https://x.example:80/a", "https://x.example/b"),
        ("HTTPS://x.example/a", "https://x.example/b"),
    ] {
        let answer = proxy.send(&format!("GET {url} HTTP/1.1\r\nhost: h\r\n\r\n")).await;
        assert_eq!(answer.header("location").as_deref(), Some(want), "{url}");
    }
    let proxy = Proxy::with_routes("", ALL).await;
    let answer = proxy.send("GET https://x.example/a?b HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(answer.seen_line(), "GET /a?b HTTP/1.1");
    assert_eq!(answer.seen("host").as_deref(), Some("x.example"));
    assert_eq!(answer.seen("x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn an_empty_line_leaves_no_comma() {
    let proxy = Proxy::with_routes("", ALL).await;
    let lines = ["x-forwarded-for: ", "x-forwarded-for: 1.1.1.1", "accept: a", "accept: "];
    let answer = proxy.get("/", &lines).await;
    assert_eq!(answer.seen("x-forwarded-for").as_deref(), Some("1.1.1.1"));
    assert_eq!(answer.seen("accept").as_deref(), Some("a"));
}

#[tokio::test]
async fn an_edge_says_where_the_client_is() {
    let proxy = Proxy::with_routes("use_remote_address: true", ALL).await;
    let lines =
        ["x-envoy-external-address: 9.9.9.9", "x-request-id: mine", "x-envoy-internal: true"];
    let answer = proxy.get("/", &lines).await;
    assert_eq!(answer.seen("x-envoy-external-address").as_deref(), Some("127.0.0.1"));
    assert_ne!(answer.seen("x-request-id").as_deref(), Some("mine"));
    assert_eq!(answer.seen("x-envoy-internal"), None);
    assert!(answer.seen("x-forwarded-for").is_some());
}

#[tokio::test]
async fn an_internal_client_controls_the_router() {
    let manager = "use_remote_address: true, internal_address_config: {cidr_ranges: \
                   [{address_prefix: 127.0.0.0, prefix_len: 8}]}";
    let proxy = Proxy::with_routes(manager, ALL).await;
    let lines = ["x-envoy-upstream-rq-timeout-ms: 900", "x-envoy-upstream-alt-stat-name: alt"];
    let answer = proxy.get("/", &lines).await;
    assert_eq!(answer.seen("x-envoy-upstream-alt-stat-name"), None);
    assert_eq!(answer.seen("x-envoy-internal").as_deref(), Some("true"));
    assert_eq!(answer.seen("x-envoy-expected-rq-timeout-ms").as_deref(), Some("900"));
    assert_eq!(answer.seen("x-envoy-upstream-rq-timeout-ms"), None);

    let proxy = Proxy::with_routes("", ALL).await;
    let answer = proxy.get("/", &["x-envoy-upstream-rq-timeout-ms: 900"]).await;
    assert_eq!(answer.seen("x-envoy-expected-rq-timeout-ms").as_deref(), Some("15000"));
}

#[tokio::test]
async fn client_certificates_are_believed_from_nobody_by_default() {
    for (manager, want) in [
        ("", None),
        ("forward_client_cert_details: FORWARD_ONLY", None),
        ("forward_client_cert_details: SANITIZE_SET", None),
        ("forward_client_cert_details: ALWAYS_FORWARD_ONLY", Some("Hash=1")),
    ] {
        let proxy = Proxy::with_routes(manager, ALL).await;
        let answer = proxy.get("/", &["x-forwarded-client-cert: Hash=1"]).await;
        assert_eq!(answer.seen("x-forwarded-client-cert").as_deref(), want, "{manager}");
    }
}

#[tokio::test]
async fn what_the_proxy_says_of_itself() {
    let manager = "via: 1.1 me, add_user_agent: true, always_set_request_id_in_response: true";
    let proxy = Proxy::with_routes(manager, "{match: {path: /a}, route: {cluster: CLUSTER}}").await;
    let answer = proxy.get("/a", &["via: 1.0 other", "x-respond: via=1.1 app"]).await;
    assert_eq!(answer.seen("via").as_deref(), Some("1.0 other, 1.1 me"));
    assert_eq!(answer.seen("x-envoy-downstream-service-cluster").as_deref(), Some(""));
    assert_eq!(answer.header("via").as_deref(), Some("1.1 app, 1.1 me"));
    assert_eq!(answer.header("x-request-id"), answer.seen("x-request-id"));

    // On its own answers too.
    let answer = proxy.get("/none", &["x-request-id: mine"]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-request-id").as_deref(), Some("mine"));
    assert_eq!(answer.header("via").as_deref(), Some("1.1 me"));
}

#[tokio::test]
async fn hosts_lose_their_port_before_routes_are_looked_up() {
    let routes = "virtual_hosts: [{name: v, domains: [a.example], routes: \
                  [{match: {prefix: /}, route: {cluster: CLUSTER}}]}]";
    let proxy = Proxy::start("strip_any_host_port: true", routes).await;
    let get = |host: String| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let answer = proxy.send(&get("a.example:81".into())).await;
    assert_eq!((answer.status, answer.seen("host").as_deref()), (200, Some("a.example")));

    let manager = "strip_matching_host_port: true, strip_trailing_host_dot: true";
    let proxy = Proxy::start(manager, routes).await;
    let own = proxy.send(&get(format!("a.example.:{}", proxy.port()))).await;
    assert_eq!((own.status, own.seen("host").as_deref()), (200, Some("a.example")));
    assert_eq!(proxy.send(&get("a.example:1".into())).await.status, 404);
}

#[tokio::test]
async fn paths_are_normalised_before_routes_are_looked_up() {
    let routes = "{match: {prefix: /admin}, direct_response: {status: 403}}, \
                  {match: {prefix: /}, route: {cluster: CLUSTER}}";
    let manager = "normalize_path: true, merge_slashes: true, \
                   path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD";
    let proxy = Proxy::with_routes(manager, routes).await;
    for path in ["/a/../admin", "/%61dmin", "//admin", "/x%2f..%2fadmin", "/admin"] {
        assert_eq!(proxy.get(path, &[]).await.status, 403, "{path}");
    }
    assert_eq!(proxy.get("/a/./b?c=/../d", &[]).await.seen_line(), "GET /a/b?c=/../d HTTP/1.1");

    // Not asked for, nothing is touched.
    let proxy = Proxy::with_routes("", routes).await;
    assert_eq!(proxy.get("/a/../admin", &[]).await.seen_line(), "GET /a/../admin HTTP/1.1");
}

#[tokio::test]
async fn escaped_slashes_are_refused_or_redirected() {
    let reject = "path_with_escaped_slashes_action: REJECT_REQUEST";
    let proxy = Proxy::with_routes(reject, ALL).await;
    let answer = proxy.get("/a%2Fb", &[]).await;
    assert_eq!((answer.status, answer.header("connection").as_deref()), (400, Some("close")));
    assert_eq!(proxy.counter("http.test.downstream_rq_failed_path_normalization"), 1);

    let redirect = "path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT";
    let proxy = Proxy::with_routes(redirect, ALL).await;
    let answer = proxy.get("/a%2Fb?c=%2F", &[]).await;
    assert_eq!((answer.status, answer.header("connection")), (307, None));
    assert_eq!(answer.header("location").as_deref(), Some("/a/b?c=%2F"));
    assert_eq!(proxy.counter("http.test.downstream_rq_redirected_with_normalized_path"), 1);
}

#[tokio::test]
async fn targets_that_are_no_paths() {
    let proxy = Proxy::with_routes("", ALL).await;
    let answer = proxy.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("connection")), (404, None));
    assert_eq!(proxy.counter("http.test.downstream_rq_non_relative_path"), 1);
    assert_eq!(proxy.counter("http.test.rq_total"), 0);

    let answer = proxy.send("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("connection").as_deref()), (404, Some("close")));
    assert_eq!(proxy.counter("http.test.no_route"), 1);
}

#[tokio::test]
async fn old_clients_are_served_where_wanted() {
    let http1 =
        "http_protocol_options: {accept_http_10: true, default_host_for_http_10: d.example}";
    let proxy = Proxy::with_routes(http1, ALL).await;
    let answer = proxy.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, answer.seen("host").as_deref()), (200, Some("d.example")));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    let answer = proxy.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert_ne!(answer.header("connection").as_deref(), Some("close"));
}

/// Where it does not, hyper would say otherwise to a client that asked for it.
#[tokio::test]
async fn old_clients_are_told_whether_the_connection_stays() {
    let http1 = "http_protocol_options: {accept_http_10: true}";
    let routes = "{match: {path: /}, direct_response: {status: 200, body: {inline_string: hi}}}";
    let proxy = Proxy::with_routes(http1, routes).await;
    let head = "HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n";
    for (request, connection) in [
        (format!("GET / {head}\r\n"), "keep-alive"),
        // An answer without a length, and one that does not wait for the request.
        (format!("GET /none {head}\r\n"), "close"),
        (format!("POST / {head}content-length: 3\r\n\r\nabc"), "close"),
    ] {
        let answer = proxy.send(&request).await;
        let lines = answer.headers.iter().filter(|(name, _)| name == "connection");
        let values: Vec<_> = lines.map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, [connection], "{request}");
    }
}

#[tokio::test]
async fn connection_may_not_nominate_what_the_proxy_vouches_for() {
    let proxy = Proxy::with_routes("", ALL).await;
    let answer = proxy.get("/", &["Connection: close, X-Forwarded-Proto"]).await;
    assert_eq!((answer.status, answer.body.as_str()), (400, "Bad Request"));
    let answer = proxy.get("/", &["Connection: x-own", "x-own: 1"]).await;
    assert_eq!((answer.status, answer.seen("x-own")), (200, None));
}

#[tokio::test]
async fn underscores_are_dropped_or_refused() {
    let options = |action| {
        format!("common_http_protocol_options: {{headers_with_underscores_action: {action}}}")
    };
    let proxy = Proxy::with_routes(&options("DROP_HEADER"), ALL).await;
    let answer = proxy.get("/", &["x_own: 1", "x-own: 2", "connection: close"]).await;
    assert_eq!((answer.seen("x_own"), answer.seen("x-own").as_deref()), (None, Some("2")));
    proxy.counts("http1.dropped_headers_with_underscores", 1).await;

    let proxy = Proxy::with_routes(&options("REJECT_REQUEST"), ALL).await;
    assert_eq!(proxy.get("/", &["x_own: 1"]).await.status, 400);
    proxy.counts("http1.requests_rejected_with_underscores_in_headers", 1).await;
}
