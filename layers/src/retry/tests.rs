//! Tries of a service that does as it is told, in paused time.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};

use super::RetryLayer;
use crate::body::Body;
use crate::cluster::{Cluster, Limits, Priority};
use crate::error::{ErrorKind, ProxyError};
use crate::response_flags::{ResponseFlag, ResponseFlags};
use crate::route::{HeaderMatch, HeaderMatchName, HeaderRule, RetryOn, RetryPolicy, StringMatch};
use crate::timeout::TimeoutLayer;

/// What the service makes of one try.
#[derive(Clone, Debug)]
enum Act {
    Status(u16),
    With(u16, &'static str, &'static str),
    Fail(ErrorKind),
    /// Reads the request body, then answers.
    Read(u16),
    Hang,
}

/// What one try looked like.
#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    headers: HeaderMap,
    body: Option<Bytes>,
}

/// Must be made ready before each call, as tower asks for, and checks that it is.
#[derive(Debug)]
struct Script {
    acts: Arc<Mutex<VecDeque<Act>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    ready: bool,
}

impl Clone for Script {
    fn clone(&self) -> Self {
        Self { acts: Arc::clone(&self.acts), seen: Arc::clone(&self.seen), ready: false }
    }
}

impl Script {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        let acts = Arc::new(Mutex::new(acts.into_iter().collect()));
        Self { acts, seen: Arc::default(), ready: false }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    fn tries(&self) -> usize {
        self.seen().len()
    }
}

impl Service<Request<Body>> for Script {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, ProxyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been made ready");
        let act = self.acts.lock().expect("no panic").pop_front().unwrap_or(Act::Status(200));
        let seen = Arc::clone(&self.seen);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let at = Instant::now();
            let index = {
                let mut seen = seen.lock().expect("no panic");
                seen.push(Seen { at, headers: parts.headers, body: None });
                seen.len() - 1
            };
            let status = |status: u16| {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                response
            };
            match act {
                Act::Status(code) => Ok(status(code)),
                Act::With(code, name, value) => {
                    let mut response = status(code);
                    response.headers_mut().insert(name, value.parse().expect("a value"));
                    Ok(response)
                }
                Act::Fail(kind) => Err(ProxyError::new(kind)),
                Act::Read(code) => {
                    let body = body.collect().await.expect("the body").to_bytes();
                    seen.lock().expect("no panic")[index].body = Some(body);
                    Ok(status(code))
                }
                Act::Hang => std::future::pending().await,
            }
        })
    }
}

fn policy(on: RetryOn, num_retries: u32) -> RetryPolicy {
    RetryPolicy { on, num_retries, ..RetryPolicy::default() }
}

fn five_xx() -> RetryOn {
    RetryOn { five_xx: true, ..RetryOn::default() }
}

fn get() -> Request<Body> {
    Request::get("/").body(Body::empty()).expect("a request")
}

type Outcome = Result<Response<super::ResponseBody<Body>>, ProxyError>;

async fn send(layer: &RetryLayer, script: &Script, request: Request<Body>) -> Outcome {
    layer.layer(script.clone()).oneshot(request).await
}

/// How many tries there were under this policy, and what came of them.
async fn run(policy: RetryPolicy, acts: &[Act]) -> (usize, Outcome) {
    let script = Script::new(acts.iter().cloned());
    let outcome = send(&RetryLayer::new(policy), &script, get()).await;
    (script.tries(), outcome)
}

#[tokio::test(start_paused = true)]
async fn statuses_are_retried_up_to_the_limit() {
    let (tries, outcome) = run(policy(five_xx(), 2), &[Act::Status(503), Act::Status(500)]).await;
    assert_eq!((tries, outcome.expect("answered").status().as_u16()), (3, 200));

    let acts = [Act::Status(503), Act::Status(503), Act::Status(503)];
    let (tries, outcome) = run(policy(five_xx(), 2), &acts).await;
    let response = outcome.expect("answered");
    assert_eq!((tries, response.status().as_u16()), (3, 503));
    let flags = response.extensions().get::<ResponseFlags>().expect("flags");
    assert!(flags.contains(ResponseFlag::UpstreamRetryLimitExceeded));

    let (tries, _) = run(policy(five_xx(), 2), &[Act::Status(404)]).await;
    assert_eq!(tries, 1);
}

#[tokio::test(start_paused = true)]
async fn each_condition_asks_for_its_own() {
    fn on(set: impl FnOnce(&mut RetryOn)) -> RetryOn {
        let mut on = RetryOn::default();
        set(&mut on);
        on
    }
    let all = [
        Act::Status(500),
        Act::Status(503),
        Act::Status(409),
        Act::Status(418),
        Act::With(200, "x-again", "yes"),
        Act::With(429, "x-envoy-ratelimited", "true"),
        Act::With(503, "x-envoy-ratelimited", "true"),
        Act::With(200, "grpc-status", "1"),
        Act::With(200, "grpc-status", "4"),
        Act::With(200, "grpc-status", "8"),
        Act::With(200, "grpc-status", "13"),
        Act::With(200, "grpc-status", "14"),
        Act::With(200, "grpc-status", "2"),
        Act::Fail(ErrorKind::ConnectionTerminated),
        Act::Fail(ErrorKind::ConnectFailed),
        Act::Fail(ErrorKind::ConnectTimeout),
        Act::Fail(ErrorKind::RefusedStream),
        Act::Fail(ErrorKind::RemoteReset),
        Act::Fail(ErrorKind::ProtocolError),
        Act::Fail(ErrorKind::Overflow),
        Act::Fail(ErrorKind::NoHealthyUpstream),
        Act::Fail(ErrorKind::DownstreamClosed),
    ];
    let resets = [13, 14, 15, 16, 17, 18];
    let with_resets = |more: &[usize]| [more, &resets].concat();
    let cases: Vec<(RetryOn, Vec<usize>)> = vec![
        (on(|on| on.five_xx = true), with_resets(&[0, 1])),
        (on(|on| on.gateway_error = true), with_resets(&[1])),
        (on(|on| on.reset = true), with_resets(&[])),
        // All of these may have been sent, as far as this service says.
        (on(|on| on.reset_before_request = true), vec![]),
        (on(|on| on.connect_failure = true), vec![14, 15]),
        (on(|on| on.refused_stream = true), vec![16]),
        (on(|on| on.retriable_4xx = true), vec![2]),
        (on(|on| on.retriable_status_codes = true), vec![3]),
        (on(|on| on.retriable_headers = true), vec![4]),
        (on(|on| on.envoy_ratelimited = true), vec![5, 6]),
        (on(|on| on.grpc_cancelled = true), vec![7]),
        (on(|on| on.grpc_deadline_exceeded = true), vec![8]),
        (on(|on| on.grpc_resource_exhausted = true), vec![9]),
        (on(|on| on.grpc_internal = true), vec![10]),
        (on(|on| on.grpc_unavailable = true), vec![11]),
    ];
    for (on, mut wanted) in cases {
        let policy = RetryPolicy {
            status_codes: vec![StatusCode::IM_A_TEAPOT],
            response_headers: vec![is("x-again", "yes")],
            ..policy(on, 1)
        };
        let mut retried = Vec::new();
        for (index, act) in all.iter().enumerate() {
            let (tries, _) = run(policy.clone(), std::slice::from_ref(act)).await;
            if tries == 2 {
                retried.push(index);
            }
        }
        wanted.sort_unstable();
        assert_eq!(retried, wanted, "{on:?}");
    }
}

fn is(name: &'static str, value: &str) -> HeaderMatch {
    HeaderMatch {
        name: HeaderMatchName::Header(http::HeaderName::from_static(name)),
        rule: HeaderRule::Value(StringMatch::Exact { value: value.into(), ignore_case: false }),
        invert: false,
        treat_missing_as_empty: false,
    }
}

#[tokio::test(start_paused = true)]
async fn only_requests_with_the_header_are_retried_where_one_is_named() {
    let policy =
        RetryPolicy { request_headers: vec![is("x-retry", "yes")], ..policy(five_xx(), 1) };
    let layer = RetryLayer::new(policy);
    for (value, tries) in [("yes", 2), ("no", 1)] {
        let script = Script::new([Act::Status(503)]);
        let mut request = get();
        request.headers_mut().insert("x-retry", value.parse().expect("a value"));
        send(&layer, &script, request).await.expect("answered");
        assert_eq!(script.tries(), tries, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_says_that_it_was_retried() {
    let acts = vec![Act::Fail(ErrorKind::ConnectFailed); 3];
    let (tries, outcome) = run(policy(five_xx(), 2), &acts).await;
    let error = outcome.expect_err("refused");
    assert_eq!((tries, error.kind()), (3, ErrorKind::ConnectFailed));
    assert!(error.is_after_retries());
    assert!(error.flags().contains(ResponseFlag::UpstreamRetryLimitExceeded));
    assert_eq!(error.attempt_count(), None, "nobody asked");

    let (_, outcome) = run(policy(five_xx(), 0), &acts).await;
    assert!(!outcome.expect_err("refused").is_after_retries());
}

#[tokio::test(start_paused = true)]
async fn tries_are_counted_and_told() {
    let script = Script::new([Act::Status(503)]);
    let layer = RetryLayer::new(policy(five_xx(), 1))
        .request_attempt_count(true)
        .response_attempt_count(true);
    let response = send(&layer, &script, get()).await.expect("answered");
    assert_eq!(response.headers()["x-envoy-attempt-count"], "2");
    let told: Vec<_> =
        script.seen().iter().map(|s| s.headers["x-envoy-attempt-count"].clone()).collect();
    assert_eq!(told, ["1", "2"]);

    // Also where nothing is retried.
    let layer = RetryLayer::new(RetryPolicy::default()).response_attempt_count(true);
    let script = Script::new([Act::Fail(ErrorKind::ConnectFailed)]);
    let error = send(&layer, &script, get()).await.expect_err("failed");
    assert_eq!((script.tries(), error.attempt_count()), (1, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn the_routes_timeout_tells_of_the_tries_before_it() {
    for (tell, told) in [(true, Some(2)), (false, None)] {
        let script = Script::new([Act::Status(503), Act::Hang]);
        let retry = RetryLayer::new(policy(five_xx(), 3)).response_attempt_count(tell);
        let timeout = TimeoutLayer::new(Duration::from_secs(1));
        // Its bodies are those of upstreams, which fail as the proxy does.
        let app = ServiceExt::<Request<Body>>::map_response(script.clone(), |response| {
            response.map(|_| Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync())
        });
        let service = timeout.layer(retry.layer(app));
        let error: ProxyError = service.oneshot(get()).await.map(drop).expect_err("too late");
        assert_eq!((error.kind(), script.tries()), (ErrorKind::UpstreamTimeout, 2));
        assert_eq!(error.attempt_count(), told);
    }
}

#[tokio::test(start_paused = true)]
async fn clients_who_may_ask_for_retries() {
    let request = || {
        let mut request = get();
        for (name, value) in [
            ("x-envoy-retry-on", "unheard-of, retriable-status-codes"),
            ("x-envoy-retriable-status-codes", "418,nonsense"),
            ("x-envoy-max-retries", "3"),
            ("x-envoy-upstream-rq-per-try-timeout-ms", "100"),
        ] {
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        request
    };
    let acts = vec![Act::Status(418); 9];
    let layer = RetryLayer::new(RetryPolicy::default()).client_controls(true);
    let script = Script::new(acts.clone());
    send(&layer, &script, request()).await.expect("answered");
    assert_eq!(script.tries(), 4);
    assert_eq!(script.seen()[0].headers["x-envoy-expected-rq-timeout-ms"], "100");
    assert_eq!(script.seen()[0].headers.len(), 1, "the controls are not the upstream's");

    let script = Script::new(acts.clone());
    let layer = RetryLayer::new(RetryPolicy::default());
    send(&layer, &script, request()).await.expect("answered");
    assert_eq!(script.tries(), 1);

    let mut grpc = get();
    grpc.headers_mut().insert("x-envoy-retry-grpc-on", "unavailable".parse().expect("a value"));
    let script = Script::new([Act::With(200, "grpc-status", "14")]);
    let layer = RetryLayer::new(RetryPolicy::default()).client_controls(true);
    send(&layer, &script, grpc).await.expect("answered");
    assert_eq!(script.tries(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_takes_too_long_is_followed_by_another() {
    let policy = RetryPolicy {
        per_try_timeout: Some(Duration::from_millis(200)),
        ..policy(RetryOn { reset: true, ..RetryOn::default() }, 1)
    };
    let began = Instant::now();
    let (tries, outcome) = run(policy.clone(), &[Act::Hang]).await;
    assert_eq!((tries, outcome.expect("answered").status().as_u16()), (2, 200));
    assert!(began.elapsed() < Duration::from_millis(230));

    let (tries, outcome) = run(policy, &[Act::Hang, Act::Hang]).await;
    assert_eq!((tries, outcome.expect_err("late").kind()), (2, ErrorKind::PerTryTimeout));
}

#[tokio::test(start_paused = true)]
async fn upstreams_are_told_what_time_is_left() {
    let policy =
        RetryPolicy { per_try_timeout: Some(Duration::from_millis(400)), ..policy(five_xx(), 3) };
    let script = Script::new([Act::Hang, Act::Hang]);
    let mut request = get();
    request.headers_mut().insert("x-envoy-expected-rq-timeout-ms", 1000.into());
    send(&RetryLayer::new(policy.clone()), &script, request).await.expect("answered");
    let told: Vec<u64> = script
        .seen()
        .iter()
        .map(|s| s.headers["x-envoy-expected-rq-timeout-ms"].to_str().expect("text"))
        .map(|ms| ms.parse().expect("a number"))
        .collect();
    assert_eq!(told[..2], [400, 400]);
    assert!((100..=200).contains(&told[2]), "{told:?}");

    // A timeout for each try that is none, since that for all comes first.
    let script = Script::new([]);
    let mut request = get();
    request.headers_mut().insert("x-envoy-expected-rq-timeout-ms", 300.into());
    send(&RetryLayer::new(policy), &script, request).await.expect("answered");
    assert_eq!(script.seen()[0].headers["x-envoy-expected-rq-timeout-ms"], "300");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_stalls_is_cut_off() {
    let policy = RetryPolicy {
        per_try_idle_timeout: Some(Duration::from_millis(100)),
        ..RetryPolicy::default()
    };
    let upstream = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, ProxyError>(Response::new(Drip { left: 5, next: Box::pin(sleep(DRIP)) }))
    });
    let service = RetryLayer::new(policy).layer(upstream);
    let mut body = service.oneshot(get()).await.expect("a head").into_body();
    let mut got = 0;
    let error = loop {
        match body.frame().await.expect("no end") {
            Ok(_) => got += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((got, error.kind()), (5, ErrorKind::PerTryTimeout));
}

const DRIP: Duration = Duration::from_millis(80);

/// A body of which a byte comes now and then, and after so many nothing any more.
struct Drip {
    left: u32,
    next: Pin<Box<tokio::time::Sleep>>,
}

impl http_body::Body for Drip {
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, ProxyError>>> {
        if self.left == 0 {
            return Poll::Pending;
        }
        std::task::ready!(self.next.as_mut().poll(cx));
        self.left -= 1;
        self.next.as_mut().reset(Instant::now() + DRIP);
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"x")))))
    }
}

#[tokio::test(start_paused = true)]
async fn tries_are_spaced_out() {
    let policy = RetryPolicy {
        base_interval: Some(Duration::from_millis(1000)),
        max_interval: Some(Duration::from_millis(2000)),
        ..policy(five_xx(), 20)
    };
    let script = Script::new(vec![Act::Status(503); 20]);
    send(&RetryLayer::new(policy), &script, get()).await.expect("answered");
    let seen = script.seen();
    let waits: Vec<_> = seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert_eq!(waits.len(), 20);
    assert!(waits[0] <= Duration::from_millis(1000));
    assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(2001)));
    assert!(waits.iter().sum::<Duration>() > Duration::from_secs(8), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn the_breaker_bounds_retries_in_flight() {
    let limits = Limits { retries: 1, ..Limits::default() };
    let cluster = Cluster::builder("c").limits(Priority::Default, limits).build();
    let layer = RetryLayer::new(policy(five_xx(), 5)).cluster(&cluster);
    let retries = || cluster.resources(Priority::Default).retries.taken();

    let slow = Script::new([Act::Status(503), Act::Hang]);
    let hanging = tokio::spawn({
        let (layer, slow) = (layer.clone(), slow.clone());
        async move { send(&layer, &slow, get()).await.map(drop) }
    });
    sleep(Duration::from_secs(1)).await;
    assert_eq!((slow.tries(), retries()), (2, 1));

    let script = Script::new([Act::Status(503)]);
    let response = send(&layer, &script, get()).await.expect("answered");
    assert_eq!((script.tries(), response.status().as_u16()), (1, 503));
    let flags = response.extensions().get::<ResponseFlags>().expect("flags");
    assert!(flags.contains(ResponseFlag::UpstreamOverflow));

    // A client that leaves takes its retry along.
    hanging.abort();
    let _ = hanging.await;
    assert_eq!(retries(), 0);
    let script = Script::new([Act::Status(503)]);
    send(&layer, &script, get()).await.expect("answered");
    assert_eq!((script.tries(), retries()), (2, 0));
}

fn post(body: impl Into<Bytes>) -> Request<Body> {
    Request::post("/").body(Body::new(Full::new(body.into()))).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn each_try_has_the_whole_body() {
    let script = Script::new([Act::Read(503), Act::Status(503), Act::Read(200)]);
    let layer = RetryLayer::new(policy(five_xx(), 3));
    let response = send(&layer, &script, post("payload")).await.expect("answered");
    assert_eq!(response.status().as_u16(), 200);
    let bodies: Vec<_> = script.seen().into_iter().map(|seen| seen.body).collect();
    let whole = Some(Bytes::from_static(b"payload"));
    assert_eq!(bodies, [whole.clone(), None, whole]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_goes_through_but_once() {
    let layer = RetryLayer::new(policy(five_xx(), 3)).buffer_limit(6);
    let script = Script::new([Act::Read(503)]);
    let response = send(&layer, &script, post("payload")).await.expect("answered");
    assert_eq!((script.tries(), response.status().as_u16()), (1, 503));
    assert_eq!(script.seen()[0].body.as_deref(), Some(&b"payload"[..]));
    // One that nobody has read yet can still be sent.
    let script = Script::new([Act::Status(503), Act::Read(200)]);
    let response = send(&layer, &script, post("payload")).await.expect("answered");
    assert_eq!((script.tries(), response.status().as_u16()), (2, 200));
}
