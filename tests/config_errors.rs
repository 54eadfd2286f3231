//! What is wrong with a configuration is said with its place and, where possible, with a remedy.

use front_proxy::config::{Loader, load_str};

/// The whole output for a text.
fn report(text: &str) -> String {
    load_str("f.yaml", text).expect_err("the text should be refused").to_string()
}

/// Each mistake on a line: `line:column message (help)`.
fn summary(text: &str) -> Vec<String> {
    let Err(errors) = load_str("f.yaml", text) else {
        return Vec::new();
    };
    errors
        .iter()
        .map(|e| {
            let place = e.place().map_or(String::new(), |(_, l, c)| format!("{l}:{c} "));
            let help = e.suggestion().map_or(String::new(), |h| format!(" ({h})"));
            format!("{place}{}{help}", e.message())
        })
        .collect()
}

/// A bootstrap with one listener, one route and one cluster; `{...}` marks are replaced.
fn bootstrap(changes: &[(&str, &str)]) -> String {
    let mut text = TEMPLATE.to_owned();
    for (mark, with) in changes {
        assert!(text.contains(mark), "{mark}");
        text = text.replace(mark, with);
    }
    text
}

const TEMPLATE: &str = "\
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {prefix: /}
                route: {cluster: one}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: one
    type: STATIC
    load_assignment:
      cluster_name: one
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 8081}}}
";

#[test]
fn the_template_is_valid() {
    assert_eq!(summary(TEMPLATE), [""; 0]);
}

#[test]
fn a_report_shows_the_line_and_what_to_do() {
    let text = bootstrap(&[
        ("stat_prefix: ingress", "stat_prefix: ingress\n          sosages: 1"),
        ("type: STATIC", "type: STATIC\n    lb_polisy: RANDOM"),
    ]);
    assert_eq!(
        report(&text),
        "\
error: unknown field `sosages` in `HttpConnectionManager`
  --> f.yaml:11:11
   |
11 |           sosages: 1
   |           ^^^^^^^

error: unknown field `lb_polisy` in `Cluster`
  --> f.yaml:27:5
   |
27 |     lb_polisy: RANDOM
   |     ^^^^^^^^^
   = help: did you mean `lb_policy`?

2 errors in the configuration"
    );
}

#[test]
fn all_mistakes_are_found_at_once_and_sorted() {
    let text = bootstrap(&[
        ("port_value: 8080", "port_value: abc"),
        ("stat_prefix: ingress", "codec_type: AUTTO"),
        ("{prefix: /}", "{safe_regex: {regex: '('}}"),
        ("{cluster: one}", "{cluster: two, timeout: 15}"),
        ("type: STATIC", "type: STATIC\n    connect_timeout: 250ms\n    lb_subset_config: {}"),
    ]);
    assert_eq!(
        summary(&text),
        [
            "4:64 `port_value` must be a whole number, not `abc`",
            "9:11 `stat_prefix` is required in `HttpConnectionManager`",
            "10:23 unknown value `AUTTO` of `codec_type` (did you mean `AUTO`?)",
            "17:45 this regular expression is not valid: unclosed group \
             (the syntax is RE2's: no look-around and no back-references)",
            "18:34 route: unknown cluster 'two' \
             (define it under `static_resources.clusters`)",
            "18:48 `timeout` is not a duration: a number without a unit (did you mean `15s`?)",
            "26:22 `connect_timeout` is not a duration: a duration is a number of seconds and an \
             `s`, as in \"1.5s\" (did you mean `0.25s`?)",
            "27:5 `lb_subset_config` is not supported yet",
        ]
    );
}

#[test]
fn broken_yaml_is_one_mistake() {
    assert_eq!(
        report("static_resources:\n  listeners: [\n   - {]\n"),
        "\
error: this is not valid YAML: \"-\" is only valid inside a block
 --> f.yaml:3:4
  |
3 |    - {]
  |    ^

1 error in the configuration"
    );
}

#[test]
fn empty_and_other_texts_are_refused() {
    assert_eq!(
        summary("# nothing\n"),
        ["1:1 the configuration is empty (`{}` is the smallest valid one)"]
    );
    assert_eq!(summary("- a\n"), ["1:1 expected a mapping (a `Bootstrap`), found a list"]);
    assert_eq!(summary("{}"), [""; 0]);
}

#[test]
fn a_field_given_twice_is_a_mistake() {
    let text = bootstrap(&[("stat_prefix: ingress", "stat_prefix: a\n          stat_prefix: b")]);
    assert_eq!(
        summary(&text),
        ["11:11 `stat_prefix` is given twice in one mapping (keep one of them)"]
    );
    let text = bootstrap(&[("stat_prefix: ingress", "stat_prefix: a\n          statPrefix: b")]);
    assert_eq!(summary(&text), ["11:11 `stat_prefix` is given twice (keep one of them)"]);
}

#[test]
fn unknown_types_are_named() {
    let text = bootstrap(&[("http.router.v3.Router", "http.ruoter.v3.Router")]);
    assert_eq!(
        summary(&text),
        ["22:24 unknown type `envoy.extensions.filters.http.ruoter.v3.Router` \
          (did you mean `envoy.extensions.filters.http.router.v3.Router`?)"]
    );
    let text = bootstrap(&[("filters.http.router.v3.Router", "filters.http.lua.v3.Lua")]);
    assert_eq!(
        summary(&text),
        ["22:24 `Lua` is not supported yet as an HTTP filter \
          (`envoy.extensions.filters.http.lua.v3.Lua`) (supported here: `Buffer`, `Cors`, \
          `HTTPFault`, `HealthCheck`, `LocalRateLimit` or `Router`)"]
    );
}

/// The template with one filter before the router and these fields of the route.
fn with_filter(filter: &str, route: &str) -> String {
    let filter = filter.replace("EXT/", "type.googleapis.com/envoy.extensions.filters.http.");
    let route = route.replace("EXT/", "type.googleapis.com/envoy.extensions.filters.http.");
    bootstrap(&[
        ("http_filters:\n", &format!("http_filters:\n          - {filter}\n")),
        ("{cluster: one}", &format!("{{cluster: one}}\n                {route}")),
    ])
}

#[test]
fn filters_are_checked() {
    for (filter, wanted) in [
        (
            "{name: f, typed_config: {'@type': EXT/buffer.v3.Buffer}}",
            &["21:37 `max_request_bytes` is required in `Buffer`"][..],
        ),
        (
            "{name: f, typed_config: {'@type': EXT/buffer.v3.Buffer, max_request_bytes: 0}}",
            &["21:134 `max_request_bytes` must be between 1 and 4294967295, not 0"],
        ),
        (
            "{name: f, typed_config: {'@type': EXT/fault.v3.HTTPFault, \
             abort: {http_status: 600}, delay: {fixed_delay: 0s}, response_rate_limit: {}}}",
            &[
                "21:138 `http_status` must be between 200 and 599, not 600",
                "21:165 `fixed_delay` must be more than 0s",
                "21:170 `response_rate_limit` is not supported yet",
            ],
        ),
        (
            "{name: f, typed_config: {'@type': EXT/fault.v3.HTTPFault, abort: {}, delay: {}}}",
            &[
                "21:124 `FaultAbort` needs one of `http_status`, `grpc_status` or `header_abort`",
                "21:135 `FaultDelay` needs one of `fixed_delay` or `header_delay`",
            ],
        ),
        (
            "{name: f, typed_config: {'@type': EXT/local_ratelimit.v3.LocalRateLimit, \
             token_bucket: {fill_interval: 0.01s}, status: {code: ServiceUnavailible}, descriptors: []}}",
            &[
                "21:162 `fill_interval` must be at least 0.05s",
                "21:185 unknown value `ServiceUnavailible` of `code` \
                 (did you mean `ServiceUnavailable`?)",
                "21:206 `descriptors` is not supported yet",
            ],
        ),
        (
            "{name: f, typed_config: {'@type': EXT/health_check.v3.HealthCheck, \
             pass_through_mode: false, cache_time: 1s, \
             cluster_min_healthy_percentages: {a: {value: 101}}}}",
            &[
                "21:164 `cache_time` must not be set when `pass_through_mode` is off",
                "21:213 `value` must be between 0 and 100, not 101",
            ],
        ),
    ] {
        assert_eq!(summary(&with_filter(filter, "name: r")), wanted, "{filter}");
    }
}

#[test]
fn what_a_route_says_about_filters_is_checked() {
    let fault = "{name: f, typed_config: {'@type': EXT/fault.v3.HTTPFault}}";
    for (said, wanted) in [
        (
            "{g: {'@type': EXT/fault.v3.HTTPFault}}",
            "19:43 no HTTP filter before the router is called `g` (did you mean `f`?)",
        ),
        (
            "{f: {'@type': EXT/cors.v3.CorsPolicy}}",
            "19:56 `CorsPolicy` can't be used as what a route says about this filter \
             (it can be `FilterConfig` or `HTTPFault`)",
        ),
        (
            "{f: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig}}",
            "19:46 it says nothing: give `config`, or `disabled: true`",
        ),
        ("[f]", "19:42 `typed_per_filter_config` must be a mapping, not a list"),
    ] {
        let text = with_filter(fault, &format!("typed_per_filter_config: {said}"));
        assert_eq!(summary(&text), [wanted], "{said}");
    }
    // Who can't read the filter can't say what is wrong here.
    let lua = "{name: f, typed_config: {'@type': EXT/lua.v3.Lua}}";
    let text = with_filter(lua, "typed_per_filter_config: {f: {'@type': EXT/lua.v3.LuaPerRoute}}");
    assert_eq!(summary(&text).len(), 1);
    let optional = lua.replace("name: f", "name: f, is_optional: true");
    let text = with_filter(&optional, "name: r");
    assert_eq!(summary(&text), [""; 0]);
}

#[test]
fn text_that_yaml_takes_for_something_else_must_be_quoted() {
    let text = bootstrap(&[("name: main", "name: 12")]);
    assert_eq!(
        summary(&text),
        ["3:11 expected text, found a number (`12`) (put it in quotes: \"12\")"]
    );
}

#[test]
fn clusters_and_domains_are_unique() {
    let cluster = TEMPLATE.split("  clusters:\n").nth(1).unwrap();
    let text = format!("{TEMPLATE}{cluster}");
    assert_eq!(summary(&text), ["31:5 duplicate cluster 'one' (the other one is on line 24)"]);
    let text = bootstrap(&[("domains: ['*']", "domains: ['*', a.b, A.B, '*']")]);
    assert_eq!(
        summary(&text),
        [
            "15:35 only unique values for domains are permitted: duplicate entry of domain a.b \
             in route local (the other one is on line 15)",
            "15:40 only a single wildcard domain is permitted in route local \
             (the other one is on line 15)",
        ]
    );
}

#[test]
fn routes_may_name_unknown_clusters_where_that_is_allowed() {
    let text = bootstrap(&[("{cluster: one}", "{cluster: ghost}")]);
    assert_eq!(
        summary(&text),
        ["18:34 route: unknown cluster 'ghost' (define it under `static_resources.clusters`)"]
    );
    let text = text.replace("name: local", "name: local\n            validate_clusters: false");
    assert_eq!(summary(&text), [""; 0]);
}

#[test]
fn addresses_are_checked() {
    let text =
        bootstrap(&[("address: 127.0.0.1, port_value: 8081", "address: a.b, port_value: 1")]);
    assert_eq!(
        summary(&text),
        [
            "30:58 malformed IP address: a.b (a STATIC cluster needs IP addresses; for names set its \
          `type` to STRICT_DNS or LOGICAL_DNS)"
        ]
    );
    assert_eq!(summary(&text.replace("STATIC", "STRICT_DNS")), [""; 0]);
    let text = bootstrap(&[("port_value: 8080", "port_value: 70000")]);
    assert_eq!(summary(&text), ["4:64 `port_value` must be between 0 and 65535, not 70000"]);
}

#[test]
fn listeners_do_not_share_an_address() {
    let (head, rest) = TEMPLATE.split_once("  - name: main\n").unwrap();
    let (listener, clusters) = rest.split_once("  clusters:").unwrap();
    let second = format!("  - name: other\n{listener}");
    let text = format!("{head}  - name: main\n{listener}{second}  clusters:{clusters}");
    assert_eq!(
        summary(&text),
        ["23:5 the listener has a duplicate address: 127.0.0.1:8080 is taken \
          (the other listener is on line 3)"]
    );
    // Of two listeners of one name, the first stays, as in Envoy.
    let mut text = text.replace("name: other", "name: main");
    let second_port = text.rfind("port_value: 8080").unwrap();
    text.replace_range(second_port..second_port + 16, "port_value: 9090");
    let bootstrap = load_str("f.yaml", &text).unwrap();
    assert_eq!(bootstrap.listeners.len(), 1);
    assert_eq!(bootstrap.listeners[0].address.port(), 8080);
}

#[test]
fn listeners_need_filter_chains() {
    let text = "static_resources: {listeners: [{address: {socket_address: \
                {address: 127.0.0.1, port_value: 1}}}]}";
    assert_eq!(
        summary(text),
        ["1:32 no filter chains specified for this listener \
          (add `filter_chains` with an HttpConnectionManager)"]
    );
}

#[test]
fn formats_and_retry_conditions_are_pointed_at() {
    let text = bootstrap(&[(
        "{cluster: one}",
        "{cluster: one, retry_policy: {retry_on: '5xx, rest'}}\n                \
         response_headers_to_add: [{header: {key: x, value: 'a %PROTOCL%'}}]",
    )]);
    assert_eq!(
        summary(&text),
        [
            "18:70 unknown retry condition `rest` (did you mean `reset`?)",
            "19:71 unknown format command `PROTOCL` (did you mean `%PROTOCOL%`?)",
        ]
    );
}

#[test]
fn limits_of_matches_and_durations_are_envoys() {
    let find = |from: &str, to: &str| summary(&bootstrap(&[(from, to)]));
    let path = |prefix: &str| find("{prefix: /}", &format!("{{path_separated_prefix: {prefix}}}"));
    assert_eq!(path("/a"), [""; 0]);
    assert_eq!(path("a").len(), 1);
    let query = |length| {
        let name = "n".repeat(length);
        find("{prefix: /}", &format!("{{prefix: /, query_parameters: [{{name: {name}}}]}}"))
    };
    assert_eq!(query(1024), [""; 0]);
    assert_eq!(query(1025).len(), 1);
    let timeout =
        |seconds: &str| find("{cluster: one}", &format!("{{cluster: one, timeout: {seconds}}}"));
    assert_eq!(timeout("9223372035s"), [""; 0]);
    assert_eq!(timeout("9223372036s").len(), 1);
}

#[test]
fn a_mistake_in_a_format_is_pointed_at_wherever_the_text_stands() {
    let text = bootstrap(&[(
        "stat_prefix: ingress",
        "stat_prefix: ingress
          access_log:
          - name: log
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                text_format_source:
                  inline_string: |
                    %PROTOCOL% é %PROTOCL% a
                    %REQ(a b)%
          - name: log
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                json_format: {a: \"é\\n%PROTOCL%\", b: [1, '%GRPC_STATUS(x)%'], c: 50%}",
    )]);
    assert_eq!(
        summary(&text),
        [
            "18:34 unknown format command `PROTOCL` (did you mean `%PROTOCOL%`?)",
            "24:38 unknown format command `PROTOCL` (did you mean `%PROTOCOL%`?)",
            "24:58 the format command `GRPC_STATUS` takes CAMEL_STRING, SNAKE_STRING or NUMBER",
            "24:83 this is no `%COMMAND%` (a percent sign is written `%%`) \
             (commands look like `%REQ(x-name):20%`)",
        ]
    );
}

#[test]
fn what_can_not_be_built_is_found() {
    let regex = "regex_rewrite: {pattern: {regex: 'a'}, substitution: '\\1'}";
    let text = bootstrap(&[
        ("stat_prefix: ingress", "stat_prefix: ingress\n          server_name: \"a\\tb\\x01\""),
        ("{cluster: one}", &format!("{{cluster: one, host_rewrite_literal: 'a b', {regex}}}")),
        ("static_resources:", "node: {id: \"a\\x7f\"}\nstatic_resources:"),
    ]);
    assert_eq!(
        summary(&text),
        [
            "1:12 `id` must not hold line ends or other control characters",
            "12:24 `server_name` must not hold line ends or other control characters",
            "20:61 `a b` can't be a host",
            "20:121 this substitution is not valid: the pattern has no group 1 (at 0)",
        ]
    );
}

#[test]
fn options_that_would_change_nothing_for_a_cluster_are_refused() {
    for (kind, option) in [
        ("http_protocol_options", "allow_chunked_length"),
        ("http2_protocol_options", "override_stream_error_on_invalid_http_message"),
    ] {
        let with = |value: &str| {
            let given = format!("type: STATIC\n    {kind}: {{{option}: {value}}}");
            summary(&bootstrap(&[("type: STATIC", &given)]))
        };
        let column = 8 + kind.len();
        assert_eq!(
            with("true"),
            [format!("26:{column} `{option}` is not supported yet for clusters")]
        );
    }
    let text = bootstrap(&[(
        "type: STATIC",
        "type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        use_downstream_protocol_config: {}",
    )]);
    assert_eq!(summary(&text), ["29:9 `use_downstream_protocol_config` is not supported yet"]);
}

#[cfg(unix)]
#[test]
fn a_log_that_can_not_be_written_is_found_and_none_is_made() {
    let log = |path: &std::path::Path| {
        bootstrap(&[(
            "stat_prefix: ingress",
            &format!(
                "stat_prefix: ingress\n          access_log: [{{name: log, typed_config: {{path: {path:?}, '@type': \
                 type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog}}}}]"
            ),
        )])
    };
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.log");
    std::fs::write(&old, "a line\n").unwrap();
    let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    std::fs::set_permissions(&old, read_only).unwrap();
    let found = summary(&log(&old));
    // Root may write to any file.
    match std::fs::OpenOptions::new().append(true).open(&old) {
        Ok(_) => assert_eq!(found, [""; 0]),
        Err(_) => {
            assert!(found.len() == 1 && found[0].contains("unable to open file"), "{found:?}");
        }
    }
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "a line\n");
    let new = folder.path().join("new.log");
    assert_eq!(summary(&log(&new)), [""; 0]);
    assert!(!new.exists());
}

#[test]
fn certificates_are_verified_in_a_way_that_verifies() {
    let ca = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let quoted = |pem: &str| format!("inline_string: \"{}\"", pem.replace('\n', "\\n"));
    let trusted = format!("trusted_ca: {{{}}}", quoted(&ca.cert.pem()));
    let upstream = |fields: &str| {
        bootstrap(&[(
            "type: STATIC",
            &format!(
                "type: STATIC\n    transport_socket:\n      name: tls\n      typed_config:\n        \
                 '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n        \
                 {fields}"
            ),
        )])
    };
    let names = |fields: &str| {
        upstream(&format!(
            "common_tls_context:\n          validation_context:\n            {fields}"
        ))
    };
    assert_eq!(
        summary(&names("match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]")),
        [
            "32:44 SAN-based verification of peer certificates without trusted CA is insecure and not \
          allowed"
        ]
    );
    for (field, message) in [
        (
            "{san_type: OTHER_NAME, matcher: {exact: a}}",
            "an OTHER_NAME needs its `oid`, as `1.3.6.1`, not ``",
        ),
        (
            "{san_type: OTHER_NAME, oid: '3.x', matcher: {exact: a}}",
            "an OTHER_NAME needs its `oid`, as `1.3.6.1`, not `3.x`",
        ),
        (
            "{san_type: URI, oid: '1.2', matcher: {exact: a}}",
            "only names of the type OTHER_NAME have an `oid`",
        ),
        ("{matcher: {exact: a}}", "`san_type` is required in `SubjectAltNameMatcher`"),
        (
            "{san_type: DNS, matcher: {safe_regex: {regex: '('}}}",
            "this regular expression is not valid: unclosed group",
        ),
    ] {
        let found = summary(&names(&format!(
            "match_typed_subject_alt_names: [{field}]\n            {trusted}"
        )));
        assert!(found.len() == 1 && found[0].contains(message), "{field}: {found:?}");
    }
    for refused in [
        "verify_certificate_hash: [a]",
        "verify_certificate_spki: [a]",
        "match_subject_alt_names: [{exact: a}]",
        "allow_expired_certificate: true",
        "trust_chain_verification: ACCEPT_UNTRUSTED",
        "crl: {inline_string: a}",
    ] {
        let found = summary(&names(&format!("{refused}\n            {trusted}")));
        assert!(found.len() == 1 && found[0].contains("is not supported yet"), "{found:?}");
    }
    for refused in ["auto_host_sni: true", "auto_sni_san_validation: true"] {
        let found = summary(&upstream(refused));
        assert!(found.len() == 1 && found[0].contains("is not supported yet"), "{found:?}");
    }
    assert_eq!(summary(&upstream("sni: 'a b'")), ["30:14 `a b` is not a name of a host"]);

    let own = quoted(&ca.cert.pem());
    let key = quoted(&ca.signing_key.serialize_pem());
    let listener = TEMPLATE.replace(
        "  clusters:",
        &format!(
            "      transport_socket:\n        name: tls\n        typed_config:\n          '@type': \
             type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n          \
             require_client_certificate: true\n          common_tls_context:\n            \
             tls_certificates: [{{certificate_chain: {{{own}}}, private_key: {{{key}}}}}]\n  clusters:"
        ),
    );
    assert_eq!(
        summary(&listener),
        [
            "27:39 client certificates are required, but not verified (add a `validation_context` with \
          a `trusted_ca`: without one Envoy asks for none)"
        ]
    );
}

#[test]
fn certificates_are_loaded() {
    let socket = |chain: &str, key: &str| {
        format!(
            "  transport_socket:\n        name: tls\n        typed_config:\n          '@type': \
             type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n          \
             common_tls_context:\n            tls_certificates:\n            \
             - certificate_chain: {{{chain}}}\n              private_key: {{{key}}}\n  clusters:"
        )
    };
    let with = |chain: &str, key: &str| {
        TEMPLATE.replace("  clusters:", &format!("    {}", socket(chain, key)))
    };
    assert_eq!(
        summary(&with("inline_string: junk", "filename: /no/such.pem")),
        [
            "29:50 failed to load certificate chain from <inline>: it holds no PEM certificate",
            "30:39 can't read the file `/no/such.pem`: No such file or directory (os error 2)",
        ]
    );
    let quoted = |pem: &str| format!("inline_string: \"{}\"", pem.replace('\n', "\\n"));
    let one = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let two = rcgen::generate_simple_self_signed(["b.example".to_owned()]).unwrap();
    let good = with(&quoted(&one.cert.pem()), &quoted(&one.signing_key.serialize_pem()));
    assert_eq!(summary(&good), [""; 0]);
    let bad = with(&quoted(&one.cert.pem()), &quoted(&two.signing_key.serialize_pem()));
    assert_eq!(summary(&bad).len(), 1);
    assert!(summary(&bad)[0].starts_with("30:44 the private key does not match the certificate"));
}

#[test]
fn texts_are_merged() {
    let loader = Loader::new().text("f.yaml", TEMPLATE).text(
        "--config-yaml",
        "static_resources: {clusters: [{name: two}]}\nnode: {id: a}\nadmin: {address: \
         {socket_address: {address: 127.0.0.1, port_value: 9}}}",
    );
    let bootstrap = loader.clone().load().unwrap();
    assert_eq!(bootstrap.clusters.len(), 2);
    assert_eq!(bootstrap.admin.unwrap().address.port(), 9);
    let over =
        "admin: {address: {socketAddress: {portValue: 10}}}\nnode: {cluster: b, metadata: null}";
    let bootstrap = loader.clone().text("over", over).load().unwrap();
    assert_eq!(bootstrap.admin.unwrap().address.to_string(), "127.0.0.1:10");
    assert_eq!((bootstrap.node.id.as_str(), bootstrap.node.cluster.as_str()), ("a", "b"));
    let errors = loader.text("over", "node: {idd: c}").load().unwrap_err();
    assert_eq!(errors.iter().next().unwrap().place(), Some(("over", 1, 8)));
}

#[test]
fn unknown_fields_are_left_out_only_on_request() {
    let text = bootstrap(&[("type: STATIC", "type: STATIC\n    sosages: 1\n    filters: []")]);
    let loader = Loader::new().text("f.yaml", &text);
    assert_eq!(loader.load().unwrap_err().len(), 2);
    // What Envoy knows and this reader doesn't is still refused.
    assert_eq!(loader.allow_unknown_fields(true).load().unwrap_err().len(), 1);
}

#[test]
fn many_routes_and_clusters_load_in_one_pass() {
    const COUNT: usize = 10_000;
    let mut text = TEMPLATE.to_owned();
    let route = "              - match: {prefix: /}\n                route: {cluster: one}\n";
    let routes: String = (0..COUNT)
        .map(|i| route.replace("/}", &format!("/{i}}}")).replace("one", &format!("c{i}")))
        .collect();
    text = text.replace(route, &routes);
    for i in 0..COUNT {
        text.push_str(&format!("  - name: c{i}\n    alt_stat_name: s{i}\n"));
    }
    let start = std::time::Instant::now();
    let bootstrap = load_str("f.yaml", &text).unwrap();
    assert_eq!(bootstrap.clusters.len(), COUNT + 1);
    // All with wrong names: every one is reported.
    let errors = load_str("f.yaml", &text.replace("cluster: c", "cluster: d")).unwrap_err();
    assert_eq!(errors.len(), COUNT);
    assert!(errors.to_string().len() > COUNT);
    // A quadratic step takes minutes here.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
