use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

use super::{HealthCheckLayer, HealthChecked};
use crate::cluster::Cluster;
use crate::route::{HeaderMatch, HeaderMatchName, HeaderRule, StringMatch};

const FAIL: &str = "x-envoy-immediate-health-check-fail";
const CLUSTER: &str = "x-envoy-upstream-healthchecked-cluster";

fn layer() -> HealthCheckLayer {
    let path = StringMatch::Exact { value: "/healthz".into(), ignore_case: false };
    let is_check = HeaderMatch {
        name: HeaderMatchName::Path,
        rule: HeaderRule::Value(path),
        invert: false,
        treat_missing_as_empty: false,
    };
    HealthCheckLayer::new([is_check]).service_cluster(HeaderValue::from_static("mine"))
}

/// An app that answers with these statuses in turn.
#[derive(Clone)]
struct App(Arc<AtomicU32>, &'static [u16]);

impl App {
    fn new(statuses: &'static [u16]) -> Self {
        Self(Arc::default(), statuses)
    }

    fn asked(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    async fn ask(&self, layer: &HealthCheckLayer, path: &str) -> Response<Full<Bytes>> {
        let this = self.clone();
        let app = service_fn(move |_: Request<Full<Bytes>>| {
            let at = this.0.fetch_add(1, Ordering::Relaxed) as usize;
            let status = this.1[at % this.1.len()];
            async move {
                let mut response = Response::new(Full::new(Bytes::from_static(b"app")));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                Ok::<_, Infallible>(response)
            }
        });
        let body = Full::new(Bytes::from_static(b"whatever"));
        let request = Request::post(path).body(body).expect("a request");
        let Ok(response) = layer.layer(app).oneshot(request).await;
        response
    }
}

#[tokio::test]
async fn a_check_is_answered_in_place_of_the_app() {
    let app = App::new(&[500]);
    let response = app.ask(&layer(), "/healthz").await;
    assert_eq!((response.status(), app.asked()), (StatusCode::OK, 0));
    assert_eq!(response.headers()[CLUSTER], "mine");
    assert!(response.extensions().get::<HealthChecked>().is_some());
    assert!(response.into_body().collect().await.expect("a body").to_bytes().is_empty());

    let response = app.ask(&layer(), "/other").await;
    assert_eq!((response.status(), app.asked()), (StatusCode::INTERNAL_SERVER_ERROR, 1));
    assert!(!response.headers().contains_key(CLUSTER));
    assert!(response.extensions().get::<HealthChecked>().is_none());
}

#[tokio::test]
async fn who_was_told_to_fail_says_so_to_everybody() {
    let failing = Arc::new(AtomicBool::new(true));
    for layer in [layer(), layer().pass_through(None)] {
        let layer = layer.failing(Arc::clone(&failing));
        let app = App::new(&[200]);
        let check = app.ask(&layer, "/healthz").await;
        assert_eq!((check.status(), app.asked()), (StatusCode::SERVICE_UNAVAILABLE, 0));
        assert_eq!(check.headers()[FAIL], "true");
        assert_eq!(app.ask(&layer, "/other").await.headers()[FAIL], "true");
    }
    failing.store(false, Ordering::Relaxed);
    let layer = layer().failing(failing);
    assert!(!App::new(&[200]).ask(&layer, "/other").await.headers().contains_key(FAIL));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_app_is_given_again_for_some_time() {
    let layer = layer().pass_through(Some(Duration::from_secs(10)));
    let app = App::new(&[503, 200]);
    let first = app.ask(&layer, "/healthz").await;
    assert_eq!((first.status(), app.asked()), (StatusCode::SERVICE_UNAVAILABLE, 1));
    assert_eq!(first.headers()[CLUSTER], "mine");
    advance(Duration::from_secs(9)).await;
    let again = app.ask(&layer, "/healthz").await;
    assert_eq!((again.status(), app.asked()), (StatusCode::SERVICE_UNAVAILABLE, 1));
    advance(Duration::from_secs(1)).await;
    let anew = app.ask(&layer, "/healthz").await;
    assert_eq!((anew.status(), app.asked()), (StatusCode::OK, 2));
    // Other requests are nobody's health.
    app.ask(&layer, "/other").await;
    assert_eq!(app.ask(&layer, "/healthz").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn without_a_time_the_app_is_always_asked() {
    let layer = layer().pass_through(None);
    let app = App::new(&[503, 200]);
    for wanted in [503, 200, 503] {
        assert_eq!(app.ask(&layer, "/healthz").await.status(), wanted);
    }
}

#[tokio::test]
async fn enough_of_each_cluster_has_to_be_healthy() {
    let empty = Cluster::builder("empty").build();
    let full = Cluster::builder("full").endpoints(["127.0.0.1:1"]).expect("an address").build();
    for (clusters, wanted) in [
        (&[(Some(&full), 100.0)][..], 200),
        (&[(Some(&empty), 0.0)], 200),
        (&[(Some(&empty), 1.0)], 503),
        (&[(None, 0.0)], 503),
        (&[(Some(&full), 100.0), (Some(&empty), 1.0)], 503),
    ] {
        let layer = clusters
            .iter()
            .fold(layer(), |layer, (cluster, percent)| layer.cluster(cluster.cloned(), *percent));
        let response = App::new(&[500]).ask(&layer, "/healthz").await;
        assert_eq!(response.status(), wanted, "{clusters:?}");
    }
}
