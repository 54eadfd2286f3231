//! TLS to upstreams, as a cluster's builder makes it of PEM.

use std::net::SocketAddr;
use std::sync::Arc;

use front_proxy::stats::{Query, Registry, text};
use front_proxy_layers::cluster::{Cluster, ClusterBuilder};
use front_proxy_layers::endpoint::Tls;
use front_proxy_layers::proxy::Proxy;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tower::{ServiceExt, service_fn};

/// A certificate that vouches for itself, and its key, in PEM.
fn certificate(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("made");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Says what was agreed on, and whether the client showed a certificate.
async fn listen((chain, key): &(String, String), clients: Option<&str>) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(trusted) => {
            let mut roots = RootCertStore::empty();
            roots.add(der(trusted)).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let mut config = builder.with_single_cert(vec![der(chain)], key).expect("a pair");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let (_, session) = stream.get_ref();
            let alpn =
                String::from_utf8_lossy(session.alpn_protocol().unwrap_or(b"-")).into_owned();
            let asked = session.server_name().unwrap_or("-").to_owned();
            let shown = session.peer_certificates().map_or(0, <[_]>::len);
            let says = Bytes::from(format!("{alpn} {asked} {shown}"));
            let service = service_fn(move |_: Request<Incoming>| {
                std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(Full::new(
                    says.clone(),
                ))))
            });
            let service = hyper_util::service::TowerToHyperService::new(service);
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                server.serve_connection(TokioIo::new(stream), service).await.map_err(drop)
            });
        }
    });
    address
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// Handshakes are counted as those of a cluster from a bootstrap.
#[tokio::test]
async fn handshakes_are_counted() {
    let own = certificate("service1.internal");
    let server = listen(&own, None).await;
    let registry = Registry::new(1);
    let tls = Tls::trusting(own.0.as_bytes()).expect("a root");
    let tls = tls.server_name("service1.internal").expect("a name");
    ask(to(server, tls).stats(registry.scope())).await;
    let query = Query::parse(Some("filter=ssl.(handshake|versions)&usedonly")).expect("valid");
    let page = text::render(registry.select(&query), Default::default());
    let page = page.map(|part| String::from_utf8_lossy(&part).into_owned()).collect::<String>();
    assert_eq!(page, "cluster.c.ssl.handshake: 1\ncluster.c.ssl.versions.TLSv1.3: 1\n");
}

/// It is the proxy that closes where it does not like the upstream, as Envoy has it.
#[tokio::test]
async fn a_handshake_that_fails_is_ended_here() {
    let server = listen(&certificate("service1.internal"), None).await;
    let registry = Registry::new(1);
    let tls = Tls::trusting(certificate("service1.internal").0.as_bytes()).expect("a root");
    let tls = tls.server_name("service1.internal").expect("a name");
    ask(to(server, tls).stats(registry.scope())).await;
    let query = Query::parse(Some("filter=cx_(connect_fail|destroy)&usedonly")).expect("valid");
    let page = text::render(registry.select(&query), Default::default());
    let page = page.map(|part| String::from_utf8_lossy(&part).into_owned()).collect::<String>();
    let counted = ["connect_fail", "destroy", "destroy_local"];
    let counted = counted.map(|name| format!("cluster.c.upstream_cx_{name}: 1\n"));
    assert_eq!(page, counted.concat());
}

async fn ask(builder: ClusterBuilder) -> String {
    let request = Request::get("/").header("host", "h").body(Full::<Bytes>::default());
    let proxy = Proxy::new(builder.build());
    let response = proxy.oneshot(request.expect("a request")).await.expect("infallible");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    format!("{status} {}", String::from_utf8_lossy(&body))
}

fn to(address: SocketAddr, tls: Tls) -> ClusterBuilder {
    Cluster::builder("c").endpoints([address]).expect("infallible").tls(tls)
}

#[tokio::test]
async fn the_name_is_asked_for_and_the_protocol_agreed_on() {
    let own = certificate("service1.internal");
    let server = listen(&own, None).await;
    let tls = Tls::trusting(own.0.as_bytes()).unwrap().server_name("service1.internal").unwrap();
    assert_eq!(ask(to(server, tls.clone())).await, "200 http/1.1 service1.internal 0");
    assert_eq!(ask(to(server, tls).http2()).await, "200 h2 service1.internal 0");
}

#[tokio::test]
async fn who_is_not_trusted_gets_no_request() {
    let own = certificate("service1.internal");
    let server = listen(&own, None).await;
    let other = Tls::trusting(certificate("service1.internal").0.as_bytes()).unwrap();
    let mine = || Tls::trusting(own.0.as_bytes()).unwrap();
    for tls in [
        other.server_name("service1.internal").unwrap(),
        mine().server_name("service2.internal").unwrap(),
        // Without a name it is the address that has to be vouched for.
        mine(),
    ] {
        let answer = ask(to(server, tls)).await;
        assert!(answer.starts_with("503 upstream connect error"), "{answer}");
    }
}

#[tokio::test]
async fn a_certificate_is_shown_to_who_asks() {
    let (own, client) = (certificate("service1.internal"), certificate("client.internal"));
    let server = listen(&own, Some(&client.0)).await;
    let tls = Tls::trusting(own.0.as_bytes()).unwrap().server_name("service1.internal").unwrap();
    let shown = tls.clone().certificate(client.0.as_bytes(), client.1.as_bytes()).unwrap();
    assert_eq!(ask(to(server, shown)).await, "200 http/1.1 service1.internal 1");
    let answer = ask(to(server, tls.clone())).await;
    assert!(answer.starts_with("503 "), "{answer}");
    // The key of another.
    assert!(tls.certificate(client.0.as_bytes(), own.1.as_bytes()).is_err());
}

/// What a machine trusts is a matter of its environment, so this asks another process.
#[tokio::test]
async fn what_the_machine_trusts_can_be_trusted() {
    let (own, other) = (certificate("service1.internal"), certificate("service1.internal"));
    let server = listen(&own, None).await;
    let folder = tempfile::tempdir().expect("a folder");
    let ask = async |authorities: &str| {
        let file = folder.path().join("authorities.pem");
        std::fs::write(&file, authorities).expect("written");
        let output = tokio::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "asks_by_native_roots", "--ignored", "--nocapture"])
            .env("SSL_CERT_FILE", file)
            .env_remove("SSL_CERT_DIR")
            .env(SERVER, server.to_string())
            .output();
        String::from_utf8_lossy(&output.await.expect("it has run").stdout).into_owned()
    };
    let answer = ask(&own.0).await;
    assert!(answer.contains("answer: 200 http/1.1 service1.internal 0"), "{answer}");
    let answer = ask(&other.0).await;
    assert!(answer.contains("answer: 503 upstream connect error"), "{answer}");
    let answer = ask("nobody").await;
    assert!(answer.contains("error: "), "{answer}");
}

const SERVER: &str = "FRONT_PROXY_TEST_SERVER";

#[tokio::test]
#[ignore = "runs as a process of `what_the_machine_trusts_can_be_trusted`"]
async fn asks_by_native_roots() {
    let server = std::env::var(SERVER).expect("a server").parse().expect("an address");
    match Tls::native_roots() {
        Ok(tls) => println!(
            "answer: {}",
            ask(to(server, tls.server_name("service1.internal").unwrap())).await
        ),
        Err(error) => println!("error: {error}"),
    }
}
