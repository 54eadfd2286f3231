//! A tour of the sandbox, as its guide suggests it: the two services by path and over TLS, scaling,
//! and the stats that show it.
//!
//! With Envoy behind it, the tour shows that the files in `examples/front_proxy/` are bootstraps
//! that Envoy takes: `ENVOY=/path/to/envoy cargo test --test sandbox -- --ignored`

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use front_proxy::sandbox::{
    BoxError, InProcess, Options, RunningProxy, Sandbox, StartProxy, scale,
};
use http::Method;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
async fn a_tour() {
    tour(InProcess::default()).await;
}

/// The admin pages of a proxy in the sandbox are those of a proxy with a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_admin_pages_have_what_they_need() {
    let options = options();
    let admin = SocketAddr::new(options.address, options.admin_port);
    let front = SocketAddr::new(options.address, options.http_port);
    let flags = [
        ("--http-port", options.http_port),
        ("--https-port", options.https_port),
        ("--admin-port", options.admin_port),
        ("--service-port", options.service_port),
        ("--control-port", options.control_port),
    ];
    let flags = flags.map(|(flag, port)| format!("{flag}={port}"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_front-proxy"));
    let program = program.arg("sandbox").args(flags).stdout(Stdio::null()).stderr(Stdio::null());
    let mut sandbox = program.kill_on_drop(true).spawn().unwrap();
    until_open(front, true).await;

    let info: serde_json::Value = serde_json::from_str(&get(admin, "/server_info").await).unwrap();
    assert_eq!(info["command_line_options"]["concurrency"], 1);
    assert_eq!(info["command_line_options"]["drain_time"], "600s");
    let levels = post(admin, "/logging").await;
    assert!(levels.contains("\n  router: warning\n"), "{levels}");
    let levels = post(admin, "/logging?router=debug").await;
    assert!(levels.contains("\n  router: debug\n"), "{levels}");
    assert_eq!(post(admin, "/reopen_logs").await, "OK\n");

    // It ends, and the sandbox goes on without it.
    assert_eq!(post(admin, "/quitquitquit").await, "OK\n");
    until_open(front, false).await;
    until_open(admin, false).await;
    assert!(sandbox.try_wait().unwrap().is_none());
    sandbox.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ENVOY=/path/to/envoy"]
async fn a_tour_with_envoy() {
    tour(Envoy(std::env::var("ENVOY").unwrap())).await;
}

async fn tour(proxy: impl StartProxy) {
    let options = options();
    let front = |port| SocketAddr::new(options.address, port);
    let (http, admin) = (front(options.http_port), front(options.admin_port));
    let sandbox = Sandbox::start(options.clone(), proxy).await.unwrap();
    println!("{}", sandbox.guide().await);

    // Each path goes to its service, over HTTP and HTTPS.
    for instance in sandbox.instances().await {
        let number = instance.service.trim_start_matches("service");
        let path = format!("/service/{number}");
        let hello = format!(
            "Hello from behind Envoy (service {number})! hostname: {} resolvedhostname: {}\n",
            instance.hostname,
            instance.app.ip()
        );
        assert_eq!(get(http, &path).await, hello);
        let tls = tls(front(options.https_port)).await;
        assert_eq!(ask(tls, &path).await, hello);
    }
    assert_eq!(stat(admin, "service1.membership_change").await, 1);
    assert_eq!(stat(admin, "service1.membership_total").await, 1);

    // One to three is one change, and all three answer, in turn.
    let three = scale(sandbox.control_address(), "service1", 3).await.unwrap();
    assert_eq!(three.lines().count(), 3);
    until(admin, "service1.membership_total", 3).await;
    assert_eq!(stat(admin, "service1.membership_change").await, 2);
    let round = answers(http, 3).await;
    assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 3, "{round:?}");
    assert_eq!(answers(http, 3).await, round);

    // Three to two is one more; nobody sees an error meanwhile.
    let clients = tokio::spawn(async move {
        for _ in 0..100 {
            answers(http, 1).await;
            sleep(Duration::from_millis(40)).await;
        }
    });
    scale(sandbox.control_address(), "service1", 2).await.unwrap();
    until(admin, "service1.membership_total", 2).await;
    assert_eq!(stat(admin, "service1.membership_change").await, 3);
    clients.await.unwrap();
    let rest: BTreeSet<_> = answers(http, 4).await.into_iter().collect();
    assert_eq!(rest.len(), 2, "{rest:?}");

    // The leg to the sidecars speaks HTTP/2; from there to the app it is HTTP/1.1.
    let connections = stat(admin, "service1.upstream_cx_total").await;
    assert!(connections >= 3);
    assert_eq!(stat(admin, "service1.upstream_cx_http2_total").await, connections);
    let sidecar = sandbox.instances().await[0].admin;
    assert!(stat(sidecar, "local_service.upstream_cx_http1_total").await > 0);

    sandbox.shutdown().await;
    assert!(TcpStream::connect(http).await.is_err());
}

fn options() -> Options {
    let sockets = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [http_port, https_port, admin_port, service_port] =
        sockets.map(|socket| socket.local_addr().unwrap().port());
    Options {
        http_port,
        https_port,
        admin_port,
        service_port,
        control_port: 0,
        ..Options::default()
    }
}

async fn answers(http: SocketAddr, n: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..n {
        let answer = get(http, "/service/1").await;
        assert!(answer.starts_with("Hello "), "{answer}");
        all.push(answer);
    }
    all
}

async fn stat(admin: SocketAddr, name: &str) -> u64 {
    let text = get(admin, "/stats").await;
    let prefix = format!("cluster.{name}: ");
    let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
    value.unwrap_or_else(|| panic!("no {prefix}")).parse().unwrap()
}

async fn until(admin: SocketAddr, name: &str, value: u64) {
    for _ in 0..60 {
        if stat(admin, name).await == value {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} never became {value}");
}

async fn until_open(address: SocketAddr, open: bool) {
    for _ in 0..400 {
        if TcpStream::connect(address).await.is_ok() == open {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{address}: open must become {open}");
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(TcpStream::connect(address).await.unwrap(), path).await
}

async fn post(address: SocketAddr, path: &str) -> String {
    request(TcpStream::connect(address).await.unwrap(), Method::POST, path).await
}

/// The body of the answer.
async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> String {
    request(stream, Method::GET, path).await
}

async fn request<S>(stream: S, method: Method, path: &str) -> String
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.body(String::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body();
    let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn tls(address: SocketAddr) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamedFrontEnvoy))
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap()
}

/// Takes any certificate whose subject's common name is `front-envoy`.
#[derive(Debug)]
struct NamedFrontEnvoy;

impl ServerCertVerifier for NamedFrontEnvoy {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // id-at-commonName (2.5.4.3), then a UTF8String of 11 bytes.
        let name = [b"\x06\x03\x55\x04\x03\x0c\x0b".as_slice(), b"front-envoy"].concat();
        let found = certificate.windows(name.len()).filter(|w| *w == name).count();
        // Issuer and subject.
        assert_eq!(found, 2);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Starts the real Envoy, a process for each proxy.
struct Envoy(String);

impl StartProxy for Envoy {
    async fn start(&self, bootstrap: &str, name: &str) -> Result<RunningProxy, BoxError> {
        let files = tempfile::tempdir()?;
        let (config, admin) = (files.path().join("envoy.yaml"), files.path().join("admin"));
        std::fs::write(&config, bootstrap)?;
        let mut child = Command::new(&self.0)
            .args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "error", "-c"])
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let address: SocketAddr = loop {
            if let Some(status) = child.try_wait()? {
                return Err(format!("{name}: envoy ended with {status}").into());
            }
            match std::fs::read_to_string(&admin).map(|text| text.parse()) {
                Ok(Ok(address)) if get(address, "/ready").await == "LIVE\n" => break address,
                _ => sleep(Duration::from_millis(20)).await,
            }
        };
        Ok(RunningProxy::new(address, move || async move {
            drop(files);
            // It ends at once, without regard to what is under way.
            _ = child.kill().await;
        }))
    }
}
