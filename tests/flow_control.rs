//! A side that does not read: what is held for it, and who is said to wait.

mod http2_support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http2_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

const HTTP2: &str = "http2_protocol_options: {}";

/// More than the buffers of two connections hold, whatever the kernel makes of them.
const LARGE: usize = 64 << 20;

/// The counters of one direction each.
const PAUSED: &str = "cluster.app.upstream_flow_control_paused_reading_total";
const RESUMED: &str = "cluster.app.upstream_flow_control_resumed_reading_total";
const BACKED_UP: &str = "cluster.app.upstream_flow_control_backed_up_total";
const DRAINED: &str = "cluster.app.upstream_flow_control_drained_total";
const CLIENT_PAUSED: &str = "http.in.downstream_flow_control_paused_reading_total";
const CLIENT_RESUMED: &str = "http.in.downstream_flow_control_resumed_reading_total";

/// What an upstream has no window for.
const PENDING: &str = "cluster.app.http2.pending_send_bytes";

/// So much of a request is read without one.
const READ: usize = 1 << 20;

/// What connections hold.
const HELD: [&str; 4] = [
    "http.in.downstream_cx_rx_bytes_buffered",
    "http.in.downstream_cx_tx_bytes_buffered",
    "cluster.app.upstream_cx_rx_bytes_buffered",
    "cluster.app.upstream_cx_tx_bytes_buffered",
];

async fn at_least(proxy: &Proxy, name: &str, least: u64) -> u64 {
    let wait = async {
        loop {
            let value = proxy.find_stat(name).unwrap_or(0);
            if value >= least {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.unwrap_or_else(|_| panic!("{name} stays below {least}"))
}

async fn until(proxy: &Proxy, name: &str, value: u64) {
    let wait = async {
        while proxy.find_stat(name) != Some(value) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.unwrap_or_else(|_| panic!("{name} is {:?}, not {value}", proxy.find_stat(name)));
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Reads up to the end of a head; none is left where nobody asks any more.
async fn head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.ok()?);
    }
    Some(read)
}

/// An app that answers each request with `body` bytes.
async fn sends(body: usize) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while head(&mut stream).await.is_some() {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {body}\r\n\r\n");
                    let _ = stream.write_all(head.as_bytes()).await;
                    for _ in 0..body / 1000 {
                        if stream.write_all(&[b'a'; 1000]).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn asks(proxy: &Proxy, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(proxy.address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("taken");
    stream
}

async fn skip(stream: &mut TcpStream, mut bytes: usize) {
    let mut buf = vec![0; 1 << 16];
    while bytes > 0 {
        let most = bytes.min(buf.len());
        let read = stream.read(&mut buf[..most]).await.expect("no error");
        assert_ne!(read, 0, "{bytes} are missing");
        bytes -= read;
    }
}

#[tokio::test]
async fn a_connection_holds_what_its_last_reads_brought() {
    let idle = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
      '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
      common_http_protocol_options: {idle_timeout: 1s}, explicit_http_config: {http_protocol_options: {}}}}";
    let proxy = Proxy::start(sends(3000).await, "", idle).await;
    let request = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let mut client = asks(&proxy, request).await;
    head(&mut client).await.expect("a head");
    skip(&mut client, 3000).await;
    // Idle, and nothing is in any buffer: Envoy shows the same.
    assert_eq!(proxy.stat(HELD[0]), request.len() as u64);
    assert!(proxy.stat(HELD[2]) > 0);
    assert_eq!((proxy.stat(HELD[1]), proxy.stat(HELD[3])), (0, 0));
    drop(client);
    until(&proxy, HELD[0], 0).await;
    for name in [PAUSED, RESUMED, BACKED_UP, DRAINED, CLIENT_PAUSED, CLIENT_RESUMED] {
        assert_eq!(proxy.stat(name), 0, "{name}: nobody was slow");
    }
    until(&proxy, HELD[2], 0).await;
}

#[tokio::test]
async fn a_slow_http1_client_pauses_the_upstream() {
    let proxy = Proxy::start(sends(LARGE / 1000 * 1000).await, "", "").await;
    let mut client = asks(&proxy, "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    head(&mut client).await.expect("a head");
    at_least(&proxy, PAUSED, 1).await;
    at_least(&proxy, HELD[1], 1).await;
    let (paused, resumed) = (proxy.stat(PAUSED), proxy.stat(RESUMED));
    assert!(paused <= resumed + 1, "{paused} {resumed}");
    skip(&mut client, LARGE / 1000 * 1000).await;
    until(&proxy, RESUMED, proxy.stat(PAUSED)).await;
    until(&proxy, HELD[1], 0).await;
    // Envoy counted 17 for half as much.
    assert!(proxy.stat(PAUSED) <= (LARGE >> 19) as u64 + 2, "{}", proxy.stat(PAUSED));
    assert_eq!(proxy.stat(BACKED_UP), 0);
    assert_eq!(proxy.stat(CLIENT_PAUSED), 0);
}

#[tokio::test]
async fn a_slow_http1_upstream_pauses_the_client() {
    let (app, address) = listen().await;
    let proxy = Proxy::start(address, "", "").await;
    let head_of_it =
        format!("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {LARGE}\r\n\r\n");
    let mut client = asks(&proxy, &head_of_it).await;
    let (mut answer, mut body) = client.split();
    let send = async {
        for _ in 0..LARGE >> 16 {
            body.write_all(&[b'a'; 1 << 16]).await.expect("taken");
        }
    };
    let serve = async {
        let (mut stream, _) = app.accept().await.expect("a connection");
        head(&mut stream).await.expect("a head");
        at_least(&proxy, BACKED_UP, 1).await;
        at_least(&proxy, HELD[3], 1).await;
        assert!(proxy.stat(CLIENT_PAUSED) >= 1);
        skip(&mut stream, LARGE).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("taken");
        stream
    };
    let ((), stream) = tokio::join!(send, serve);
    assert_eq!(answer.read_u8().await.expect("an answer"), b'H');
    let backed_up = proxy.stat(BACKED_UP);
    until(&proxy, DRAINED, backed_up).await;
    assert_eq!(proxy.stat(CLIENT_PAUSED), backed_up);
    assert_eq!(proxy.stat(CLIENT_RESUMED), backed_up);
    assert_eq!(proxy.stat(HELD[3]), 0);
    assert_eq!(proxy.stat(PAUSED), 0);
    drop(stream);
}

/// The window of a stream that nobody has made larger.
const WINDOW: u64 = 65_535;

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")];

#[tokio::test]
async fn what_a_window_has_no_room_for_is_pending() {
    let proxy = Proxy::start(sends(100_000).await, "", "").await;
    let mut client = Wire::connect(proxy.address).await;
    client.request(1, &GET, true).await;
    // Of the piece that was read last: how much that is, is the sockets' business.
    let pending = at_least(&proxy, "http2.pending_send_bytes", 1).await;
    assert!(pending <= 100_000 - WINDOW, "{pending}");
    client.frame(RST_STREAM, 0, 1, &8u32.to_be_bytes()).await;
    until(&proxy, "http2.pending_send_bytes", 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_take_the_end_runs_out_of_time() {
    let manager = "stream_idle_timeout: 1s";
    let proxy = Proxy::start(sends(100_000).await, manager, "").await;
    let mut client = Wire::connect(proxy.address).await;
    client.request(1, &GET, true).await;
    // All of it has come, and the client takes none: that is not the upstream's time.
    assert_eq!(client.next_of(RST_STREAM).await.code(), 2);
    until(&proxy, "http2.tx_flush_timeout", 1).await;
    assert_eq!(proxy.stat("http.in.downstream_rq_idle_timeout"), 0);
    until(&proxy, "http2.tx_reset", 1).await;
    until(&proxy, "http2.pending_send_bytes", 0).await;
    assert!(client.is_alive().await);
}

#[tokio::test]
async fn a_client_without_a_window_pauses_the_upstream_and_runs_out_of_time() {
    let manager = "stream_idle_timeout: 1s";
    let proxy = Proxy::start(sends(LARGE).await, manager, "").await;
    let mut client = Wire::connect(proxy.address).await;
    client.request(1, &GET, true).await;
    at_least(&proxy, PAUSED, 1).await;
    assert_eq!(client.next_of(RST_STREAM).await.code(), 2);
    until(&proxy, "http.in.downstream_rq_idle_timeout", 1).await;
    assert_eq!(proxy.stat("http2.tx_flush_timeout"), 0);
    until(&proxy, "http.in.downstream_rq_active", 0).await;
    until(&proxy, "cluster.app.upstream_cx_active", 0).await;
    until(&proxy, "http2.pending_send_bytes", 0).await;
    assert_eq!((proxy.stat(PAUSED), proxy.stat(RESUMED)), (1, 0));
}

#[tokio::test]
async fn an_upstream_without_a_window_pauses_the_client() {
    let (app, address) = listen().await;
    let proxy = Proxy::start(address, "", HTTP2).await;
    let head_of_it =
        format!("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {LARGE}\r\n\r\n");
    let mut client = asks(&proxy, &head_of_it).await;
    let (mut stream, _) = app.accept().await.expect("a connection");
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.expect("taken");
    // A part of it is read all the same: 1 MiB, and what the window had room for.
    let (_answer, mut body) = client.split();
    body.write_all(&[b'a'; READ / 2]).await.expect("taken");
    at_least(&proxy, PENDING, READ as u64 / 2 - WINDOW).await;
    assert_eq!((proxy.stat(BACKED_UP), proxy.stat(CLIENT_PAUSED)), (0, 0));
    let send = async { body.write_all(&[b'a'; READ]).await.expect("taken") };
    tokio::join!(send, at_least(&proxy, BACKED_UP, 1));
    let pending = at_least(&proxy, PENDING, READ as u64).await;
    // And the last piece, as large as what hyper reads at once (408 KiB).
    assert!(pending <= READ as u64 + (408 << 10), "{pending}");
    assert_eq!((proxy.stat(BACKED_UP), proxy.stat(DRAINED)), (1, 0));
    assert_eq!((proxy.stat(CLIENT_PAUSED), proxy.stat(CLIENT_RESUMED)), (1, 0));
    // Then it makes room for more than came.
    let room = (1u32 << 22).to_be_bytes();
    for id in [0, 1] {
        stream.write_all(&frame(WINDOW_UPDATE, 0, id, &room)).await.expect("taken");
    }
    until(&proxy, DRAINED, 1).await;
    until(&proxy, CLIENT_RESUMED, 1).await;
    until(&proxy, PENDING, 0).await;
}

/// An HTTP/2 upstream that takes connections and requests, and nothing of their bodies beyond the
/// first window.
async fn takes_nothing() -> SocketAddr {
    let (app, address) = listen().await;
    tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok((mut stream, _)) = app.accept().await {
            stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.expect("taken");
            streams.push(stream);
        }
    });
    address
}

/// More than a window, and less than is read ahead.
const UPLOAD: usize = 200_000;

/// Whose fault it is, depends on whether the client has sent everything: that there was no window
/// for it is not the client's.
#[tokio::test]
async fn an_upload_that_has_come_whole_is_the_upstreams_to_answer() {
    for (size, status, cut) in [(UPLOAD, 504, 0), (UPLOAD / 2, 408, 1)] {
        let manager = "stream_idle_timeout: 1.5s";
        let proxy = Proxy::start(takes_nothing().await, manager, HTTP2).await;
        let head_of_it =
            format!("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {UPLOAD}\r\n\r\n");
        let mut client = asks(&proxy, &head_of_it).await;
        client.write_all(&vec![b'a'; size]).await.expect("taken");
        let answer = head(&mut client).await.expect("an answer");
        let line = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(line.as_bytes()), "{}", String::from_utf8_lossy(&answer));
        until(&proxy, "http.in.downstream_rq_active", 0).await;
        assert_eq!(proxy.stat("http.in.downstream_rq_idle_timeout"), 1);
        until(&proxy, "cluster.app.upstream_rq_tx_reset", 1).await;
        until(&proxy, "http.in.downstream_rq_rx_reset", cut).await;
        until(&proxy, PENDING, 0).await;

        let mut client = Wire::connect(proxy.address).await;
        client.request(1, &[&[(":method", "POST")], &GET[1..]].concat(), false).await;
        for sent in (0..size).step_by(10_000) {
            let ends = u8::from(sent + 10_000 == UPLOAD);
            client.frame(DATA, ends, 1, &[b'a'; 10_000]).await;
        }
        assert_eq!(client.next_of(DATA).await.payload, b"stream timeout");
        assert_eq!(proxy.stat(&format!("http.in.downstream_rq_{}xx", status / 100)), 2);
        until(&proxy, "http.in.downstream_rq_active", 0).await;
        until(&proxy, "http.in.downstream_rq_rx_reset", 2 * cut).await;
        until(&proxy, PENDING, 0).await;
    }
}

#[tokio::test]
async fn a_route_does_not_wait_for_a_window_for_ever() {
    let internal = "use_remote_address: true
          internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}";
    let proxy = Proxy::start(takes_nothing().await, internal, HTTP2).await;
    let head_of_it = format!(
        "POST / HTTP/1.1\r\nhost: a.example\r\nx-envoy-upstream-rq-timeout-ms: 300\r\n\
         content-length: {UPLOAD}\r\n\r\n"
    );
    let mut client = asks(&proxy, &head_of_it).await;
    client.write_all(&[b'a'; UPLOAD]).await.expect("taken");
    let answer = head(&mut client).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 504 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(proxy.stat("cluster.app.upstream_rq_timeout"), 1);
    until(&proxy, "http.in.downstream_rq_active", 0).await;
    assert_eq!(proxy.stat("http.in.downstream_rq_rx_reset"), 0);
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_behind_what_it_has_sent() {
    let proxy = Proxy::start(takes_nothing().await, "", HTTP2).await;
    let head_of_it =
        format!("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {UPLOAD}\r\n\r\n");
    let mut client = asks(&proxy, &head_of_it).await;
    client.write_all(&[b'a'; UPLOAD]).await.expect("taken");
    at_least(&proxy, PENDING, 1).await;
    drop(client);
    until(&proxy, "http.in.downstream_rq_active", 0).await;
    until(&proxy, "cluster.app.upstream_rq_tx_reset", 1).await;
    until(&proxy, "http.in.downstream_rq_rx_reset", 1).await;
    until(&proxy, PENDING, 0).await;
}

/// A stream that has not been opened has no window, which is nobody's fault.
#[tokio::test]
async fn nobody_waits_where_nobody_is_slow() {
    let app = app_http2(h2::server::Builder::new(), |_, request, mut respond| async move {
        let mut body = request.into_body();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
        }
        let _ = respond.send_response(http::Response::new(()), true);
    });
    let proxy = Proxy::start(app.await, "", HTTP2).await;
    for size in [1000, WINDOW as usize - 1] {
        let mut request =
            format!("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {size}\r\n\r\n");
        request.extend(std::iter::repeat_n('a', size));
        let mut client = asks(&proxy, &request).await;
        assert!(head(&mut client).await.expect("a head").starts_with(b"HTTP/1.1 200"));
    }
    for name in [PAUSED, RESUMED, BACKED_UP, DRAINED, CLIENT_PAUSED, CLIENT_RESUMED] {
        assert_eq!(proxy.stat(name), 0, "{name}");
    }
    assert_eq!(proxy.stat(PENDING), 0);
    assert_eq!(proxy.stat("cluster.app.http2.tx_flush_timeout"), 0);
}

const DEFERRED: &str = "cluster.app.http2.deferred_stream_close";

/// Less than an upstream's stream has a window for, and more than one connection's buffers hold.
const WHOLE: usize = 15 << 20;

/// An HTTP/2 app that sends `WHOLE` bytes at once, and their end when `end` is notified.
async fn sends_whole(end: &Arc<Notify>) -> SocketAddr {
    let end = Arc::clone(end);
    let app = app_http2(h2::server::Builder::new(), move |_, request, mut respond| {
        let end = Arc::clone(&end);
        async move {
            let response = http::Response::builder().header("content-length", WHOLE).body(());
            let head = respond.send_response(response.expect("a response"), false);
            let mut body = head.expect("a stream");
            body.send_data(vec![b'a'; WHOLE].into(), false).expect("taken");
            end.notified().await;
            let _ = body.send_data(Default::default(), true);
            let mut request = request.into_body();
            while request.data().await.is_some() {}
        }
    });
    app.await
}

#[tokio::test]
async fn a_stream_is_not_done_with_before_its_client_has_the_end() {
    let end = Arc::new(Notify::new());
    let proxy = Proxy::start(sends_whole(&end).await, "", HTTP2).await;
    let mut client = asks(&proxy, "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    head(&mut client).await.expect("a head");
    at_least(&proxy, PAUSED, 1).await;
    assert_eq!(proxy.stat(DEFERRED), 0, "more is to come");
    end.notify_one();
    until(&proxy, DEFERRED, 1).await;
    skip(&mut client, 1 << 20).await;
    until(&proxy, DEFERRED, 1).await;
    skip(&mut client, WHOLE - (1 << 20)).await;
    until(&proxy, DEFERRED, 0).await;
    // The end comes first, and then the client is found to be slow; until it is gone.
    end.notify_one();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await.expect("taken");
    until(&proxy, DEFERRED, 1).await;
    until(&proxy, "cluster.app.http2.streams_active", 1).await;
    drop(client);
    until(&proxy, DEFERRED, 0).await;
    until(&proxy, "cluster.app.http2.streams_active", 0).await;
}

#[tokio::test]
async fn a_stream_is_not_over_before_its_request_is() {
    let end = Arc::new(Notify::new());
    end.notify_one();
    let proxy = Proxy::start(sends_whole(&end).await, "", HTTP2).await;
    let request = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\n";
    let mut client = asks(&proxy, request).await;
    at_least(&proxy, PAUSED, 1).await;
    assert_eq!(proxy.stat(DEFERRED), 0);
    client.write_all(b"12345").await.expect("taken");
    head(&mut client).await.expect("a head");
    // The request goes on as there is room for more of its response.
    let mut left = WHOLE;
    while proxy.stat(DEFERRED) == 0 {
        assert!(left > WHOLE / 2, "the request's end is held back");
        skip(&mut client, 64 << 10).await;
        left -= 64 << 10;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    skip(&mut client, left).await;
    until(&proxy, DEFERRED, 0).await;
}

#[tokio::test]
async fn a_stream_is_done_with_when_its_client_gives_it_up() {
    let end = Arc::new(Notify::new());
    end.notify_one();
    let proxy = Proxy::start(sends_whole(&end).await, "", HTTP2).await;
    let mut client = Wire::connect(proxy.address).await;
    client.request(1, &GET, true).await;
    until(&proxy, DEFERRED, 1).await;
    client.frame(RST_STREAM, 0, 1, &8u32.to_be_bytes()).await;
    until(&proxy, DEFERRED, 0).await;
    assert_eq!(proxy.stat("http2.deferred_stream_close"), 0);
}

#[tokio::test]
async fn frames_wait_for_a_client_that_does_not_read() {
    let proxy = Proxy::start(sends(LARGE).await, "", "").await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut client = socket.connect(proxy.address).await.expect("connected");
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("taken");
    // A window for everything, on the connection and on its streams.
    let window = [&[0, 4][..], &0x7fff_ffff_u32.to_be_bytes()].concat();
    let more = (0x7fff_ffff_u32 - 65_535).to_be_bytes();
    let bytes = [
        frame(SETTINGS, 0, 0, &window),
        frame(WINDOW_UPDATE, 0, 0, &more),
        frame(HEADERS, 5, 1, &block(&GET)),
    ];
    client.write_all(&bytes.concat()).await.expect("taken");
    at_least(&proxy, "http2.outbound_frames_active", 1).await;
    at_least(&proxy, HELD[1], 1).await;
    at_least(&proxy, PAUSED, 1).await;
    assert_eq!(proxy.stat("http2.outbound_control_frames_active"), 0);
    drop(client);
    until(&proxy, "http2.outbound_frames_active", 0).await;
    until(&proxy, HELD[1], 0).await;
}
