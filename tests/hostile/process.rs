//! The proxy, in a process of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::Front;

pub(crate) struct Proxy {
    child: Child,
    admin: SocketAddr,
    pub(crate) front: Front,
}

impl Proxy {
    /// With timeouts that are over within the test, but long enough for good requests on a machine that
    /// is busy with something else.
    pub(crate) fn start(app: SocketAddr) -> Self {
        let [plain, tls, admin] = free_addresses();
        let key = rcgen::generate_simple_self_signed(["hostile.test".to_owned()]).expect("a key");
        let listener = |address: SocketAddr, transport: &str| {
            format!(
                r"
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - {transport}
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          request_headers_timeout: 2s
          stream_idle_timeout: 5s
          delayed_close_timeout: 0.5s
          common_http_protocol_options: {{idle_timeout: 3s}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes: [{{match: {{prefix: /}}, route: {{cluster: app}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
",
                port = address.port()
            )
        };
        let indented = |pem: String| pem.replace('\n', "\n                  ");
        let transport = format!(
            r"transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates:
            - certificate_chain:
                inline_string: |
                  {}
              private_key:
                inline_string: |
                  {}",
            indented(key.cert.pem()),
            indented(key.signing_key.serialize_pem()),
        );
        let bootstrap = format!(
            r"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:{plain}{tls}
  clusters:
  - name: app
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {{idle_timeout: 3s}}
        explicit_http_config: {{http_protocol_options: {{}}}}
    load_assignment:
      cluster_name: app
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {app}}}}}}}}}]}}]
",
            admin = admin.port(),
            app = app.port(),
            plain = listener(plain, "name: plain"),
            tls = listener(tls, &transport),
        );
        let mut roots = rustls::RootCertStore::empty();
        roots.add(key.cert.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusting = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let child = Command::new(binary())
            .args(["--config-yaml", &bootstrap, "--concurrency", "2", "--log-level", "error"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary");
        let this = Self {
            child,
            admin,
            front: Front { plain, tls, connector: Arc::new(trusting).into() },
        };
        for address in [admin, plain, tls] {
            this.wait_for(address);
        }
        this
    }

    fn wait_for(&self, address: SocketAddr) {
        for _ in 0..400 {
            if TcpStream::connect(address).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("nothing listens on {address}");
    }

    /// Waits until no request and no connection is left, on either side.
    pub(crate) async fn until_idle(&self) {
        const IDLE: [&str; 4] = [
            "http.front.downstream_cx_active",
            "http.front.downstream_rq_active",
            "cluster.app.upstream_cx_active",
            "cluster.app.upstream_rq_active",
        ];
        let mut left = Vec::new();
        for _ in 0..200 {
            left = IDLE.map(|name| (name, self.stat(name))).to_vec();
            if left.iter().all(|(_, value)| *value == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("after 20 s there is still {left:?}");
    }

    fn stat(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.admin).expect("the admin port");
        let request = format!(
            "GET /stats?filter=^{name}$ HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name}: {text}"))
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a running process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Open file descriptors, when they are this few or after a while: the admin's connection, by
    /// which the test looks, takes a moment to go.
    pub(crate) async fn files_once_down_to(&self, few: usize) -> usize {
        for _ in 0..50 {
            if self.files() <= few {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.files()
    }

    /// Open file descriptors.
    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .expect("a running process")
            .count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test: this build's, unless another is named.
fn binary() -> String {
    std::env::var("HOSTILE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_front-proxy").to_owned())
}

fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("bound"))
}
