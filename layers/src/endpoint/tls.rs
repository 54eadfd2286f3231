//! The TLS configuration that connections to endpoints are opened with; it may be replaced.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;

/// A TLS configuration that can be replaced while it is in use, as certificates are renewed.
///
/// Connections that are open stay as they are; those that are opened later, by any clone, take the
/// new one. Sessions are resumed within one configuration only, so a peer that the new one would
/// not trust gets no connection by an old session.
///
/// ```
/// use std::sync::Arc;
/// use front_proxy_layers::endpoint::{Connector, SharedClientConfig};
/// use rustls::{ClientConfig, RootCertStore};
///
/// let config = || {
///     let provider = Arc::new(rustls::crypto::ring::default_provider());
///     let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
///     let roots = RootCertStore::empty(); // those that are trusted
///     builder.map(|b| Arc::new(b.with_root_certificates(roots).with_no_client_auth()))
/// };
/// let shared = SharedClientConfig::from(config()?);
/// let connector = Connector::tls(shared.clone(), None); // for the cluster
/// shared.replace(config()?); // later
/// # assert!(connector.is_tls());
/// # Ok::<(), rustls::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedClientConfig(Arc<ArcSwap<ClientConfig>>);

impl SharedClientConfig {
    /// What connections are opened with from now on.
    pub fn replace(&self, config: Arc<ClientConfig>) {
        self.0.store(config);
    }

    /// What connections are opened with now.
    pub fn current(&self) -> Arc<ClientConfig> {
        self.0.load_full()
    }
}

impl From<Arc<ClientConfig>> for SharedClientConfig {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }
}

impl fmt::Debug for SharedClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedClientConfig").finish_non_exhaustive()
    }
}
