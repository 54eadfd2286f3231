//! `http.admin.*` and `listener.admin.*`: the admin listener's own connections and requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum_server::accept::Accept;
use bytes::Bytes;
use front_proxy_layers::stats::Scope;
use http::{HeaderName, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use metrics::{Counter, Gauge, Histogram};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The stats that move.
#[derive(Debug)]
pub(super) struct Traffic {
    cx_total: [Counter; 4],
    cx_active: [Gauge; 4],
    cx_destroy: [Counter; 3],
    cx_length_ms: [Histogram; 2],
    rx_bytes: Counter,
    tx_bytes: Counter,
    rq_total: [Counter; 2],
    rq_active: Gauge,
    rq_completed: [Counter; 2],
    rq_class: [[Counter; 2]; 5],
    rq_time: Histogram,
}

impl Traffic {
    pub(super) fn new(root: &Scope) -> Arc<Self> {
        let http = root.child("http").tagged(PREFIX, "admin");
        let listener = root.child("listener").child("admin");
        let listener_http = listener.child("http").tagged(PREFIX, "admin");
        let main_thread = listener.child("main_thread");
        for (scope, leaves) in [(&http, HTTP_COUNTERS), (&listener, LISTENER_COUNTERS)] {
            for leaf in leaves {
                let _registered = scope.counter(leaf);
            }
        }
        for (scope, leaves) in [(&http, HTTP_GAUGES), (&listener, LISTENER_GAUGES)] {
            for leaf in leaves {
                let _registered = scope.gauge(leaf);
            }
        }
        let _registered = listener.histogram_ms("connections_accepted_per_socket_event");
        let class = |class: usize| {
            let full = format!("downstream_rq_{class}xx");
            [&http, &listener_http].map(|scope| {
                let tag = ("envoy_response_code_class", class.to_string());
                let name = scope.leaf_tagged(&full, "downstream_rq_xx", tag.0, tag.1);
                scope.sink().counter(&name)
            })
        };
        Arc::new(Self {
            cx_total: [
                http.counter("downstream_cx_total"),
                http.counter("downstream_cx_http1_total"),
                listener.counter("downstream_cx_total"),
                main_thread.counter("downstream_cx_total"),
            ],
            cx_active: [
                http.gauge("downstream_cx_active"),
                http.gauge("downstream_cx_http1_active"),
                listener.gauge("downstream_cx_active"),
                main_thread.gauge("downstream_cx_active"),
            ],
            cx_destroy: [
                http.counter("downstream_cx_destroy"),
                http.counter("downstream_cx_destroy_remote"),
                listener.counter("downstream_cx_destroy"),
            ],
            cx_length_ms: [
                http.histogram_ms("downstream_cx_length_ms"),
                listener.histogram_ms("downstream_cx_length_ms"),
            ],
            rx_bytes: http.counter("downstream_cx_rx_bytes_total"),
            tx_bytes: http.counter("downstream_cx_tx_bytes_total"),
            rq_total: ["downstream_rq_total", "downstream_rq_http1_total"]
                .map(|leaf| http.counter(leaf)),
            rq_active: http.gauge("downstream_rq_active"),
            rq_completed: [&http, &listener_http]
                .map(|scope| scope.counter("downstream_rq_completed")),
            rq_class: [1, 2, 3, 4, 5].map(class),
            rq_time: http.histogram_ms("downstream_rq_time"),
        })
    }

    /// A request has come; what comes back must live until it has been answered.
    pub(super) fn request(self: &Arc<Self>) -> ActiveRequest {
        self.rq_total.iter().for_each(|counter| counter.increment(1));
        self.rq_active.increment(1.0);
        ActiveRequest { traffic: Arc::clone(self), begun: Instant::now(), status: None }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct ActiveRequest {
    traffic: Arc<Traffic>,
    begun: Instant,
    status: Option<StatusCode>,
}

impl ActiveRequest {
    /// Ends when the response's body does.
    pub(super) fn answered(mut self, response: Response<Body>) -> Response<Body> {
        self.status = Some(response.status());
        response.map(|inner| Body::new(CountedBody { inner, _request: self }))
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let traffic = &self.traffic;
        traffic.rq_active.decrement(1.0);
        let Some(status) = self.status else { return };
        traffic.rq_completed.iter().for_each(|counter| counter.increment(1));
        let class = usize::from(status.as_u16() / 100);
        if let Some(counters) = traffic.rq_class.get(class.wrapping_sub(1)) {
            counters.iter().for_each(|counter| counter.increment(1));
        }
        traffic.rq_time.record(millis(self.begun));
    }
}

/// Wraps what another acceptor makes.
#[derive(Clone, Debug)]
pub(super) struct CountingAcceptor<A> {
    pub(super) inner: A,
    pub(super) traffic: Arc<Traffic>,
}

impl<A, S> Accept<TcpStream, S> for CountingAcceptor<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
{
    type Stream = CountedStream<A::Stream>;
    type Service = A::Service;
    type Future =
        Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send + 'static>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = self.inner.accept(stream, service);
        let traffic = Arc::clone(&self.traffic);
        Box::pin(async move {
            let (inner, service) = accepted.await?;
            Ok((CountedStream { inner, connection: ActiveConnection::new(traffic) }, service))
        })
    }
}

pin_project_lite::pin_project! {
    /// A connection of the admin listener.
    #[derive(Debug)]
    pub(super) struct CountedStream<S> {
        #[pin]
        inner: S,
        connection: ActiveConnection,
    }
}

impl<S: AsyncRead> AsyncRead for CountedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        let result = this.inner.poll_read(cx, buf);
        let read = buf.filled().len() - before;
        this.connection.traffic.rx_bytes.increment(read as u64);
        result
    }
}

impl<S: AsyncWrite> AsyncWrite for CountedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let result = match buf.strip_prefix(OLD_REFUSAL) {
            // The HTTP library answers an HTTP/1.0 request in 1.0; the refusal is there to say
            // that 1.1 is spoken here.
            Some(rest) => this.inner.poll_write(cx, &[REFUSAL, rest].concat()),
            None => match coding_of_get(buf) {
                Some(renamed) => this.inner.poll_write(cx, &renamed),
                None => this.inner.poll_write(cx, buf),
            },
        };
        if let Poll::Ready(Ok(written)) = &result {
            this.connection.traffic.tx_bytes.increment(*written as u64);
        }
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}

#[derive(Debug)]
struct ActiveConnection {
    traffic: Arc<Traffic>,
    begun: Instant,
}

impl ActiveConnection {
    fn new(traffic: Arc<Traffic>) -> Self {
        traffic.cx_total.iter().for_each(|counter| counter.increment(1));
        traffic.cx_active.iter().for_each(|gauge| gauge.increment(1.0));
        Self { traffic, begun: Instant::now() }
    }
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.traffic.cx_active.iter().for_each(|gauge| gauge.decrement(1.0));
        self.traffic.cx_destroy.iter().for_each(|counter| counter.increment(1));
        let length = millis(self.begun);
        self.traffic.cx_length_ms.iter().for_each(|histogram| histogram.record(length));
    }
}

pin_project_lite::pin_project! {
    struct CountedBody {
        #[pin]
        inner: Body,
        _request: ActiveRequest,
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whole milliseconds, as Envoy measures.
#[expect(clippy::cast_precision_loss, reason = "no connection lasts that long")]
fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_millis() as f64
}

const PREFIX: &str = "envoy_http_conn_manager_prefix";

const OLD_REFUSAL: &[u8] = b"HTTP/1.0 426 ";
const REFUSAL: &[u8] = b"HTTP/1.1 426 ";

/// Stands for `transfer-encoding` in the answer to a HEAD request, from which the HTTP library takes
/// that out: no body follows. Envoy sends it as for GET. Both names are equally long.
pub(super) const CODING_OF_GET: HeaderName = HeaderName::from_static("x-transfer-coding");

/// What is written with the name that was meant, if the placeholder is in it.
fn coding_of_get(written: &[u8]) -> Option<Vec<u8>> {
    let placeholder = CODING_OF_GET;
    let placeholder = placeholder.as_str().as_bytes();
    let at = written.windows(placeholder.len()).position(|part| part == placeholder)?;
    let mut renamed = written.to_vec();
    renamed[at..at + placeholder.len()].copy_from_slice(b"transfer-encoding");
    Some(renamed)
}

/// What can't happen on this listener or is not told apart. Dashboards ask for these names.
const HTTP_COUNTERS: &[&str] = &[
    "downstream_cx_delayed_close_timeout",
    "downstream_cx_destroy_active_rq",
    "downstream_cx_destroy_local",
    "downstream_cx_destroy_local_active_rq",
    "downstream_cx_destroy_remote_active_rq",
    "downstream_cx_drain_close",
    "downstream_cx_http2_total",
    "downstream_cx_http3_total",
    "downstream_cx_idle_timeout",
    "downstream_cx_max_duration_reached",
    "downstream_cx_max_requests_reached",
    "downstream_cx_overload_disable_keepalive",
    "downstream_cx_protocol_error",
    "downstream_cx_ssl_total",
    "downstream_cx_upgrades_total",
    "downstream_flow_control_paused_reading_total",
    "downstream_flow_control_resumed_reading_total",
    "downstream_rq_failed_path_normalization",
    "downstream_rq_header_timeout",
    "downstream_rq_http2_total",
    "downstream_rq_http3_total",
    "downstream_rq_idle_timeout",
    "downstream_rq_max_duration_reached",
    "downstream_rq_non_relative_path",
    "downstream_rq_overload_close",
    "downstream_rq_redirected_with_normalized_path",
    "downstream_rq_rejected_via_ip_detection",
    "downstream_rq_response_before_rq_complete",
    "downstream_rq_rx_reset",
    "downstream_rq_timeout",
    "downstream_rq_too_large",
    "downstream_rq_too_many_premature_resets",
    "downstream_rq_tx_reset",
    "downstream_rq_ws_on_non_ws_route",
    "rs_too_large",
];
const HTTP_GAUGES: &[&str] = &[
    "downstream_cx_http1_soft_drain",
    "downstream_cx_http2_active",
    "downstream_cx_http3_active",
    "downstream_cx_rx_bytes_buffered",
    "downstream_cx_ssl_active",
    "downstream_cx_tx_bytes_buffered",
    "downstream_cx_upgrades_active",
];
const LISTENER_COUNTERS: &[&str] = &[
    "downstream_cx_overflow",
    "downstream_cx_overload_reject",
    "downstream_cx_transport_socket_connect_timeout",
    "downstream_global_cx_overflow",
    "downstream_listener_filter_error",
    "downstream_listener_filter_remote_close",
    "downstream_pre_cx_timeout",
    "no_filter_chain_match",
];
const LISTENER_GAUGES: &[&str] = &["downstream_pre_cx_active"];
