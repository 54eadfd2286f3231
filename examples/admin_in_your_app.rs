//! Envoy's admin pages in an app of your own: the stats of its proxy and the members of its
//! clusters, under a path that you choose and behind the login that the app has already.
//!
//! ```text
//! cargo run --example admin_in_your_app
//! curl localhost:3000/hello
//! curl -i localhost:3000/admin/stats                  # 401: the pages have no password of their own
//! curl -s -u admin:secret 'localhost:3000/admin/stats?filter=service1.upstream_rq_total'
//! curl -s -u admin:secret localhost:3000/admin/stats/prometheus | grep upstream_rq
//! curl -s -u admin:secret localhost:3000/admin/clusters
//! ```
//!
//! Next: implement `ServerView` for `/server_info`, and `Control` for what changes something.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use front_proxy::admin::{self, AdminState};
use front_proxy::stats::{Registry, flush_every};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use tokio::net::TcpListener;

/// The app's own way to know its people: here, one user, `admin:secret` in base64.
async fn login(request: Request, next: Next) -> Response {
    const ADMIN: &str = "Basic YWRtaW46c2VjcmV0";
    if request.headers().get(header::AUTHORIZATION).is_some_and(|given| given == ADMIN) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic")]).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Before the first cluster: from here on all count there.
    let stats = Registry::install()?;
    // Histograms show what came since the last flush.
    tokio::spawn(flush_every(stats.clone(), Duration::from_secs(5)));

    let cluster = Cluster::new("service1", [service().await?])?;
    let proxy = Proxy::builder().route("/", cluster);
    let pages = admin::router(AdminState::new(stats).clusters(proxy.clusters()));
    let app = Router::new()
        .nest_service("/admin", pages.layer(middleware::from_fn(login)))
        .fallback_service(proxy.build());

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service() -> Result<String, Box<dyn Error>> {
    let app = Router::new().fallback(|| async { "hello\n" });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
