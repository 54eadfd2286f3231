//! Who gets which request, through a proxy on real sockets.

mod proxy_support;

use std::collections::BTreeMap;

use front_proxy_layers::body::Body;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::discover::{Member, MemberSet};
use http_body_util::BodyExt as _;
use proxy_support::{Client, Proxy, Upstream};
use tower::ServiceExt as _;

async fn three() -> [Upstream; 3] {
    [Upstream::good("a").await, Upstream::good("b").await, Upstream::good("c").await]
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_are_strict_over_workers_and_connections() {
    let upstreams = three().await;
    let addresses = [0, 1, 2].map(|n| upstreams[n].address);
    let proxy = Proxy::start(&addresses, 3, "", "").await;
    let address = proxy.address;
    let clients = (0..30).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            for _ in 0..20 {
                assert_eq!(client.get("/").await.status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let counts = upstreams.each_ref().map(Upstream::requests);
    assert_eq!(counts, [200, 200, 200]);
}

/// Members come and go while requests run: turns stay strict in between, and nothing fails.
#[tokio::test(flavor = "multi_thread")]
async fn turns_are_strict_across_scaling() {
    let upstreams = three().await;
    let cluster = Cluster::builder("service1").build();
    for size in [1, 3, 2, 3, 1] {
        let members = upstreams[..size].iter().map(|u| Member::new(u.address)).collect();
        cluster.update(members);
        let before = upstreams.each_ref().map(Upstream::requests);
        let requests = (0..60).map(|_| {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                let request = http::Request::get("/").header("host", "x").body(Body::empty());
                let response = cluster.oneshot(request.unwrap()).await.unwrap();
                response.into_body().collect().await.unwrap();
            })
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.unwrap();
        }
        for (n, upstream) in upstreams.iter().enumerate() {
            let share = if n < size { 60 / size } else { 0 };
            assert_eq!(upstream.requests() - before[n], share, "{n} of {size}");
        }
    }
}

/// Which upstream each of these keys went to, by a request of its own on a connection of its own.
async fn by_user(proxy: &Proxy, users: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for user in users {
        let answer = proxy.client().await.send("GET", "/", &[("x-user", user)], Vec::new()).await;
        found.insert((*user).to_owned(), answer.body);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_keys_go_to_the_same_place() {
    let upstreams = three().await;
    let addresses = [0, 1, 2].map(|n| upstreams[n].address);
    let users: Vec<String> = (0..40).map(|n| format!("user{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    for policy in ["RING_HASH", "MAGLEV"] {
        let route = "hash_policy: [{header: {header_name: x-user}}]";
        let cluster = format!("lb_policy: {policy}");
        let proxy = Proxy::start(&addresses, 2, route, &cluster).await;
        let first = by_user(&proxy, &users).await;
        assert_eq!(by_user(&proxy, &users).await, first, "{policy}");
        let used: std::collections::BTreeSet<_> = first.values().collect();
        assert_eq!(used.len(), 3, "{policy}");
        // Another proxy, started later, agrees.
        let other = Proxy::start(&addresses, 1, route, &cluster).await;
        assert_eq!(by_user(&other, &users).await, first, "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_brings_a_client_back() {
    let upstreams = three().await;
    let addresses = [0, 1, 2].map(|n| upstreams[n].address);
    let route = "hash_policy: [{cookie: {name: place, ttl: 60s, path: /}}]";
    let proxy = Proxy::start(&addresses, 1, route, "lb_policy: RING_HASH").await;
    for _ in 0..10 {
        let first = proxy.client().await.get("/").await;
        let set = &first.headers["set-cookie"];
        assert!(set.ends_with("; Max-Age=60; Path=/; HttpOnly"), "{set}");
        let cookie = set.split(';').next().unwrap();
        for _ in 0..3 {
            let cookie = [("cookie", cookie)];
            let again = proxy.client().await.send("GET", "/", &cookie, Vec::new()).await;
            assert_eq!(again.body, first.body);
            assert!(!again.headers.contains_key("set-cookie"), "it has one");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stays_by_its_address() {
    let upstreams = three().await;
    let addresses = [0, 1, 2].map(|n| upstreams[n].address);
    let route = "hash_policy: [{connection_properties: {source_ip: true}}]";
    let proxy = Proxy::start(&addresses, 2, route, "lb_policy: MAGLEV").await;
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..12 {
        places.insert(proxy.client().await.get("/").await.body);
    }
    assert_eq!(places.len(), 1, "one address, one place");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_cluster_panics_in_its_stats_only() {
    let proxy = Proxy::start(&[], 1, "", "").await;
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "no healthy upstream"));
    assert_eq!(proxy.stat("lb_healthy_panic").await, 1);
}
