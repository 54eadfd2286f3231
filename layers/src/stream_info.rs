//! What is known of one request, for access logs and for header values made of it.
//!
//! Whoever needs it (an access log, a route that adds headers with `%COMMAND%`s) puts an
//! `Arc<StreamInfo>` into the request's extensions; the layers on the way fill in what they know,
//! where they find one. A request that nobody asks about carries none and pays nothing.
//!
//! Each fact has one writer: the [router](crate::router) names the route and takes down the request
//! as it goes upstream, the [cluster](crate::cluster) each endpoint that it tries,
//! [`crate::forwarded`] the client's address, [`crate::respond`] what became of it all.
//!
//! ```
//! use std::sync::Arc;
//!
//! use front_proxy_layers::format::Format;
//! use front_proxy_layers::stream_info::{DownstreamConnection, StreamInfo};
//!
//! let info = StreamInfo::new(Arc::new(DownstreamConnection::default()), http::Version::HTTP_11);
//! info.set_route("to-service1");
//! let format = Format::parse("%PROTOCOL% %ROUTE_NAME% %RESPONSE_FLAGS%")?;
//! assert_eq!(format.render(&info), b"HTTP/1.1 to-service1 -");
//! # Ok::<(), front_proxy_layers::format::FormatError>(())
//! ```

mod context;
mod observer;
mod tries;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::{Extensions, HeaderMap, Method, Uri, Version};
use tokio::time::Instant;

use crate::body::RequestProgress;
use crate::endpoint::{Endpoint, UpstreamConnection};
use crate::error::ProxyError;
use crate::format::TimePoint;
use crate::response_flags::{ResponseFlag, ResponseFlags};
use tries::Tries;

pub use observer::Observer;

/// A client's connection, as far as formats can tell of it. Made once per connection.
#[derive(Clone, Debug, Default)]
pub struct DownstreamConnection {
    /// Our end.
    pub local_address: Option<SocketAddr>,
    /// The client's end.
    pub remote_address: Option<SocketAddr>,
    /// The TLS version: `TLSv1.3`.
    pub tls_version: Option<Cow<'static, str>>,
    /// The TLS cipher.
    pub tls_cipher: Option<Cow<'static, str>>,
    /// The server name that the client asked for (SNI).
    pub server_name: Option<Box<str>>,
    /// The connection's number.
    pub id: Option<u64>,
    /// The name of the filter chain.
    pub filter_chain: Option<Arc<str>>,
}

/// A request's head.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// A copy of a request's.
    pub fn of<B>(request: &http::Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        }
    }

    /// A copy of that of a request in parts.
    pub fn of_parts(parts: &http::request::Parts) -> Self {
        Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
        }
    }
}

/// What is known of one request; see the [module](self).
#[derive(Debug)]
pub struct StreamInfo {
    started: SystemTime,
    began: Instant,
    protocol: Version,
    downstream: Arc<DownstreamConnection>,
    client: OnceLock<SocketAddr>,
    request: OnceLock<RequestHead>,
    /// The request before its filters, should it get no further.
    entered: OnceLock<RequestHead>,
    route: OnceLock<Arc<str>>,
    cluster: OnceLock<ClusterNames>,
    tries: Tries,
    attempts: AtomicU32,
    status: AtomicU16,
    /// That of an answer of the proxy's own, before it is sent.
    replied: AtomicU16,
    flags: AtomicU32,
    details: OnceLock<Cow<'static, str>>,
    /// What ended the response after it had begun.
    late_details: OnceLock<Cow<'static, str>>,
    body: OnceLock<Arc<RequestProgress>>,
    response_headers: OnceLock<HeaderMap>,
    response_trailers: OnceLock<HeaderMap>,
    transport_failure: OnceLock<Cow<'static, str>>,
    bytes_sent: AtomicU64,
    /// Nanoseconds after `began`, plus one; 0: not yet.
    points: [AtomicU64; TimePoint::COUNT],
}

/// The names of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterNames {
    /// Its name in stats: `alt_stat_name`, where it has one.
    pub stat: Arc<str>,
    /// Its own.
    pub raw: Arc<str>,
}

impl StreamInfo {
    /// Begins with a request that came on this connection.
    pub fn new(downstream: Arc<DownstreamConnection>, protocol: Version) -> Self {
        Self {
            started: SystemTime::now(),
            began: Instant::now(),
            protocol,
            downstream,
            client: OnceLock::new(),
            request: OnceLock::new(),
            entered: OnceLock::new(),
            route: OnceLock::new(),
            cluster: OnceLock::new(),
            tries: Tries::default(),
            attempts: AtomicU32::new(0),
            status: AtomicU16::new(0),
            replied: AtomicU16::new(0),
            flags: AtomicU32::new(0),
            details: OnceLock::new(),
            late_details: OnceLock::new(),
            body: OnceLock::new(),
            response_headers: OnceLock::new(),
            response_trailers: OnceLock::new(),
            transport_failure: OnceLock::new(),
            bytes_sent: AtomicU64::new(0),
            points: Default::default(),
        }
    }

    /// With the moment since when the request has been coming in, where it is known: else it is now.
    #[must_use]
    pub fn begun(mut self, at: Option<std::time::Instant>) -> Self {
        if let Some(at) = at {
            let since = at.elapsed();
            self.started = self.started.checked_sub(since).unwrap_or(self.started);
            self.began = Instant::from_std(at);
        }
        self
    }

    /// That of a request, where somebody needs one.
    #[inline]
    pub fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get()
    }

    /// The client's connection.
    pub fn downstream(&self) -> &Arc<DownstreamConnection> {
        &self.downstream
    }

    /// The client's address, as forwarding headers say where they are trusted. The first one given
    /// stays, as with every fact that has one writer.
    pub fn set_client(&self, address: SocketAddr) {
        let _ = self.client.set(address);
    }

    /// The request as it goes upstream, or as it was when it was answered here.
    pub fn set_request(&self, request: RequestHead) {
        let _ = self.request.set(request);
    }

    /// The request as it comes to filters, which may keep it for themselves.
    pub(crate) fn set_entered(&self, request: RequestHead) {
        let _ = self.entered.set(request);
    }

    /// The request, once it is known.
    pub fn request(&self) -> Option<&RequestHead> {
        self.request.get().or_else(|| self.entered.get())
    }

    /// Whether it is known as it goes on, or is answered: behind its filters.
    pub(crate) fn knows_request(&self) -> bool {
        self.request.get().is_some()
    }

    /// The name of the route.
    pub fn set_route(&self, name: impl Into<Arc<str>>) {
        let _ = self.route.set(name.into());
    }

    /// The cluster's name, and its name in stats.
    pub fn set_cluster(&self, names: &ClusterNames) {
        let _ = self.cluster.set(names.clone());
    }

    /// The request is tried, with this endpoint where there is one to be had.
    pub fn try_endpoint(&self, endpoint: Option<&Arc<Endpoint>>) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if let Some(endpoint) = endpoint {
            self.tries.push(endpoint);
        }
    }

    /// The current try is sent on this connection, in this protocol.
    pub(crate) fn sent_on(&self, connection: &Arc<UpstreamConnection>, protocol: Version) {
        self.mark(TimePoint::UpstreamSendBegin);
        self.tries.sent_on(connection, protocol);
    }

    /// Why no connection to the endpoint came about.
    pub fn set_transport_failure(&self, reason: impl Into<Cow<'static, str>>) {
        let _ = self.transport_failure.set(reason.into());
    }

    /// The status of the response.
    pub fn set_status(&self, status: http::StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// The status of an answer that the proxy gives itself: the edits of its headers know it, while
    /// `%RESPONSE_CODE%` is 0 to them, as in Envoy.
    pub(crate) fn set_replied(&self, status: Option<http::StatusCode>) {
        let status = status.map_or(0, |status| status.as_u16());
        self.replied.store(status, Ordering::Relaxed);
    }

    /// Adds a response flag.
    pub fn flag(&self, flag: ResponseFlag) {
        self.add_flags(flag.into());
    }

    /// Adds those that a failure or a response brings along.
    pub(crate) fn add_flags(&self, flags: ResponseFlags) {
        self.flags.fetch_or(flags.bits(), Ordering::Relaxed);
    }

    /// What decided the status (`%RESPONSE_CODE_DETAILS%`).
    pub fn set_details(&self, details: impl Into<Cow<'static, str>>) {
        let _ = self.details.set(details.into());
    }

    /// What ended the response after its status was decided: said instead of the details.
    pub fn set_late_details(&self, details: impl Into<Cow<'static, str>>) {
        let _ = self.late_details.set(details.into());
    }

    /// Follows the request's body: how much of it came, and when the last of it did.
    pub fn set_request_body(&self, body: &Arc<RequestProgress>) {
        let _ = self.body.set(Arc::clone(body));
    }

    /// The response's headers as they go out.
    pub fn set_response_headers(&self, headers: HeaderMap) {
        let _ = self.response_headers.set(headers);
    }

    /// The response's trailers.
    pub fn set_response_trailers(&self, trailers: HeaderMap) {
        let _ = self.response_trailers.set(trailers);
    }

    /// Takes down a failure: its flag and its details.
    pub fn fail(&self, error: &ProxyError) {
        if let Some(flag) = error.kind().flag() {
            self.flag(flag);
        }
        self.add_flags(error.flags());
        if let Some(reason) = error.transport_failure() {
            self.set_transport_failure(reason);
        }
        self.set_details(error.details());
    }

    /// Body bytes of the response.
    pub fn set_bytes_sent(&self, bytes: u64) {
        self.bytes_sent.store(bytes, Ordering::Relaxed);
    }

    /// Something happens now.
    pub fn mark(&self, point: TimePoint) {
        let nanos = self.began.elapsed().as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX - 1);
        self.points[point as usize].store(nanos.saturating_add(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
