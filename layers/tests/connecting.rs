//! Requests that leave while their connection is being made.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use front_proxy_layers::body::Body;
use front_proxy_layers::cluster::{Cluster, Priority};
use front_proxy_layers::discover::{Member, MemberSet};
use front_proxy_layers::endpoint::{ConnectionOptions, Protocol};
use front_proxy_layers::error::ErrorKind;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt};

fn get() -> Request<Body> {
    Request::get("/").header("host", "x").body(Body::empty()).expect("a request")
}

/// Answers everything, and counts its connections.
async fn http1_server() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
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
    (address, accepted)
}

#[tokio::test]
async fn the_connection_is_finished_and_kept() {
    let (address, accepted) = http1_server().await;
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

/// An HTTP/2 server: counts its connections and says when one has ended.
#[cfg(feature = "http2")]
async fn http2_server() -> (std::net::SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let counters = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (accepted, ended) = counters.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::SeqCst);
            let ended = Arc::clone(&ended);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    respond.send_response(http::Response::new(()), true).expect("a stream");
                }
                ended.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    (address, counters.0, counters.1)
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn a_connection_made_for_an_endpoint_that_left_serves_those_that_waited_and_ends() {
    let (address, accepted, ended) = http2_server().await;
    let cluster = Cluster::builder("c").http2().build();
    cluster.update(vec![Member::new(address)]);
    let mut requests: Vec<_> = (0..3).map(|_| Box::pin(cluster.clone().oneshot(get()))).collect();
    for request in &mut requests {
        let polled = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "connecting takes a turn of the runtime");
    }
    cluster.update(Vec::new());
    for request in requests {
        assert_eq!(request.await.expect("answered").status(), 200);
    }
    while ended.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "one connection does for all");
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn a_connection_that_nobody_wants_any_more_ends_with_its_endpoint() {
    let (address, _, ended) = http2_server().await;
    let cluster = Cluster::builder("c").http2().build();
    cluster.update(vec![Member::new(address)]);
    {
        let mut request = pin!(cluster.clone().oneshot(get()));
        let polled = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "connecting takes a turn of the runtime");
    }
    cluster.update(Vec::new());
    while ended.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Each wake costs a turn of a task, and with it a look at all that the task does.
#[tokio::test]
async fn a_request_that_begins_wakes_nobody() {
    let (address, _) = http1_server().await;
    let cluster = Cluster::builder("c").build();
    cluster.update(vec![Member::new(address)]);
    let tasks = [(); 2].map(|()| Arc::new(Wakes::default()));
    let wakes = || tasks.each_ref().map(|task| task.0.load(Ordering::SeqCst));
    for (task, kept) in tasks.iter().zip([0, 1]) {
        let waker = Waker::from(Arc::clone(task));
        assert_eq!(cluster.endpoints()[0].idle_connections(), kept);
        let mut request = pin!(cluster.clone().oneshot(get()));
        let before = wakes();
        let mut polled = request.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(wakes(), before, "it was told what it knows, or the one before it was");
        while polled.is_pending() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            polled = request.as_mut().poll(&mut Context::from_waker(&waker));
        }
    }
}

#[tokio::test]
async fn nothing_is_left_of_an_endpoint_that_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let cluster = Cluster::builder("c").idle_timeout(None).build();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    cluster.update(vec![Member::new(address)]);
    let request = cluster.clone().oneshot(get());
    let upstream = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).await.expect("a request") > 0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(answer).await.expect("written");
        stream
    };
    let (response, _stream) = tokio::join!(request, upstream);
    assert_eq!(tasks(), before + 1, "the idle connections have a watcher");
    cluster.update(Vec::new());
    // The watcher looks, and finds a connection in use.
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(response);
    while tasks() > before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The next request makes a connection, wherever it runs.
#[cfg(feature = "http2")]
#[test]
fn a_runtime_that_ends_while_connecting_keeps_nobody_waiting() {
    let cluster = Cluster::builder("c").http2().build();
    let first = runtime();
    first.block_on(async {
        let (address, ..) = http2_server().await;
        cluster.update(vec![Member::new(address)]);
        let mut request = pin!(cluster.clone().oneshot(get()));
        let polled = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "connecting takes a turn of the runtime");
    });
    drop(first);
    let mut request = pin!(cluster.clone().oneshot(get()));
    let second = runtime()
        .block_on(async { tokio::time::timeout(Duration::from_secs(30), request.as_mut()).await });
    // Its server has ended with the first runtime: what counts is that somebody has tried.
    second.expect("an answer").expect_err("nobody listens");
}

#[test]
fn idle_connections_are_looked_after_on_the_next_runtime() {
    let servers = runtime();
    let (address, _) = servers.block_on(http1_server());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let servers = std::thread::spawn(move || servers.block_on(stopped));
    let cluster = Cluster::builder("c").idle_timeout(Some(Duration::from_millis(20))).build();
    cluster.update(vec![Member::new(address)]);
    let endpoint = Arc::clone(&cluster.endpoints()[0]);
    runtime().block_on(async {
        cluster.clone().oneshot(get()).await.expect("answered");
        assert_eq!(endpoint.idle_connections(), 1);
    });
    runtime().block_on(async {
        cluster.clone().oneshot(get()).await.expect("answered");
        let closed = async {
            while endpoint.idle_connections() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), closed).await.expect("it is closed");
    });
    stop.send(()).expect("they run");
    servers.join().expect("no panic").expect("stopped");
}

/// Connections that one request makes to an upstream that closes each as soon as it is open.
async fn made_for_one_request(protocol: Protocol) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    // On a thread of its own, to be faster than who connects.
    let listener = listener.into_std().unwrap();
    listener.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let options = ConnectionOptions { protocol, ..ConnectionOptions::default() };
    let cluster = Cluster::builder("c").connections(options).build();
    cluster.update(std::iter::once(Member::new(address)).collect());
    let error = tokio::time::timeout(Duration::from_secs(5), cluster.oneshot(get()));
    assert_eq!(error.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionTerminated);
    accepted.load(Ordering::SeqCst)
}

#[tokio::test]
async fn an_upstream_that_closes_at_once_is_not_asked_again_and_again() {
    let protocols = [
        Protocol::Http1,
        #[cfg(feature = "http2")]
        Protocol::Http2,
    ];
    for protocol in protocols {
        for _ in 0..20 {
            assert_eq!(made_for_one_request(protocol).await, 1, "{protocol:?}");
        }
    }
}
