use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use super::TimeoutLayer;
use crate::body::{Body, RequestProgress};
use crate::error::{ErrorKind, ProxyError};
use crate::upgrade::Asked;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Frames with a pause before each.
fn frames(count: usize, pause: Duration) -> Body {
    struct Frames(usize, Duration, std::pin::Pin<Box<tokio::time::Sleep>>);
    impl Stream for Frames {
        type Item = Result<Frame<Bytes>, ProxyError>;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            if self.0 == 0 {
                return std::task::Poll::Ready(None);
            }
            std::task::ready!(self.2.as_mut().poll(cx));
            self.0 -= 1;
            self.2 = Box::pin(sleep(self.1));
            std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }
    Body::new(StreamBody::new(Frames(count, pause, Box::pin(sleep(pause)))))
}

/// A request whose body sends a frame each second, and what became of it after how long. The
/// upstream reads it, waits, and answers.
async fn upload(layer: TimeoutLayer, count: usize, wait: Duration) -> (Option<ErrorKind>, u64) {
    let app = service_fn(move |request: Request<Body>| async move {
        let _ = request.into_body().collect().await;
        sleep(wait).await;
        Ok::<_, ProxyError>(Response::new(Body::empty()))
    });
    let mut body = frames(count, secs(1));
    let progress = body.track().expect("a body");
    let mut request = Request::new(body);
    request.extensions_mut().insert::<Arc<RequestProgress>>(progress);
    let began = Instant::now();
    let result = layer.layer(app).oneshot(request).await;
    (result.err().map(|error| error.kind()), began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn the_route_timeout_starts_with_the_end_of_the_request() {
    let layer = TimeoutLayer::new(secs(3));
    assert_eq!(upload(layer.clone(), 5, secs(2)).await, (None, 7));
    let late = (Some(ErrorKind::UpstreamTimeout), 8);
    assert_eq!(upload(layer.clone(), 5, secs(9)).await, late);
    // The timer of the one before is used again, whatever it was set for.
    assert_eq!(upload(layer, 5, secs(9)).await, late);
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_starts_anew_with_every_frame() {
    let layer = TimeoutLayer::optional(None).idle(Some(secs(2)));
    assert_eq!(upload(layer.clone(), 5, secs(1)).await, (None, 6));
    assert_eq!(upload(layer, 5, secs(9)).await, (Some(ErrorKind::IdleTimeout), 7));
    let layer = TimeoutLayer::optional(None).idle(Some(Duration::from_millis(900)));
    assert_eq!(upload(layer, 5, secs(1)).await, (Some(ErrorKind::RequestIdleTimeout), 0));
}

#[tokio::test(start_paused = true)]
async fn the_request_timeout_ends_with_the_request() {
    let layer = TimeoutLayer::optional(None).request(Some(secs(4)));
    assert_eq!(upload(layer.clone(), 3, secs(60)).await, (None, 63));
    assert_eq!(upload(layer, 5, secs(60)).await, (Some(ErrorKind::RequestTimeout), 4));
}

#[tokio::test(start_paused = true)]
async fn the_earliest_of_several_strikes() {
    let layer = TimeoutLayer::new(secs(15))
        .idle(Some(secs(300)))
        .max_stream_duration(Some(secs(7)))
        .max_upstream_stream_duration(Some(secs(8)));
    assert_eq!(upload(layer, 2, secs(60)).await, (Some(ErrorKind::MaxDuration), 7));
}

/// What becomes of a response of this status to a request that asks for this protocol, where the
/// route timeout is three seconds and the response goes on for nine.
async fn switch(protocol: &'static str, status: u16) -> Option<ErrorKind> {
    let app = service_fn(move |_: Request<Body>| async move {
        let body = frames(9, secs(1)).map_err(|_| ProxyError::new(ErrorKind::BadRequest));
        Ok::<_, ProxyError>(Response::builder().status(status).body(body).expect("a response"))
    });
    let asked = Asked::for_tests(protocol);
    let mut body = Body::switch(Arc::default(), asked);
    let progress = body.track().expect("a switch");
    let mut request = Request::new(body);
    request.extensions_mut().insert::<Arc<RequestProgress>>(progress);
    let response = TimeoutLayer::new(secs(3)).layer(app).oneshot(request).await;
    let body = response.expect("a head").into_body();
    body.collect().await.err().map(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_has_no_route_timeout_once_it_is_granted() {
    assert_eq!(switch("websocket", 101).await, None);
    assert_eq!(switch("CONNECT", 200).await, None);
    let late = Some(ErrorKind::UpstreamTimeout);
    assert_eq!(switch("websocket", 200).await, late);
    assert_eq!(switch("CONNECT", 403).await, late);
}

#[tokio::test(start_paused = true)]
async fn a_response_is_cut_off() {
    let app = service_fn(|_: Request<Body>| async {
        Ok::<_, ProxyError>(Response::new(
            frames(9, secs(2)).map_err(|_| ProxyError::new(ErrorKind::ConnectionTerminated)),
        ))
    });
    let read = |layer: TimeoutLayer| async move {
        let request = Request::new(Body::empty());
        let mut body = layer.layer(app).oneshot(request).await.expect("a head").into_body();
        let mut count = 0;
        loop {
            match body.frame().await {
                Some(Ok(_)) => count += 1,
                Some(Err(error)) => break (count, Some(error.kind())),
                None => break (count, None),
            }
        }
    };
    let idle = |n| TimeoutLayer::optional(None).idle(Some(secs(n)));
    assert_eq!(read(idle(3)).await, (9, None), "it moves");
    assert_eq!(read(idle(1)).await, (0, Some(ErrorKind::IdleTimeout)));
    assert_eq!(read(TimeoutLayer::new(secs(5))).await, (2, Some(ErrorKind::UpstreamTimeout)));
}
