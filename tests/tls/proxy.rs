//! A proxy, a client and an upstream that speak TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use front_proxy::config::load_str;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, StatValue};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::certs::{Pair, provider};

pub(crate) struct Proxy {
    server: Server,
    pub(crate) address: SocketAddr,
}

const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const DOWNSTREAM: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/// A cluster at `address`, whose `UpstreamTlsContext` has these fields.
pub(crate) fn cluster(name: &str, address: SocketAddr, tls: &str) -> String {
    format!(
        "{{name: {name}, transport_socket: {{name: tls, typed_config: {{'@type': {UPSTREAM}, {tls}}}}}, \
         load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: \
         {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]}}}}",
        address.ip(),
        address.port()
    )
}

/// A URI in our certificate. A client that is told of by it gets a 202 in place of a 200.
pub(crate) const BY: &str = "urn:second";

impl Proxy {
    /// With these clusters, each at the path of its name; `tls` are the fields of the listener's
    /// `DownstreamTlsContext`.
    pub(crate) async fn start(tls: Option<&str>, clusters: &[(&str, String)]) -> Self {
        let socket = tls.map_or_else(String::new, |tls| {
            format!(
                "transport_socket: {{name: tls, typed_config: {{'@type': {DOWNSTREAM}, {tls}}}}}, "
            )
        });
        let routes: String = clusters
            .iter()
            .map(|(name, _)| format!("{{match: {{path: /{name}}}, route: {{cluster: {name}}}}}, "))
            .collect();
        let clusters: Vec<_> = clusters.iter().map(|(_, cluster)| cluster.as_str()).collect();
        let text = format!(
            "static_resources: {{listeners: [{{name: front, address: {{socket_address: {{address: 127.0.0.1, \
             port_value: 0}}}}, stat_prefix: front, filter_chains: [{{{socket}filters: [{{name: hcm, typed_config: \
             {{'@type': {MANAGER}, stat_prefix: front, forward_client_cert_details: SANITIZE_SET, route_config: {{virtual_hosts: [{{name: v, domains: ['*'], \
             routes: [{routes}{{match: {{prefix: /, headers: [{{name: x-forwarded-client-cert, string_match: \
             {{prefix: 'By={BY};'}}}}]}}, direct_response: {{status: 202}}}}, \
             {{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]}}, http_filters: \
             [{{name: router, typed_config: {{'@type': {ROUTER}}}}}]}}}}]}}]}}], clusters: [{}]}}",
            clusters.join(", ")
        );
        let bootstrap = load_str("test", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let server = Server::start(bootstrap, ServerOptions::default()).await.unwrap();
        let address = server.listeners().next().unwrap().1;
        Self { server, address }
    }

    /// The status of a plain request, and the body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        get(TcpStream::connect(self.address).await.unwrap(), path).await.unwrap()
    }

    /// The value of a counter or gauge that must be there.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.find_stat(name).unwrap_or_else(|| panic!("there is no stat `{name}`"))
    }

    /// The same, if it is there.
    pub(crate) fn find_stat(&self, name: &str) -> Option<u64> {
        let selection = self.server.stats().select(&Query::parse(None).unwrap());
        match selection.value(name)? {
            StatValue::Counter(value) | StatValue::Gauge(value) => Some(value),
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(crate) async fn until_stat(&self, name: &str, want: u64) {
        until(&format!("{name} to be {want}"), async || self.find_stat(name) == Some(want)).await;
    }
}

/// Waits for what comes within a few seconds.
pub(crate) async fn until(what: &str, is: impl AsyncFn() -> bool) {
    for _ in 0..500 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain for {what}");
}

/// One request; `None` where the connection ends without an answer.
pub(crate) async fn get(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    path: &str,
) -> Option<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    // A TLS peer may leave without a word.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// What a client with this server name and certificate gets: the server's certificate and an
/// answer, or nothing.
pub(crate) async fn get_by_tls(
    address: SocketAddr,
    name: Option<&str>,
    own: Option<&Pair>,
) -> Option<(CertificateDer<'static>, u16)> {
    get_with((address, "/"), name, Arc::new(client_config(name, own))).await
}

/// What a client is like that shows this certificate.
pub(crate) fn client_config(name: Option<&str>, own: Option<&Pair>) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(own) => config.with_client_auth_cert(own.certificates(), own.private_key()).unwrap(),
    };
    config.enable_sni = name.is_some();
    config
}

/// The same as a client that may have been there before.
pub(crate) async fn get_with(
    (address, path): (SocketAddr, &str),
    name: Option<&str>,
    config: Arc<ClientConfig>,
) -> Option<(CertificateDer<'static>, u16)> {
    let name = ServerName::try_from(name.unwrap_or("127.0.0.1").to_owned()).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(config);
    let stream = connector.connect(name, stream).await.ok()?;
    let certificate = stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned();
    let (status, _) = get(stream, path).await?;
    Some((certificate, status))
}

/// An upstream that answers every connection once, with its name and what the client's certificate
/// is like.
pub(crate) async fn upstream(pair: &Pair) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(pair.certificates(), pair.private_key())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await.ok()?;
                let answer =
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
                stream.write_all(answer.as_bytes()).await.ok()?;
                stream.shutdown().await.ok()
            });
        }
    });
    address
}

/// Takes any certificate: what the proxy shows is looked at by the test.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
