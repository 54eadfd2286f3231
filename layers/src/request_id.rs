//! `x-request-id`: one id for a request on its whole way.
//!
//! As Envoy by default: a random UUID where the client sent none; one that it sent is kept as it
//! is, whatever it says, unless the request comes from outside to an edge (see
//! [`crate::forwarded`]), where ids are made anew.
//!
//! It stands around any service, whose error may be none, or one that [carries
//! headers](crate::error::ResponseHeaders) for the response that it becomes:
//!
//! ```
//! use axum::{Router, body::Body, extract::Request, routing::get};
//! use front_proxy_layers::request_id::{REQUEST_ID, RequestIdLayer};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(RequestIdLayer::new().respond(true));
//! let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
//! assert_eq!(response.headers()[REQUEST_ID].len(), 36);
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::ResponseHeaders;

/// `x-request-id`
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request an id; see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct RequestIdLayer {
    generate: bool,
    respond: bool,
}

impl RequestIdLayer {
    /// Ids are made where there is none, and not told to the client.
    pub const fn new() -> Self {
        Self { generate: true, respond: false }
    }

    /// Whether ids are made (`generate_request_id`). Default `true`.
    #[must_use]
    pub const fn generate(mut self, generate: bool) -> Self {
        self.generate = generate;
        self
    }

    /// Whether responses carry them too (`always_set_request_id_in_response`). Default `false`.
    #[must_use]
    pub const fn respond(mut self, respond: bool) -> Self {
        self.respond = respond;
        self
    }
}

impl Default for RequestIdLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> RequestId<S> {
        RequestId { inner, options: *self }
    }
}

/// Gives each request an id; see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct RequestId<S> {
    inner: S,
    options: RequestIdLayer,
}

impl<S, B, R> Service<Request<B>> for RequestId<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: ResponseHeaders,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.options.generate
            && let http::header::Entry::Vacant(entry) = request.headers_mut().entry(REQUEST_ID)
        {
            entry.insert(new_id());
        }
        let id = self.options.respond.then(|| {
            let id = Arc::new(OnceLock::new());
            request.extensions_mut().insert(EditedId(Arc::clone(&id)));
            Id { came: request.headers().get(REQUEST_ID).cloned(), edited: id }
        });
        ResponseFuture { inner: self.inner.call(request), id }
    }
}

/// In a request's extensions, where the client is told the id: what the route made of it.
#[derive(Clone, Debug)]
struct EditedId(Arc<OnceLock<Option<HeaderValue>>>);

/// Takes down the id of a request as it is after the edits of its route.
pub(crate) fn tell_edited(parts: &Parts) {
    if let Some(EditedId(id)) = parts.extensions.get() {
        let _ = id.set(parts.headers.get(REQUEST_ID).cloned());
    }
}

/// What the client is told.
#[derive(Debug)]
struct Id {
    came: Option<HeaderValue>,
    edited: Arc<OnceLock<Option<HeaderValue>>>,
}

impl Id {
    fn known(self) -> Option<HeaderValue> {
        match self.edited.get() {
            Some(edited) => edited.clone(),
            None => self.came,
        }
    }
}

pin_project! {
    /// The future of [`RequestId`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        id: Option<Id>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: ResponseHeaders,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut polled = this.inner.poll(cx);
        if let Poll::Ready(result) = &mut polled
            && let Some(id) = this.id.take().and_then(Id::known)
        {
            let headers = match result {
                Ok(response) => Some(response.headers_mut()),
                Err(error) => error.response_headers(),
            };
            if let Some(headers) = headers {
                headers.insert(REQUEST_ID, id);
            }
        }
        polled
    }
}

/// A random UUID (RFC 9562, version 4). Ids are for finding requests again, not for secrets: a
/// fast generator will do.
pub fn new_id() -> HeaderValue {
    let high = fastrand::u64(..) & !0xf000 | 0x4000;
    let low = fastrand::u64(..) & !(0b11 << 62) | 0b10 << 62;
    let [a, b] = halves(high).map(hex);
    let [c, d] = halves(low).map(hex);
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&a);
    text[9..13].copy_from_slice(&b[..4]);
    text[14..18].copy_from_slice(&b[4..]);
    text[19..23].copy_from_slice(&c[..4]);
    text[24..28].copy_from_slice(&c[4..]);
    text[28..].copy_from_slice(&d);
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[expect(clippy::cast_possible_truncation, reason = "each half by itself")]
fn halves(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
}

/// Eight digits at once: each in a byte of its own, and 39 more for those from `a` on.
fn hex(number: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut digits = u64::from(number);
    digits = (digits << 16 | digits) & 0x0000_ffff_0000_ffff;
    digits = (digits << 8 | digits) & 0x00ff_00ff_00ff_00ff;
    digits = (digits << 4 | digits) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (digits + 6 * EACH) >> 4 & EACH;
    (digits + u64::from(b'0') * EACH + 39 * letters).to_be_bytes()
}

/// What is random in an id, the same for everybody who looks: its first eight hexadecimal digits.
/// Nothing where it begins otherwise.
pub fn random_part(id: &[u8]) -> Option<u32> {
    let head = id.get(..8)?;
    // Envoy's reader of numbers takes that too.
    let digits = head.strip_prefix(b"0x").or_else(|| head.strip_prefix(b"0X")).unwrap_or(head);
    // Not by the standard library's reader alone: it would take a sign.
    let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::error::{ErrorKind, ProxyError};

    async fn id_of(layer: RequestIdLayer, request: Request<()>) -> Option<HeaderValue> {
        let echo = service_fn(|request: Request<()>| async move {
            Ok::<_, Infallible>(Response::new(request.headers().get(REQUEST_ID).cloned()))
        });
        layer.layer(echo).oneshot(request).await.expect("a response").into_body()
    }

    #[tokio::test]
    async fn an_id_is_made_where_there_is_none() {
        let id = id_of(RequestIdLayer::new(), Request::new(())).await.expect("an id");
        let id = id.to_str().expect("text");
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4", "the version of a random UUID");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "the variant of RFC 9562");
    }

    #[tokio::test]
    async fn an_id_that_is_there_is_kept() {
        let mut request = Request::new(());
        request.headers_mut().insert(REQUEST_ID, HeaderValue::from_static("any text"));
        assert_eq!(id_of(RequestIdLayer::new(), request).await.expect("kept"), "any text");
    }

    #[tokio::test]
    async fn none_is_made_if_not_wanted() {
        assert_eq!(id_of(RequestIdLayer::new().generate(false), Request::new(())).await, None);
    }

    #[tokio::test]
    async fn every_answer_carries_it_if_wanted() {
        let layer = RequestIdLayer::new().respond(true);
        let request = || Request::get("/").header(REQUEST_ID, "mine").body(()).expect("a request");
        let app = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
        let response = layer.layer(app).oneshot(request()).await.expect("a response");
        assert_eq!(response.headers()[REQUEST_ID], "mine");

        let failing = service_fn(|_: Request<()>| async {
            Err::<Response<()>, _>(ProxyError::new(ErrorKind::NoRoute))
        });
        let error = layer.layer(failing).oneshot(request()).await.expect_err("no route");
        assert_eq!(error.headers().expect("headers")[REQUEST_ID], "mine");
    }

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 0x0123_4567, 0x89ab_cdef, u32::MAX, 0x9a00_0a90] {
            assert_eq!(str::from_utf8(&hex(number)), Ok(&*format!("{number:08x}")));
        }
    }

    #[test]
    fn ids_differ() {
        let ids: HashSet<_> = (0..1000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn the_random_part_is_as_envoy_reads_it() {
        let part = |id: &str| random_part(id.as_bytes());
        assert_eq!(part("0000001F-0000-4000-8000-000000000000"), Some(0x1f));
        assert_eq!(part("ffffffffffffffff"), Some(u32::MAX));
        assert_eq!(part("0x000001"), Some(1));
        for other in ["", "0000000", "zzzzzzzz", "+0000001", "-0000001", "0x+00001", "\u{e9}000000"]
        {
            assert_eq!(part(other), None, "{other}");
        }
    }
}
