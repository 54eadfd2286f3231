//! Answers: their headers, and bodies that are sent piece by piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, SERVER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::stats::Chunks;
use crate::stats::prometheus::Exposition;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer.
pub(super) struct Page {
    status: StatusCode,
    content_type: HeaderValue,
    body: Chunks,
}

impl Page {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::stream(TEXT, once(text.into()))
    }

    /// Text that says nothing about its characters.
    pub(super) fn plain(text: impl Into<Bytes>) -> Self {
        Self::stream(HeaderValue::from_static("text/plain"), once(text.into()))
    }

    pub(super) fn text_stream(body: Chunks) -> Self {
        Self::stream(TEXT, body)
    }

    pub(super) fn exposition(form: Exposition, body: Chunks) -> Self {
        match form {
            Exposition::Prometheus => Self::text_stream(body),
            Exposition::OpenMetrics => Self::stream(OPENMETRICS, body),
        }
    }

    pub(super) fn html_stream(body: Chunks) -> Self {
        Self::stream(HTML, body)
    }

    pub(super) fn html(html: String) -> Self {
        Self::stream(HTML, once(html.into()))
    }

    pub(super) fn json_stream(body: Chunks) -> Self {
        Self::stream(JSON, body)
    }

    /// Indented by one blank, as protobuf prints JSON for Envoy.
    pub(super) fn json(value: &Value) -> Self {
        let mut out = Vec::new();
        let mut json = Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b" "));
        // Writing a `Value` into memory can't fail.
        let written = value.serialize(&mut json);
        debug_assert!(written.is_ok());
        out.push(b'\n');
        Self::stream(JSON, once(out.into()))
    }

    pub(super) fn ok() -> Self {
        Self::text("OK\n")
    }

    #[must_use]
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn bad_request(why: impl Into<Bytes>) -> Self {
        Self::text(why).with_status(StatusCode::BAD_REQUEST)
    }

    /// For what Envoy has but this process has not.
    pub(super) fn unsupported(what: &'static str) -> Self {
        Self::text(what).with_status(StatusCode::NOT_IMPLEMENTED)
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::new(ChunkedBody(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        date_and_server(headers);
        response
    }

    fn stream(content_type: HeaderValue, body: Chunks) -> Self {
        Self { status: StatusCode::OK, content_type, body }
    }
}

/// What every answer says. The HTTP library would add the date behind everything else; Envoy has it
/// here.
pub(super) fn date_and_server(headers: &mut HeaderMap) {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
        headers.insert(DATE, date);
    }
    headers.insert(SERVER, HeaderValue::from_static("envoy"));
}

fn once(body: Bytes) -> Chunks {
    Box::new(std::iter::once(body))
}

/// A body without a known length: Envoy's admin answers are always chunked.
struct ChunkedBody(Chunks);

impl HttpBody for ChunkedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // An empty piece would end a chunked body.
        let piece = self.0.find(|piece| !piece.is_empty());
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }
}
