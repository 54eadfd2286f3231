//! The admin app over a real socket and through `oneshot`: texts, codes, headers, shapes.

mod admin_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use admin_support::{Page, engine, get, post, request, shape};
use front_proxy::admin::{AdminHandle, AdminState, router, router_with, serve};
use front_proxy::server::{Command, Server, ServerOptions};
use front_proxy::stats::{Query, Registry, StatValue};
use http::{Method, StatusCode};

#[tokio::test]
async fn every_answer_has_envoys_headers() {
    let (app, _) = engine();
    for (path, content_type) in [
        ("/ready", "text/plain; charset=UTF-8"),
        ("/nope", "text/plain; charset=UTF-8"),
        ("/quitquitquit", "text/plain; charset=UTF-8"),
        ("/stats?filter=[", "text/plain; charset=UTF-8"),
        ("/stats/prometheus", "text/plain; charset=UTF-8"),
        ("/stats?format=json", "application/json"),
        ("/server_info", "application/json"),
        ("/clusters?format=json", "application/json"),
        ("/stats?format=html", "text/html; charset=UTF-8"),
        ("/", "text/html; charset=UTF-8"),
    ] {
        let page = get(&app, path).await;
        assert_eq!(page.header("content-type"), content_type, "{path}");
        assert_eq!(page.header("cache-control"), "no-cache, max-age=0", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("server"), "envoy", "{path}");
        assert!(page.header("date").ends_with(" GMT"), "{path}");
        assert!(!page.headers.contains_key("content-length"), "{path}");
    }
}

#[tokio::test]
async fn what_changes_something_is_posted() {
    let (app, control) = engine();
    for path in [
        "/allocprofiler",
        "/cpuprofiler",
        "/drain_listeners",
        "/healthcheck/fail",
        "/healthcheck/ok",
        "/heapprofiler",
        "/logging",
        "/quitquitquit",
        "/reopen_logs",
        "/reset_counters",
        "/runtime_modify",
        "/stats/recentlookups/clear",
        "/stats/recentlookups/disable",
        "/stats/recentlookups/enable",
    ] {
        let page = get(&app, path).await;
        assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(page.body, "Method GET not allowed, POST required.", "{path}");
        let delete = request(&app, Method::DELETE, path, &[], "").await;
        assert_eq!(delete.body, "Method DELETE not allowed, POST required.", "{path}");
    }
    assert_eq!(control.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn pages_that_only_show_take_any_method() {
    let (app, _) = engine();
    for method in [Method::GET, Method::POST, Method::PUT, Method::OPTIONS] {
        let page = request(&app, method, "/ready", &[], "").await;
        assert_eq!((page.status, page.body.as_str()), (StatusCode::OK, "LIVE\n"));
    }
    let head = request(&app, Method::HEAD, "/ready", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn levers_do_what_they_say() {
    let (app, control) = engine();
    for (path, call) in [
        ("/drain_listeners", "drain graceful=false inbound=false skip=false"),
        ("/drain_listeners?graceful&inboundonly", "drain graceful=true inbound=true skip=false"),
        ("/drain_listeners?skip_exit", "drain graceful=false inbound=false skip=true"),
        ("/reopen_logs", "reopen"),
        ("/quitquitquit", "quit"),
    ] {
        let page = post(&app, path).await;
        assert_eq!((page.status, page.body.as_str()), (StatusCode::OK, "OK\n"), "{path}");
        assert_eq!(control.calls().last().map(String::as_str), Some(call));
    }
}

#[tokio::test]
async fn failing_health_checks_shows_everywhere() {
    let (app, _) = engine();
    assert_eq!(post(&app, "/healthcheck/fail").await.body, "OK\n");
    let ready = get(&app, "/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.body, "DRAINING\n");
    assert!(get(&app, "/server_info").await.body.contains("\n \"state\": \"DRAINING\",\n"));
    let stats = get(&app, "/stats?filter=server.(live|state)$").await.body;
    assert_eq!(stats, "server.live: 0\nserver.state: 1\n");
    assert_eq!(post(&app, "/healthcheck/ok").await.body, "OK\n");
    assert_eq!(get(&app, "/ready").await.body, "LIVE\n");
}

#[tokio::test]
async fn unknown_paths_get_the_help() {
    let (app, _) = engine();
    let help = get(&app, "/help").await.body;
    for path in ["/nope", "/ready/", "/healthcheck", "/stats/"] {
        let page = get(&app, path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(page.body, format!("invalid path. {help}"), "{path}");
    }
}

#[tokio::test]
async fn help_lists_every_command_in_envoys_form() {
    let (app, _) = engine();
    let help = get(&app, "/help").await.body;
    let mut lines = help.lines();
    assert_eq!(lines.next(), Some("admin commands are:"));
    let line = regex::Regex::new(r"^  (/\S*)( \(POST\))?: \S.*$|^      \w+: \S.*$").expect("valid");
    let (mut shown, mut posted) = (Vec::new(), Vec::new());
    for text in lines {
        let found = line.captures(text).unwrap_or_else(|| panic!("{text}"));
        let Some(path) = found.get(1) else { continue };
        let list = if found.get(2).is_some() { &mut posted } else { &mut shown };
        list.push(path.as_str());
    }
    let expected = [
        "/",
        "/certs",
        "/clusters",
        "/config_dump",
        "/contention",
        "/heap_dump",
        "/help",
        "/hot_restart_version",
        "/init_dump",
        "/listeners",
        "/memory",
        "/memory/tcmalloc",
        "/peak_heap_dump",
        "/ready",
        "/runtime",
        "/server_info",
        "/stats",
        "/stats/prometheus",
        "/stats/recentlookups",
    ];
    assert_eq!(shown, expected);
    assert_eq!(posted.len(), 14);
    for path in shown {
        assert_ne!(get(&app, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_home_page_links_below_its_mount() {
    let (app, _) = engine();
    let home = get(&app, "/").await.body;
    assert!(home.contains("<title>Envoy Admin</title>"));
    assert!(home.contains("<base href=\"./\">"));
    for name in ["server_info", "stats", "clusters", "listeners"] {
        assert!(home.contains(name));
    }
    // With the slash, too, where all below the path goes to the pages.
    let below = axum::Router::new().nest_service("/proxy", app.clone());
    assert!(get(&below, "/proxy/").await.body.contains("<base href=\"./\">"));
    assert!(get(&below, "/proxy").await.body.contains("<base href=\"./proxy/\">"));
    assert_eq!(get(&below, "/proxy/nope").await.status, StatusCode::NOT_FOUND);
    let mounted = axum::Router::new().nest("/proxy", app);
    assert_eq!(get(&mounted, "/proxy/ready").await.body, "LIVE\n");
    assert!(get(&mounted, "/proxy").await.body.contains("<base href=\"./proxy/\">"));
    assert_eq!(get(&mounted, "/proxy/nope").await.status, StatusCode::NOT_FOUND);
    // As deep as it may be, and behind a proxy that has taken a part of the path.
    let deep = axum::Router::new().nest("/a", axum::Router::new().nest("/b:c", mounted));
    assert!(get(&deep, "/a/b:c/proxy").await.body.contains("<base href=\"./proxy/\">"));
    assert_eq!(get(&deep, "/a/b:c/proxy/ready").await.body, "LIVE\n");
}

#[tokio::test]
async fn clusters_as_text() {
    let (app, _) = engine();
    let expected = "\
service1::observability_name::service1
service1::default_priority::max_connections::1024
service1::default_priority::max_pending_requests::1024
service1::default_priority::max_requests::1024
service1::default_priority::max_retries::3
service1::high_priority::max_connections::1024
service1::high_priority::max_pending_requests::1024
service1::high_priority::max_requests::1024
service1::high_priority::max_retries::3
service1::added_via_api::false
service1::127.0.0.1:8080::cx_active::1
service1::127.0.0.1:8080::cx_connect_fail::0
service1::127.0.0.1:8080::cx_total::2
service1::127.0.0.1:8080::rq_active::0
service1::127.0.0.1:8080::rq_error::1
service1::127.0.0.1:8080::rq_pending_active::0
service1::127.0.0.1:8080::rq_success::3
service1::127.0.0.1:8080::rq_timeout::0
service1::127.0.0.1:8080::rq_total::4
service1::127.0.0.1:8080::hostname::127.0.0.1
service1::127.0.0.1:8080::health_flags::healthy
service1::127.0.0.1:8080::weight::1
service1::127.0.0.1:8080::region::
service1::127.0.0.1:8080::zone::
service1::127.0.0.1:8080::sub_zone::
service1::127.0.0.1:8080::canary::false
service1::127.0.0.1:8080::priority::0
service1::127.0.0.1:8080::success_rate::-1
service1::127.0.0.1:8080::local_origin_success_rate::-1
";
    assert_eq!(get(&app, "/clusters?filter=^service1$").await.body, expected);
    let second = get(&app, "/clusters?filter=service2").await.body;
    assert!(second.contains("\nservice2::outlier::success_rate_average::-1\n"));
    assert!(second.contains("\nservice2::[::1]:81::region::r\n"));
    let flags = "\nservice2::[::1]:81::health_flags::/failed_active_hc/failed_outlier_check\n";
    assert!(second.contains(flags));
    let bad = get(&app, "/clusters?filter=[").await;
    assert_eq!((bad.status, bad.body.as_str()), (StatusCode::BAD_REQUEST, "Invalid re2 regex"));
}

#[tokio::test]
async fn clusters_as_json_leave_defaults_out() {
    let (app, _) = engine();
    let page = get(&app, "/clusters?format=json").await.json();
    let expected = [
        ".cluster_statuses: array",
        ".cluster_statuses[].circuit_breakers.thresholds: array",
        ".cluster_statuses[].circuit_breakers.thresholds[].max_connections: number",
        ".cluster_statuses[].circuit_breakers.thresholds[].max_pending_requests: number",
        ".cluster_statuses[].circuit_breakers.thresholds[].max_requests: number",
        ".cluster_statuses[].circuit_breakers.thresholds[].max_retries: number",
        ".cluster_statuses[].circuit_breakers.thresholds[].priority: string",
        ".cluster_statuses[].circuit_breakers.thresholds[]: object",
        ".cluster_statuses[].circuit_breakers: object",
        ".cluster_statuses[].host_statuses: array",
        ".cluster_statuses[].host_statuses[].address.socket_address.address: string",
        ".cluster_statuses[].host_statuses[].address.socket_address.port_value: number",
        ".cluster_statuses[].host_statuses[].address.socket_address: object",
        ".cluster_statuses[].host_statuses[].address: object",
        ".cluster_statuses[].host_statuses[].health_status.eds_health_status: string",
        ".cluster_statuses[].host_statuses[].health_status.failed_active_health_check: bool",
        ".cluster_statuses[].host_statuses[].health_status.failed_outlier_check: bool",
        ".cluster_statuses[].host_statuses[].health_status: object",
        ".cluster_statuses[].host_statuses[].hostname: string",
        ".cluster_statuses[].host_statuses[].locality.region: string",
        ".cluster_statuses[].host_statuses[].locality: object",
        ".cluster_statuses[].host_statuses[].stats: array",
        ".cluster_statuses[].host_statuses[].stats[].name: string",
        ".cluster_statuses[].host_statuses[].stats[].type: string",
        ".cluster_statuses[].host_statuses[].stats[].value: string",
        ".cluster_statuses[].host_statuses[].stats[]: object",
        ".cluster_statuses[].host_statuses[].weight: number",
        ".cluster_statuses[].host_statuses[]: object",
        ".cluster_statuses[].name: string",
        ".cluster_statuses[].observability_name: string",
        ".cluster_statuses[]: object",
        ": object",
    ];
    assert_eq!(shape(&page), expected);
    let first = &page["cluster_statuses"][0]["host_statuses"][0]["stats"];
    assert_eq!(first[0], serde_json::json!({ "name": "cx_connect_fail" }));
    let gauge = serde_json::json!({ "type": "GAUGE", "value": "1", "name": "cx_active" });
    assert_eq!(first[6], gauge);
}

#[tokio::test]
async fn listeners_as_text_and_json() {
    let (app, _) = engine();
    let text = get(&app, "/listeners").await.body;
    assert_eq!(text, "main::127.0.0.1:10000\nsecond::[::1]:10001\n");
    let json = get(&app, "/listeners?format=json").await.json();
    let second = serde_json::json!({
        "name": "second",
        "local_address": { "socket_address": { "address": "::1", "port_value": 10001 } },
    });
    assert_eq!(json["listener_statuses"][1], second);
    let nothing = router(AdminState::new(Registry::new(1)));
    assert_eq!(get(&nothing, "/listeners?format=json").await.body, "{}\n");
}

#[tokio::test]
async fn server_info_has_envoys_keys() {
    let (app, _) = engine();
    let page = get(&app, "/server_info").await;
    let version = regex::Regex::new(
        "\n \"version\": \"[0-9a-f]{40}/\\d+\\.\\d+\\.\\d+(-dev)?/\\w+/\\w+/\\w+\",\n",
    );
    assert!(version.expect("valid").is_match(&page.body), "{}", page.body);
    let json = page.json();
    let keys = json.as_object().map(|json| json.keys().collect::<Vec<_>>());
    let expected = [
        "version",
        "state",
        "uptime_current_epoch",
        "uptime_all_epochs",
        "hot_restart_version",
        "command_line_options",
        "node",
        "hot_restart_initializing",
    ];
    assert!(keys.is_some_and(|keys| keys == expected));
    assert_eq!(json["uptime_current_epoch"], "61s");
    let node = json["node"].as_object().map(|node| node.keys().collect::<Vec<_>>());
    let expected = [
        "id",
        "cluster",
        "user_agent_name",
        "user_agent_build_version",
        "client_features",
        "listening_addresses",
        "dynamic_parameters",
    ];
    assert!(node.is_some_and(|keys| keys == expected));
    assert_eq!(json["node"]["id"], "n");
    assert_eq!(json["command_line_options"]["concurrency"], 2);
    assert_eq!(json["command_line_options"]["drain_strategy"], "Gradual");
    assert_eq!(json["command_line_options"].as_object().map(serde_json::Map::len), Some(39));
    assert!(page.body.contains("\n  \"mode\": \"Serve\""), "one blank per level");
}

#[tokio::test]
async fn certificates_are_described() {
    let (app, _) = engine();
    let page = get(&app, "/certs").await.json();
    let certificate = &page["certificates"][0]["cert_chain"][0];
    assert_eq!(certificate["path"], "<inline>");
    assert_eq!(certificate["serial_number"], "2a1b");
    assert_eq!(certificate["valid_from"], "2020-01-01T00:00:00Z");
    assert_eq!(certificate["expiration_time"], "2120-01-01T00:00:00Z");
    let names = serde_json::json!([{ "dns": "front.example" }, { "ip_address": "127.0.0.1" }]);
    assert_eq!(certificate["subject_alt_names"], names);
    let days = certificate["days_until_expiration"].as_str().and_then(|days| days.parse().ok());
    assert!(days.is_some_and(|days: u32| (20_000..40_000).contains(&days)));
    let stat = get(&app, "/stats?filter=days_until").await.body;
    let stat = stat.trim_start_matches("server.days_until_first_cert_expiring: ");
    assert_eq!(stat.trim_end().parse().ok(), days);
}

#[tokio::test]
async fn the_configuration_is_dumped_without_secrets() {
    let (app, _) = engine();
    let page = get(&app, "/config_dump").await;
    assert!(!page.body.contains("hush") && page.body.contains("[redacted]"));
    let kinds = page.json()["configs"].as_array().map(|configs| {
        let kinds = configs.iter().filter_map(|config| config["@type"].as_str());
        kinds.map(|kind| kind.rsplit_once('.').map_or(kind, |(_, kind)| kind).to_owned()).collect()
    });
    let expected: Vec<String> = [
        "BootstrapConfigDump",
        "ClustersConfigDump",
        "ListenersConfigDump",
        "ScopedRoutesConfigDump",
        "RoutesConfigDump",
        "SecretsConfigDump",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(kinds, Some(expected));
    let one = get(&app, "/config_dump?resource=static_clusters&mask=cluster.name").await.json();
    let first = serde_json::json!({
        "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster",
        "cluster": {
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "service1",
        },
    });
    assert_eq!(one["configs"][0], first);
    let none = get(&app, "/config_dump?resource=x").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert_eq!(none.body, "x not found in config dump");
    let single = get(&app, "/config_dump?resource=bootstrap").await;
    assert_eq!(single.status, StatusCode::BAD_REQUEST);
    assert!(single.body.starts_with("bootstrap is not a repeated field."));
}

/// Codes and texts are those of Envoy 1.40.
#[tokio::test]
async fn parts_of_the_configuration_are_asked_for_as_of_envoy() {
    let (app, _) = engine();
    for path in [
        "/config_dump?resource=dynamic_active_clusters",
        "/config_dump?resource=static_secrets",
        "/config_dump?resource=static_clusters&name_regex=^nothing$",
    ] {
        let page = get(&app, path).await;
        assert_eq!((page.status, page.body.as_str()), (StatusCode::OK, "{}\n"), "{path}");
    }
    let section = get(&app, "/config_dump?mask=dynamic_listeners").await.json();
    let kind = "type.googleapis.com/envoy.admin.v3.ListenersConfigDump";
    assert_eq!(section, serde_json::json!({ "configs": [{ "@type": kind }] }));
    for (query, why) in [
        ("mask=nope", "FieldMask nope could not be successfully applied to any configs."),
        (
            "mask=bootstrap,nope",
            "FieldMask bootstrap,nope could not be successfully applied to any configs.",
        ),
        ("name_regex=[", "INVALID_ARGUMENT: Error while parsing name_regex from [: missing ]: ["),
    ] {
        let page = get(&app, &format!("/config_dump?{query}")).await;
        assert_eq!((page.status, page.body.as_str()), (StatusCode::BAD_REQUEST, why));
        assert_eq!(page.headers["content-type"], "text/plain");
    }
    let nothing = get(&app, "/config_dump?resource=static_clusters&mask=cluster.nope").await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn endpoints_are_dumped_on_request() {
    let (app, _) = engine();
    assert_eq!(
        get(&app, "/config_dump?resource=static_endpoint_configs").await.status,
        StatusCode::NOT_FOUND
    );
    let path = "/config_dump?include_eds&resource=static_endpoint_configs&name_regex=1";
    let dump = get(&app, path).await.json();
    let expected = serde_json::json!({ "configs": [{
        "@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump.StaticEndpointConfig",
        "endpoint_config": {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "service1",
            "endpoints": [{
                "locality": {},
                "lb_endpoints": [{
                    "endpoint": {
                        "address": { "socket_address": {
                            "address": "127.0.0.1", "port_value": 8080,
                        } },
                        "health_check_config": {},
                        "hostname": "127.0.0.1",
                    },
                    "health_status": "HEALTHY",
                    "metadata": {},
                    "load_balancing_weight": 1,
                }],
                "load_balancing_weight": 0,
            }],
            "policy": { "overprovisioning_factor": 140 },
        },
    }] });
    assert_eq!(dump, expected);
    let both = get(&app, "/config_dump?include_eds&mask=static_endpoint_configs").await.body;
    assert!(both.contains("\"region\": \"r\"") && both.contains("UNHEALTHY"), "{both}");
}

#[tokio::test]
async fn openmetrics_comes_to_those_who_accept_it() {
    let (app, _) = engine();
    let path = "/stats/prometheus?filter=server.live";
    let plain = get(&app, path).await;
    assert_eq!(plain.headers["content-type"], "text/plain; charset=UTF-8");
    let accept = [("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")];
    let page = request(&app, Method::GET, path, &accept, "").await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(page.headers["content-type"], kind);
    assert_eq!(page.body, format!("{}# EOF\n", plain.body));
}

#[tokio::test]
async fn an_app_has_the_pages_that_it_wants_where_it_wants_them() {
    let state = AdminState::new(Registry::new(1));
    let wanted = ["/help", "/ready", "/stats"];
    let pages = router_with(state, |path| wanted.contains(&path));
    let app = axum::Router::new().nest("/deep/down", pages);
    for path in wanted {
        assert_eq!(get(&app, &format!("/deep/down{path}")).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/stats/prometheus", "/config_dump", "/quitquitquit", "/"] {
        let page = post(&app, &format!("/deep/down{path}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
    }
    let help = get(&app, "/deep/down/help").await.body;
    let listed = help.lines().filter_map(|line| line.strip_prefix("  /")?.split(':').next());
    assert_eq!(listed.collect::<Vec<_>>(), ["help", "ready", "stats"]);
}

#[tokio::test]
async fn nothing_is_hidden() {
    let (app, _) = engine();
    for (hidden, lines) in [("include", 1), ("exclude", 1), ("only", 0)] {
        let page = get(&app, &format!("/stats?filter=server.live&hidden={hidden}")).await;
        assert_eq!(page.body.lines().count(), lines, "{hidden}");
    }
    let refused = get(&app, "/stats?hidden=some").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.body, "usage: /stats?hidden=(include|only|exclude)\n\n");
}

#[tokio::test]
async fn runtime_is_shown_by_layer_and_overridden_by_form_or_query() {
    let (app, _) = engine();
    let page = get(&app, "/runtime").await.json();
    assert_eq!(page["layers"], serde_json::json!(["base", "admin"]));
    let entry = serde_json::json!({ "layer_values": ["5000", ""], "final_value": "5000" });
    assert_eq!(page["entries"]["limit"], entry);
    let usage = post(&app, "/runtime_modify").await;
    assert_eq!(usage.status, StatusCode::BAD_REQUEST);
    assert!(usage.body.starts_with("usage: /runtime_modify?key1=value1"));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let text = [("content-type", "text/plain")];
    let entry = async |key: &str| {
        let page = get(&app, "/runtime").await.json();
        page["entries"][key]["final_value"].as_str().map(str::to_owned)
    };
    for (path, headers, status) in [
        // A form only counts without a query.
        ("/runtime_modify?a=1&a=2&limit=7", &form[..], 200),
        ("/runtime_modify", &form, 200),
        ("/runtime_modify", &text, 400),
        ("/runtime_modify?c=%7B", &text, 503),
    ] {
        let page = request(&app, Method::POST, path, headers, "b=two%20words").await;
        assert_eq!(page.status, status, "{path}");
        if status == 200 && path.contains('?') {
            assert_eq!(entry("b").await, None);
        }
    }
    for (key, value) in
        [("a", Some("1")), ("b", Some("two words")), ("c", None), ("limit", Some("7"))]
    {
        assert_eq!(entry(key).await.as_deref(), value, "{key}");
    }
    assert_eq!(post(&app, "/runtime_modify?limit=").await.body, "OK\n");
    assert_eq!(entry("limit").await.as_deref(), Some("5000"));
    let none = router(AdminState::new(Registry::new(1)));
    let refused = post(&none, "/runtime_modify?a=1").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.body, "No admin layer specified");
}

#[tokio::test]
async fn log_levels_change_one_by_one_or_all_together() {
    let (app, _) = engine();
    let all = |level| format!("active loggers:\n  admin: {level}\n  http: {level}\n\n");
    assert_eq!(post(&app, "/logging").await.body, all("info"));
    assert_eq!(post(&app, "/logging?level=debug").await.body, all("debug"));
    let one = "active loggers:\n  admin: debug\n  http: trace\n\n";
    assert_eq!(post(&app, "/logging?http=trace").await.body, one);
    assert_eq!(post(&app, "/logging?paths=http:debug&level=").await.body, all("debug"));
    for (query, why) in [
        ("level=loud", "unknown logger level"),
        ("paths=http:off,nope:trace", "unknown logger name"),
        ("nope=trace", "unknown logger name"),
        ("a=b&c=d", "invalid number of parameters"),
        ("paths=http", "empty logger name or empty logger level"),
        ("paths=:debug", "empty logger name or empty logger level"),
    ] {
        let page = post(&app, &format!("/logging?{query}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(page.body.starts_with(&format!("error: {why}\n\nusage: /logging")), "{query}");
        assert!(page.body.ends_with(&all("debug")), "a mistake changes nothing: {query}");
    }
}

#[tokio::test]
async fn what_this_build_lacks_is_said() {
    let (app, _) = engine();
    let page = get(&app, "/contention").await;
    assert!(page.body.starts_with("Mutex contention tracing is not enabled."));
    assert_eq!(get(&app, "/heap_dump").await.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(post(&app, "/cpuprofiler").await.body, "?enable=<y|n>\n");
    let profiler = post(&app, "/cpuprofiler?enable=y").await;
    assert_eq!(profiler.status, StatusCode::NOT_IMPLEMENTED);
    let bare = router(AdminState::new(Registry::new(1)));
    assert_eq!(post(&bare, "/quitquitquit").await.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(get(&bare, "/hot_restart_version").await.body, "disabled");
    assert_eq!(get(&bare, "/init_dump").await.body, "{}\n");
}

#[tokio::test]
async fn memory_is_that_of_this_process() {
    let (app, _) = engine();
    let page = get(&app, "/memory").await.json();
    let expected = [
        ".allocated: string",
        ".heap_size: string",
        ".pageheap_free: string",
        ".pageheap_unmapped: string",
        ".total_physical_bytes: string",
        ".total_thread_cache: string",
        ": object",
    ];
    assert_eq!(shape(&page), expected);
    if cfg!(target_os = "linux") {
        let physical = page["total_physical_bytes"].as_str().and_then(|bytes| bytes.parse().ok());
        assert!(physical.is_some_and(|bytes: u64| bytes > 1 << 20));
    }
}

#[tokio::test]
async fn a_page_that_has_pointed_its_name_here_can_not_read() {
    let state = AdminState::new(Registry::new(1));
    let (local, open) = (router::<()>(state.clone().on_loopback(true)), router::<()>(state));
    let browser = |host| [("host", host), ("accept-encoding", "gzip, deflate")];
    for path in ["/stats/prometheus", "/config_dump", "/"] {
        for (host, status) in [("localhost:9901", 200), ("evil.example:9901", 403)] {
            let page = request(&local, Method::GET, path, &browser(host), "").await;
            assert_eq!(page.status, status, "{host}");
        }
        let page = request(&local, Method::GET, path, &[("host", "envoy.svc.example")], "").await;
        assert_eq!(page.status, 200, "no browser");
        let page = request(&open, Method::GET, path, &browser("envoy.svc.example"), "").await;
        assert_eq!(page.status, 200, "not on loopback");
    }
}

#[tokio::test]
async fn another_sites_page_can_not_pull_a_lever() {
    let (app, control) = engine();
    let host = ("host", "127.0.0.1:9901");
    for headers in [
        [host, ("origin", "http://evil.example")],
        [host, ("sec-fetch-site", "cross-site")],
        [("host", "evil.example"), ("origin", "http://evil.example")],
    ] {
        let page = request(&app, Method::POST, "/quitquitquit", &headers, "").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert_eq!(control.calls(), Vec::<String>::new());
    let own = [host, ("origin", "http://127.0.0.1:9901"), ("sec-fetch-site", "same-origin")];
    assert_eq!(request(&app, Method::POST, "/quitquitquit", &own, "").await.body, "OK\n");
}

#[tokio::test]
async fn recent_lookups_are_noted_when_asked_for() {
    let (app, _) = engine();
    let off = get(&app, "/stats/recentlookups").await.body;
    assert!(off.starts_with("Lookup tracking is not enabled. Use /stats/recentlookups/enable"));
    let registry = Registry::new(1);
    let app = router(AdminState::new(registry.clone()));
    post(&app, "/stats/recentlookups/enable").await;
    let scope = registry.scope();
    for name in ["b", "a", "b"] {
        let _handle = scope.counter(name);
    }
    let page = get(&app, "/stats/recentlookups").await.body;
    assert_eq!(page, "   Count Lookup\n       1 a\n       2 b\n\ntotal: 3\n");
    post(&app, "/reset_counters").await;
    assert!(get(&app, "/stats/recentlookups").await.body.ends_with("\n\ntotal: 0\n"));
    let _handle = scope.counter("c");
    post(&app, "/stats/recentlookups/clear").await;
    post(&app, "/stats/recentlookups/disable").await;
    assert!(get(&app, "/stats/recentlookups").await.body.ends_with("\n\ntotal: 0\n"));
}

/// The pages on a port of their own.
struct Served {
    address: SocketAddr,
    handle: AdminHandle,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    fn start(registry: &Registry) -> Self {
        let app = router(AdminState::new(registry.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let handle = AdminHandle::new();
        let (scope, stop) = (registry.scope(), handle.clone());
        let server = tokio::spawn(async move { serve(listener, app, stop, &scope).await });
        Self { address, handle, server }
    }
}

/// What Envoy's admin listener makes of targets and methods.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_asks_for_no_page_is_refused_and_paths_are_normalised() {
    let registry = Registry::new(1);
    let Served { address, handle, server } = Served::start(&registry);
    let answers = tokio::task::spawn_blocking(move || {
        let ask = |line: &str| {
            let mut client = TcpStream::connect(address).expect("a connection");
            let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            client.write_all(request.as_bytes()).expect("written");
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("closed");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            (head[9..12].to_owned(), body.to_owned())
        };
        let live = "5\r\nLIVE\n\r\n0\r\n\r\n";
        for (line, status, body) in [
            ("GET //ready", "200", live),
            ("GET /%72eady", "200", live),
            ("GET /stats/../ready", "200", live),
            ("PROPFIND /ready", "200", live),
            ("GET http://x/ready", "404", ""),
            ("OPTIONS *", "404", ""),
            ("GET /ready%00", "400", ""),
            ("GET ready", "400", "Bad Request"),
            ("FOO /ready", "400", "Bad Request"),
            ("CONNECT /ready", "400", "Bad Request"),
        ] {
            assert_eq!(ask(line), (status.to_owned(), body.to_owned()), "{line}");
        }
    });
    answers.await.expect("no panic");
    handle.shutdown();
    assert!(server.await.expect("no panic").is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_wire() {
    let registry = Registry::new(1);
    let Served { address, handle, server } = Served::start(&registry);
    let talk = move |bytes: &'static str| {
        tokio::task::spawn_blocking(move || {
            let mut client = TcpStream::connect(address).expect("a connection");
            client.write_all(bytes.as_bytes()).expect("written");
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("closed");
            answer
        })
    };
    let chunked = talk("GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let chunked = chunked.await.expect("an answer");
    assert!(chunked.starts_with("HTTP/1.1 200 OK\r\n"), "{chunked}");
    assert!(chunked.contains("\r\ntransfer-encoding: chunked\r\n"), "{chunked}");
    assert!(chunked.contains("\r\nconnection: close\r\n"), "{chunked}");
    assert!(chunked.ends_with("\r\n\r\n5\r\nLIVE\n\r\n0\r\n\r\n"), "{chunked}");

    let head = talk("HEAD /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let head = head.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    let end = "\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    assert!(head.ends_with(end), "{head}");

    let nameless = talk("GET /ready HTTP/1.1\r\n\r\n").await.expect("an answer");
    assert!(nameless.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{nameless}");
    assert!(nameless.contains("\r\ncontent-length: 0\r\n"), "{nameless}");
    assert!(nameless.contains("\r\nconnection: close\r\n"), "{nameless}");

    let old = talk("GET /ready HTTP/1.0\r\nhost: x\r\n\r\n").await.expect("an answer");
    assert!(old.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{old}");
    assert!(old.ends_with("\r\n\r\nUpgrade Required"), "{old}");

    let page = talk(
        "GET /stats?filter=http.admin.downstream_(rq_total|rq_.xx|rq_active|cx_total)$ \
         HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    let page = page.await.expect("an answer");
    for line in [
        // Four before this one; this one is under way.
        "http.admin.downstream_cx_total: 5",
        "http.admin.downstream_rq_2xx: 3",
        "http.admin.downstream_rq_4xx: 2",
        "http.admin.downstream_rq_active: 1",
        "http.admin.downstream_rq_total: 5",
        "listener.admin.http.admin.downstream_rq_4xx: 2",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line} in {page}");
    }

    handle.shutdown();
    assert!(server.await.expect("no panic").is_ok());
    let active = Query::parse(Some("filter=^http.admin.downstream_cx_active$")).expect("valid");
    for _ in 0..2000 {
        if registry.select(&active).values()[0].value() == StatValue::Gauge(0) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("connections that ended are still counted");
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What a whole server shows and does, with the configuration that it was started with.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_shows_its_configuration_and_asks_clients_to_leave() {
    let certified = rcgen::generate_simple_self_signed(["front.example".to_owned()]).expect("made");
    let pem = |text: String| text.replace('\n', "\\n");
    let bootstrap = format!(
        r#"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
node: {{id: front, locality: {{region: r, sub_zone: s}}}}
layered_runtime: {{layers: [{{name: base, static_layer: {{a.key: 1}}}}]}}
static_resources:
  listeners:
  - name: plain
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains: [{{filters: [&manager {{name: http, typed_config: {{
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      stat_prefix: ingress_http,
      http_filters: [{{name: router, typed_config: {{
        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}],
      route_config: {{name: table, virtual_hosts: [{{name: all, domains: ["*"], routes: [
        {{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: d}}}}}}]}}]}}}}}}]}}]
  - name: tls
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains: [{{filters: [*manager], transport_socket: {{name: tls, typed_config: {{
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext,
      common_tls_context: {{tls_certificates: [{{
        certificate_chain: {{inline_string: "{cert}"}},
        private_key: {{inline_string: "{key}"}}}}]}}}}}}}}]
"#,
        cert = pem(certified.cert.pem()),
        key = pem(certified.signing_key.serialize_pem()),
    );
    let bootstrap = front_proxy::config::load_str("test.yaml", &bootstrap).expect("valid");
    let mut server = Server::start(bootstrap, ServerOptions::default()).await.expect("started");
    let admin = server.admin_address().expect("an admin address");
    let (_, plain) = server.listeners().find(|(name, _)| *name == "plain").expect("a listener");
    let ask = |address, method: &'static str, path: &'static str| async move {
        tokio::task::spawn_blocking(move || ask(address, method, path)).await.expect("an answer")
    };

    let certs = ask(admin, "GET", "/certs").await;
    assert!(certs.contains(r#""dns": "front.example""#), "{certs}");
    let dump = ask(admin, "GET", "/config_dump").await;
    assert!(dump.contains(r#""name": "table""#) && dump.contains("[redacted]"), "{dump}");
    assert!(!dump.contains("PRIVATE KEY"), "{dump}");
    let stats = ask(admin, "GET", "/stats").await;
    for line in ["runtime.num_keys: 1", "runtime.num_layers: 1", "filesystem.write_failed: 0"] {
        assert!(stats.contains(line), "{line}");
    }
    assert!(!stats.contains("expiration_unix_time_seconds: 0\n"), "{stats}");
    let started = stats.lines().find(|line| line.starts_with("server.initialization_time_ms: "));
    assert!(started.is_some_and(|line| line.contains("P100(")), "{started:?}");
    let info = ask(admin, "GET", "/server_info").await;
    let (_, locality) = info.split_once("\"locality\": ").expect("a locality");
    let locality = locality.split_inclusive('}').next().unwrap_or_default();
    let locality: serde_json::Value = serde_json::from_str(locality).expect("JSON");
    let given = serde_json::json!({"region": "r", "zone": "", "sub_zone": "s"});
    assert_eq!(locality, given);

    assert!(!ask(plain, "GET", "/").await.contains("connection: close"));
    ask(admin, "POST", "/healthcheck/fail").await;
    assert!(ask(plain, "GET", "/").await.contains("connection: close"));
    ask(admin, "POST", "/healthcheck/ok").await;
    assert!(!ask(plain, "GET", "/").await.contains("connection: close"));
    // What nobody would do is not promised.
    assert!(ask(admin, "POST", "/quitquitquit").await.starts_with("HTTP/1.1 501 "));
    let mut commands = server.commands();
    assert!(ask(admin, "POST", "/quitquitquit").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(commands.next().await, Command::Quit);
    let head = ask(admin, "HEAD", "/ready").await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    server.shutdown().await;
}

/// What comes back within a moment.
fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    let wait = std::time::Duration::from_millis(300);
    stream.set_read_timeout(Some(wait)).expect("set");
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
