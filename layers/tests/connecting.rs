//! Requests that leave while their connection is being made.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use front_proxy_layers::body::Body;
use front_proxy_layers::cluster::{Cluster, Priority};
use front_proxy_layers::discover::{Member, MemberSet};
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt};

fn get() -> Request<Body> {
    Request::get("/").header("host", "x").body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn the_connection_is_finished_and_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = [0; 1024];
                while stream.read(&mut head).await.is_ok_and(|n| n > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });

    let mut cluster = Cluster::builder("c").build();
    cluster.update(vec![Member::new(address)]);
    let endpoint = Arc::clone(&cluster.endpoints()[0]);
    {
        let mut request = pin!(cluster.call(get()));
        let polled = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "connecting takes a turn of the runtime");
        assert_eq!(cluster.resources(Priority::Default).pending.taken(), 1);
    }
    assert_eq!(cluster.resources(Priority::Default).pending.taken(), 0, "nobody waits any more");
    while endpoint.idle_connections() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let response = cluster.clone().oneshot(get()).await.expect("answered");
    assert_eq!(response.status(), 200);
    drop(response);
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    assert_eq!(endpoint.idle_connections(), 1);
}
