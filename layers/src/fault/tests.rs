use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{
    Abort, AbortWith, Delay, DelayFor, FaultLayer, FaultSettings, FaultStats, ResponseBody,
};
use crate::route::{Fraction, HeaderMatch, HeaderMatchName, HeaderRule};
use crate::stats::Scope;

type Answer = Response<ResponseBody<Full<Bytes>>>;

fn app(
    layer: &FaultLayer,
) -> impl Service<Request<()>, Response = Answer, Error = Infallible> + Clone + use<> {
    layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"app"))))
    }))
}

async fn ask(layer: &FaultLayer, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let Ok(response) = app(layer).oneshot(request.body(()).expect("a request")).await;
    response
}

fn aborting(with: AbortWith) -> FaultLayer {
    FaultLayer::new(FaultSettings {
        abort: Some(Abort { with, percentage: Fraction::ALL }),
        ..FaultSettings::default()
    })
}

fn delaying(time: DelayFor) -> FaultSettings {
    FaultSettings {
        delay: Some(Delay { time, percentage: Fraction::ALL }),
        ..FaultSettings::default()
    }
}

#[tokio::test]
async fn an_abort_is_plain_text_or_a_grpc_status() {
    let teapot = aborting(AbortWith::Status(StatusCode::IM_A_TEAPOT));
    let response = ask(&teapot, &[]).await;
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers()["content-length"], "18");
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body, "fault filter abort");

    let grpc = [("content-type", "application/grpc")];
    let response = ask(&teapot, &grpc).await;
    assert_eq!(
        (response.status(), &response.headers()["grpc-status"]),
        (StatusCode::OK, &"2".parse().expect("a value"))
    );

    let denied = aborting(AbortWith::GrpcStatus(7));
    assert_eq!(ask(&denied, &grpc).await.headers()["grpc-status"], "7");
    let plain = ask(&denied, &[]).await;
    assert_eq!(
        (plain.status(), plain.headers().contains_key("grpc-status")),
        (StatusCode::OK, false)
    );
}

#[tokio::test]
async fn clients_ask_for_aborts_within_limits() {
    let layer = aborting(AbortWith::Header);
    for (headers, wanted) in [
        (&[("x-envoy-fault-abort-request", "503")][..], Some(503)),
        (&[("x-envoy-fault-abort-request", "199")], None),
        (&[("x-envoy-fault-abort-request", "600")], None),
        (&[("x-envoy-fault-abort-request", "many")], None),
        (&[("x-envoy-fault-abort-grpc-request", "14")], Some(200)),
        (
            &[
                ("x-envoy-fault-abort-request", "503"),
                ("x-envoy-fault-abort-request-percentage", "0"),
            ],
            None,
        ),
        (&[], None),
    ] {
        let response = ask(&layer, headers).await;
        let is_fault = response.headers().contains_key("content-type");
        assert_eq!(is_fault.then(|| response.status().as_u16()), wanted, "{headers:?}");
    }
}

#[tokio::test]
async fn nobody_may_ask_for_more_than_is_configured() {
    let layer = FaultLayer::new(FaultSettings {
        abort: Some(Abort::by_header(Fraction::NONE)),
        ..FaultSettings::default()
    });
    let asks =
        [("x-envoy-fault-abort-request", "503"), ("x-envoy-fault-abort-request-percentage", "100")];
    assert_eq!(ask(&layer, &asks).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_an_abort() {
    let began = Instant::now();
    let settings = FaultSettings {
        abort: Some(Abort::status(StatusCode::BAD_GATEWAY, Fraction::ALL)),
        ..delaying(DelayFor::Fixed(Duration::from_secs(3)))
    };
    assert_eq!(ask(&FaultLayer::new(settings), &[]).await.status(), 502);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_say_how_long() {
    let layer = FaultLayer::new(delaying(DelayFor::Header));
    for (value, wanted) in [("250", 250), ("0", 0), ("soon", 0)] {
        let began = Instant::now();
        let response = ask(&layer, &[("x-envoy-fault-delay-request", value)]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(began.elapsed(), Duration::from_millis(wanted), "{value}");
    }
    // Longer than any clock: it is waited for, and nothing panics.
    let forever = ask(&layer, &[("x-envoy-fault-delay-request", "18446744073709551615")]);
    let waited = tokio::time::timeout(Duration::from_secs(3600), forever).await;
    assert!(waited.is_err());
}

#[tokio::test]
async fn only_requests_that_are_meant_meet_faults() {
    let header = HeaderMatch {
        name: HeaderMatchName::Header("x-break".parse().expect("a name")),
        rule: HeaderRule::Present(true),
        invert: false,
        treat_missing_as_empty: false,
    };
    let layer = FaultLayer::new(FaultSettings {
        abort: Some(Abort::status(StatusCode::BAD_GATEWAY, Fraction::ALL)),
        headers: vec![header],
        downstream_nodes: vec!["one".into()],
        ..FaultSettings::default()
    });
    let (header, node) = (("x-break", "1"), ("x-envoy-downstream-service-node", "one"));
    let other = ("x-envoy-downstream-service-node", "two");
    for (headers, wanted) in
        [(&[header, node][..], 502), (&[header, other], 200), (&[header], 200), (&[node], 200)]
    {
        assert_eq!(ask(&layer, headers).await.status(), wanted, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_active_until_its_response_has_ended() {
    let stats = Arc::new(FaultStats::new(&Scope::noop()));
    let settings =
        FaultSettings { max_active: Some(1), ..delaying(DelayFor::Fixed(Duration::from_secs(1))) };
    let layer = FaultLayer::new(settings).stats(Arc::clone(&stats));
    let took = || async {
        let began = Instant::now();
        let response = ask(&layer, &[]).await;
        (response, began.elapsed().as_secs())
    };
    let (kept, first) = took().await;
    assert_eq!(first, 1);
    let (_, second) = took().await;
    assert_eq!(second, 0, "one is enough");
    let body = kept.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body, "app");
    let (_, third) = took().await;
    assert_eq!(third, 1, "the first is over");
}

#[tokio::test(start_paused = true)]
async fn a_fault_ends_with_a_client_that_leaves() {
    let stats = Arc::new(FaultStats::new(&Scope::noop()));
    let layer = FaultLayer::new(delaying(DelayFor::Fixed(Duration::from_secs(9))));
    let layer = layer.stats(Arc::clone(&stats));
    let left = tokio::time::timeout(Duration::from_secs(1), ask(&layer, &[])).await;
    assert!(left.is_err());
    assert!(stats.begin(Some(1)).is_some(), "none is active");
}
