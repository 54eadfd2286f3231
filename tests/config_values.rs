//! What the fields of a configuration become.

use std::time::Duration;

use front_proxy::config::load_str;
use front_proxy::config::model::*;
use front_proxy_layers::route::{
    AppendAction, Fraction, HashPolicy, HeaderMatchName, HeaderRule, HostRewrite, PathMatch,
    PathRewrite, QueryRule, RedirectPath, StringMatch,
};
use front_proxy_layers::runtime::{Key, RuntimeFraction};

fn load(text: &str) -> Bootstrap {
    load_str("f.yaml", text).unwrap_or_else(|e| panic!("{e}"))
}

/// One listener whose connection manager has these fields (indented by ten).
fn manager(fields: &str) -> HttpConnectionManager {
    let bootstrap = load(&format!(
        "\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
{fields}
  clusters: [{{name: a}}, {{name: b}}]
"
    ));
    let chain = &bootstrap.listeners[0].filter_chains[0];
    (*chain.http).clone()
}

/// One route with these fields.
fn route(fields: &str) -> Route {
    let manager = manager(&format!(
        "          route_config: {{virtual_hosts: [{{name: v, domains: ['*'], routes: [{{{fields}}}]}}]}}"
    ));
    manager.routes.virtual_hosts[0].routes[0].clone()
}

fn forward(fields: &str) -> Forward {
    match route(&format!("match: {{prefix: /}}, route: {{cluster: a, {fields}}}")).action {
        RouteAction::Forward(forward) => *forward,
        other => panic!("{other:?}"),
    }
}

fn cluster(fields: &str) -> Cluster {
    load(&format!("static_resources: {{clusters: [{{name: c, {fields}}}]}}")).clusters.remove(0)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_connection_manager_has_envoys_defaults() {
    let m = manager("          route_config: {}");
    assert_eq!((m.server_name.as_str(), m.codec), ("envoy", Codec::Auto));
    assert!(m.generate_request_id && !m.use_remote_address && !m.has_router);
    assert_eq!((m.max_request_headers_kb, m.max_headers_count), (60, 100));
    assert_eq!(m.timeouts.idle, Some(3600 * SECOND));
    assert_eq!(m.timeouts.stream_idle, Some(300 * SECOND));
    assert_eq!((m.timeouts.request, m.timeouts.request_headers), (None, None));
    assert_eq!((m.timeouts.drain, m.timeouts.delayed_close), (5 * SECOND, Some(SECOND)));
    assert_eq!((m.http1, m.http2), (Http1Options::default(), Http2Options::default()));
}

#[test]
fn a_connection_manager_is_read() {
    let m = manager(
        "
          codec_type: HTTP2
          route_config: {name: r, most_specific_header_mutations_wins: true}
          http_filters:
          - name: any name
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
          server_name: s
          server_header_transformation: PASS_THROUGH
          via: v
          use_remote_address: true
          xff_num_trusted_hops: '2'
          skip_xff_append: true
          internal_address_config:
            cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}, {address_prefix: '::1', prefix_len: {value: 128}}]
          generate_request_id: false
          forward_client_cert_details: SANITIZE_SET
          normalize_path: true
          path_with_escaped_slashes_action: REJECT_REQUEST
          strip_any_host_port: true
          upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: CONNECT, enabled: false}]
          max_request_headers_kb: 8
          stream_idle_timeout: 0s
          request_timeout: 1.5s
          delayed_close_timeout: {nanos: 500000000}
          stream_error_on_invalid_http_message: true
          common_http_protocol_options:
            idle_timeout: 0s
            max_connection_duration: 2s
            max_headers_count: 7
            headers_with_underscores_action: DROP_HEADER
            max_requests_per_connection: 0
          http_protocol_options:
            accept_http_10: true
            header_key_format: {proper_case_words: {}}
            override_stream_error_on_invalid_http_message: false
          http2_protocol_options:
            max_concurrent_streams: 9
            connection_keepalive: {interval: 1s, timeout: 2s}",
    );
    assert_eq!((m.codec, m.server_header), (Codec::Http2, ServerHeader::PassThrough));
    assert_eq!((m.routes.name.as_str(), m.routes.most_specific_wins), ("r", true));
    assert!(m.has_router && m.suppress_envoy_headers && m.skip_xff_append && m.normalize_path);
    assert_eq!((m.server_name.as_str(), m.via.as_deref()), ("s", Some("v")));
    assert_eq!(m.xff_num_trusted_hops, 2);
    assert_eq!(
        m.internal_addresses,
        [("10.0.0.0".parse().unwrap(), 8), ("::1".parse().unwrap(), 128)]
    );
    assert!(!m.generate_request_id);
    assert_eq!(m.forward_client_cert, ForwardClientCert::SanitizeSet);
    assert_eq!(m.escaped_slashes, EscapedSlashes::RejectRequest);
    assert_eq!(m.strip_host_port, StripHostPort::Any);
    assert!(m.upgrades[0].enabled && !m.upgrades[1].enabled);
    assert_eq!((m.max_request_headers_kb, m.max_headers_count), (8, 7));
    assert_eq!((m.timeouts.stream_idle, m.timeouts.idle), (None, None));
    assert_eq!(m.timeouts.request, Some(Duration::from_millis(1500)));
    assert_eq!(m.timeouts.delayed_close, Some(Duration::from_millis(500)));
    assert_eq!(m.timeouts.max_connection_duration, Some(2 * SECOND));
    assert_eq!(
        (m.underscores, m.max_requests_per_connection),
        (UnderscoresAction::DropHeader, None)
    );
    // The codec's own word counts before the connection manager's.
    assert!(!m.keep_connection_on_bad_message && m.http2.keep_connection_on_bad_message);
    assert!(m.http1.accept_http_10 && m.http1.proper_case_words);
    assert_eq!(m.http2.max_concurrent_streams, 9);
    assert_eq!(m.http2.keepalive, Some((SECOND, 2 * SECOND)));
}

#[test]
fn access_logs_are_read() {
    let m = manager(
        "
          route_config: {}
          access_log:
          - name: file
            filter: {status_code_filter: {comparison: {op: GE, value: {default_value: 400}}}}
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: access.log
              log_format: {text_format_source: {inline_string: '%PROTOCOL%'}}
          - name: out
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format: {json_format: {b: '%PROTOCOL%', a: {c: 1}}}
          - name: err
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
    );
    assert_eq!(m.access_logs[0].sink, AccessLogSink::File("access.log".into()));
    assert!(matches!(
        &m.access_logs[0].filter,
        Some(AccessLogFilter::Status(Comparison::Ge, value)) if value.get() == 400
    ));
    assert!(matches!(&m.access_logs[0].format, AccessLogFormat::Text(t) if t == "%PROTOCOL%"));
    let AccessLogFormat::Json(json) = &m.access_logs[1].format else {
        panic!("not JSON");
    };
    let json = serde_json::to_string(json).unwrap();
    assert_eq!(json, r#"{"b":"%PROTOCOL%","a":{"c":1}}"#);
    assert_eq!(m.access_logs[2].sink, AccessLogSink::Stderr);
    assert!(matches!(m.access_logs[2].format, AccessLogFormat::Default));
}

#[test]
fn a_virtual_host_is_read() {
    let m = manager(
        "
          route_config:
            request_headers_to_add: {header: {key: X-A, value: t}, append: false}
            virtual_hosts:
            - name: v
              domains: [A.b, '*.C']
              require_tls: EXTERNAL_ONLY
              include_request_attempt_count: true
              retry_policy: {retry_on: '5xx,connect-failure'}
              response_headers_to_remove: x-secret
              routes:
              - match: {prefix: /}
                route: {cluster: a}
              - match: {prefix: /}
                route: {cluster: a, retry_policy: {num_retries: 0}}
                response_headers_to_add:
                - {header: {key: x-b, value: '%PROTOCOL%'}, append_action: ADD_IF_ABSENT, keep_empty_value: true}",
    );
    let table = &m.routes.headers.request_add[0];
    assert_eq!((table.name.as_str(), table.value.as_str()), ("x-a", "t"));
    assert_eq!(table.action, AppendAction::OverwriteIfExistsOrAdd);
    let host = &m.routes.virtual_hosts[0];
    assert_eq!(host.domains, ["a.b", "*.c"]);
    assert_eq!(host.require_tls, RequireTls::ExternalOnly);
    assert!(host.request_attempt_count && !host.response_attempt_count);
    assert_eq!(host.headers.response_remove[0], "x-secret");
    let retry = |i: usize| match &host.routes[i].action {
        RouteAction::Forward(f) => f.retry.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    // The first route has its virtual host's policy, the second its own.
    assert!(retry(0).on.five_xx && retry(0).on.connect_failure && !retry(0).on.reset);
    assert_eq!(retry(0).num_retries, 1);
    assert_eq!((retry(1).num_retries, retry(1).on.five_xx), (0, false));
    let added = &host.routes[1].headers.response_add[0];
    assert_eq!((added.action, added.keep_empty_value), (AppendAction::AddIfAbsent, true));
}

#[test]
fn route_matches_are_read() {
    let matching = |fields: &str| route(&format!("match: {{{fields}}}, redirect: {{}}")).matching;
    assert!(
        matches!(matching("path: /a, case_sensitive: false").path, PathMatch::Exact(p) if p == "/a")
    );
    assert!(!matching("path: /a, case_sensitive: false").case_sensitive);
    assert!(matches!(matching("path_separated_prefix: /a").path, PathMatch::SegmentPrefix(_)));
    assert!(matches!(matching("connect_matcher: {}").path, PathMatch::Connect));
    let PathMatch::Regex(regex) = matching("safe_regex: {regex: '/a|/b'}").path else {
        panic!("not a regex");
    };
    assert!(regex.is_match("/b") && !regex.is_match("/bc"));
    let m = matching(
        "prefix: /, grpc: {}, runtime_fraction: {default_value: {numerator: 5, denominator: MILLION}}, \
         query_parameters: [{name: q, present_match: false}, {name: r, string_match: {suffix: s}}], \
         headers: [{name: ':method', string_match: {exact: GET, ignore_case: true}}, {name: X-A}, \
         {name: x-n, range_match: {start: -1, end: '10'}, invert_match: true}, {name: o, prefix_match: p}]",
    );
    assert!(m.grpc);
    let fraction = m.fraction.as_ref().map(RuntimeFraction::get);
    assert_eq!(fraction, Some(Fraction { numerator: 5, denominator: 1_000_000 }));
    assert!(matches!(m.query[0].rule, QueryRule::Present(false)));
    assert!(
        matches!(&m.query[1].rule, QueryRule::Value(StringMatch::Suffix { value, .. }) if value == "s")
    );
    assert!(matches!(m.headers[0].name, HeaderMatchName::Method));
    assert!(matches!(
        &m.headers[0].rule,
        HeaderRule::Value(StringMatch::Exact { ignore_case: true, .. })
    ));
    assert!(matches!(&m.headers[1].name, HeaderMatchName::Header(n) if n == "x-a"));
    assert!(matches!(m.headers[1].rule, HeaderRule::Present(true)));
    assert!(matches!(m.headers[2].rule, HeaderRule::Range { start: -1, end: 10 }));
    assert!(m.headers[2].invert && !m.headers[2].treat_missing_as_empty);
    assert!(matches!(&m.headers[3].rule, HeaderRule::Value(StringMatch::Prefix { .. })));
}

#[test]
fn forwarding_is_read() {
    let f = forward("");
    assert_eq!((f.timeout, f.idle_timeout), (Some(15 * SECOND), None));
    assert_eq!(f.cluster_not_found, 503);
    let f = forward(
        "timeout: 0s, idle_timeout: 0s, priority: HIGH, cluster_not_found_response_code: NOT_FOUND, \
         prefix_rewrite: /p, host_rewrite_header: x-h, append_x_forwarded_host: true, \
         upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}], \
         hash_policy: [{header: {header_name: X-U}, terminal: true}, {cookie: {name: k, ttl: 1s, path: /}}, \
         {connection_properties: {source_ip: true}}, {query_parameter: {name: q}}]",
    );
    assert_eq!((f.timeout, f.idle_timeout), (None, Some(None)));
    assert!(f.high_priority && f.append_x_forwarded_host && f.upgrades[0].connect_tcp);
    assert_eq!(f.cluster_not_found, 404);
    assert!(matches!(&f.path_rewrite, Some(PathRewrite::Prefix(p)) if p == "/p"));
    assert!(matches!(&f.host_rewrite, Some(HostRewrite::Header(h)) if h == "x-h"));
    assert!(
        matches!(&f.hash_policy[0], HashPolicy::Header { name, terminal: true } if name == "x-u")
    );
    assert!(matches!(&f.hash_policy[1], HashPolicy::Cookie { ttl: Some(SECOND), .. }));
    assert!(matches!(f.hash_policy[2], HashPolicy::SourceIp { terminal: false }));
    assert!(matches!(&f.hash_policy[3], HashPolicy::Query { .. }));
    let f = forward("regex_rewrite: {pattern: {regex: '^/(.*)'}, substitution: '/x/\\1'}");
    let Some(PathRewrite::Regex { pattern, substitution }) = f.path_rewrite else {
        panic!("not a regex");
    };
    assert!(pattern.is_match("/a/b"));
    assert_eq!(substitution, "/x/\\1");
    let target = route(
        "match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 3}]}}",
    );
    let RouteAction::Forward(f) = target.action else {
        panic!("not forwarded");
    };
    let Target::Weighted(clusters) = f.target else {
        panic!("not weighted");
    };
    assert_eq!((clusters[1].name.as_str(), clusters[1].weight), ("b", 3));
}

#[test]
fn retry_policies_are_read() {
    let retry = |fields: &str| forward(&format!("retry_policy: {{{fields}}}")).retry.unwrap();
    let r = retry("");
    assert_eq!((r.num_retries, r.host_selection_attempts), (1, 1));
    assert_eq!(r.base_interval, None, "which is 25 ms, or what the runtime says");
    assert_eq!(r.max_interval, None);
    let r = retry(
        "retry_on: ' retriable-status-codes , cancelled', retriable_status_codes: [418, '429'], \
         per_try_timeout: 1s, per_try_idle_timeout: 0s, retry_back_off: {base_interval: 0.0001s}, \
         host_selection_retry_max_attempts: 5, retriable_headers: [{name: x}], retry_host_predicate: \
         {name: p, typed_config: {'@type': type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}",
    );
    assert!(r.on.retriable_status_codes && r.on.grpc_cancelled);
    assert_eq!(r.status_codes, [418, 429]);
    assert_eq!((r.per_try_timeout, r.per_try_idle_timeout), (Some(SECOND), None));
    assert_eq!(r.base_interval, Some(Duration::from_micros(100)), "which counts as 1 ms");
    assert_eq!(r.max_interval, None);
    assert!(r.avoid_previous_hosts && r.response_headers.len() == 1);
    assert_eq!(r.host_selection_attempts, 5);
}

#[test]
fn answers_of_its_own_are_read() {
    let action = |fields: &str| route(&format!("match: {{prefix: /}}, {fields}")).action;
    let RouteAction::Redirect(r) = action(
        "redirect: {https_redirect: true, host_redirect: h, port_redirect: 8443, path_redirect: /p, \
         response_code: SEE_OTHER, strip_query: true}",
    ) else {
        panic!("not a redirect");
    };
    assert_eq!((r.code.as_u16(), r.scheme.as_deref()), (303, Some("https")));
    assert_eq!((r.host.as_deref(), r.port, r.strip_query), (Some("h"), Some(8443), true));
    assert!(matches!(r.path, Some(RedirectPath::Full(p)) if p == "/p"));
    let RouteAction::Redirect(r) = action("redirect: {}") else {
        panic!("not a redirect");
    };
    assert_eq!((r.code.as_u16(), r.scheme, r.port), (301, None, None));
    let RouteAction::Direct(d) =
        action("direct_response: {status: 403, body: {inline_string: 'no'}}")
    else {
        panic!("not direct");
    };
    assert_eq!((d.status.as_u16(), &d.body[..]), (403, &b"no"[..]));
}

#[test]
fn clusters_have_envoys_defaults() {
    let c = cluster("");
    assert!(matches!(c.discovery, Discovery::Static));
    assert_eq!((c.lb_policy, c.protocol), (LbPolicy::RoundRobin, UpstreamProtocol::Http1));
    assert_eq!((c.connect_timeout, c.idle_timeout), (5 * SECOND, Some(3600 * SECOND)));
    assert_eq!((c.breakers, c.breakers_high), (Thresholds::default(), Thresholds::default()));
    assert_eq!(c.per_connection_buffer_limit, None);
    assert!(c.tls.is_none() && c.endpoints.is_empty());
}

#[test]
fn clusters_are_read() {
    let c = cluster(
        "alt_stat_name: s, type: STRICT_DNS, lb_policy: MAGLEV, connect_timeout: 0.25s, \
         per_connection_buffer_limit_bytes: 1024, dns_refresh_rate: 2s, respect_dns_ttl: true, \
         dns_lookup_family: V4_PREFERRED, use_tcp_for_dns_lookups: true, \
         typed_dns_resolver_config: {name: r, typed_config: {'@type': \
         type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig, \
         resolvers: {socket_address: {address: 127.0.0.1, port_value: 53}}, \
         dns_resolver_options: {no_default_search_domain: true}}}, \
         circuit_breakers: {thresholds: [{max_requests: 0}, {priority: HIGH, max_retries: 7, track_remaining: true}]}, \
         load_assignment: {cluster_name: c, endpoints: [{locality: {region: r, zone: z}, priority: 1, \
         lb_endpoints: [{load_balancing_weight: 3, endpoint: {hostname: h, address: {socket_address: \
         {address: host, port_value: 80}}}}]}]}",
    );
    assert_eq!(c.alt_stat_name.as_deref(), Some("s"));
    assert_eq!((c.lb_policy, c.connect_timeout), (LbPolicy::Maglev, Duration::from_millis(250)));
    let Discovery::StrictDns(dns) = &c.discovery else {
        panic!("not DNS");
    };
    assert!(dns.respect_ttl && dns.use_tcp && dns.no_search);
    assert_eq!((dns.refresh_rate, dns.family), (2 * SECOND, DnsFamily::V4Preferred));
    assert_eq!(dns.resolvers, ["127.0.0.1:53".parse().unwrap()]);
    assert_eq!((c.breakers.max_requests, c.breakers.max_retries), (0, 3));
    assert_eq!((c.breakers_high.max_retries, c.breakers_high.track_remaining), (7, true));
    let e = &c.endpoints[0];
    assert_eq!((e.host.as_str(), e.port, e.weight, e.priority), ("host", 80, 3, 1));
    assert_eq!((e.hostname.as_deref(), e.locality.1.as_str()), (Some("h"), "z"));
}

#[test]
fn upstream_protocols_are_read() {
    let options = |fields: &str| {
        cluster(&format!(
            "typed_extension_protocol_options: {{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: \
             {{'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, {fields}}}}}"
        ))
    };
    let c = options(
        "explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 5}}, \
         common_http_protocol_options: {idle_timeout: 0s, max_requests_per_connection: 2}",
    );
    assert_eq!((c.protocol, c.http2.max_concurrent_streams), (UpstreamProtocol::Http2, 5));
    assert_eq!((c.idle_timeout, c.max_requests_per_connection), (None, Some(2)));
    let c = options("explicit_http_config: {http_protocol_options: {enable_trailers: true}}");
    assert!(c.protocol == UpstreamProtocol::Http1 && c.http1.enable_trailers);
    let c = cluster(
        "transport_socket: {name: tls, typed_config: {'@type': \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}}, \
         typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: \
         {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, \
         auto_config: {}}}",
    );
    assert_eq!(c.protocol, UpstreamProtocol::Auto);
    // The older form.
    let c = cluster("http2_protocol_options: {}, max_requests_per_connection: 4");
    assert_eq!((c.protocol, c.max_requests_per_connection), (UpstreamProtocol::Http2, Some(4)));
}

#[test]
fn upstream_tls_is_read() {
    let authority = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    let c = cluster(&format!(
        "transport_socket: {{name: tls, typed_config: {{'@type': \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: s, \
         common_tls_context: {{alpn_protocols: [h2], tls_params: {{tls_minimum_protocol_version: TLSv1_3}}, \
         validation_context: {{trusted_ca: {{inline_string: {}}}, match_typed_subject_alt_names: \
         [{{san_type: DNS, matcher: {{exact: a.b}}}}]}}}}}}}}",
        serde_json::to_string(&authority).unwrap()
    ));
    let tls = c.tls.unwrap();
    assert_eq!((tls.sni.as_deref(), tls.versions), (Some("s"), TlsVersions::Only13));
    assert_eq!(tls.alpn, ["h2"]);
    let [name] = &tls.validation.subject_alt_names[..] else {
        panic!("{:?}", tls.validation);
    };
    assert_eq!(name.kind, SanType::Dns);
    assert!(name.matcher.matches(b"a.b") && !name.matcher.matches(b"a.b.c"));
    let shown = format!("{:?}", tls.validation.trusted_ca);
    assert!(shown.contains("len") && !shown.contains("BEGIN"), "{shown}");
}

#[test]
fn node_admin_and_runtime_are_read() {
    let b = load(
        "\
node: {id: i, cluster: c, locality: {region: r, zone: z, sub_zone: s}, metadata: {a: [1, b]}}
admin: {address: {socketAddress: {address: '::1', portValue: '8001'}}}
layered_runtime:
  layers:
  - {name: one, static_layer: {a: {b: 1, c: text}, envoy.resource_limits.listener.main.connection_limit: 5}}
  - {name: two, static_layer: {a: {b: 2, d: true}, match: 30}}
static_resources:
  listeners:
  - name: main
    stat_prefix: p
    tcp_backlog_size: 10
    enable_reuse_port: false
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    listener_filters:
    - name: i
      typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}
    filter_chains:
    - name: chain
      filter_chain_match: {server_names: [A.b, '*.c']}
      filters:
      - name: h
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          route_config:
            virtual_hosts:
            - name: v
              domains: ['*']
              routes:
              - match:
                  prefix: /
                  runtime_fraction: {default_value: {numerator: 1, denominator: MILLION}, runtime_key: match}
                redirect: {}
",
    );
    assert_eq!((b.node.id.as_str(), b.node.sub_zone.as_str()), ("i", "s"));
    assert_eq!(b.node.metadata["a"], serde_json::json!([1, "b"]));
    assert_eq!(b.admin.unwrap().address.to_string(), "[::1]:8001");
    let layers = b.runtime_layers.iter().map(|layer| match &layer.source {
        RuntimeSource::Static(values) => (layer.name.as_str(), values.len()),
        other => panic!("{other:?}"),
    });
    assert_eq!(layers.collect::<Vec<_>>(), [("one", 3), ("two", 3)]);
    // A later layer replaces what an earlier one said.
    assert_eq!(b.runtime.key("a.b").integer(), Some(2));
    assert_eq!(b.runtime.key("a.c").integer(), None);
    let l = &b.listeners[0];
    let limit = l.connection_limit.as_ref().and_then(Key::integer);
    assert_eq!((limit, l.backlog, l.reuse_port), (Some(5), Some(10), false));
    assert_eq!(l.stat_prefix.as_deref(), Some("p"));
    let chain = &l.filter_chains[0];
    assert_eq!(
        (chain.name.as_str(), &chain.server_names[..]),
        ("chain", &["a.b".to_owned(), "*.c".to_owned()][..])
    );
    let route = &chain.http.routes.virtual_hosts[0].routes[0].matching;
    let fraction = route.fraction.as_ref().map(RuntimeFraction::get);
    assert_eq!(fraction, Some(Fraction { numerator: 30, denominator: 100 }));
}

/// `/config_dump` shows what was read, in the form that protobuf gives it: names in snake_case,
/// lists as lists, durations and numbers in one spelling, nothing that is null.
#[test]
fn the_source_is_kept_as_protobuf_writes_it() {
    let bootstrap = load(
        "
node: {id: me, cluster: null, metadata: {keptAsItIs: [1, {aB: '2'}]}}
statsFlushInterval: {seconds: 2, nanos: 500000000}
layeredRuntime: {layers: {name: one, staticLayer: {camelKey: 1}}}
staticResources:
  clusters:
    name: one
    type: 1
    connectTimeout: 0.25s
    perConnectionBufferLimitBytes: {value: '1000'}
    lbPolicy: least_request
    loadAssignment:
      clusterName: one
      endpoints: {lbEndpoints: {endpoint: {address: {socketAddress: {address: h, portValue: '80'}}}}}
",
    );
    let expected = serde_json::json!({
        "node": { "id": "me", "metadata": { "keptAsItIs": [1, { "aB": "2" }] } },
        "stats_flush_interval": "2.500s",
        "layered_runtime": { "layers": [{ "name": "one", "static_layer": { "camelKey": 1 } }] },
        "static_resources": { "clusters": [{
            "name": "one",
            "type": "STRICT_DNS",
            "connect_timeout": "0.250s",
            "per_connection_buffer_limit_bytes": 1000,
            "lb_policy": "LEAST_REQUEST",
            "load_assignment": { "cluster_name": "one", "endpoints": [{ "lb_endpoints": [{
                "endpoint": { "address": { "socket_address": {
                    "address": "h", "port_value": 80,
                } } },
            }] }] },
        }] },
    });
    assert_eq!(bootstrap.source.0, expected);
}

/// As Envoy 1.40 dumps it.
#[test]
fn what_is_kept_of_the_text_is_what_protobuf_would_keep() {
    let text = r"
node: {id: '', cluster: c, metadata: {zero: 0, part: 1.50, none: [], null: ~}}
stats_config: {histogram_bucket_settings: [{match: {prefix: x}, buckets: [1, 2.5, 10]}]}
static_resources:
  listeners: []
  clusters:
  - name: a
    alt_stat_name: ''
    type: STATIC
    lb_policy: ROUND_ROBIN
    dns_lookup_family: 1
    respect_dns_ttl: 'false'
    upstream_config: ~
    max_requests_per_connection: {value: 0}
    ring_hash_lb_config: {minimum_ring_size: 1024, hash_function: XX_HASH}
    common_lb_config: {healthy_panic_threshold: {value: 0.0}, ignore_new_hosts_until_first_hc: false}
    load_assignment:
      cluster_name: a
      endpoints:
      - {priority: 0, lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}}]}
";
    let address =
        serde_json::json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    let expected = serde_json::json!({
        "node": { "cluster": "c", "metadata": { "zero": 0, "part": "1.50", "none": [], "null": null } },
        "stats_config": {
            "histogram_bucket_settings": [{ "match": { "prefix": "x" }, "buckets": [1, 2.5, 10] }],
        },
        "static_resources": {
            "clusters": [{
                "name": "a",
                "type": "STATIC",
                "dns_lookup_family": "V4_ONLY",
                "max_requests_per_connection": 0,
                "ring_hash_lb_config": { "minimum_ring_size": "1024" },
                "common_lb_config": { "healthy_panic_threshold": {} },
                "load_assignment": {
                    "cluster_name": "a",
                    "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
                },
            }],
        },
    });
    assert_eq!(load(text).source.0, expected);
}
