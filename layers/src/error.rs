//! The one error of the request path: what failed, whose fault it was, and whether to try again.
//!
//! Layers inside the proxy return [`ProxyError`]; [`respond`] is the one place that turns it into
//! a response. Nothing else in the crate invents a status code for a failure.
//!
//! ```
//! use front_proxy_layers::error::{ErrorKind, Origin, ProxyError};
//!
//! let error = ProxyError::new(ErrorKind::ConnectFailed);
//! assert_eq!(error.kind().status(), 503);
//! assert_eq!(error.kind().response_flag(), "UF");
//! assert_eq!(error.origin(), Origin::Upstream);
//! assert!(error.retry().is_safe_if_unsent());
//! ```

mod details;
pub mod respond;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;

use http::{HeaderMap, StatusCode};

use crate::response_flags::{ResponseFlag, ResponseFlags};

/// Any error, boxed.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error that becomes a response further out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` carries no headers to the response that it becomes",
    label = "needs `ResponseHeaders`",
    note = "`ProxyError` and `Infallible` have it; implement it for an error of your own, or put the layer outside of what turns the error into a response"
)]
pub trait ResponseHeaders {
    /// Headers for that response, to add to; `None` where it can't have any from here.
    fn response_headers(&mut self) -> Option<&mut HeaderMap>;
}

impl ResponseHeaders for ProxyError {
    fn response_headers(&mut self) -> Option<&mut HeaderMap> {
        Some(self.headers_mut())
    }
}

/// What never fails has no error to carry any.
impl ResponseHeaders for Infallible {
    fn response_headers(&mut self) -> Option<&mut HeaderMap> {
        match *self {}
    }
}

/// A failure on the request path.
#[derive(Debug)]
pub struct ProxyError {
    kind: ErrorKind,
    retry: Retry,
    after_retries: bool,
    flags: ResponseFlags,
    attempts: u32,
    details: Option<&'static str>,
    headers: Option<Box<HeaderMap>>,
    envoy_headers: bool,
    source: Option<BoxError>,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is one that must not be forwarded.
    BadRequest,
    /// The route's cluster is not known; carries the status the route asks for.
    ClusterNotFound(StatusCode),
    /// The TCP (or TLS) connection could not be made.
    ConnectFailed,
    /// It was not made within the connect timeout.
    ConnectTimeout,
    /// The upstream closed or reset the connection before the response head.
    ConnectionTerminated,
    /// The client went away.
    DownstreamClosed,
    /// The stream was idle for too long, after the whole request had been received.
    IdleTimeout,
    /// The cluster is not to be asked now: `upstream.maintenance_mode.<cluster>` of the runtime.
    Maintenance,
    /// The request lasted longer than `max_stream_duration`.
    MaxDuration,
    /// The upstream part lasted longer than the cluster's `max_stream_duration`.
    MaxUpstreamDuration,
    /// The cluster has no endpoint that may be used.
    NoHealthyUpstream,
    /// The target is no path (`OPTIONS *`).
    NonRelativePath,
    /// No virtual host or route matches.
    NoRoute,
    /// A circuit breaker is open.
    Overflow,
    /// The client is to use the normalised path instead; carries it as a `location`.
    PathNotNormal,
    /// What the upstream sent is not HTTP.
    ProtocolError,
    /// The request body was larger than may be buffered.
    RequestTooLarge,
    /// The request was not complete within `request_timeout`.
    RequestTimeout,
    /// The stream was idle for too long while the request was still being received.
    RequestIdleTimeout,
    /// The upstream refused the stream (HTTP/2 `REFUSED_STREAM`): it did nothing with it.
    RefusedStream,
    /// The upstream reset the stream (HTTP/2).
    RemoteReset,
    /// The upstream did not answer within the route's timeout.
    UpstreamTimeout,
    /// The upstream did not answer within `per_try_timeout`.
    PerTryTimeout,
    /// The request asks for a protocol switch that is not configured.
    UpgradeRefused,
    /// The upstream answered a WebSocket handshake with neither a 101 nor an error, but with this
    /// status.
    HandshakeFailed(StatusCode),
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The client's.
    Downstream,
    /// The upstream's.
    Upstream,
    /// Neither's: configuration or limits of the proxy.
    Proxy,
}

/// Whether the same request may be sent again without a retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// No: the upstream may have acted on it.
    Never,
    /// Yes: no byte of it was written.
    IfNotSent,
    /// Yes if the method is idempotent: it went out on a kept connection that turned out dead.
    IfConnectionReused,
    /// Yes: the upstream said that it did nothing.
    Always,
}

impl Retry {
    /// Whether nothing of the request can have reached the upstream application.
    pub fn is_safe_if_unsent(self) -> bool {
        matches!(self, Self::IfNotSent | Self::Always)
    }
}

impl ErrorKind {
    /// The status that Envoy answers with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::ClusterNotFound(status) | Self::HandshakeFailed(status) => status,
            Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::ConnectionTerminated
            | Self::Maintenance
            | Self::NoHealthyUpstream
            | Self::Overflow
            | Self::RefusedStream
            | Self::RemoteReset => StatusCode::SERVICE_UNAVAILABLE,
            Self::ProtocolError => StatusCode::BAD_GATEWAY,
            Self::IdleTimeout
            | Self::MaxDuration
            | Self::MaxUpstreamDuration
            | Self::UpstreamTimeout
            | Self::PerTryTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestTimeout | Self::RequestIdleTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoute | Self::NonRelativePath => StatusCode::NOT_FOUND,
            Self::PathNotNormal => StatusCode::TEMPORARY_REDIRECT,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UpgradeRefused => StatusCode::FORBIDDEN,
            // Never sent: there is nobody left to read it. Envoy logs status 0.
            Self::DownstreamClosed => StatusCode::BAD_REQUEST,
        }
    }

    /// The response body, where Envoy gives one. Resets also name their reason:
    /// see [`reset_reason`](Self::reset_reason).
    pub fn text(self) -> &'static str {
        match self {
            Self::Maintenance => "maintenance mode",
            Self::NoHealthyUpstream => "no healthy upstream",
            Self::UpstreamTimeout | Self::PerTryTimeout => "upstream request timeout",
            Self::IdleTimeout | Self::RequestIdleTimeout => "stream timeout",
            Self::RequestTimeout => "request timeout",
            Self::MaxDuration => "downstream duration timeout",
            Self::MaxUpstreamDuration => "upstream max stream duration reached",
            Self::RequestTooLarge => "Payload Too Large",
            _ => "",
        }
    }

    /// Envoy's name of the way in which the upstream stream ended, for failures of that kind.
    pub fn reset_reason(self) -> Option<&'static str> {
        Some(match self {
            Self::ConnectFailed => "remote connection failure",
            Self::ConnectTimeout => "connection timeout",
            Self::ConnectionTerminated => "connection termination",
            Self::ProtocolError => "protocol error",
            Self::Overflow => "overflow",
            Self::RemoteReset => "remote reset",
            Self::RefusedStream => "remote refused stream reset",
            _ => return None,
        })
    }

    /// Envoy's short response flag, as access logs show it; `-` is none.
    pub fn response_flag(self) -> &'static str {
        self.flag().map_or("-", ResponseFlag::short)
    }

    /// Envoy's response flag, where it has one for this.
    pub fn flag(self) -> Option<ResponseFlag> {
        Some(match self {
            Self::ConnectFailed | Self::ConnectTimeout => ResponseFlag::UpstreamConnectionFailure,
            Self::ConnectionTerminated => ResponseFlag::UpstreamConnectionTermination,
            Self::NoHealthyUpstream => ResponseFlag::NoHealthyUpstream,
            Self::Maintenance | Self::Overflow => ResponseFlag::UpstreamOverflow,
            Self::ProtocolError => ResponseFlag::UpstreamProtocolError,
            Self::UpstreamTimeout | Self::PerTryTimeout => ResponseFlag::UpstreamRequestTimeout,
            Self::NoRoute => ResponseFlag::NoRouteFound,
            Self::ClusterNotFound(_) => ResponseFlag::NoClusterFound,
            Self::IdleTimeout | Self::RequestIdleTimeout => ResponseFlag::StreamIdleTimeout,
            Self::MaxUpstreamDuration => ResponseFlag::UpstreamMaxStreamDurationReached,
            Self::RemoteReset | Self::RefusedStream => ResponseFlag::UpstreamRemoteReset,
            Self::DownstreamClosed => ResponseFlag::DownstreamConnectionTermination,
            Self::BadRequest
            | Self::NonRelativePath
            | Self::PathNotNormal
            | Self::RequestTimeout
            | Self::RequestTooLarge
            | Self::HandshakeFailed(_)
            | Self::MaxDuration
            | Self::UpgradeRefused => return None,
        })
    }

    /// Whether Envoy ends an HTTP/1 connection with the answer: of what it refuses it has not read
    /// the end.
    pub fn ends_connection(self) -> bool {
        matches!(self, Self::BadRequest | Self::UpgradeRefused)
    }

    /// Whether the route of the request was known when it failed: then its answer gets what the
    /// route adds to responses.
    pub fn is_of_route(self) -> bool {
        !matches!(
            self,
            Self::BadRequest | Self::DownstreamClosed | Self::NonRelativePath | Self::PathNotNormal
        )
    }

    /// Whose fault it is.
    pub fn origin(self) -> Origin {
        match self {
            Self::BadRequest
            | Self::DownstreamClosed
            | Self::NonRelativePath
            | Self::PathNotNormal
            | Self::RequestTimeout
            | Self::RequestIdleTimeout
            | Self::RequestTooLarge
            | Self::UpgradeRefused => Origin::Downstream,
            Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::ConnectionTerminated
            | Self::HandshakeFailed(_)
            | Self::IdleTimeout
            | Self::MaxUpstreamDuration
            | Self::PerTryTimeout
            | Self::ProtocolError
            | Self::RefusedStream
            | Self::RemoteReset
            | Self::UpstreamTimeout => Origin::Upstream,
            Self::ClusterNotFound(_)
            | Self::MaxDuration
            | Self::NoHealthyUpstream
            | Self::NoRoute
            | Self::Maintenance
            | Self::Overflow => Origin::Proxy,
        }
    }
}

impl ProxyError {
    /// An error of this kind, with the kind's usual answer to "again?".
    pub fn new(kind: ErrorKind) -> Self {
        let retry = match kind {
            ErrorKind::ConnectFailed | ErrorKind::ConnectTimeout => Retry::IfNotSent,
            ErrorKind::RefusedStream => Retry::Always,
            _ => Retry::Never,
        };
        Self {
            kind,
            retry,
            after_retries: false,
            flags: ResponseFlags::default(),
            attempts: 0,
            details: None,
            headers: None,
            envoy_headers: true,
            source: None,
        }
    }

    /// With its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With another answer to "again?".
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Marked as the outcome of the last of several tries, which the body then says.
    #[must_use]
    pub fn after_retries(mut self) -> Self {
        self.after_retries = true;
        self
    }

    /// With a response flag beside that of its kind.
    #[must_use]
    pub fn with_flag(mut self, flag: ResponseFlag) -> Self {
        self.flags.insert(flag);
        self
    }

    /// With the number of tries, for the response to name it in `x-envoy-attempt-count`.
    #[must_use]
    pub fn with_attempt_count(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// With headers for the response, before those that it has anyway.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = (!headers.is_empty()).then(|| Box::new(headers));
        self
    }

    /// With nothing of Envoy's own in its response.
    #[must_use]
    pub fn without_envoy_headers(mut self) -> Self {
        self.envoy_headers = false;
        self
    }

    pub(crate) fn has_envoy_headers(&self) -> bool {
        self.envoy_headers
    }

    /// Headers for the response.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.headers.as_deref()
    }

    /// Headers for the response, to add to.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.get_or_insert_default()
    }

    /// What failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whose fault it is.
    pub fn origin(&self) -> Origin {
        self.kind.origin()
    }

    /// Whether the request may be sent again without a retry policy.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// Response flags beside that of its kind.
    pub fn flags(&self) -> ResponseFlags {
        self.flags
    }

    /// How many tries there were, where the response is to say so.
    pub fn attempt_count(&self) -> Option<u32> {
        (self.attempts > 0).then_some(self.attempts)
    }

    /// Whether other tries went before.
    pub fn is_after_retries(&self) -> bool {
        self.after_retries
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind.text(), self.kind.reset_reason()) {
            ("", Some(reason)) => write!(f, "upstream failure: {reason}"),
            ("", None) => write!(f, "{:?}", self.kind),
            (text, _) => f.write_str(text),
        }
    }
}

impl StdError for ProxyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
