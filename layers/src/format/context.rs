//! Where the commands of a format find their values.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Version};

use crate::response_flags::ResponseFlags;

/// A moment in the life of a request, for the durations that a format can print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimePoint {
    /// The request's last byte came (`DS_RX_END`).
    RequestReceived,
    /// A connection to the upstream was begun (`US_CX_BEG`).
    UpstreamConnectBegin,
    /// It stood (`US_CX_END`).
    UpstreamConnectEnd,
    /// Its TLS handshake was done (`US_HS_END`).
    UpstreamHandshakeEnd,
    /// The request's first byte went upstream (`US_TX_BEG`).
    UpstreamSendBegin,
    /// Its last byte did (`US_TX_END`).
    UpstreamSendEnd,
    /// The response's first byte came (`US_RX_BEG`).
    UpstreamReceiveBegin,
    /// Its last byte did (`US_RX_END`).
    UpstreamReceiveEnd,
    /// The response's first byte went to the client (`DS_TX_BEG`).
    ResponseBegin,
    /// Its last byte did (`DS_TX_END`).
    ResponseEnd,
}

impl TimePoint {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::ResponseEnd as usize + 1;
}

/// Makes the trait's plain questions, and [`Overlay`] pass them on.
macro_rules! questions {
    ($($(#[$doc:meta])* $name:ident: $answer:ty;)*) => {
        /// What is known of a request and its response. Everything may be unknown (yet); `-` is
        /// logged for it.
        #[diagnostic::on_unimplemented(
            message = "`{Self}` knows nothing of a request",
            label = "needs `FormatContext`",
            note = "`()` has it, where nothing is known"
        )]
        pub trait FormatContext {
            /// The request's headers.
            fn request_headers(&self) -> Option<&HeaderMap> {
                None
            }

            /// The response's headers.
            fn response_headers(&self) -> Option<&HeaderMap> {
                None
            }

            /// The request's method.
            fn method(&self) -> Option<&str> {
                None
            }

            /// Its path with the query.
            fn path(&self) -> Option<&str> {
                None
            }

            /// Its host and port.
            fn authority(&self) -> Option<&str> {
                None
            }

            /// Its scheme.
            fn scheme(&self) -> Option<&str> {
                None
            }

            /// The `:status` of the response as it stands, which an answer of the proxy's own has
            /// before it is [the one sent](Self::response_code).
            fn status(&self) -> Option<u16> {
                self.response_code()
            }

            /// How long after the start of the request something happened.
            fn elapsed(&self, point: TimePoint) -> Option<Duration> {
                let _ = point;
                None
            }

            $($(#[$doc])* fn $name(&self) -> $answer {
                Default::default()
            })*
        }

        impl FormatContext for Overlay<'_> {
            fn request_headers(&self) -> Option<&HeaderMap> {
                self.request_headers.or_else(|| self.inner.request_headers())
            }

            fn response_headers(&self) -> Option<&HeaderMap> {
                self.response_headers.or_else(|| self.inner.response_headers())
            }

            fn method(&self) -> Option<&str> {
                self.line.map_or_else(|| self.inner.method(), |line| Some(line.method))
            }

            fn path(&self) -> Option<&str> {
                self.line.map_or_else(|| self.inner.path(), |line| line.path)
            }

            fn authority(&self) -> Option<&str> {
                self.line.map_or_else(|| self.inner.authority(), |line| line.authority)
            }

            fn scheme(&self) -> Option<&str> {
                self.line.map_or_else(|| self.inner.scheme(), |line| Some(line.scheme))
            }

            fn status(&self) -> Option<u16> {
                self.inner.status()
            }

            fn elapsed(&self, point: TimePoint) -> Option<Duration> {
                self.inner.elapsed(point)
            }

            $(fn $name(&self) -> $answer {
                self.inner.$name()
            })*
        }
    };
}

questions! {
    /// When the request began.
    start_time: Option<SystemTime>;
    /// How long it took, or has taken so far.
    duration: Option<Duration>;
    /// The protocol that the client speaks.
    protocol: Option<Version>;
    /// The protocol spoken with the upstream.
    upstream_protocol: Option<Version>;
    /// Body bytes of the request.
    bytes_received: u64;
    /// Body bytes of the response.
    bytes_sent: u64;
    /// The status of the response; 0 is logged where there is none.
    response_code: Option<u16>;
    /// What decided the status: `via_upstream`, `route_not_found` ...
    response_code_details: Option<&str>;
    /// Why the client's connection was ended.
    connection_termination_details: Option<&str>;
    /// The response's flags.
    response_flags: ResponseFlags;
    /// The response's trailers.
    response_trailers: Option<&HeaderMap>;
    /// The name of the route.
    route_name: Option<&str>;
    /// The name of the virtual cluster.
    virtual_cluster_name: Option<&str>;
    /// The cluster's name in stats (`alt_stat_name`, where it has one).
    upstream_cluster: Option<&str>;
    /// The cluster's name.
    upstream_cluster_raw: Option<&str>;
    /// The endpoint's address.
    upstream_host: Option<SocketAddr>;
    /// The endpoint's host name, where it has one.
    upstream_host_name: Option<&str>;
    /// Our end of the connection to it.
    upstream_local_address: Option<SocketAddr>;
    /// Its end.
    upstream_remote_address: Option<SocketAddr>;
    /// That connection's number.
    upstream_connection_id: Option<u64>;
    /// Why no connection to it came about.
    upstream_transport_failure_reason: Option<&str>;
    /// How often the request was sent, retries included.
    upstream_attempt_count: u32;
    /// The TLS version spoken with it: `TLSv1.3`.
    upstream_tls_version: Option<&str>;
    /// The TLS cipher.
    upstream_tls_cipher: Option<&str>;
    /// Our end of the client's connection.
    downstream_local_address: Option<SocketAddr>;
    /// The client's address, as forwarding headers say where they are trusted.
    downstream_remote_address: Option<SocketAddr>;
    /// The client's end of its connection.
    downstream_direct_remote_address: Option<SocketAddr>;
    /// Why the client's TLS handshake failed.
    downstream_transport_failure_reason: Option<&str>;
    /// The TLS version that the client speaks: `TLSv1.3`.
    downstream_tls_version: Option<&str>;
    /// The TLS cipher.
    downstream_tls_cipher: Option<&str>;
    /// The server name that the client asked for (SNI).
    requested_server_name: Option<&str>;
    /// The number of the client's connection.
    connection_id: Option<u64>;
    /// The stream's id: the request id where it is a UUID.
    stream_id: Option<&str>;
    /// The name of the filter chain.
    filter_chain_name: Option<&str>;
    /// When this is logged: `DownstreamEnd`.
    access_log_type: Option<&str>;
}

/// A context with other headers: those that are just being edited.
pub(crate) struct Overlay<'a> {
    pub(crate) inner: &'a dyn FormatContext,
    pub(crate) line: Option<RequestLine<'a>>,
    pub(crate) request_headers: Option<&'a HeaderMap>,
    pub(crate) response_headers: Option<&'a HeaderMap>,
}

/// The line of a request, as it is when its headers are edited.
#[derive(Clone, Copy)]
pub(crate) struct RequestLine<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: Option<&'a str>,
    pub(crate) authority: Option<&'a str>,
    pub(crate) scheme: &'a str,
}

impl FormatContext for () {}
