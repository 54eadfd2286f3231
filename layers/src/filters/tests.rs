use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tower::util::MapRequestLayer;
use tower::{ServiceExt, service_fn};
use tower_service::Service;

use super::{Chain, Filtered, Filters};
use crate::body::Body;
use crate::cors::{CorsLayer, CorsPolicy};
use crate::error::{ErrorKind, ProxyError};
use crate::fault::{Abort, FaultLayer, FaultSettings};
use crate::header_edit::{HeaderEditor, Levels};
use crate::route::{
    AppendAction, Fraction, HeaderAdd, HeaderEdits, HeaderMatch, HeaderMatchName, HeaderRule,
    PathMatch, RouteMatch, RouteTable, StringMatch, WeightedChoice,
};
use crate::router::{Destination, ForwardTarget, RouteEntry, Router};
use crate::stream_info::{DownstreamConnection, StreamInfo};

type TestBody = UnsyncBoxBody<Bytes, ProxyError>;

/// Says which filters a request has passed.
fn upstream()
-> impl Service<Request<Body>, Response = Response<TestBody>, Error = ProxyError, Future: Send + 'static>
+ Clone
+ Send
+ Sync
+ 'static {
    service_fn(|request: Request<Body>| async move {
        if request.headers().contains_key("x-fail") {
            return Err(ProxyError::new(ErrorKind::NoHealthyUpstream));
        }
        let passed: Vec<_> = request.headers().get_all("x-passed").iter().collect();
        let passed: Vec<_> = passed.into_iter().filter_map(|value| value.to_str().ok()).collect();
        let body = Full::new(Bytes::from(passed.join(","))).map_err(|never| match never {});
        Ok(Response::new(body.boxed_unsync()))
    })
}

/// A filter that leaves its name with the request.
fn passed(
    name: &'static str,
) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone + Send + Sync + 'static> {
    MapRequestLayer::new(move |mut request: Request<Body>| {
        request.headers_mut().append("x-passed", HeaderValue::from_static(name));
        request
    })
}

fn abort<R>(chain: Chain<R>, status: u16) -> Chain<R>
where
    R: http_body::Body<Data = Bytes, Error = ProxyError> + Send + 'static,
{
    let status = StatusCode::from_u16(status).expect("a status");
    chain.filter(FaultLayer::new(FaultSettings {
        abort: Some(Abort::status(status, Fraction::ALL)),
        ..FaultSettings::default()
    }))
}

fn prefix(path: &str) -> RouteMatch {
    RouteMatch::new(PathMatch::Prefix(path.into()))
}

fn app<S>(
    routes: Vec<(RouteMatch, RouteEntry<S>)>,
    filters: Filters<TestBody>,
) -> Filtered<S, TestBody>
where
    S: Service<Request<Body>, Response = Response<TestBody>, Error = ProxyError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let table = RouteTable::builder().virtual_host("all", ["*"], routes).build();
    Filtered::new(Router::new(Arc::new(table.expect("one domain"))), filters)
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn each_route_has_its_own_filters_in_their_order() {
    let mut filters = Filters::new();
    let both = filters.add(filters.chain().filter(passed("a")).filter(passed("b")));
    let other = filters.add(filters.chain().filter(passed("b")));
    let routes = vec![
        (prefix("/both"), RouteEntry::forward(upstream()).filters(both)),
        (prefix("/other"), RouteEntry::forward(upstream()).filters(other)),
        (prefix("/none"), RouteEntry::forward(upstream())),
    ];
    let app = app(routes, filters);
    for (path, wanted) in [("/both", "a,b"), ("/other", "b"), ("/none", "")] {
        let response = app.clone().oneshot(get(path)).await.expect("a response");
        assert_eq!(text(response).await, wanted, "{path}");
    }
}

#[tokio::test]
async fn a_weighted_cluster_has_filters_of_its_own() {
    let mut filters = Filters::new();
    let of_cluster = filters.add(abort(filters.chain(), 420));
    let of_route = filters.add(abort(filters.chain(), 421));
    let with = |chain| {
        let destination = Destination::new(upstream());
        ForwardTarget::Single(match chain {
            Some(chain) => destination.filters(chain),
            None => destination,
        })
    };
    let entry = |target| {
        let choice = WeightedChoice::new([(1, target)]).expect("a choice");
        RouteEntry::forward_to(ForwardTarget::Weighted(choice)).filters(of_route)
    };
    let routes =
        vec![(prefix("/a"), entry(with(Some(of_cluster)))), (prefix("/b"), entry(with(None)))];
    let app = app(routes, filters);
    let status = |path| app.clone().oneshot(get(path));
    assert_eq!(status("/a").await.expect("a response").status(), 420);
    assert_eq!(status("/b").await.expect("a response").status(), 421);
}

#[tokio::test]
async fn a_request_without_a_route_passes_the_default_filters() {
    let mut filters = Filters::new();
    let chain = abort(filters.chain(), 418);
    filters.set_default(chain);
    let app = app(vec![(prefix("/a"), RouteEntry::forward(upstream()))], filters);
    let response = app.clone().oneshot(get("/nowhere")).await.expect("a response");
    assert_eq!(response.status(), 418);
}

#[tokio::test]
async fn a_filter_sees_what_the_router_fails_as_a_response() {
    let mut filters = Filters::new();
    let any = StringMatch::Prefix { value: String::new(), ignore_case: false };
    let policy = CorsPolicy { allow_origins: vec![any], ..CorsPolicy::default() };
    let cors = filters.add(filters.chain().filter(CorsLayer::new(policy)));
    let routes = vec![(prefix("/"), RouteEntry::forward(upstream()).filters(cors))];
    let mut request = get("/");
    request.headers_mut().insert("origin", HeaderValue::from_static("https://a.example"));
    request.headers_mut().insert("x-fail", HeaderValue::from_static("1"));
    let response = app(routes, filters).oneshot(request).await.expect("a response");
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://a.example");
    assert_eq!(text(response).await, "no healthy upstream");
}

#[tokio::test]
async fn what_filters_change_does_not_change_the_route() {
    let mut filters = Filters::new();
    let chain = filters.add(filters.chain().filter(passed("a")));
    let mut only_unpassed = prefix("/");
    only_unpassed.headers.push(HeaderMatch {
        name: HeaderMatchName::Header("x-passed".parse().expect("a name")),
        rule: HeaderRule::Present(false),
        invert: false,
        treat_missing_as_empty: false,
    });
    let routes = vec![(only_unpassed, RouteEntry::forward(upstream()).filters(chain))];
    let response = app(routes, filters).oneshot(get("/")).await.expect("a response");
    assert_eq!(text(response).await, "a");
}

#[tokio::test]
async fn an_answer_of_a_filter_begins_with_the_headers_of_the_route() {
    let add = |value: &str, name: &str| HeaderAdd {
        name: name.parse().expect("a name"),
        value: value.into(),
        action: AppendAction::AppendIfExistsOrAdd,
        keep_empty_value: false,
    };
    let edits = HeaderEdits {
        response_add: vec![add("%ROUTE_NAME%", "x-route"), add("a/b", "content-type")],
        ..HeaderEdits::default()
    };
    let editor = HeaderEditor::compile(Levels { route: Some(&edits), ..Levels::default() });
    let mut filters = Filters::new();
    let chain = filters.add(abort(filters.chain(), 418));
    let entry = RouteEntry::forward(upstream()).named("r").filters(chain);
    let routes = vec![(prefix("/"), entry.headers(editor.expect("edits")))];
    let mut request = get("/");
    let info = Arc::new(StreamInfo::new(Arc::<DownstreamConnection>::default(), request.version()));
    request.extensions_mut().insert(Arc::clone(&info));
    let response = app(routes, filters).oneshot(request).await.expect("a response");
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers()["x-route"], "r");
    assert_eq!(response.headers()["content-type"], "a/b");
}
