//! A failure as an HTTP response: Envoy's statuses, bodies and headers.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::body::ResponseBody;
use crate::error::{ErrorKind, ProxyError};

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const RESET: &str = "upstream connect error or disconnect/reset before headers. ";

/// The response that Envoy gives for this failure.
///
/// gRPC requests get `200` with `grpc-status` instead, which is [`grpc_response`].
///
/// ```
/// use front_proxy_layers::body::Body;
/// use front_proxy_layers::error::respond::{grpc_response, response};
/// use front_proxy_layers::error::{ErrorKind, ProxyError};
///
/// let error = ProxyError::new(ErrorKind::NoHealthyUpstream);
/// let plain = response::<Body>(&error);
/// assert_eq!((plain.status().as_u16(), &plain.headers()["content-length"]), (503, &"19".parse()?));
/// let grpc = grpc_response::<Body>(&error);
/// assert_eq!((grpc.status().as_u16(), &grpc.headers()["grpc-status"]), (200, &"14".parse()?));
/// # Ok::<_, http::header::InvalidHeaderValue>(())
/// ```
pub fn response<B>(error: &ProxyError) -> Response<ResponseBody<B>> {
    local_reply_with(headers(error), error.kind().status(), body(error))
}

/// What a failure says besides its status: what the route adds, then what Envoy does.
fn headers(error: &ProxyError) -> HeaderMap {
    let mut headers = error.headers().cloned().unwrap_or_default();
    let kind = error.kind();
    if matches!(kind, ErrorKind::Maintenance | ErrorKind::Overflow) && error.has_envoy_headers() {
        headers.insert("x-envoy-overloaded", HeaderValue::from_static("true"));
    }
    // In maintenance nothing is attempted.
    if let Some(attempts) = error.attempt_count().filter(|_| kind != ErrorKind::Maintenance) {
        headers.insert("x-envoy-attempt-count", HeaderValue::from(attempts));
    }
    headers
}

/// A response made by the proxy itself: with a body it is plain text, without one it has neither
/// type nor length, which is for the server to say.
pub fn local_reply<B>(status: StatusCode, body: Bytes) -> Response<ResponseBody<B>> {
    local_reply_with(HeaderMap::with_capacity(8), status, body)
}

/// The same on top of headers that are there already: another type than plain text stays, if there
/// is a body.
pub fn local_reply_with<B: From<Bytes>>(
    mut headers: HeaderMap,
    status: StatusCode,
    body: Bytes,
) -> Response<B> {
    if body.is_empty() {
        headers.remove(header::CONTENT_TYPE);
    } else {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.entry(header::CONTENT_TYPE).or_insert(PLAIN);
    }
    let mut response = Response::new(B::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The gRPC status that stands for an HTTP one (gRPC's `http-grpc-status-mapping`).
pub(crate) fn grpc_status(http: u16) -> u16 {
    match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// The answer to a failed gRPC request: a trailers-only response whose status is mapped from the
/// HTTP one as gRPC's `http-grpc-status-mapping` says, with the body as `grpc-message`.
pub fn grpc_response<B>(error: &ProxyError) -> Response<ResponseBody<B>> {
    let status = grpc_status(error.kind().status().as_u16());
    grpc_reply_with(headers(error), status.into(), &body(error))
}

/// The response of a route itself to a request with these headers: gRPC is answered in its own
/// words, also where that is no failure.
pub(crate) fn local_reply_to<B: From<Bytes>>(
    request: &HeaderMap,
    headers: HeaderMap,
    status: StatusCode,
    body: Bytes,
) -> Response<B> {
    if is_grpc(request) {
        grpc_reply_with(headers, grpc_status(status.as_u16()).into(), &body)
    } else {
        local_reply_with(headers, status, body)
    }
}

/// A trailers-only gRPC response with this status, on top of headers that are there already.
pub(crate) fn grpc_reply_with<B: From<Bytes>>(
    mut headers: HeaderMap,
    status: u32,
    message: &[u8],
) -> Response<B> {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(status));
    if !message.is_empty()
        && let Ok(message) = HeaderValue::try_from(percent_encoded(message))
    {
        headers.insert("grpc-message", message);
    }
    let mut response = Response::new(B::from(Bytes::new()));
    *response.headers_mut() = headers;
    response
}

/// As gRPC over HTTP/2 asks of `Status-Message`: all but printable ASCII, and `%`, in hexadecimal.
fn percent_encoded(message: &[u8]) -> String {
    let mut encoded = String::with_capacity(message.len());
    for &byte in message {
        match byte {
            b'%' | ..b' ' | 0x7f.. => {
                // Writing to a String can't fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

/// Whether a request is gRPC: its errors are then gRPC's.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
    })
}

fn body(error: &ProxyError) -> Bytes {
    match error.kind().reset_reason() {
        None => Bytes::from_static(error.kind().text().as_bytes()),
        Some(reason) => {
            let tries = if error.is_after_retries() { "retried and the latest " } else { "" };
            Bytes::from(format!("{RESET}{tries}reset reason: {reason}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_names_its_reason() {
        let error = ProxyError::new(ErrorKind::ConnectFailed);
        let response = response::<()>(&error);
        assert_eq!(response.status(), 503);
        assert_eq!(
            body(&error),
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
        );
        assert_eq!(response.headers()["content-length"], body(&error).len().to_string());
    }

    #[test]
    fn what_a_failure_says_comes_before_its_body() {
        let names = |kind| {
            let error = ProxyError::new(kind).with_attempt_count(2);
            let response = response::<()>(&error);
            response.headers().keys().map(ToString::to_string).collect::<Vec<_>>()
        };
        let body = ["content-length", "content-type"];
        let overflow = ["x-envoy-overloaded", "x-envoy-attempt-count", body[0], body[1]];
        assert_eq!(names(ErrorKind::Overflow), overflow);
        assert_eq!(names(ErrorKind::Maintenance), ["x-envoy-overloaded", body[0], body[1]]);
        assert_eq!(names(ErrorKind::ConnectFailed), ["x-envoy-attempt-count", body[0], body[1]]);
    }

    #[test]
    fn an_empty_answer_has_no_type() {
        let response = response::<()>(&ProxyError::new(ErrorKind::NoRoute));
        assert_eq!(response.status(), 404);
        assert!(response.headers().is_empty());
    }

    #[test]
    fn a_route_answers_grpc_in_its_words() {
        let grpc = [(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))];
        let request = grpc.into_iter().collect();
        let body = Bytes::from_static("50 % off\n\u{e9}".as_bytes());
        let response =
            local_reply_to::<ResponseBody<()>>(&request, HeaderMap::new(), StatusCode::FOUND, body);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "2");
        assert_eq!(response.headers()["grpc-message"], "50 %25 off%0A%C3%A9");
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static(value));
            is_grpc(&headers)
        };
        assert!(with("application/grpc") && with("application/grpc+proto"));
        assert!(!with("application/grpc-web") && !with("text/plain"));
    }
}
