//! Serving HTTP/2: hyper's codec with the connection manager's limits.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::open::{OpenConnection, Protocol};
use super::service::PathService;
use crate::listener::FilterChain;
use crate::shutdown::{Phase, Signal};

pub(super) async fn serve<IO>(
    chain: &Arc<FilterChain>,
    io: IO,
    service: PathService,
    open: &mut OpenConnection,
    mut signal: Signal,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    open.speaks(Protocol::Http2);
    let options = &chain.http.http2;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_concurrent_streams)
        .initial_stream_window_size(options.initial_stream_window_size)
        .initial_connection_window_size(options.initial_connection_window_size)
        .max_header_list_size(chain.http.max_request_headers_kb.saturating_mul(1024));
    if options.allow_connect {
        builder.enable_connect_protocol();
    }
    if let Some((interval, timeout)) = options.keepalive {
        builder.keep_alive_interval(interval).keep_alive_timeout(timeout);
    }
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut drain = std::pin::pin!(signal.reached(Phase::Draining));
    let mut draining = false;
    let result = poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if draining || drain.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            draining = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
    let failed = result.is_err();
    open.closed_by_client(!failed && !draining);
    if failed {
        open.stats().cx_protocol_error.increment(1);
    }
}
