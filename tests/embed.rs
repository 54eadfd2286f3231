//! A bootstrap's routes as a service inside another app.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use front_proxy::admin::{ClusterView, ConfigView};
use front_proxy::config::model::Bootstrap;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, Registry, text};
use front_proxy_layers::forwarded::Peer;
use front_proxy_layers::mount::MountLayer;
use front_proxy_layers::stats::Scope;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{ServiceBuilder, ServiceExt};

#[tokio::test]
async fn an_app_does_what_a_bootstrap_says() {
    let upstream = upstream().await;
    let bootstrap = bootstrap(upstream);
    let registry = Registry::new(1);
    let proxies = front_proxy::from_config(&bootstrap, &registry.scope()).await.expect("services");
    assert!(proxies.listener("egress").is_none());
    let proxy = proxies.listener("ingress").expect("the listener");
    drop(proxies);
    let app = Router::new().route("/", get(|| async { "the app" })).fallback_service(proxy);

    assert_eq!(ask(&app, "/").await, (StatusCode::OK, "the app".to_owned()));
    let upstreams = "GET /hello from 9.9.9.9".to_owned();
    assert_eq!(ask(&app, "/api/hello").await, (StatusCode::OK, upstreams));
    assert_eq!(ask(&app, "/elsewhere").await, (StatusCode::NOT_FOUND, String::new()));

    let page = text::render(registry.select(&Query::default()), Default::default());
    let page: String = page.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect();
    for line in ["cluster.api.upstream_rq_200: 1", "http.ingress.no_route: 1"] {
        assert!(page.lines().any(|l| l == line), "{line} in {page}");
    }
    assert!(!page.contains("downstream_cx_total"), "the app's are not seen: {page}");
}

/// A config moves from a process of its own into an app and back: requests get the same there.
#[tokio::test]
async fn the_same_bootstrap_does_the_same_alone() {
    let upstream = upstream().await;
    let server =
        Server::start(bootstrap(upstream), ServerOptions::default()).await.expect("started");
    let (_, alone) = server.listeners().next().expect("a listener");

    let registry = Registry::new(1);
    let proxies = front_proxy::from_config(&bootstrap(upstream), &registry.scope()).await;
    let proxies = proxies.expect("services");
    let ingress = proxies.first().expect("the listener");
    let ingress =
        ServiceBuilder::new().layer(MountLayer::new().connect_info(false)).service(ingress);
    // Below a path of the app, and yet routed by all of its path.
    let mount = MountLayer::new().original_uri().connect_info(false);
    let api = proxies.first().expect("the listener");
    let app = Router::new()
        .nest_service("/api", ServiceBuilder::new().layer(mount).service(api))
        .fallback_service(ingress);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let inside = listener.local_addr().expect("an address");
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });

    for path in ["/api/x?y=1", "/api/", "/elsewhere"] {
        let (alone, inside) = (raw(alone, path, "").await, raw(inside, path, "").await);
        assert_eq!(alone, inside, "{path}");
    }
    let answer = raw(inside, "/api/x", "").await;
    assert!(answer.contains("x-by: api") && answer.contains("server: envoy"), "{answer}");

    let switch = "connection: upgrade\r\nupgrade: websocket\r\n";
    for address in [alone, inside] {
        let answer = raw(address, "/api/switch", switch).await;
        assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols"), "{answer}");
        assert!(answer.ends_with("switched"), "{answer}");
    }
    let view = proxies.clusters();
    assert_eq!(view.len(), 1);
    assert!(view[0].hosts[0].stats.rq_total >= 4, "{view:?}");
    assert_eq!(proxies.cluster("api").expect("known").endpoints().len(), 1);
    let shown = ConfigView::bootstrap(&proxies);
    assert_eq!(shown["static_resources"]["listeners"][0]["name"], "ingress");
    server.shutdown().await;
}

/// The lines of the head, sorted, without those that tell the time, and the body.
async fn raw(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(read).expect("text").to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length = match head.starts_with("http/1.1 101 ") {
        true => "switched".len(),
        false => length.map_or(0, |length| length.parse().expect("a number")),
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a body");
    let mut lines: Vec<_> = head.lines().skip(1).collect();
    lines.retain(|line| !line.starts_with("date:") && !line.contains("service-time:"));
    lines.sort_unstable();
    let body = String::from_utf8_lossy(&body);
    let status = head
        .lines()
        .next()
        .unwrap_or_default()
        .replace("http", "HTTP")
        .replace("switching protocols", "Switching Protocols");
    format!("{status}\n{}\n\n{body}", lines.join("\n"))
}

/// With one listener, on a port that the system chooses, and one cluster with this port.
fn bootstrap(upstream: u16) -> Bootstrap {
    let text = format!(
        r#"
static_resources:
  listeners:
  - name: ingress
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          use_remote_address: true
          upgrade_configs: [{{ upgrade_type: websocket }}]
          route_config:
            response_headers_to_add: [{{ header: {{ key: x-by, value: "%UPSTREAM_CLUSTER%" }} }}]
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: /api/ }}
                route: {{ cluster: api, prefix_rewrite: / }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: api
    load_assignment:
      cluster_name: api
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream} }} }} }}
"#
    );
    front_proxy::config::load_str("bootstrap.yaml", &text).expect("a bootstrap")
}

async fn ask(app: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).header("host", "h").body(Empty::<Bytes>::new());
    let mut request = request.expect("a request");
    request.extensions_mut().insert(Peer { address: ([9, 9, 9, 9], 9).into(), tls: false });
    let response = app.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Says what it was asked, and for whom. Returns its port.
async fn upstream() -> u16 {
    let switch = async |mut request: axum::extract::Request| {
        let switched = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(switched.await.expect("switched"));
            stream.write_all(b"switched").await
        });
        let headers = [("connection", "upgrade"), ("upgrade", "websocket")];
        (StatusCode::SWITCHING_PROTOCOLS, headers)
    };
    let app = Router::new().route("/switch", get(switch));
    let app = app.fallback(|request: axum::extract::Request| async move {
        let client = request.headers()["x-forwarded-for"].to_str().expect("text").to_owned();
        format!("{} {} from {client}", request.method(), request.uri())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

#[tokio::test]
async fn values_of_the_runtime_can_be_changed() {
    let text = "
layered_runtime: {layers: [{name: admin, admin_layer: {}}]}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          route_config:
            virtual_hosts:
            - name: v
              domains: ['*']
              routes:
              - match: {prefix: /, runtime_fraction: {default_value: {numerator: 0}, runtime_key: new}}
                direct_response: {status: 201}
              - match: {prefix: /}
                direct_response: {status: 200}
          http_filters:
          - name: router
            typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
";
    let bootstrap = front_proxy::config::load_str("test", text).expect("valid");
    let proxies = front_proxy::from_config(&bootstrap, &Scope::noop()).await.expect("made");
    let status = async || {
        let request = Request::get("/").header("host", "h").body(axum::body::Body::empty());
        let proxy = proxies.first().expect("a listener");
        let response = proxy.oneshot(request.expect("a request")).await;
        response.expect("infallible").status().as_u16()
    };
    assert_eq!(status().await, 200);
    proxies.runtime().modify([("new", "100")]).expect("an admin layer");
    assert_eq!(status().await, 201);
}
