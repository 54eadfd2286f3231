//! Every stat that Envoy 1.40 shows with the sandbox's front proxy is here, under its name and of its
//! type, and nothing else is. `docs/envoy-compatibility.md` says which of them stay 0, and why.

mod proxy_support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use front_proxy::config::load_str;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, StatValue};
use http_body_util::{BodyExt as _, Empty};
use proxy_support::{Client, Upstream};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

/// Made by running Envoy; see its first lines.
const NAMES: &str = include_str!("stats_names.txt");

#[tokio::test(flavor = "multi_thread")]
async fn names_and_types_are_envoys() {
    let service1 = Upstream::good("1").await;
    let service2 = Upstream::good("2").await;
    let certified = rcgen::generate_simple_self_signed(["front.example".to_owned()]).expect("made");
    let key = certified.signing_key.serialize_pem();
    let text = bootstrap([service1.address, service2.address], &certified.cert.pem(), &key);
    let bootstrap = load_str("test.yaml", &text).expect("valid");
    let server = Server::start(bootstrap, ServerOptions::default()).await.expect("started");
    let [plain, tls] = {
        let mut addresses = server.listeners().map(|(_, address)| address);
        [(); 2].map(|()| addresses.next().expect("a listener"))
    };

    let mut client = Client::connect(plain).await;
    for (path, status) in [("/service/1", 200), ("/service/2", 200), ("/none", 404)] {
        assert_eq!(client.get(path).await.status, status);
    }
    over_tls(tls, certified.cert.der()).await;
    let admin = server.admin_address().expect("an admin address");
    assert_eq!(Client::connect(admin).await.get("/stats").await.status, 200);

    let ports = [(plain, "${FRONT_PORT}"), (tls, "${TLS_PORT}")];
    let named = |name: &str| {
        ports.iter().fold(name.to_owned(), |name, (address, port)| {
            name.replace(&format!("127.0.0.1_{}.", address.port()), &format!("127.0.0.1_{port}."))
        })
    };
    let selection = server.stats().select(&Query::default());
    let values = selection.values().iter().map(|stat| {
        let kind = match stat.value() {
            StatValue::Counter(_) => "counter",
            StatValue::Gauge(_) | StatValue::Float(_) => "gauge",
            _ => "text",
        };
        (named(stat.name()), kind)
    });
    let histograms = selection.histograms().iter().map(|stat| (named(stat.name()), "histogram"));
    let ours: BTreeMap<String, &str> = values.chain(histograms).collect();
    let envoys = NAMES.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut words = line.split_whitespace().filter(|word| *word != "+");
        let mut word = || words.next().expect("a type and a name");
        let kind = word();
        (word().to_owned(), kind)
    });
    let envoys: BTreeMap<String, &str> = envoys.collect();
    for (name, kind) in &envoys {
        assert_eq!(ours.get(name), Some(kind), "{name}");
    }
    let more: Vec<_> = ours.keys().filter(|name| !envoys.contains_key(*name)).collect();
    assert!(more.is_empty(), "Envoy has no {more:?}");
    let used = Query { used_only: true, ..Query::default() };
    let used = server.stats().select(&used);
    let used: Vec<_> = used.values().iter().map(|stat| named(stat.name())).collect();
    // What Envoy says something of, also where it says 0.
    for name in [
        "cluster.service1.circuit_breakers.default.cx_open",
        "cluster.service1.circuit_breakers.default.cx_pool_open",
        "cluster.service1.circuit_breakers.default.rq_open",
        "cluster.service1.circuit_breakers.default.rq_pending_open",
        "listener.127.0.0.1_${FRONT_PORT}.downstream_pre_cx_active",
        "listener.admin.downstream_pre_cx_active",
        "server.dynamic_unknown_fields",
        "server.static_unknown_fields",
        "server.wip_protos",
    ] {
        assert!(used.iter().any(|used| used == name), "{name} was used");
    }
    for name in [
        "cluster.service1.circuit_breakers.default.rq_retry_open",
        "cluster.service1.circuit_breakers.high.cx_open",
        "cluster.service1.upstream_cx_tx_bytes_buffered",
        "listener_manager.total_listeners_draining",
    ] {
        assert!(!used.iter().any(|used| used == name), "{name} was not used");
    }
    server.shutdown().await;
}

async fn over_tls(address: SocketAddr, certificate: &CertificateDer<'static>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("connected");
    let name = ServerName::try_from("front.example").expect("a name");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let io = hyper_util::rt::TokioIo::new(stream.expect("a handshake"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("ready");
    tokio::spawn(connection);
    let request = http::Request::get("/service/1").header("host", "front.example");
    let request = request.body(Empty::<bytes::Bytes>::new()).expect("a request");
    let response = sender.send_request(request).await.expect("a response");
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.expect("a body");
}

fn bootstrap(services: [SocketAddr; 2], certificate: &str, key: &str) -> String {
    let pem = |text: &str| text.replace('\n', "\\n");
    let [one, two] = services.map(|service| service.port());
    format!(
        r#"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
layered_runtime: {{layers: [{{name: base, static_layer: {{
  envoy: {{resource_limits: {{listener: {{main_listener: {{connection_limit: 5000}}}}}}}}}}}}]}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains: [{{filters: [&manager {{name: http, typed_config: {{
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      stat_prefix: ingress_http,
      http_filters: [{{name: router, typed_config: {{
        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}],
      route_config: {{virtual_hosts: [{{name: backend, domains: ["*"], routes: [
        {{match: {{prefix: /service/1}}, route: {{cluster: service1}}}},
        {{match: {{prefix: /service/2}}, route: {{cluster: service2}}}}]}}]}}}}}}]}}]
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains: [{{filters: [*manager], transport_socket: {{name: tls, typed_config: {{
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext,
      common_tls_context: {{tls_certificates: [{{
        certificate_chain: {{inline_string: "{certificate}"}},
        private_key: {{inline_string: "{key}"}}}}]}}}}}}}}]
  clusters:
  - &service
    name: service1
    type: STRICT_DNS
    load_assignment: {{cluster_name: service1, endpoints: [{{lb_endpoints: [{{endpoint: {{address:
      {{socket_address: {{address: 127.0.0.1, port_value: {one}}}}}}}}}]}}]}}
  - name: service2
    type: STRICT_DNS
    load_assignment: {{cluster_name: service2, endpoints: [{{lb_endpoints: [{{endpoint: {{address:
      {{socket_address: {{address: 127.0.0.1, port_value: {two}}}}}}}}}]}}]}}
"#,
        certificate = pem(certificate),
        key = pem(key),
    )
}
