//! HTTP/2 towards clients, frame by frame: what Envoy refuses, how, and what it counts.

mod http2_support;

use std::time::{Duration, Instant};

use http2_support::*;

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/direct"), (":authority", "a.example")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/app"), (":authority", "a.example")];

fn with<'a>(base: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [base, more].concat()
}

async fn proxy(manager: &str) -> Proxy {
    Proxy::start(echo_http1().await, manager, "connect_timeout: 1s").await
}

#[tokio::test]
async fn a_malformed_request_ends_the_connection_without_a_word() {
    let proxy = proxy("").await;
    let bad: &[&[(&str, &str)]] = &[
        &with(&GET, &[("connection", "close")]),
        &with(&GET, &[("transfer-encoding", "chunked")]),
        &with(&GET, &[("te", "gzip")]),
        &with(&GET, &[("Capital", "x")]),
        &with(&GET, &[("a b", "x")]),
        &with(&GET, &[("a", "x\r\ny: z")]),
        &with(&GET, &[("content-length", "5")]),
        &with(&GET, &[(":path", "/again")]),
        &with(&GET, &[(":status", "200")]),
        &with(&GET[..3], &[("a", "b"), (":authority", "late")]),
        &with(&GET[..3], &[(":authority", "user@a.example")]),
        &GET[..3],
        &[GET[0], GET[1], GET[3]],
        &[GET[0], GET[2], GET[3]],
        &[GET[1], GET[2], GET[3]],
        &[GET[0], GET[1], (":path", ""), GET[3]],
        &[GET[0], GET[1], (":path", "*"), GET[3]],
        &[GET[0], GET[1], (":path", "/a b"), GET[3]],
    ];
    for headers in bad {
        let mut wire = Wire::connect(proxy.address).await;
        wire.request(1, headers, true).await;
        assert_eq!(wire.rest().await, [], "{headers:?}");
    }
    let count = bad.len() as u64;
    proxy.until("http.in.downstream_cx_destroy", count).await;
    for stat in [
        "http2.rx_messaging_error",
        "http2.nghttp2_downstream_connections",
        "http.in.downstream_cx_protocol_error",
        "http.in.downstream_cx_destroy_local_active_rq",
        "http.in.downstream_cx_delayed_close_timeout",
        "http.in.downstream_rq_http2_total",
        "http.in.downstream_rq_rx_reset",
    ] {
        assert_eq!(proxy.stat(stat), count, "{stat}");
    }
    assert_eq!(proxy.stat("http2.tx_reset") + proxy.stat("http.in.rq_total"), 0);
}

#[tokio::test]
async fn a_malformed_request_may_end_its_stream_only() {
    let proxy = proxy("stream_error_on_invalid_http_message: true").await;
    let mut wire = Wire::connect(proxy.address).await;
    wire.request(1, &with(&GET, &[("connection", "close")]), true).await;
    let reset = wire.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, 1));
    wire.request(3, &GET[..3], true).await;
    assert_eq!(wire.next_of(RST_STREAM).await.stream, 3);
    wire.request(5, &GET, true).await;
    assert_eq!(wire.next_of(DATA).await.payload, b"direct");
    assert_eq!(proxy.stat("http2.rx_messaging_error"), 2);
    assert_eq!(proxy.stat("http.in.downstream_rq_total"), 3);
}

#[tokio::test]
async fn broken_compression_and_framing_are_told() {
    let proxy = proxy("").await;
    let long = "x".repeat(70_000);
    let too_long = block(&with(&GET, &[("long", &long)]));
    let mut in_pieces = Vec::new();
    for (at, piece) in too_long.chunks(16_000).enumerate() {
        let last = (at + 1) * 16_000 >= too_long.len();
        let kind = if at == 0 { HEADERS } else { CONTINUATION };
        let flags = u8::from(at == 0) | if last { 4 } else { 0 };
        in_pieces.extend(frame(kind, flags, 1, piece));
    }
    let unfinished = [frame(HEADERS, 1, 1, &block(&GET)), frame(PING, 0, 0, &[0; 8])].concat();
    let told: &[(&[u8], u32, u32)] = &[
        (&frame(HEADERS, 5, 1, b"\xff\xff\x0f"), 1, 9),
        (&in_pieces, 1, 9),
        (&frame(DATA, 0, 5, b"idle"), 0, 1),
        (&frame(CONTINUATION, 4, 1, b""), 0, 1),
        (&unfinished, 1, 1),
        (&frame(PING, 0, 0, b"short"), 0, 6),
        (&frame(SETTINGS, 0, 0, b"odd"), 0, 6),
        (&frame(DATA, 0, 1, &[0; 17_000]), 0, 6),
    ];
    for (bytes, last, code) in told {
        let mut wire = Wire::connect(proxy.address).await;
        wire.send(bytes).await;
        let [goaway] = &wire.rest().await[..] else { panic!("one frame for code {code}") };
        assert_eq!((goaway.kind, goaway.code()), (GOAWAY, *code));
        assert_eq!(goaway.payload[..4], last.to_be_bytes(), "the last stream, {code}");
    }
    let silent = [
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
        frame(SETTINGS, 0, 0, b"\0\x04\x80\0\0\0"),
        frame(HEADERS, 5, 2, &block(&GET)),
        frame(5, 4, 1, &[0, 0, 0, 2]),
    ];
    for bytes in &silent {
        let mut wire = Wire::connect(proxy.address).await;
        wire.send(bytes).await;
        assert_eq!(wire.rest().await, [], "{bytes:?}");
    }
    assert_eq!(proxy.stat("http.in.downstream_cx_protocol_error"), (told.len() + 5) as u64);
    assert_eq!(proxy.stat("http2.rx_messaging_error"), 0);
}

#[tokio::test]
async fn what_is_too_much_for_a_request_resets_it() {
    let manager = "common_http_protocol_options: {max_headers_count: 10}\n          \
                   max_request_headers_kb: 8";
    let proxy = proxy(manager).await;
    let mut wire = Wire::connect(proxy.address).await;
    wire.request(1, &with(&GET, &[("a", "b"); 7]), true).await;
    let reset = wire.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, 2));
    let long = "x".repeat(9000);
    wire.request(3, &with(&GET, &[("a", &long)]), true).await;
    assert_eq!(wire.next_of(RST_STREAM).await.stream, 3);
    wire.request(5, &with(&GET, &[("a", "b"); 6]), true).await;
    assert_eq!(wire.next_of(DATA).await.payload, b"direct");
    assert_eq!(proxy.stat("http2.header_overflow"), 1);
    assert_eq!(proxy.stat("http2.header_list_size_too_large"), 1);
    assert_eq!(proxy.stat("http2.tx_reset"), 2);
}

#[tokio::test]
async fn floods_end_the_connection() {
    let proxy = proxy("").await;
    let head = |flags| frame(HEADERS, flags, 1, &block(&POST));
    let many = |frame: Vec<u8>, count: usize| frame.repeat(count);
    let floods = [
        ("inbound_empty_frames_flood", [head(4), many(frame(DATA, 0, 1, b""), 3)].concat()),
        ("inbound_empty_frames_flood", [head(0), many(frame(CONTINUATION, 0, 1, b""), 3)].concat()),
        ("inbound_priority_frames_flood", many(frame(PRIORITY, 0, 3, &[0; 5]), 101)),
        ("inbound_window_update_frames_flood", many(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), 9)),
    ];
    for (stat, bytes) in floods {
        let before = proxy.find_stat(&format!("http2.{stat}")).unwrap_or(0);
        let mut wire = Wire::connect(proxy.address).await;
        wire.send(&bytes).await;
        assert_eq!(wire.rest().await, [], "{stat}");
        assert_eq!(proxy.stat(&format!("http2.{stat}")), before + 1, "{stat}");
    }
    assert_eq!(proxy.stat("http.in.downstream_cx_protocol_error"), 0);

    // Pings and settings are answered, as many as there are.
    let mut wire = Wire::connect(proxy.address).await;
    wire.send(&many(frame(PING, 0, 0, &[7; 8]), 500)).await;
    wire.send(&many(frame(SETTINGS, 0, 0, b""), 500)).await;
    assert!(wire.is_alive().await);
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_few_do_not() {
    // The upstream never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = silent.local_addr().expect("an address");
    let proxy = Proxy::start(upstream, "", "connect_timeout: 1s").await;
    let requests = |count: u32| {
        let mut bytes = Vec::new();
        for stream in (0..count).map(|n| n * 2 + 1) {
            bytes.extend(frame(HEADERS, 5, stream, &block(&[POST[0], GET[1], POST[2], GET[3]])));
            bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        }
        bytes
    };
    let mut wire = Wire::connect(proxy.address).await;
    wire.send(&requests(200)).await;
    assert!(wire.is_alive().await);
    assert_eq!(proxy.stat("http2.rx_reset"), 200);
    // What one request has begun to open is for the next: not every one costs the upstream something.
    let opened = proxy.stat("cluster.app.upstream_cx_total");
    assert!((1..50).contains(&opened), "{opened} connections for 200 requests");
    assert_eq!(proxy.stat("http.in.downstream_rq_too_many_premature_resets"), 0);

    let mut wire = Wire::connect(proxy.address).await;
    wire.send(&requests(1000)).await;
    while wire.next().await.is_some() {}
    assert_eq!(proxy.stat("http.in.downstream_rq_too_many_premature_resets"), 1);
    assert!(proxy.stat("http.in.downstream_rq_total") < 600);
    proxy.until("http.in.downstream_rq_active", 0).await;
    assert_eq!(proxy.stat("http2.streams_active"), 0);
}

#[tokio::test]
async fn more_streams_than_announced() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = silent.local_addr().expect("an address");
    let manager = "http2_protocol_options: {max_concurrent_streams: 2}";
    let proxy = Proxy::start(upstream, manager, "connect_timeout: 1s").await;
    let mut wire = Wire::connect(proxy.address).await;
    assert!(wire.is_alive().await);
    for stream in [1, 3, 5] {
        wire.request(stream, &POST, false).await;
    }
    assert_eq!(wire.rest().await, [], "it knew the limit");
    proxy.until("http.in.downstream_cx_destroy", 1).await;
    assert_eq!(proxy.stat("http.in.downstream_rq_total"), 2);

    let mut wire = Wire::raw(proxy.address).await;
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    wire.frame(SETTINGS, 0, 0, b"").await;
    for stream in [1, 3, 5] {
        wire.request(stream, &POST, false).await;
    }
    let reset = wire.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (5, 7), "it could not know the limit");
    assert_eq!(proxy.stat("http2.stream_refused_errors"), 1);
    assert!(wire.is_alive().await);
}

#[tokio::test]
async fn http1_on_an_http2_listener_gets_no_answer() {
    let proxy = proxy("codec_type: HTTP2").await;
    let mut wire = Wire::raw(proxy.address).await;
    wire.send(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(wire.next().await, None);
    proxy.until("http.in.downstream_cx_destroy", 1).await;
    assert_eq!(proxy.stat("http.in.downstream_cx_protocol_error"), 1);
    assert_eq!(proxy.stat("http.in.downstream_rq_total"), 0);
}

#[tokio::test]
async fn towards_http1_cookies_are_one_and_the_authority_is_the_host() {
    let proxy = proxy("").await;
    let client = Client::connect(proxy.address).await;
    let request = http::Request::get("http://a.example/app")
        .header("cookie", "a=1")
        .header("te", "trailers")
        .header("cookie", "b=2")
        .body(())
        .expect("a request");
    let (response, _) = client.open(request, true).await;
    let reply = collect(response.await.expect("a response")).await.expect("a body");
    let head = String::from_utf8(reply.body).expect("text");
    assert!(head.starts_with("GET /app HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: a.example\r\n"), "{head}");
    assert!(head.contains("\r\ncookie: a=1; b=2\r\n"), "{head}");
    assert!(head.contains("\r\nte: trailers\r\n"), "{head}");
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_resets_its_stream() {
    let proxy = proxy("").await;
    let mut wire = Wire::connect(proxy.address).await;
    let head = block(&with(&POST, &[("content-length", "3")]));
    // At once, or the app's answer may come first: then it is the proxy that has enough.
    wire.send(&[frame(HEADERS, 4, 1, &head), frame(DATA, 1, 1, b"12345")].concat()).await;
    let reset = wire.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, 1));
    assert!(wire.is_alive().await);
    assert_eq!(proxy.stat("http2.rx_messaging_error"), 0);
    proxy.until("http.in.downstream_rq_rx_reset", 1).await;
    assert_eq!(proxy.stat("http.in.downstream_rq_completed"), 0, "nobody was there to answer");
}

#[tokio::test]
async fn an_early_answer_stops_the_rest_of_the_request() {
    let proxy = proxy("").await;
    let mut wire = Wire::connect(proxy.address).await;
    wire.request(1, &[POST[0], POST[1], GET[2], POST[3]], false).await;
    assert_eq!(wire.next_of(DATA).await.payload, b"direct");
    let reset = wire.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, 0));
}

#[tokio::test]
async fn an_idle_connection_is_told_and_then_closed() {
    let manager =
        "drain_timeout: 0.3s\n          common_http_protocol_options: {idle_timeout: 0.1s}";
    let proxy = proxy(manager).await;
    let began = Instant::now();
    let mut wire = Wire::connect(proxy.address).await;
    let notice = wire.next_of(GOAWAY).await;
    assert_eq!((&notice.payload[..4], notice.code()), (&[0x7f, 0xff, 0xff, 0xff][..], 0));
    // What was on its way is still served.
    wire.request(1, &GET, true).await;
    assert_eq!(wire.next_of(DATA).await.payload, b"direct");
    loop {
        let goaway = wire.next_of(GOAWAY).await;
        wire.frame(PING, 1, 0, b"\x0b\x7b\xa2\xf0\x8b\x9b\xfe\x54").await;
        if goaway.payload[..4] == [0, 0, 0, 1] {
            break;
        }
    }
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    while wire.next().await.is_some() {}
    assert_eq!(proxy.stat("http.in.downstream_cx_idle_timeout"), 1);
}

#[tokio::test]
async fn a_connection_serves_no_more_than_it_may() {
    let manager = "drain_timeout: 0.05s\n          \
                   common_http_protocol_options: {max_requests_per_connection: 2}";
    let proxy = proxy(manager).await;
    let client = Client::connect(proxy.address).await;
    for _ in 0..2 {
        assert_eq!(client.get("/direct").await.expect("an answer").status, 200);
    }
    proxy.until("http.in.downstream_cx_active", 0).await;
    assert_eq!(proxy.stat("http.in.downstream_cx_max_requests_reached"), 1);
    // The first one, with which the client may leave, is not counted.
    assert!(proxy.stat("http2.goaway_sent") <= 1);
}

/// It is told to leave, says nothing to that, and goes on asking.
#[tokio::test]
async fn a_client_that_does_not_leave_is_served_no_more() {
    let manager = "drain_timeout: 0.1s\n          \
                   common_http_protocol_options: {max_connection_duration: 0.1s}";
    let proxy = proxy(manager).await;
    let mut wire = Wire::connect(proxy.address).await;
    wire.next_of(GOAWAY).await;
    // It ends where nothing is asked any more, and a request that comes too late is refused.
    let (mut refused, mut ended) = (false, false);
    for stream in (1..2000).step_by(2) {
        wire.request(stream, &GET, true).await;
        let answer = loop {
            match wire.next().await {
                Some(frame) if matches!(frame.kind, RST_STREAM | DATA) => break Some(frame.kind),
                Some(_) => {}
                None => break None,
            }
        };
        refused |= answer == Some(RST_STREAM);
        ended = answer.is_none();
        if ended {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(ended, "refused: {refused}");
    proxy.until("http.in.downstream_cx_active", 0).await;
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_cut_off() {
    let manager = "http2_protocol_options: \
                   {connection_keepalive: {interval: 0.1s, timeout: 0.1s}}";
    let proxy = proxy(manager).await;
    let client = Client::connect(proxy.address).await;
    let mut wire = Wire::connect(proxy.address).await;
    wire.next_of(PING).await;
    while wire.next().await.is_some() {}
    assert_eq!(proxy.stat("http2.keepalive_timeout"), 1);
    assert_eq!(client.get("/direct").await.expect("it answers pings").status, 200);
}

#[tokio::test]
async fn requests_under_way_survive_the_end_of_the_process() {
    let slow = app_http2(h2::server::Builder::new(), |_, _, mut respond| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut stream = respond.send_response(http::Response::new(()), false).expect("sends");
        stream.send_data("done".into(), true).expect("sends");
    });
    let cluster = "http2_protocol_options: {}";
    let proxy = Proxy::start(slow.await, "", cluster).await;
    let client = Client::connect(proxy.address).await;
    let request = tokio::spawn(async move { client.get("/app").await });
    proxy.until("cluster.app.upstream_rq_active", 1).await;
    proxy.server.shutdown().await;
    let reply = request.await.expect("no panic").expect("a whole answer");
    assert_eq!(reply.body, b"done");
}

#[tokio::test]
async fn who_expects_to_be_told_to_go_on_is() {
    let proxy = proxy("").await;
    let mut wire = Wire::connect(proxy.address).await;
    let headers = with(&GET, &[("expect", "100-continue")]);
    wire.request(1, &headers, true).await;
    let first = wire.next_of(HEADERS).await;
    // HPACK's static table has no `:status 100`: it stands there in digits, Huffman-coded.
    assert!(first.payload.windows(2).any(|two| two == [0x08, 0x01]), "{first:?}");
    assert_eq!(first.flags & 1, 0);
    let second = wire.next_of(HEADERS).await;
    assert_eq!(second.payload.first(), Some(&0x88), "{second:?}");
    assert_eq!(proxy.stat("http.in.downstream_rq_1xx"), 1);
    assert_eq!(proxy.stat("http.in.downstream_rq_2xx"), 1);
}

#[tokio::test]
async fn the_scheme_that_a_client_names_is_kept() {
    let proxy = proxy("").await;
    let client = Client::connect(proxy.address).await;
    for scheme in ["http", "https"] {
        let uri = format!("{scheme}://a.example/redirect");
        let request = http::Request::get(&*uri).body(()).expect("a request");
        let (response, _) = client.open(request, true).await;
        let response = response.await.expect("a response");
        let location = response.headers().get("location").expect("a location");
        assert_eq!(location, &*format!("{scheme}://a.example/there"));
    }
}

#[tokio::test]
async fn the_last_answer_of_a_connection_comes_behind_its_notice() {
    let manager = "common_http_protocol_options: {max_requests_per_connection: 1}";
    let proxy = proxy(manager).await;
    let mut wire = Wire::connect(proxy.address).await;
    wire.request(1, &GET, true).await;
    let mut order = Vec::new();
    while !order.ends_with(&[HEADERS]) {
        let frame = wire.next().await.expect("a frame");
        order.push(frame.kind);
    }
    assert!(order.contains(&GOAWAY), "{order:?}");
}

#[tokio::test]
async fn a_whole_url_upstream_has_the_clients_scheme() {
    let cluster = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http_protocol_options: {send_fully_qualified_url: true}}}}";
    let proxy = Proxy::start(echo_http1().await, "", cluster).await;
    let client = Client::connect(proxy.address).await;
    for scheme in ["http", "https"] {
        let uri = format!("{scheme}://a.example/app?b");
        let request = http::Request::get(&*uri).body(()).expect("a request");
        let (response, _) = client.open(request, true).await;
        let reply = collect(response.await.expect("a response")).await.expect("a body");
        let head = String::from_utf8(reply.body).expect("text");
        assert!(head.starts_with(&format!("GET {uri} HTTP/1.1\r\n")), "{head}");
    }
}
