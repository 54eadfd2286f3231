//! One HTTP/2 connection to an endpoint, shared by the requests of a worker.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::http1::{SendError, close_stats, next_id};
use super::io::{UpstreamConnection, UpstreamIo};
use super::{ConnectError, Endpoint};
use crate::body::Body;
use crate::error::{ErrorKind, ProxyError, Retry};

/// An open HTTP/2 connection.
pub(crate) struct Http2Connection {
    send: SendRequest<Body>,
    streams: AtomicU32,
    requests: AtomicU32,
    /// What the upstream allows; hyper's connection knows, and it lives in its own task.
    max_streams: AtomicU32,
    closed: AtomicBool,
    opened: Instant,
    described: Arc<UpstreamConnection>,
    close: Arc<Notify>,
}

/// One stream's hold on its connection.
#[derive(Debug)]
pub(crate) struct Http2Streams(Arc<Http2Connection>);

impl Http2Connection {
    pub(super) async fn handshake(
        io: UpstreamIo,
        owner: Arc<Endpoint>,
    ) -> Result<Arc<Self>, ConnectError> {
        let options = &owner.shared().options;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(options.http2_stream_window)
            .initial_connection_window_size(options.http2_connection_window)
            .max_header_list_size(60 * 1024);
        if let Some((interval, timeout)) = options.http2_keepalive {
            builder.keep_alive_interval(interval).keep_alive_timeout(timeout);
        }
        let described = Arc::new(io.describe(next_id()));
        let (send, mut connection) =
            builder.handshake(TokioIo::new(io)).await.map_err(ConnectError::Http)?;
        let this = Arc::new(Self {
            send,
            streams: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            max_streams: AtomicU32::new(options.http2_max_streams),
            closed: AtomicBool::new(false),
            opened: Instant::now(),
            described,
            close: Arc::new(Notify::new()),
        });
        let driven = Arc::clone(&this);
        tokio::spawn(async move {
            let close = Arc::clone(&driven.close);
            let run = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                let max = u32::try_from(connection.current_max_send_streams()).unwrap_or(u32::MAX);
                driven.max_streams.store(max, Ordering::Relaxed);
                polled
            });
            let by_upstream = tokio::select! {
                _ = run => true,
                () = close.notified() => false,
            };
            driven.closed.store(true, Ordering::Release);
            let active = driven.streams.load(Ordering::Relaxed) > 0;
            let requests = driven.requests.load(Ordering::Relaxed);
            close_stats(&owner, by_upstream, active, driven.opened, requests);
            owner.forget_http2(&driven);
        });
        Ok(this)
    }

    /// Takes a place for one more stream, if there is one.
    pub(super) fn take_stream(
        self: &Arc<Self>,
        options: &super::ConnectionOptions,
    ) -> Option<Http2Streams> {
        if self.closed.load(Ordering::Acquire) || self.send.is_closed() {
            return None;
        }
        if options.max_requests.is_some_and(|max| self.requests.load(Ordering::Relaxed) >= max) {
            return None;
        }
        let limit = options.http2_max_streams.min(self.max_streams.load(Ordering::Relaxed));
        let before = self.streams.fetch_add(1, Ordering::Relaxed);
        if before >= limit {
            self.streams.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        Some(Http2Streams(Arc::clone(self)))
    }

    /// Ends the connection once its streams have; at once if it has none.
    pub(super) fn close_when_idle(&self) {
        self.closed.store(true, Ordering::Release);
        if self.streams.load(Ordering::Acquire) == 0 {
            self.close.notify_one();
        }
    }
}

impl Http2Streams {
    /// Sends a request on this stream.
    pub(crate) fn send(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Incoming>, SendError>> + Send + 'static {
        let response = self.0.send.clone().try_send_request(request);
        async move {
            response.await.map_err(|mut error| {
                let unsent = error.take_message();
                let error = error.into_error();
                let kind = classify(&error);
                let retry = match (kind, &unsent) {
                    (ErrorKind::RefusedStream, _) => Retry::Always,
                    (_, Some(_)) => Retry::IfNotSent,
                    _ => Retry::Never,
                };
                SendError {
                    error: ProxyError::new(kind).with_source(error).with_retry(retry),
                    unsent,
                }
            })
        }
    }
}

impl Http2Streams {
    /// What there is to tell of the connection.
    pub(crate) fn described(&self) -> &Arc<UpstreamConnection> {
        &self.0.described
    }
}

impl Drop for Http2Streams {
    fn drop(&mut self) {
        let before = self.0.streams.fetch_sub(1, Ordering::AcqRel);
        if before == 1 && self.0.closed.load(Ordering::Acquire) {
            self.0.close.notify_one();
        }
    }
}

impl fmt::Debug for Http2Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Connection").field("streams", &self.streams).finish_non_exhaustive()
    }
}

/// What a failed exchange on an HTTP/2 connection was.
pub(crate) fn classify(error: &hyper::Error) -> ErrorKind {
    let reset = std::error::Error::source(error).and_then(|e| e.downcast_ref::<h2::Error>());
    match reset {
        Some(e) if e.reason() == Some(h2::Reason::REFUSED_STREAM) => ErrorKind::RefusedStream,
        Some(e) if e.is_go_away() => ErrorKind::ConnectionTerminated,
        Some(e) if e.is_reset() && e.is_remote() => ErrorKind::RemoteReset,
        Some(e) if e.is_reset() || e.is_library() => ErrorKind::ProtocolError,
        _ if error.is_user() => ErrorKind::DownstreamClosed,
        _ => ErrorKind::ConnectionTerminated,
    }
}
