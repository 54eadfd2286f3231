//! Refused requests: why, and the answer Envoy gives.

use front_proxy_layers::server_header::ServerHeaderLayer;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// Not HTTP/1, or broken framing: Envoy's `http1.codec_error`.
    BadRequest,
    /// A control byte in the head.
    InvalidCharacters,
    /// A well-formed target Envoy does not take: a foreign scheme, `GET *`.
    InvalidUrl,
    /// An `https` URL on a connection without TLS.
    HttpsInPlaintext,
    /// A byte in Host that none may have.
    InvalidAuthority,
    /// `content-length` next to `transfer-encoding`.
    LengthAndChunked,
    /// A body announced by `CONNECT`.
    BodyDisallowed,
    /// A transfer coding other than `chunked` alone.
    TransferEncoding,
    /// `connection` nominates a header that the proxy vouches for.
    ConnectionHeader,
    /// An underscore in a header name, where the listener refuses those.
    Underscore,
    /// A head (or trailers) beyond `max_request_headers_kb`.
    HeadTooLarge,
    /// More headers (or trailers) than `max_headers_count`.
    TooManyHeaders,
    /// A version other than HTTP/1.1.
    Version,
    /// A fragment in the target. Envoy's connection manager refuses it, not its codec.
    FragmentInPath,
    /// No Host (next to a fragment; otherwise a layer above answers).
    MissingHost,
    /// The head did not come in time ([`GateState::time_out_head`](super::GateState)).
    HeaderTimeout,
}

impl RefusalKind {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TransferEncoding => StatusCode::NOT_IMPLEMENTED,
            Self::HeadTooLarge | Self::TooManyHeaders => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::HttpsInPlaintext => StatusCode::FORBIDDEN,
            Self::HeaderTimeout => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The body of the answer; empty for what Envoy's connection manager refuses.
    pub fn body(self) -> &'static str {
        match self {
            Self::FragmentInPath | Self::MissingHost => "",
            Self::HeaderTimeout => "request header timeout",
            _ => self.status().canonical_reason().unwrap_or_default(),
        }
    }

    /// `%RESPONSE_CODE_DETAILS%`
    pub fn details(self) -> &'static str {
        match self {
            Self::BadRequest => "http1.codec_error",
            Self::InvalidCharacters => "http1.invalid_characters",
            Self::InvalidUrl => "http1.invalid_url",
            Self::HttpsInPlaintext => "http1.https_url_on_plaintext_connection",
            Self::InvalidAuthority => "http.invalid_authority",
            Self::LengthAndChunked => "http1.content_length_and_chunked_not_allowed",
            Self::BodyDisallowed => "http1.body_disallowed",
            Self::TransferEncoding => "http1.invalid_transfer_encoding",
            Self::ConnectionHeader => "http1.connection_header_rejected",
            Self::Underscore => "http1.unexpected_underscore",
            Self::HeadTooLarge => "http1.headers_too_large",
            Self::TooManyHeaders => "http1.too_many_headers",
            Self::Version => "low_version",
            Self::FragmentInPath => "path_normalization_failed",
            Self::MissingHost => "missing_host_header",
            Self::HeaderTimeout => "request_header_timeout",
        }
    }

    /// Whether the codec refused, which counts in `downstream_cx_protocol_error` and is logged
    /// with the flag `DPE`.
    pub fn is_protocol_error(self) -> bool {
        !matches!(self, Self::FragmentInPath | Self::MissingHost | Self::HeaderTimeout)
    }

    /// Whether it is found once the whole head is there. Envoy's codec knows the version of the
    /// request only then, and answers in it.
    pub(super) fn is_of_whole_head(self) -> bool {
        matches!(
            self,
            Self::InvalidUrl
                | Self::HttpsInPlaintext
                | Self::InvalidAuthority
                | Self::LengthAndChunked
                | Self::BodyDisallowed
                | Self::TransferEncoding
                | Self::ConnectionHeader
                | Self::FragmentInPath
                | Self::MissingHost
        )
    }

    /// Whether `downstream_rq_response_before_rq_complete` and `downstream_rq_rx_reset` count it.
    pub fn is_before_request_complete(self) -> bool {
        self.is_protocol_error() || self == Self::HeaderTimeout
    }
}

/// A refused request, for counters and the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub kind: RefusalKind,
    /// Whether the head was already with the service (a broken body). Such a request has been
    /// counted, and its log record is the service's to write; the service is dropped.
    pub head_seen: bool,
    /// Whether the request is `HEAD`, whose answer has the length of a body but no body.
    pub to_head: bool,
    /// Whether it is answered in HTTP/1.0.
    pub http_10: bool,
    /// Whether the answer was written. It is not if the service's own answer had begun.
    pub answered: bool,
    /// The headers of the answer.
    pub headers: Box<HeaderMap>,
    /// The method, where Envoy logs it: for what its connection manager refuses.
    pub method: Option<String>,
    /// The target, where Envoy logs it.
    pub target: Option<String>,
    /// The Host, where Envoy logs it.
    pub host: Option<String>,
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind) -> Self {
        Self {
            kind,
            head_seen: false,
            to_head: false,
            http_10: false,
            answered: false,
            headers: Box::default(),
            method: None,
            target: None,
            host: None,
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Decides the headers of the answer. Their order is Envoy's.
    pub(super) fn sign(&mut self, server: &ServerHeaderLayer) {
        let body = self.kind.body();
        let headers = &mut *self.headers;
        if !body.is_empty() {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        server.apply(headers);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    }

    /// The answer on the wire.
    pub(super) fn answer(&self) -> Vec<u8> {
        let status = self.status();
        let version: &[u8] = if self.http_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
        let reason = status.canonical_reason().unwrap_or_default().as_bytes();
        let mut answer = Vec::with_capacity(256);
        for piece in [version, status.as_str().as_bytes(), b" ", reason, b"\r\n"] {
            answer.extend_from_slice(piece);
        }
        for (name, value) in &*self.headers {
            for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                answer.extend_from_slice(piece);
            }
        }
        answer.extend_from_slice(b"\r\n");
        if !self.to_head {
            answer.extend_from_slice(self.kind.body().as_bytes());
        }
        answer
    }
}
