use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use super::{CorsLayer, CorsPolicy};
use crate::route::StringMatch;
use crate::runtime::RuntimeFraction;

const GOOD: &str = "https://good.example";

fn exact(value: &str) -> StringMatch {
    StringMatch::Exact { value: value.into(), ignore_case: false }
}

fn policy() -> CorsPolicy {
    CorsPolicy {
        allow_origins: vec![exact(GOOD)],
        allow_methods: Some(HeaderValue::from_static("GET, PUT")),
        allow_headers: Some(HeaderValue::from_static("x-a")),
        expose_headers: Some(HeaderValue::from_static("x-b")),
        max_age: Some(HeaderValue::from_static("60")),
        allow_credentials: Some(true),
        ..CorsPolicy::default()
    }
}

/// What of a response is about CORS, and whether the app made it.
async fn ask(policy: CorsPolicy, method: Method, headers: &[(&str, &str)]) -> (Vec<String>, bool) {
    let app = service_fn(|_: Request<()>| async {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok::<_, Infallible>(response)
    });
    let mut request = Request::builder().method(method).uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a request");
    let Ok(response) = CorsLayer::new(policy).layer(app).oneshot(request).await;
    let mut found: Vec<_> = response
        .headers()
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("access-control-")?;
            Some(format!("{name}: {}", value.to_str().ok()?))
        })
        .collect();
    found.sort();
    (found, response.status() == StatusCode::ACCEPTED)
}

#[tokio::test]
async fn a_plain_request_is_answered_by_the_app_and_told_who_may_read_it() {
    let (headers, by_app) = ask(policy(), Method::GET, &[("origin", GOOD)]).await;
    assert!(by_app);
    assert_eq!(
        headers,
        ["allow-credentials: true", "allow-origin: https://good.example", "expose-headers: x-b"]
    );
    for origin in [&[("origin", "https://bad.example")][..], &[("origin", "")], &[]] {
        assert_eq!(ask(policy(), Method::GET, origin).await, (vec![], true), "{origin:?}");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_here() {
    let asks = [("origin", GOOD), ("access-control-request-method", "PUT")];
    let (headers, by_app) = ask(policy(), Method::OPTIONS, &asks).await;
    assert!(!by_app);
    assert_eq!(
        headers,
        [
            "allow-credentials: true",
            "allow-headers: x-a",
            "allow-methods: GET, PUT",
            "allow-origin: https://good.example",
            "expose-headers: x-b",
            "max-age: 60",
        ]
    );
    // Without a method that is asked for it is an OPTIONS like any other.
    assert!(ask(policy(), Method::OPTIONS, &asks[..1]).await.1);
    assert!(ask(policy(), Method::GET, &asks).await.1);
}

#[tokio::test]
async fn the_preflight_of_a_stranger_is_the_apps_unless_that_is_off() {
    let asks = [("origin", "https://bad.example"), ("access-control-request-method", "PUT")];
    assert_eq!(ask(policy(), Method::OPTIONS, &asks).await, (vec![], true));
    let own = CorsPolicy { forward_not_matching_preflights: Some(false), ..policy() };
    let (headers, by_app) = ask(own, Method::OPTIONS, &asks).await;
    assert!(!by_app);
    assert!(!headers.iter().any(|header| header.starts_with("allow-origin")), "{headers:?}");
}

#[tokio::test]
async fn a_star_is_what_was_asked_for() {
    let star = Some(HeaderValue::from_static("*"));
    let policy = CorsPolicy {
        allow_origins: vec![exact("*")],
        allow_methods: star.clone(),
        allow_headers: star,
        allow_private_network_access: Some(true),
        ..CorsPolicy::default()
    };
    let asks = [
        ("origin", "https://any.example"),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "x-q, x-r"),
        ("access-control-request-private-network", "true"),
    ];
    let (headers, _) = ask(policy, Method::OPTIONS, &asks).await;
    assert_eq!(
        headers,
        [
            "allow-headers: x-q, x-r",
            "allow-methods: PATCH",
            "allow-origin: https://any.example",
            "allow-private-network: true",
        ]
    );
}

#[tokio::test]
async fn a_policy_that_is_only_tried_tells_nobody() {
    let tried =
        CorsPolicy { enabled: RuntimeFraction::NONE, shadow: RuntimeFraction::ALL, ..policy() };
    let asks = [("origin", GOOD), ("access-control-request-method", "PUT")];
    assert_eq!(ask(tried, Method::OPTIONS, &asks).await, (vec![], true));
}

#[test]
fn the_more_specific_policy_goes_first() {
    let own = CorsPolicy {
        max_age: Some(HeaderValue::from_static("5")),
        allow_credentials: Some(false),
        ..CorsPolicy::default()
    };
    let merged = own.or(&policy());
    assert_eq!(merged.max_age, Some(HeaderValue::from_static("5")));
    assert_eq!(merged.allow_methods, policy().allow_methods);
    assert_eq!(merged.allow_credentials, Some(false));
    assert_eq!(merged.allow_origins.len(), 1);
    let merged =
        CorsPolicy { allow_origins: vec![exact("a"), exact("b")], ..policy() }.or(&policy());
    assert_eq!(merged.allow_origins.len(), 2, "lists are not mixed");
}
