//! What each layer alone costs a plain GET, in allocations: the figures of `layers/docs/order.md`.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use front_proxy_layers::access_log::AccessLogLayer;
use front_proxy_layers::body::{Body, ResponseBody};
use front_proxy_layers::cluster::{ClusterStats, UpstreamBody};
use front_proxy_layers::error::ProxyError;
use front_proxy_layers::forwarded::{ForwardedLayer, ForwardedPolicy};
use front_proxy_layers::handler::HandlerLayer;
use front_proxy_layers::hash_policy::HashPolicyLayer;
use front_proxy_layers::mount::MountLayer;
use front_proxy_layers::request_id::RequestIdLayer;
use front_proxy_layers::respond::RespondLayer;
use front_proxy_layers::retry::RetryLayer;
use front_proxy_layers::router::Router;
use front_proxy_layers::sanitize::SanitizeLayer;
use front_proxy_layers::server_header::ServerHeaderLayer;
use front_proxy_layers::stats::{DownstreamStats, Scope, StatsLayer};
use front_proxy_layers::timeout::TimeoutLayer;
use front_proxy_layers::upgrade::UpgradeLayer;
use front_proxy_layers::upstream_stats::UpstreamStatsLayer;
use front_proxy_layers::upstream_timing::UpstreamTimingLayer;
use http::{HeaderMap, HeaderValue, Request, Response};
use tower::{Layer, Service};

type Local = ResponseBody<UpstreamBody>;

/// Answers at once. Its headers have room, as those that come out of a codec do.
#[derive(Clone, Debug)]
struct Answer;

impl Service<Request<Body>> for Answer {
    type Response = Response<Local>;
    type Error = ProxyError;
    type Future = Ready<Result<Response<Local>, ProxyError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut response = Response::new(ResponseBody::local("ok".into()));
        // The request's map, as the codec uses it again.
        *response.headers_mut() = request.into_parts().0.headers;
        ready(Ok(response))
    }
}

/// Allocations of a GET through `service`, above those of making the request.
fn cost<S, B>(mut service: S) -> u64
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    let mut run = |times: u32| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..times {
            let mut headers = HeaderMap::with_capacity(24);
            headers.insert("host", HeaderValue::from_static("h"));
            let mut request = Request::new(Body::empty());
            *request.headers_mut() = headers;
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut future = std::pin::pin!(service.call(request));
            let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
                panic!("pending")
            };
            drop(response);
        }
    };
    run(10);
    let few = allocation_counter::measure(|| run(10)).count_total;
    let many = allocation_counter::measure(|| run(110)).count_total;
    (many - few) / 100
}

#[tokio::test]
async fn each_layer_alone() {
    let scope = Scope::noop();
    let stats = || DownstreamStats::new(&scope, "p");
    let upstream = || Arc::new(ClusterStats::new(&scope));
    let name = HeaderValue::from_static("s");
    let plain = cost(Answer);
    let costs = [
        ("mount", cost(MountLayer::new().layer(Answer))),
        ("upgrade", cost(UpgradeLayer::new().layer(Answer))),
        ("stats", cost(StatsLayer::new(stats()).layer(Answer))),
        ("access_log", cost(AccessLogLayer::off().layer(Answer))),
        ("server_header", cost(ServerHeaderLayer::new(name).layer(Answer))),
        ("respond", cost(RespondLayer::new().layer(Answer))),
        ("sanitize", cost(SanitizeLayer::new().layer(Answer))),
        ("forwarded", cost(ForwardedLayer::new(ForwardedPolicy::default()).layer(Answer))),
        ("request_id", cost(RequestIdLayer::new().layer(Answer))),
        ("router", cost(Router::forward(Answer))),
        ("upstream_stats", cost(UpstreamStatsLayer::new(upstream()).layer(Answer))),
        ("timeout", cost(TimeoutLayer::new(Duration::from_secs(15)).layer(Answer))),
        ("hash_policy", cost(HashPolicyLayer::new(Vec::new()).layer(Answer))),
        ("upstream_timing", cost(UpstreamTimingLayer::new().layer(Answer))),
        ("retry", cost(RetryLayer::disabled().layer(Answer))),
        ("handler", cost(HandlerLayer::new().layer(Answer))),
    ];
    let costs = costs.map(|(layer, cost)| (layer, cost - plain));
    let text: &str = include_str!("../docs/order.md");
    for (layer, cost) in costs {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{layer}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {layer}"));
        let said = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap().trim();
        assert_eq!(said, cost.to_string(), "{layer} of {costs:?}");
    }
}

/// An edge that knows its client writes two headers more.
#[tokio::test]
async fn an_edge_pays_for_what_it_says() {
    let edge = ForwardedPolicy { use_remote_address: true, ..ForwardedPolicy::default() };
    let peer =
        front_proxy_layers::forwarded::Peer { address: ([192, 0, 2, 1], 9).into(), tls: false };
    let behind = cost(ForwardedLayer::new(ForwardedPolicy::default()).layer(Answer));
    let at_edge = cost(ForwardedLayer::new(edge).peer(peer).layer(Answer));
    assert!(at_edge > behind && at_edge - behind <= 8, "{at_edge} {behind}");
}
