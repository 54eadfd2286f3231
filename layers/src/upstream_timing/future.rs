use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::body::RequestProgress;
use crate::clock;

const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

pin_project! {
    /// The future of [`UpstreamTiming`](super::UpstreamTiming).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        called: Instant,
        progress: Option<Arc<RequestProgress>>,
        silent: bool,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(
        inner: F,
        called: Instant,
        progress: Option<Arc<RequestProgress>>,
        silent: bool,
    ) -> Self {
        Self { inner, called, progress, silent }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut polled = this.inner.poll(cx);
        if let Poll::Ready(Ok(response)) = &mut polled
            && !*this.silent
        {
            let now = clock::now().into_std();
            // Of an upstream that answers before it has the whole request it can't be told.
            let began =
                this.progress.as_ref().map_or(Some(this.called.into_std()), |p| p.completed_at());
            if let Some(began) = began {
                let ms = now.saturating_duration_since(began).as_millis();
                response.headers_mut().insert(SERVICE_TIME, value(ms));
            }
        }
        polled
    }
}

/// Most upstreams of a front proxy answer within a few milliseconds: those values need no memory.
fn value(ms: u128) -> HeaderValue {
    const SMALL: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    match usize::try_from(ms).ok().and_then(|ms| SMALL.get(ms)) {
        Some(text) => HeaderValue::from_static(text),
        None => HeaderValue::from(u64::try_from(ms).unwrap_or(u64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt, Full};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::body::Body;
    use crate::upstream_timing::UpstreamTimingLayer;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_the_service_in_milliseconds() {
        let slow = service_fn(|_: Request<Body>| async {
            tokio::time::sleep(Duration::from_micros(42_900)).await;
            let mut response = Response::new(());
            response.headers_mut().insert(SERVICE_TIME, HeaderValue::from_static("999"));
            Ok::<_, Infallible>(response)
        });
        let service = UpstreamTimingLayer::new().layer(slow);
        let response = service.oneshot(Request::new(Body::empty())).await.expect("infallible");
        let values: Vec<_> = response.headers().get_all(SERVICE_TIME).iter().collect();
        // Paused time moves in whole milliseconds.
        assert_eq!(values, ["43"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clients_own_slowness_does_not_count() {
        let app = service_fn(|request: Request<Body>| async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let _ = request.into_body().collect().await;
            tokio::time::sleep(Duration::from_millis(7)).await;
            Ok::<_, Infallible>(Response::new(()))
        });
        let mut body = Body::new(Full::new(Bytes::from_static(b"x")));
        let progress = body.track().expect("not at its end");
        let mut request = Request::new(body);
        request.extensions_mut().insert(progress);
        let service = UpstreamTimingLayer::new().layer(app);
        let response = service.oneshot(request).await.expect("infallible");
        assert_eq!(response.headers()[SERVICE_TIME], "7");
    }
}
