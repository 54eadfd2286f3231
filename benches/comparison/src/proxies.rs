//! The proxies, each as its documentation shows it.

use axum::Router;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::endpoint::ConnectionOptions;
use front_proxy_layers::proxy::Proxy;

/// Serves the proxy of this name, and prints where.
pub fn serve(name: &str, upstream: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let app = app(name, upstream);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        use axum::serve::ListenerExt;
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("an option"));
        axum::serve(listener, app).await.expect("for ever");
    });
}

fn app(name: &str, upstream: &str) -> Router {
    match name {
        "front-proxy-layers" => {
            let cluster = Cluster::builder("upstream").endpoints([upstream]);
            // Trailers of HTTP/1 are passed where that is asked for, as in Envoy.
            let options =
                ConnectionOptions { http1_trailers: true, ..ConnectionOptions::default() };
            let cluster = cluster.expect("an address").connections(options).build();
            // So are switches of protocol.
            let proxy = Proxy::builder().route("/", cluster).upgrade("websocket").upgrade("chat");
            Router::new().fallback_service(proxy.build())
        }
        "axum-reverse-proxy" => {
            axum_reverse_proxy::ReverseProxy::new("/", &format!("http://{upstream}")).into()
        }
        "tower-proxy" => {
            let builder = tower_proxy::builder_http(upstream).expect("an authority");
            Router::new().fallback_service(builder.build(tower_proxy::Identity))
        }
        "axum-proxy" => {
            let builder = axum_proxy::builder_http(upstream).expect("an authority");
            Router::new().fallback_service(builder.build(axum_proxy::Identity))
        }
        // What axum itself costs with the same messages: it reads the request and answers.
        "none" => Router::new().fallback(|request: axum::extract::Request| async move {
            let received: usize = request.uri().path()[1..].parse().expect("a size");
            let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            drop(body.expect("a body"));
            vec![b'x'; received]
        }),
        other => panic!("no proxy `{other}`"),
    }
}
