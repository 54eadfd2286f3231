//! Refused requests: why, and the answer Envoy gives.

use std::fmt::Write as _;
use std::time::SystemTime;

use http::{HeaderValue, StatusCode};

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
    /// Whether the answer was written. It is not if the service's own answer had begun.
    pub answered: bool,
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
            answered: false,
            method: None,
            target: None,
            host: None,
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The answer on the wire. The order of the headers is Envoy's.
    pub(super) fn answer(&self, server: Option<&HeaderValue>) -> Vec<u8> {
        let status = self.status();
        let body = self.kind.body();
        let mut text = String::with_capacity(256);
        let reason = status.canonical_reason().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(text, "HTTP/1.1 {} {reason}\r\n", status.as_str());
        if !body.is_empty() {
            let _ = write!(text, "content-length: {}\r\ncontent-type: text/plain\r\n", body.len());
        }
        let _ = write!(text, "date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
        let mut answer = text.into_bytes();
        if let Some(server) = server {
            answer.extend_from_slice(b"server: ");
            answer.extend_from_slice(server.as_bytes());
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"connection: close\r\n");
        if body.is_empty() {
            answer.extend_from_slice(b"content-length: 0\r\n");
        }
        answer.extend_from_slice(b"\r\n");
        if !self.to_head {
            answer.extend_from_slice(body.as_bytes());
        }
        answer
    }
}
