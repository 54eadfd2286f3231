//! The HTTP/1 gate: between the client's bytes and hyper's HTTP/1 server codec.
//!
//! Envoy's codec and hyper's differ in what they refuse, in what they put up with and in how they
//! word a refusal. [`Http1Gate`] is a transport wrapper that settles those differences before hyper
//! sees a byte: what Envoy refuses is refused here with Envoy's answer, what Envoy puts up with is
//! rewritten into the plain form, and everything else passes untouched and uncopied.
//!
//! ```text
//! client bytes → Http1Gate ─ scan (plain heads, in place) ──────────────────────→ hyper
//!                          ├ head (anything else): rewrite ──────────────────────→ hyper
//!                          ├ framing (bodies, counted; chunk lines made plain) ──→ hyper
//!                          └ refusal ─→ client, then end of stream for hyper
//! ```
//!
//! # One request at a time
//! The gate hands hyper one request, and the next one only when the answer to the first has been
//! written out (Envoy's codec does the same). So it always knows whether an answer has begun, a
//! `100 Continue` or a refusal can never overtake an answer, and no byte of a refused request
//! reaches hyper. The service tells the end of an answer by dropping an [`Exchange`];
//! [`TrackedService`] does that for any hyper service.
//!
//! # Serving a connection
//! ```no_run
//! # use std::{convert::Infallible, sync::Arc, time::Duration};
//! # use front_proxy::connection::http1::{
//! #     Exchange, ExchangeBody, GateConfig, Http1Gate, Protocol, delayed_close,
//! # };
//! # use http::{Request, Response};
//! # use hyper::{body::Incoming, server::conn::http1::Builder, service::service_fn};
//! # use hyper_util::rt::TokioIo;
//! # async fn answer(_: Request<Incoming>) -> Response<String> { Response::default() }
//! async fn serve(io: tokio::net::TcpStream, builder: &Builder, config: Arc<GateConfig>) {
//!     let (gate, handle) = Http1Gate::new(io, config);
//!     let state = Arc::clone(handle.state());
//!     let service = service_fn(|request| {
//!         let exchange = Exchange::begin(&state);
//!         async move {
//!             let answer = answer(request).await;
//!             Ok::<_, Infallible>(answer.map(|body| ExchangeBody::new(body, exchange)))
//!         }
//!     });
//!     // The connection is dropped at the end of the statement, which gives the transport back. An
//!     // error says no more than that the client left or that a body was refused.
//!     let _ = builder.serve_connection(TokioIo::new(gate), service).with_upgrades().await;
//!     if let Some(refusal) = state.refusal() {
//!         // Count it; log it unless `refusal.head_seen`.
//! #       let _ = refusal;
//!     }
//!     // Nothing comes back from a tunnel.
//!     let delay = state.delay_close();
//!     let Some(back) = handle.reclaim() else { return };
//!     if back.protocol == Protocol::Http2 {
//!         // Serve `Replay::new(back.io, back.read)` as HTTP/2.
//!     } else if !state.client_closed() {
//!         let timeout = if delay { Duration::from_secs(1) } else { Duration::ZERO };
//!         let _ = delayed_close(back.io, timeout).await;
//!     }
//! }
//! ```
//! `config.configure(&mut builder)` once per listener. A timer for [`GateState::head_since`] calls
//! [`GateState::time_out_head`] and polls the connection again.
//!
//! # Who refuses what
//! The gate: whatever Envoy's codec refuses (see [`RefusalKind`]) and a fragment in the target,
//! which a [`http::Uri`] cannot carry. Layers above: a missing Host, `CONNECT`, `OPTIONS *`, upgrades
//! nobody configured, path normalisation.
//!
//! # Where it differs from Envoy on purpose
//! * A CR inside `transfer-encoding` or `content-length` is refused; Envoy drops it from the former
//!   and then sees no body at all.
//! * `Transfer-Encoding` in an HTTP/1.0 request is refused (RFC 9112 section 6.1), also with
//!   `accept_http_10`.
//! * A target with bytes that [`http::Uri`] cannot carry (`<`, `>`, a backtick in the path, a double
//!   quote in the query) is served with those bytes percent-encoded.
//! * `Expect: 100-continue` of a request refused for a fragment gets no 100 first.
//! * `content-length` above 2^64 - 3 is refused, for hyper reserves the numbers above.

mod bytes;
mod close;
mod detect;
mod exchange;
mod framing;
mod gate;
mod head;
mod refusal;
mod scan;
mod state;
mod target;

use front_proxy_layers::server_header::ServerHeaderLayer;
use http::HeaderValue;
use hyper::server::conn::http1::Builder;

use crate::config::model::UnderscoresAction;

pub use self::close::{delayed_close, lingering_close};
pub use self::detect::{Detected, Protocol, Replay, detect};
pub use self::exchange::{Exchange, ExchangeBody, TrackedService};
pub use self::gate::{GateHandle, Http1Gate, Returned};
pub use self::refusal::{Refusal, RefusalKind};
pub use self::state::{GateState, Phase};
pub(crate) use self::target::is_known_method;

/// What the gate lets pass; one per listener, shared by its connections.
#[derive(Clone, Debug)]
pub struct GateConfig {
    /// Longest request head in bytes: `max_request_headers_kb` times 1024.
    pub max_head_bytes: usize,
    /// `common_http_protocol_options.max_headers_count`
    pub max_headers: usize,
    /// `http_protocol_options.allow_absolute_url`: without it a whole URL in the request line is
    /// passed on whatever its scheme, for a layer above to answer.
    pub allow_absolute_url: bool,
    /// Refuses an `https` URL in the request line: at the edge, which sees that it came in plain
    /// text. Envoy calls it `validate_scheme` inside.
    pub refuse_https_url: bool,
    /// `http_protocol_options.accept_http_10`
    pub accept_http_10: bool,
    /// `http_protocol_options.allow_chunked_length`
    pub allow_chunked_length: bool,
    /// `http_protocol_options.enable_trailers`: without it request trailers are checked and dropped.
    pub enable_trailers: bool,
    /// Whether the gate answers `Expect: 100-continue` itself: the reverse of `proxy_100_continue`.
    pub answer_100_continue: bool,
    /// `common_http_protocol_options.headers_with_underscores_action`
    pub underscores: UnderscoresAction,
    /// What refusals say of the server.
    pub server_header: ServerHeaderLayer,
    /// Codec AUTO on plain text: stop at an HTTP/2 preface instead of refusing it. The connection
    /// then ends for hyper and [`GateHandle::reclaim`] says [`Protocol::Http2`].
    pub detect_http2: bool,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            max_head_bytes: 60 * 1024,
            max_headers: 100,
            allow_absolute_url: true,
            refuse_https_url: false,
            accept_http_10: false,
            allow_chunked_length: false,
            enable_trailers: false,
            answer_100_continue: true,
            underscores: UnderscoresAction::Allow,
            server_header: ServerHeaderLayer::new(HeaderValue::from_static("envoy")),
            detect_http2: false,
        }
    }
}

impl GateConfig {
    /// Widens hyper's own limits so that the gate's are the ones that count.
    ///
    /// Leave `half_close` and `pipeline_flush` off: the gate relies on an end of stream to end the
    /// connection, and on a flush to mean that all is written.
    pub fn configure(&self, builder: &mut Builder) {
        // With a timer hyper gives a head 30 seconds, counted from the end of the last answer.
        builder.header_read_timeout(None);
        // hyper keeps its header table on the stack for its default of 100 only.
        if self.max_headers > 100 {
            builder.max_headers(self.max_headers);
        }
        // A rewritten head may be longer than what came: a CR for each bare LF, a blank after each
        // colon, and up to three bytes for a percent-encoded one.
        let longest = self.max_head_bytes.saturating_mul(3).saturating_add(64);
        if longest > 400 * 1024 {
            builder.max_buf_size(longest);
        }
        // hyper's limit for trailers, which is 16 KiB when this is not set.
        if self.enable_trailers {
            builder.max_header_size(longest);
        }
    }
}
