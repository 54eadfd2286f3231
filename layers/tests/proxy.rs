//! A [`Proxy`] where people put one: in an axum app in each of the ways to mount a service there,
//! and under hyper alone. Upstreams are axum apps on loopback that say what reached them.
#![cfg(feature = "axum")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::routing::get;
use axum::{Router, serve};
use front_proxy_layers::buffer::BufferLayer;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::fault::{Abort, FaultLayer, FaultSettings};
use front_proxy_layers::forwarded::{ForwardedPolicy, Peer};
use front_proxy_layers::local_rate_limit::{
    LocalRateLimitLayer, LocalRateLimitSettings, TokenBucket,
};
use front_proxy_layers::proxy::Proxy;
use front_proxy_layers::route::Fraction;
use http_body_util::{BodyExt, Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{ServiceBuilder, ServiceExt};

#[tokio::test]
async fn an_app_has_routes_of_its_own_beside_the_proxys() {
    let (one, two) = (cluster("service1").await, cluster("service2").await);
    let proxy = Proxy::builder().route("/service/1", one).route("/service/2", two).build();
    let app = Router::new().route("/", get(|| async { "the app" })).fallback_service(proxy);
    let app = listen(app).await;
    assert_eq!(ask(app, "/").await, "200 the app");
    assert_eq!(ask(app, "/service/1/x?y=1").await, "200 service1 GET /service/1/x?y=1 xff=-");
    assert_eq!(ask(app, "/service/2").await, "200 service2 GET /service/2 xff=-");
    assert_eq!(ask(app, "/service/3").await, "404 ");
}

#[tokio::test]
async fn route_service_leaves_the_path_alone() {
    let proxy = Proxy::new(cluster("a").await);
    let app = listen(Router::new().route_service("/x/{*rest}", proxy)).await;
    assert_eq!(ask(app, "/x/y/z").await, "200 a GET /x/y/z xff=-");
}

#[tokio::test]
async fn nest_service_takes_from_the_path_what_can_be_put_back() {
    let cluster = cluster("a").await;
    let put_back = Proxy::builder().route("/", cluster.clone());
    let original = Proxy::builder().route("/", cluster.clone());
    let app = Router::new()
        .nest_service("/bare", Proxy::new(cluster))
        .nest_service("/put/back", put_back.nested_at("/put/back").build())
        .nest_service("/original", original.original_uri().build());
    let app = listen(app).await;
    assert_eq!(ask(app, "/bare/x").await, "200 a GET /x xff=-");
    assert_eq!(ask(app, "/put/back/x?y").await, "200 a GET /put/back/x?y xff=-");
    assert_eq!(ask(app, "/put/back").await, "200 a GET /put/back xff=-");
    assert_eq!(ask(app, "/original/x").await, "200 a GET /original/x xff=-");
    assert_eq!(ask(app, "/original").await, "200 a GET /original xff=-");
}

#[tokio::test]
async fn filters_stand_around_a_proxy_and_around_each_other() {
    let teapot =
        FaultSettings { abort: Some(Abort::by_header(Fraction::ALL)), ..FaultSettings::default() };
    let tokens = TokenBucket::new(2, 1, Duration::from_secs(3600));
    let proxy = ServiceBuilder::new()
        .layer(LocalRateLimitLayer::new(Arc::new(tokens), LocalRateLimitSettings::default()))
        .layer(FaultLayer::new(teapot))
        .layer(BufferLayer::new(1000))
        .service(Proxy::new(cluster("a").await));
    let app = listen(Router::new().fallback_service(proxy)).await;
    assert_eq!(ask(app, "/x").await, "200 a GET /x xff=-");
    let abort = http::Request::get("/x").header("host", "h");
    let abort = abort.header("x-envoy-fault-abort-request", "418").body(Full::default()).unwrap();
    assert_eq!(send(app, abort).await.status(), 418);
    assert_eq!(ask(app, "/x").await, "429 local_rate_limited");
}

#[tokio::test]
async fn the_clients_address_comes_from_connect_info() {
    let edge = || ForwardedPolicy { use_remote_address: true, ..ForwardedPolicy::default() };
    let knows =
        Proxy::builder().route("/", cluster("a").await).forwarded(edge()).connect_info(false);
    let app = Router::new().fallback_service(knows.build());
    let (listener, address) = bind().await;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { serve(listener, app).await });
    assert_eq!(ask(address, "/").await, "200 a GET / xff=127.0.0.1");
}

#[tokio::test]
async fn a_peer_that_is_known_counts() {
    let edge = ForwardedPolicy { use_remote_address: true, ..ForwardedPolicy::default() };
    let proxy = Proxy::builder().route("/", cluster("a").await).forwarded(edge).build();
    let mut request = Request::get("/").header("host", "h").body(Empty::<Bytes>::new()).unwrap();
    request.extensions_mut().insert(Peer { address: ([9, 9, 9, 9], 9).into(), tls: true });
    let response = proxy.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "a GET / xff=9.9.9.9");
}

#[tokio::test]
async fn bodies_stream_both_ways_under_hyper_alone() {
    let proxy = Proxy::new(cluster("a").await);
    let (listener, address) = bind().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let service = hyper::service::service_fn(move |request| proxy.clone().oneshot(request));
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    });
    let body = vec![b'x'; 1 << 20];
    let request = http::Request::post("/echo").header("host", "h");
    let request = request.body(Full::new(Bytes::from(body.clone()))).unwrap();
    let response = send(address, request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn an_upstream_may_speak_http2() {
    let (listener, address) = bind().await;
    let app = Router::new()
        .fallback(|request: Request| async move { format!("{:?}", request.version()) });
    tokio::spawn(async move { serve(listener, app).await });
    let cluster = Cluster::builder("h2").endpoints([address.to_string()]).unwrap().http2().build();
    let app = listen(Router::new().fallback_service(Proxy::new(cluster))).await;
    assert_eq!(ask(app, "/").await, "200 HTTP/2.0");
}

#[tokio::test]
async fn what_goes_wrong_is_a_response() {
    let (listener, closed) = bind().await;
    drop(listener);
    let cluster = Cluster::builder("gone").endpoints([closed.to_string()]).unwrap().build();
    let app = listen(Router::new().fallback_service(Proxy::new(cluster))).await;
    let answer = ask(app, "/").await;
    assert!(answer.starts_with("503 upstream connect error"), "{answer}");
    let empty = Cluster::builder("empty").build();
    let app = listen(Router::new().fallback_service(Proxy::new(empty))).await;
    assert_eq!(ask(app, "/").await, "503 no healthy upstream");
}

#[cfg(feature = "retry")]
#[tokio::test]
async fn what_a_policy_names_is_tried_again() {
    use front_proxy_layers::route::{RetryOn, RetryPolicy};

    let (listener, closed) = bind().await;
    drop(listener);
    let app = Router::new().fallback(|| async { "second" });
    let endpoints = [closed.to_string(), listen(app).await.to_string()];
    let cluster = Cluster::builder("c").endpoints(endpoints).unwrap().build();
    let policy = RetryPolicy {
        on: RetryOn { connect_failure: true, ..RetryOn::default() },
        ..RetryPolicy::default()
    };
    let proxy = Proxy::builder().route("/", cluster).retry(policy).build();
    let app = listen(Router::new().fallback_service(proxy)).await;
    for _ in 0..4 {
        assert_eq!(ask(app, "/").await, "200 second");
    }
}

#[tokio::test]
async fn protocols_are_switched_where_that_was_said() {
    const SWITCH: &str =
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let (listener, upstream) = bind().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        until(&mut stream, b"\r\n\r\n").await;
        let head = "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let heard = until(&mut stream, b"!").await;
        stream.write_all(&heard).await.unwrap();
    });
    let cluster = Cluster::builder("c").endpoints([upstream.to_string()]).unwrap().build();
    let builder = || Proxy::builder().route("/", cluster.clone());

    let app = listen(Router::new().fallback_service(builder().upgrade("websocket").build())).await;
    let mut client = TcpStream::connect(app).await.unwrap();
    client.write_all(SWITCH.as_bytes()).await.unwrap();
    let head = until(&mut client, b"\r\n\r\n").await;
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    client.write_all(b"hear me!").await.unwrap();
    assert_eq!(until(&mut client, b"!").await, b"hear me!");

    let app = listen(Router::new().fallback_service(builder().build())).await;
    let mut client = TcpStream::connect(app).await.unwrap();
    client.write_all(SWITCH.as_bytes()).await.unwrap();
    let head = until(&mut client, b"\r\n\r\n").await;
    assert!(head.starts_with(b"HTTP/1.1 403 "), "{}", String::from_utf8_lossy(&head));
}

/// Reads until the bytes end like this.
async fn until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(stream.read_u8().await.unwrap());
    }
    read
}

/// A cluster with one endpoint, which says its name and what it was asked.
async fn cluster(name: &'static str) -> Cluster {
    let app = Router::new().route("/echo", axum::routing::post(|body: Bytes| async { body }));
    let app = app.fallback(move |request: Request| async move {
        let from = request.headers().get("x-forwarded-for");
        let from = from.map_or("-", |value| value.to_str().unwrap());
        format!("{name} {} {} xff={from}", request.method(), request.uri())
    });
    let address = listen(app).await.to_string();
    Cluster::builder(name).endpoints([address]).unwrap().build()
}

async fn listen(app: Router) -> SocketAddr {
    let (listener, address) = bind().await;
    tokio::spawn(async move { serve(listener, app).await });
    address
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Status and body of the answer to a GET.
async fn ask(address: SocketAddr, path: &str) -> String {
    let request = http::Request::get(path).header("host", "h").body(Full::<Bytes>::default());
    let response = send(address, request.unwrap()).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    format!("{status} {}", String::from_utf8_lossy(&body))
}

async fn send(
    address: SocketAddr,
    request: http::Request<Full<Bytes>>,
) -> http::Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}
