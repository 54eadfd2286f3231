use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

use super::{LocalRateLimitLayer, LocalRateLimitSettings, TokenBucket};
use crate::header_edit::{HeaderEditor, Levels};
use crate::route::{AppendAction, HeaderAdd, HeaderEdits};
use crate::runtime::RuntimeFraction;

/// The app gives back the headers that it got.
async fn ask(layer: &LocalRateLimitLayer, grpc: bool) -> Response<Full<Bytes>> {
    let app = service_fn(|request: Request<()>| async move {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Infallible>(response)
    });
    let mut request = Request::get("/path");
    if grpc {
        request = request.header("content-type", "application/grpc");
    }
    let Ok(response) = layer.layer(app).oneshot(request.body(()).expect("a request")).await;
    response
}

fn limited(max: u32, settings: LocalRateLimitSettings) -> LocalRateLimitLayer {
    let bucket = TokenBucket::new(max, 1, Duration::from_secs(10));
    LocalRateLimitLayer::new(Arc::new(bucket), settings)
}

fn told(headers: &HeaderMap) -> [&str; 3] {
    ["limit", "remaining", "reset"].map(|what| {
        let value = headers.get(format!("x-ratelimit-{what}"));
        value.and_then(|value| value.to_str().ok()).unwrap_or("-")
    })
}

#[tokio::test(start_paused = true)]
async fn tokens_come_back_at_a_steady_rate() {
    let bucket = TokenBucket::new(2, 2, Duration::from_secs(4));
    assert_eq!((bucket.remaining(), bucket.next_in()), (2, Duration::ZERO));
    assert!(bucket.take() && bucket.take() && !bucket.take());
    assert_eq!((bucket.remaining(), bucket.next_in()), (0, Duration::from_secs(2)));
    advance(Duration::from_millis(1500)).await;
    assert!(!bucket.take());
    assert_eq!(bucket.next_in(), Duration::from_millis(500));
    advance(Duration::from_millis(500)).await;
    assert!(bucket.take() && !bucket.take());
    advance(Duration::from_secs(1000)).await;
    assert_eq!(bucket.remaining(), 2, "never more than there is room for");
    assert!(bucket.take() && bucket.take() && !bucket.take());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_without_room_lets_nobody_through() {
    let bucket = TokenBucket::new(0, 1, Duration::from_secs(1));
    advance(Duration::from_secs(100)).await;
    assert!(!bucket.take());
    assert_eq!(bucket.remaining(), 0);
}

proptest! {
    #[test]
    fn no_more_go_through_than_were_filled_in(
        max in 0..50_u32,
        per_fill in 1..50_u32,
        waits in prop::collection::vec(0..3_000_u64, 1..60),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let bucket = TokenBucket::new(max, per_fill, Duration::from_secs(1));
            let (mut taken, mut passed) = (0_u64, 0_u64);
            for wait in waits {
                advance(Duration::from_millis(wait)).await;
                passed += wait;
                while bucket.take() {
                    taken += 1;
                }
                let filled = u64::from(per_fill) * passed / 1000;
                // One: a token takes a whole number of nanoseconds, which may be a trifle too few.
                assert!(taken <= u64::from(max) + filled + 1, "{taken} of {max} + {filled}");
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_told_with_every_answer() {
    let settings =
        LocalRateLimitSettings { x_ratelimit_headers: true, ..LocalRateLimitSettings::default() };
    let layer = limited(2, settings);
    assert_eq!(told(ask(&layer, false).await.headers()), ["2", "1", "0"]);
    assert_eq!(told(ask(&layer, false).await.headers()), ["2", "0", "10"]);
    advance(Duration::from_millis(1001)).await;
    let refused = ask(&layer, false).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(told(refused.headers()), ["2", "0", "9"], "what has begun counts as a second");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_no_error_is_429() {
    for (status, wanted) in [(503, 503), (400, 400), (200, 429), (302, 429)] {
        let status = StatusCode::from_u16(status).expect("a status");
        let settings = LocalRateLimitSettings { status, ..LocalRateLimitSettings::default() };
        assert_eq!(ask(&limited(0, settings), false).await.status(), wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_is_told_in_its_own_way() {
    for (resource_exhausted, wanted) in [(false, "14"), (true, "8")] {
        let settings = LocalRateLimitSettings { resource_exhausted, ..Default::default() };
        let response = ask(&limited(0, settings), true).await;
        assert_eq!(response.headers()["grpc-status"], wanted);
        assert_eq!(response.headers()["grpc-message"], "local_rate_limited");
    }
}

fn edits() -> HeaderEditor {
    let add = |name: &str, value: &str| HeaderAdd {
        name: name.parse().expect("a name"),
        value: value.into(),
        action: AppendAction::AppendIfExistsOrAdd,
        keep_empty_value: false,
    };
    let edits = HeaderEdits {
        request_add: vec![add("x-would", "1")],
        response_add: vec![add("x-limited", "at %REQ(:path)%")],
        ..HeaderEdits::default()
    };
    HeaderEditor::compile(Levels { route: Some(&edits), ..Levels::default() }).expect("edits")
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_headers_of_its_own() {
    let settings = LocalRateLimitSettings { headers: edits(), ..Default::default() };
    let layer = limited(1, settings);
    assert!(!ask(&layer, false).await.headers().contains_key("x-limited"));
    assert_eq!(ask(&layer, false).await.headers()["x-limited"], "at /path");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_not_enforced_tells_the_app() {
    let settings = LocalRateLimitSettings {
        enforced: RuntimeFraction::NONE,
        headers: edits(),
        ..LocalRateLimitSettings::default()
    };
    let layer = limited(1, settings);
    assert!(!ask(&layer, false).await.headers().contains_key("x-would"));
    let response = ask(&layer, false).await;
    assert_eq!(
        (response.status(), &response.headers()["x-would"]),
        (StatusCode::OK, &"1".parse().expect("a value"))
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_bucket_nothing_is_limited() {
    let layer = LocalRateLimitLayer::new(None, LocalRateLimitSettings::default());
    for _ in 0..100 {
        assert_eq!(ask(&layer, false).await.status(), StatusCode::OK);
    }
}
