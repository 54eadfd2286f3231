//! What `--mode validate` lets through can be served: whatever fails when clusters and listeners
//! are built has been found, with its place, when the configuration was read.

#![recursion_limit = "512"]

use front_proxy::config::load_str;
use front_proxy::server::check;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Reads it, and builds it where it was accepted. Says whether it was.
fn serves(config: &str) -> bool {
    let Ok(bootstrap) = load_str("f.yaml", config) else {
        return false;
    };
    if let Err(error) = check(&bootstrap) {
        panic!("accepted, but can't be served: {error}\n{config}");
    }
    true
}

/// A bootstrap with a bit of everything.
fn everything() -> Value {
    let certificate = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let (chain, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    let typed = |name: &str, mut fields: Value| {
        fields["@type"] = format!("type.googleapis.com/envoy.extensions.{name}").into();
        json!({"name": "x", "typed_config": fields})
    };
    let header = |key: &str, value: &str| json!({"header": {"key": key, "value": value}});
    let manager = json!({
        "stat_prefix": "a", "server_name": "envoy", "via": "a", "add_user_agent": true,
        "http_protocol_options": {"accept_http_10": true, "default_host_for_http_10": "a"},
        "http2_protocol_options": {"max_concurrent_streams": 100, "initial_stream_window_size": 65535,
            "connection_keepalive": {"interval": "1s", "timeout": "1s"}},
        "common_http_protocol_options": {"idle_timeout": "1s", "max_headers_count": 100},
        "stream_idle_timeout": "1s", "drain_timeout": "1s", "max_request_headers_kb": 60,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "access_log": [
            typed("access_loggers.file.v3.FileAccessLog",
                json!({"path": "/nowhere.log", "log_format": {"text_format_source": {"inline_string": "%PROTOCOL%\n"}}})),
            typed("access_loggers.stream.v3.StdoutAccessLog",
                json!({"log_format": {"json_format": {"a": "%REQ(a?b):3%", "b": ["%START_TIME(%s)%", 1]}}})),
        ],
        "route_config": {
            "name": "r",
            "request_headers_to_add": [header("x-a", "%REQ(a)%")],
            "response_headers_to_remove": ["x-b"],
            "virtual_hosts": [{
                "name": "v", "domains": ["*.a", "a.*", "b", "*"],
                "response_headers_to_add": [header("x-c", "c")],
                "routes": [
                    {"name": "r", "match": {"prefix": "/a", "headers": [{"name": "a", "string_match": {"prefix": "a"}}],
                        "query_parameters": [{"name": "q", "string_match": {"exact": "a"}}]},
                     "route": {"cluster": "a", "timeout": "1s", "prefix_rewrite": "/b", "host_rewrite_literal": "b",
                        "hash_policy": [{"header": {"header_name": "x"}}, {"cookie": {"name": "c", "ttl": "1s", "path": "/"}},
                            {"query_parameter": {"name": "q"}}],
                        "retry_policy": {"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "1s",
                            "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}},
                        "upgrade_configs": [{"upgrade_type": "foo"}]}},
                    {"match": {"path_separated_prefix": "/p"}, "route": {"cluster": "b", "regex_rewrite":
                        {"pattern": {"regex": "^/(a)"}, "substitution": "/\\1"}, "host_rewrite_header": "x-host"}},
                    {"match": {"safe_regex": {"regex": "/r.*"}}, "route": {"weighted_clusters": {"clusters": [
                        {"name": "a", "weight": 1, "request_headers_to_add": [header("x-w", "%PROTOCOL%")]},
                        {"name": "b", "weight": 2}]},
                        "host_rewrite_path_regex": {"pattern": {"regex": "^/(.+)$"}, "substitution": "\\1"}}},
                    {"match": {"path": "/d"}, "direct_response": {"status": 200, "body": {"inline_string": "a"}}},
                    {"match": {"path": "/e"}, "redirect": {"host_redirect": "a", "port_redirect": 80, "path_redirect": "/x"}},
                    {"match": {"path": "/f"}, "redirect": {"scheme_redirect": "https", "prefix_rewrite": "/x"}},
                    {"match": {"path": "/g"}, "redirect": {"https_redirect": true, "regex_rewrite":
                        {"pattern": {"regex": "a"}, "substitution": "b"}}},
                ],
            }],
        },
        "http_filters": [typed("filters.http.router.v3.Router", json!({}))],
    });
    let source = |text: &str| json!({"inline_string": text});
    let endpoints = |host: &str| {
        json!({"cluster_name": "a", "endpoints": [{"locality": {"region": "r"}, "priority": 0,
        "lb_endpoints": [{"load_balancing_weight": 3, "endpoint": {"hostname": "h",
            "address": {"socket_address": {"address": host, "port_value": 80}}}}]}]})
    };
    json!({
        "node": {"id": "n", "cluster": "c"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "listeners": [{
                "name": "l", "stat_prefix": "l", "per_connection_buffer_limit_bytes": 1024,
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [{
                    "name": "f", "filter_chain_match": {"server_names": ["a.example", "*.b.example"]},
                    "filters": [typed("filters.network.http_connection_manager.v3.HttpConnectionManager", manager)],
                    "transport_socket": typed("transport_sockets.tls.v3.DownstreamTlsContext", json!({
                        "require_client_certificate": true,
                        "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"],
                            "tls_certificates": [{"certificate_chain": source(&chain), "private_key": source(&key)}],
                            "validation_context": {"trusted_ca": source(&chain)}}})),
                }],
            }],
            "clusters": [
                {"name": "a", "alt_stat_name": "s", "lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 11},
                 "connect_timeout": "1s", "load_assignment": endpoints("127.0.0.1"),
                 "circuit_breakers": {"thresholds": [{"max_connections": 1}]},
                 "transport_socket": typed("transport_sockets.tls.v3.UpstreamTlsContext", json!({
                    "sni": "a.example", "common_tls_context": {"alpn_protocols": ["h2"], "validation_context": {
                        "trusted_ca": source(&chain), "match_typed_subject_alt_names":
                            [{"san_type": "OTHER_NAME", "oid": "1.2.3", "matcher": {"exact": "a"}}]}}}))},
                {"name": "b", "type": "STRICT_DNS", "lb_policy": "RING_HASH", "dns_refresh_rate": "1s",
                 "ring_hash_lb_config": {"minimum_ring_size": 8, "maximum_ring_size": 16},
                 "load_assignment": endpoints("b.example")},
            ],
        },
    })
}

/// The places of all values that are neither lists nor objects.
fn leaves(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut below = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        leaves(value, &format!("{at}/{key}"), out);
    };
    match value {
        Value::Array(all) => all.iter().enumerate().for_each(|(n, v)| below(&n.to_string(), v)),
        Value::Object(all) => all.iter().for_each(|(key, v)| below(key, v)),
        _ => out.push(at.to_owned()),
    }
}

fn another() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        " ",
        "a",
        "a b",
        "é",
        "\u{1}",
        "\n",
        "a\r\nb",
        "%",
        "%%",
        "a%%b\u{7f}",
        "%REQ(a)%",
        "%REQ(é)%",
        "%RESPONSE_CODE%",
        "*",
        "*.c",
        "c.*",
        "*c",
        ":path",
        ":x",
        "host",
        "Host",
        "/",
        "//",
        "/a?b#c",
        "http://a/b",
        "https",
        "\\1",
        "\\9",
        "\\",
        "(",
        "(a)|b",
        "[::1]",
        "[::1]:80",
        "::1",
        "127.0.0.1",
        "a.example.",
        ".a",
        "a:80",
        "a:x",
        "_",
        "-",
        "1s",
        "0s",
        "0.001s",
        "9223372035s",
        "websocket",
        "connect",
        "CONNECT",
        "x@y",
        "{a}",
        "true",
    ];
    prop_oneof![
        6 => prop::sample::select(texts.to_vec()).prop_map(Value::from),
        2 => "\\PC{0,12}".prop_map(Value::from),
        1 => "[a-z.*/:%@\\[\\]\\\\-]{1,8}".prop_map(Value::from),
        1 => Just(Value::from("x".repeat(300))),
        2 => prop::sample::select(vec![0u64, 1, 2, 3, 7, 8, 65535, 65536, 4_294_967_295, 1 << 40]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

#[test]
fn everything_is_served() {
    assert!(serves(&everything().to_string()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(800) })]

    #[test]
    fn what_is_accepted_is_served(
        changes in prop::collection::vec((any::<prop::sample::Index>(), another()), 1..3),
    ) {
        let mut config = everything();
        let mut places: Vec<String> = Vec::new();
        leaves(&config, "", &mut places);
        for (place, value) in changes {
            *config.pointer_mut(place.get(&places[..]).as_str()).unwrap() = value;
        }
        serves(&config.to_string());
    }

    #[test]
    fn formats_that_are_accepted_are_served(
        name in prop::sample::select(front_proxy_layers::format::Format::commands().collect::<Vec<_>>()),
        parameters in prop::option::of(prop_oneof![
            prop::sample::select(vec![
                "", "a", "a b", "a)", ":PATH", "a?b", "%s", "WQ:ORIG", "NUMBER", "DS_RX_BEG:DS_TX_END:ms", "8", "\n",
            ]).prop_map(str::to_owned),
            "\\PC{0,6}",
        ]),
        length in prop::option::of("[0-9]{0,3}"),
        around in "[a%\\n]{0,3}",
    ) {
        let parameters = parameters.map_or_else(String::new, |p| format!("({p})"));
        let length = length.map_or_else(String::new, |l| format!(":{l}"));
        let format = format!("{around}%{name}{parameters}{length}%");
        let mut config = everything();
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        for place in [
            "/access_log/0/typed_config/log_format/text_format_source/inline_string",
            "/access_log/1/typed_config/log_format/json_format/a",
            "/route_config/request_headers_to_add/0/header/value",
        ] {
            *config.pointer_mut(&format!("{manager}{place}")).unwrap() = format.clone().into();
        }
        serves(&config.to_string());
    }
}
