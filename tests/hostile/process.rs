//! The proxy, in a process of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Front;
use super::process_support::{Running, free_ports, stat, wait_for};

pub(crate) struct Proxy {
    process: Running,
    admin: u16,
    pub(crate) front: Front,
}

impl Proxy {
    /// With timeouts that are over within the test, but long enough for good requests on a machine that
    /// is busy with something else.
    pub(crate) fn start(app: SocketAddr) -> Self {
        let [plain, tls, admin] = free_ports();
        let key = rcgen::generate_simple_self_signed(["hostile.test".to_owned()]).expect("a key");
        let listener = |port: u16, transport: &str| {
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
"
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
        let flags = ["--config-yaml", &bootstrap, "--concurrency", "2", "--log-level", "error"];
        let process = Running::start(&binary(), &flags);
        for port in [admin, plain, tls] {
            wait_for(port);
        }
        let [plain, tls] = [plain, tls].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Self { process, admin, front: Front { plain, tls, connector: Arc::new(trusting).into() } }
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
            left = IDLE.map(|name| (name, stat(self.admin, name))).to_vec();
            if left.iter().all(|(_, value)| *value == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("after 20 s there is still {left:?}");
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        self.process.resident_kib()
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
        self.process.open_files()
    }
}

/// The binary under test: this build's, unless another is named.
fn binary() -> String {
    std::env::var("HOSTILE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_front-proxy").to_owned())
}
