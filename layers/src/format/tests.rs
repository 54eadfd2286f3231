//! What real Envoy 1.40 printed for the commands, refused, and left out.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, Version};
use proptest::prelude::*;

use super::*;
use crate::response_flags::{ResponseFlag, ResponseFlags};

/// A proxied request; its headers can be changed.
struct Seen {
    request: HeaderMap,
    response: HeaderMap,
    code: u16,
}

fn seen() -> Seen {
    let mut request = HeaderMap::new();
    for (name, value) in
        [("b", "bv"), ("multi", "1"), ("multi", "2"), ("accept", "a"), ("accept", "b")]
    {
        request.append(name, value.parse().unwrap());
    }
    let mut response = HeaderMap::new();
    response.insert("content-type", "a/b".parse().unwrap());
    response.insert("x-envoy-upstream-service-time", "7".parse().unwrap());
    Seen { request, response, code: 200 }
}

impl FormatContext for Seen {
    fn request_headers(&self) -> Option<&HeaderMap> {
        Some(&self.request)
    }
    fn response_headers(&self) -> Option<&HeaderMap> {
        Some(&self.response)
    }
    fn start_time(&self) -> Option<std::time::SystemTime> {
        Some(UNIX_EPOCH + Duration::from_millis(1_795_403_944_885))
    }
    fn elapsed(&self, point: TimePoint) -> Option<Duration> {
        match point {
            TimePoint::RequestReceived => Some(Duration::from_micros(1500)),
            TimePoint::UpstreamReceiveBegin => Some(Duration::from_millis(20)),
            TimePoint::ResponseEnd => Some(Duration::from_millis(25)),
            _ => None,
        }
    }
    fn duration(&self) -> Option<Duration> {
        Some(Duration::from_micros(25_900))
    }
    fn method(&self) -> Option<&str> {
        Some("GET")
    }
    fn path(&self) -> Option<&str> {
        Some("/p/a?k=v1&z=2&k=3")
    }
    fn authority(&self) -> Option<&str> {
        Some("front.example")
    }
    fn scheme(&self) -> Option<&str> {
        Some("http")
    }
    fn protocol(&self) -> Option<Version> {
        Some(Version::HTTP_11)
    }
    fn upstream_protocol(&self) -> Option<Version> {
        Some(Version::HTTP_2)
    }
    fn bytes_received(&self) -> u64 {
        3
    }
    fn bytes_sent(&self) -> u64 {
        18_446_744_073_709_551_615
    }
    fn response_code(&self) -> Option<u16> {
        Some(self.code)
    }
    fn response_code_details(&self) -> Option<&str> {
        Some("via upstream")
    }
    fn response_flags(&self) -> ResponseFlags {
        ResponseFlag::UpstreamConnectionFailure.into()
    }
    fn upstream_cluster(&self) -> Option<&str> {
        Some("service1")
    }
    fn upstream_host(&self) -> Option<std::net::SocketAddr> {
        "127.0.0.1:8080".parse().ok()
    }
    fn upstream_host_name(&self) -> Option<&str> {
        self.request.contains_key("named").then_some("ep.name:81")
    }
    fn downstream_remote_address(&self) -> Option<std::net::SocketAddr> {
        "10.1.2.3:57002".parse().ok()
    }
    fn downstream_local_address(&self) -> Option<std::net::SocketAddr> {
        "[2001:db8::1]:80".parse().ok()
    }
}

fn rendered(format: &str, context: &dyn FormatContext) -> String {
    String::from_utf8(Format::parse(format).unwrap().render(context)).unwrap()
}

#[test]
fn commands_print_what_envoys_do() {
    let seen = seen();
    for (command, want) in [
        ("START_TIME", "2026-11-23T03:19:04.885Z"),
        ("START_TIME()", "2026-11-23T03:19:04.885Z"),
        ("START_TIME(%Y/%m/%d %s)", "2026/11/23 1795403944"),
        ("BYTES_RECEIVED", "3"),
        ("BYTES_SENT", "18446744073709551615"),
        ("PROTOCOL", "HTTP/1.1"),
        ("UPSTREAM_PROTOCOL", "HTTP/2"),
        ("RESPONSE_CODE", "200"),
        ("RESPONSE_CODE_DETAILS", "via_upstream"),
        ("RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)", "via upstream"),
        ("DURATION", "25"),
        ("REQUEST_DURATION", "1"),
        ("REQUEST_TX_DURATION", "-"),
        ("RESPONSE_DURATION", "20"),
        ("RESPONSE_TX_DURATION", "5"),
        ("COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)", "1500"),
        ("COMMON_DURATION(DS_RX_END:US_RX_BEG:ns)", "18500000"),
        ("COMMON_DURATION(US_RX_BEG:DS_RX_END:ms)", "-"),
        ("RESPONSE_FLAGS", "UF"),
        ("RESPONSE_FLAGS_LONG", "UpstreamConnectionFailure"),
        ("UPSTREAM_HOST", "127.0.0.1:8080"),
        ("UPSTREAM_HOST_NAME", "127.0.0.1:8080"),
        ("UPSTREAM_HOST_NAME_WITHOUT_PORT", "127.0.0.1"),
        ("UPSTREAM_CLUSTER", "service1"),
        ("DOWNSTREAM_REMOTE_ADDRESS", "10.1.2.3:57002"),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "10.1.2.3"),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)", "10.1.0.0/16"),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(0)", "0.0.0.0/0"),
        ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(20)", "2001::/20"),
        ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(200)", "2001:db8::1/128"),
        ("DOWNSTREAM_REMOTE_PORT", "57002"),
        ("DOWNSTREAM_LOCAL_ADDRESS", "[2001:db8::1]:80"),
        ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "2001:db8::1"),
        ("PATH", "/p/a?k=v1&z=2&k=3"),
        ("PATH(NQ)", "/p/a"),
        ("PATH(NQ:ORIG)", "-"),
        ("PATH(WQ:PATH):4", "/p/a"),
        ("PATH:3", "/p/"),
        ("QUERY_PARAM(k)", "v1"),
        ("QUERY_PARAM(k):1", "v"),
        ("QUERY_PARAM(nope)", "-"),
        ("QUERY_PARAMS", "k=v1&z=2&k=3"),
        ("REQ(:METHOD)", "GET"),
        ("REQ(:PATH):3", "/p/"),
        ("REQ(:PATH):0", ""),
        ("REQ(X-ENVOY-ORIGINAL-PATH?:PATH)", "/p/a?k=v1&z=2&k=3"),
        ("REQ(a?b)", "bv"),
        ("REQ(a?)", "-"),
        ("REQ(:AUTHORITY)", "front.example"),
        ("REQ(host)", "front.example"),
        ("REQ(:scheme)", "http"),
        ("REQ(:status)", "-"),
        ("REQ(:nope)", "-"),
        ("REQ(multi)", "1"),
        ("REQ(accept)", "a,b"),
        ("RESP(Content-Type):1", "a"),
        ("RESP(:status)", "200"),
        ("RESP(:path)", "-"),
        ("TRAILER(x?y):2", "-"),
        ("UPSTREAM_REQUEST_ATTEMPT_COUNT", "0"),
        ("ACCESS_LOG_TYPE", "NotSet"),
        ("CONNECTION_ID", "0"),
        ("LOCAL_REPLY_BODY", ""),
        ("ENVIRONMENT(NO_SUCH_VARIABLE_)", "-"),
        ("GRPC_STATUS", "-"),
        ("DYNAMIC_METADATA(a:b):3", "-"),
        ("DOWNSTREAM_PEER_SUBJECT", "-"),
        ("RESPONSE_HEADERS_BYTES", "55"),
    ] {
        assert_eq!(rendered(&format!("%{command}%"), &seen), want, "{command}");
    }
}

#[test]
fn the_default_line_is_envoys() {
    let mut seen = seen();
    seen.request.insert("x-envoy-original-path", "/before".parse().unwrap());
    assert_eq!(
        rendered(DEFAULT_ACCESS_LOG, &seen),
        "[2026-11-23T03:19:04.885Z] \"GET /before HTTP/1.1\" 200 UF 3 18446744073709551615 25 7 \
         \"-\" \"-\" \"-\" \"front.example\" \"127.0.0.1:8080\"\n"
    );
    assert_eq!(
        rendered(DEFAULT_ACCESS_LOG, &()),
        "[-] \"- - -\" 0 - 0 0 - - \"-\" \"-\" \"-\" \"-\" \"-\"\n"
    );
}

#[test]
fn headers_decide_what_some_commands_print() {
    let mut seen = seen();
    seen.request.insert("named", "1".parse().unwrap());
    seen.request.insert("x-envoy-original-path", "/o?q".parse().unwrap());
    assert_eq!(
        rendered("%UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%", &seen),
        "ep.name:81 ep.name"
    );
    assert_eq!(
        rendered("%PATH% %PATH(NQ)% %PATH(NQ:PATH)% %PATH(WQ:ORIG)%", &seen),
        "/o?q /o /p/a /o?q"
    );
    let grpc =
        "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%";
    seen.request.insert("content-type", "application/grpc".parse().unwrap());
    assert_eq!(rendered(grpc, &seen), "Unknown UNKNOWN 2 2");
    seen.code = 503;
    assert_eq!(rendered(grpc, &seen), "Unavailable UNAVAILABLE 14 14");
    seen.response.insert("grpc-status", "5".parse().unwrap());
    assert_eq!(rendered(grpc, &seen), "NotFound NOT_FOUND 5 5");
    seen.response.insert("grpc-status", "99".parse().unwrap());
    assert_eq!(rendered(grpc, &seen), "99 99 99 99");
}

#[test]
fn bytes_of_headers_are_copied() {
    let mut seen = seen();
    seen.request.insert("x", http::HeaderValue::from_bytes(b"\xe9x\xff").unwrap());
    assert_eq!(Format::parse("%REQ(x)%|%REQ(x):1%").unwrap().render(&seen), b"\xe9x\xff|\xe9");
}

#[test]
fn unique_ids_are_uuids_and_differ() {
    let format = Format::parse("%UNIQUE_ID%").unwrap();
    let ids = [(); 8].map(|()| String::from_utf8(format.render(&())).unwrap());
    for id in &ids {
        let groups: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|c| c == '-' || c.is_ascii_hexdigit()), "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
    }
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn absent_values_can_be_left_out() {
    let format = Format::parse("x%REQ(nope)%y%RESPONSE_CODE%%RESPONSE_FLAGS%").unwrap();
    assert_eq!(format.render(&()), b"x-y0-");
    assert_eq!(format.omit_absent().render(&()), b"xy0-");
}

#[test]
fn literals_are_told_apart() {
    assert_eq!(Format::parse("100%% a").unwrap().as_literal(), Some("100% a"));
    assert_eq!(Format::parse("").unwrap().as_literal(), Some(""));
    assert_eq!(Format::parse("%PROTOCOL%").unwrap().as_literal(), None);
}

#[test]
fn what_envoy_refuses_is_refused() {
    use FormatErrorKind::{NotACommand, NotSupported, Parameters, Unknown};
    let kind = |text: &str| Format::parse(text).unwrap_err().kind;
    for text in [
        "%",
        "a%",
        "%REQ(a",
        "%REQ(a)",
        "%nope%",
        "%%%",
        "% %",
        "%REQ(:PATH):x%",
        "%REQ(a):%",
        "%()%",
        "%REQ(a)b%",
    ] {
        assert_eq!(kind(text), NotACommand, "{text}");
    }
    for name in ["NOPE", "ROUTE_STAT_NAME", "VIRTUAL_HOST_NAME", "COOKIE(a)", "TLS_VERSION"] {
        let bare = name.split('(').next().unwrap().to_owned();
        assert_eq!(kind(&format!("%{name}%")), Unknown(bare), "{name}");
    }
    for command in [
        "REQ",
        "REQ()",
        "REQ(a?b?c)",
        "REQ(a:b)",
        "REQ(a b)",
        "ENVIRONMENT",
        "PATH(X)",
        "PATH(NQ:X)",
        "PROTOCOL(x)",
        "PROTOCOL:2",
        "PROTOCOL():2",
        "HOSTNAME:2",
        "DURATION(x)",
        "RESPONSE_FLAGS:1",
        "STREAM_ID:3",
        "START_TIME:3",
        "START_TIME(%Y):3",
        "START_TIME(%n)",
        "QUERY_PARAM",
        "COMMON_DURATION",
        "COMMON_DURATION(DS_RX_BEG:DS_TX_END)",
        "COMMON_DURATION(x:DS_TX_END:ms)",
        "COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms:x)",
        "GRPC_STATUS(x)",
        "RESPONSE_FLAGS(x)",
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(x)",
        "DOWNSTREAM_REMOTE_PORT(8)",
        "METADATA",
        "METADATA(x:a)",
        "FILTER_STATE(a:x)",
        "FILTER_STATE(a:PLAIN:x)",
        "UPSTREAM_FILTER_STATE(a:FIELD)",
    ] {
        assert!(matches!(kind(&format!("%{command}%")), Parameters { .. }), "{command}");
    }
    for command in [
        "CEL(request.path)",
        "START_TIME_LOCAL",
        "COALESCE(x)",
        "QUERY_PARAMS(DECODED)",
        "REQ_WITHOUT_QUERY(:PATH)",
    ] {
        assert!(matches!(kind(&format!("%{command}%")), NotSupported(_)), "{command}");
    }
}

#[test]
fn an_error_names_its_place() {
    for (text, offset) in
        [("%NOPE%", 0), ("é %% %NOPE%", 6), ("%PROTOCOL% %REQ()%", 11), ("ab%", 2)]
    {
        let error = Format::parse(text).unwrap_err();
        assert_eq!(error.offset, offset, "{text}");
        assert!(error.to_string().contains(&offset.to_string()), "{error}");
    }
}

/// The built-in commands that Envoy 1.40 takes; an x is a parameter.
#[test]
fn what_envoy_takes_is_taken() {
    let names = "START_TIME EMIT_TIME BYTES_RECEIVED BYTES_SENT BYTES_RETRANSMITTED
        PACKETS_RETRANSMITTED PROTOCOL UPSTREAM_PROTOCOL RESPONSE_CODE RESPONSE_CODE_DETAILS
        CONNECTION_TERMINATION_DETAILS DURATION REQUEST_DURATION REQUEST_TX_DURATION
        RESPONSE_DURATION RESPONSE_TX_DURATION ROUNDTRIP_DURATION DOWNSTREAM_HANDSHAKE_DURATION
        UPSTREAM_CONNECTION_POOL_READY_DURATION CUSTOM_FLAGS RESPONSE_FLAGS RESPONSE_FLAGS_LONG
        UPSTREAM_HOST UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_CLUSTER
        UPSTREAM_CLUSTER_RAW UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT
        UPSTREAM_LOCAL_PORT UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
        UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_TRANSPORT_FAILURE_REASON
        UPSTREAM_CONNECTION_ID UPSTREAM_WIRE_BYTES_SENT UPSTREAM_HEADER_BYTES_RECEIVED
        UPSTREAM_TLS_CIPHER UPSTREAM_TLS_VERSION UPSTREAM_TLS_SESSION_ID UPSTREAM_PEER_ISSUER
        UPSTREAM_PEER_CERT UPSTREAM_PEER_SUBJECT UPSTREAM_FILTER_STATE(x) UPSTREAM_METADATA(x)
        UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_ADDRESS
        DOWNSTREAM_LOCAL_PORT DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_PORT
        DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
        DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT
        DOWNSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_WIRE_BYTES_RECEIVED
        DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_TLS_VERSION DOWNSTREAM_TLS_CIPHER
        DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_FINGERPRINT_256
        DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_PEER_CERT_V_START
        DOWNSTREAM_PEER_CERT_V_START(%s) DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_CERT
        DOWNSTREAM_PEER_ISSUER DOWNSTREAM_CX_RTT TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT
        CONNECTION_ID STREAM_ID REQUESTED_SERVER_NAME ROUTE_NAME VIRTUAL_CLUSTER_NAME HOSTNAME
        FILTER_CHAIN_NAME UNIQUE_ID TRACE_ID SPAN_ID ACCESS_LOG_TYPE LOCAL_REPLY_BODY GRPC_STATUS
        GRPC_STATUS_NUMBER REQUEST_HEADERS_BYTES RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES
        ENVIRONMENT(x):2 PATH QUERY_PARAM(x) QUERY_PARAMS DYNAMIC_METADATA(x) CLUSTER_METADATA(x)
        METADATA(ROUTE:x) METADATA(ROUTE) FILTER_STATE(x) FILTER_STATE(x:FIELD:y) UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED
        UPSTREAM_CONNECTION_IDS_ATTEMPTED PROTOCOL() UPSTREAM_TLS_GROUP REQUEST_HEADER(x)
        RESPONSE_HEADER(x):3 RESPONSE_TRAILER(x) ROUTE_RESOLUTION_COUNT ROUTE_RESOLUTION_TIME_US
        UPSTREAM_PEER_CERT_V_START(%Y) UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID";
    for command in names.split_whitespace() {
        assert!(Format::parse(&format!("%{command}%")).is_ok(), "{command}");
    }
}

#[test]
fn headers_go_by_two_names() {
    for (long, short) in
        [("REQUEST_HEADER", "REQ"), ("RESPONSE_HEADER", "RESP"), ("RESPONSE_TRAILER", "TRAILER")]
    {
        let written = |name: &str| {
            Format::parse(&format!("%{name}(x-long)% %{name}(:PATH?content-type):4%"))
                .unwrap()
                .render(&seen())
        };
        assert_eq!(written(long), written(short), "{long}");
    }
}

#[test]
fn all_commands_that_are_listed_are_known() {
    let mut count = 0;
    for name in Format::commands() {
        let error = Format::parse(&format!("%{name}%")).err();
        let takes = |e: &FormatError| matches!(e.kind, FormatErrorKind::Parameters { .. });
        assert!(error.as_ref().is_none_or(takes), "{name}: {error:?}");
        count += 1;
    }
    let mut names: Vec<_> = Format::commands().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "none is listed twice");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(%|%%|REQ|PATH|START_TIME|\\(|\\)|:|\\?|[0-9]|[A-Z_]{1,3}|\\PC){0,24}") {
        match Format::parse(&text) {
            Ok(format) => {
                format.render(&seen());
                format.render(&());
            }
            Err(error) => {
                prop_assert!(text[error.offset..].starts_with('%'), "{}", error);
                let whole = &text[error.offset..error.offset + error.len];
                prop_assert!(whole.ends_with('%'), "{}: {}", error, whole);
            }
        }
    }

    #[test]
    fn text_without_commands_stays(text in "\\PC{0,40}") {
        let escaped = text.replace('%', "%%");
        let format = Format::parse(&escaped).unwrap();
        prop_assert_eq!(format.as_literal(), Some(text.as_str()));
        prop_assert_eq!(format.render(&()), text.into_bytes());
    }
}

#[test]
fn query_parameters_are_decoded() {
    struct Asked(&'static str);
    impl FormatContext for Asked {
        fn path(&self) -> Option<&str> {
            Some(self.0)
        }
    }
    for (path, want) in [
        ("/?a=%2f+%zz%4", "/+%zz%4"),
        ("/?%61=1&a=2", "1"),
        ("/?a=%c3%a9", "\u{e9}"),
        ("/?a=%%41%", "%A%"),
        ("/?a=", ""),
        ("/?a", ""),
        ("/?b=1", "-"),
    ] {
        let got = Format::parse("%QUERY_PARAM(a)%").unwrap().render(&Asked(path));
        assert_eq!(String::from_utf8(got).unwrap(), want, "{path}");
    }
}
