use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::{HeaderName, USER_AGENT, VIA};
use http::{HeaderMap, HeaderValue};

use crate::headers;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const INTERNAL: HeaderName = HeaderName::from_static("x-envoy-internal");
const EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");
const CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const SERVICE_CLUSTER: HeaderName = HeaderName::from_static("x-envoy-downstream-service-cluster");
const SERVICE_NODE: HeaderName = HeaderName::from_static("x-envoy-downstream-service-node");
const REQUEST_ID: HeaderName = crate::request_id::REQUEST_ID;

/// Who is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client's address: the peer's, or what a trusted proxy says that it is.
    pub address: IpAddr,
    /// The other end of the connection.
    pub peer: SocketAddr,
}

/// What is believed of a request, and what is said about it upstream. The fields have the names
/// and defaults of Envoy's connection manager.
#[derive(Clone, Debug, Default)]
pub struct ForwardedPolicy {
    /// Take the peer's address for the client's. Default `false`.
    pub use_remote_address: bool,
    /// How many of the last `x-forwarded-for` entries trusted proxies have added. Default 0.
    pub xff_num_trusted_hops: u32,
    /// Do not append to `x-forwarded-for`. Default `false`.
    pub skip_xff_append: bool,
    /// Addresses whose requests may use the router's control headers. Default none.
    pub internal_addresses: Vec<(IpAddr, u8)>,
    /// Write IPv4 peers as `::ffff:a.b.c.d` into the `-for` header's entry. Default `false`.
    pub ipv4_as_mapped_ipv6: bool,
    /// Keep `x-request-id` of external requests at an edge. Default `false`.
    pub preserve_external_request_id: bool,
    /// This machine's address, which an edge appends to `x-forwarded-for` where the peer is a
    /// loopback one: what comes from this machine comes from its address.
    pub local_address: Option<IpAddr>,
    /// What becomes of `x-forwarded-client-cert`. Default: nobody's word counts.
    pub client_cert: ForwardClientCert,
    /// Says who we are (`add_user_agent`): in `x-envoy-downstream-service-cluster`, and in
    /// `user-agent` where the client says nothing. Default none.
    pub service_cluster: Option<HeaderValue>,
    /// `x-envoy-downstream-service-node`, beside [`service_cluster`](Self::service_cluster).
    pub service_node: Option<HeaderValue>,
    /// Appended to `via`. Default none.
    pub via: Option<HeaderValue>,
}

/// What becomes of `x-forwarded-client-cert` (Envoy's `forward_client_cert_details`). Only on
/// connections with a client certificate may anything but [`AlwaysForwardOnly`] let it pass.
///
/// [`AlwaysForwardOnly`]: Self::AlwaysForwardOnly
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardClientCert {
    /// It goes.
    #[default]
    Sanitize,
    /// It passes.
    ForwardOnly,
    /// The client's certificate is appended.
    AppendForward,
    /// It is the client's certificate.
    SanitizeSet,
    /// It passes on any connection.
    AlwaysForwardOnly,
}

impl ForwardClientCert {
    /// Whether it matters which certificate the client has shown.
    pub fn names_certificate(self) -> bool {
        !matches!(self, Self::Sanitize | Self::AlwaysForwardOnly)
    }

    /// Applies the rule. `certificate` describes the one that the client has shown, if it has.
    fn apply(self, headers: &mut HeaderMap, certificate: Option<&HeaderValue>) {
        match (self, certificate) {
            (Self::AlwaysForwardOnly, _) | (Self::ForwardOnly, Some(_)) => {}
            (Self::AppendForward, Some(own)) => {
                headers::append_to_list(headers, &CLIENT_CERT, own, ",");
            }
            (Self::SanitizeSet, Some(own)) => {
                headers.insert(CLIENT_CERT, own.clone());
            }
            _ => {
                headers::take(headers, &CLIENT_CERT);
            }
        }
    }
}

impl ForwardedPolicy {
    /// Applies the policy to the headers of a request from `peer`.
    /// `certificate` describes the peer's, as `x-forwarded-client-cert` does, if it has shown one.
    pub fn apply(&self, headers: &mut HeaderMap, peer: Peer, certificate: Option<&HeaderValue>) {
        // Before anything is written: what is ours is no reason to look for what has to go.
        let has_controls = headers.keys().any(|name| name.as_str().starts_with("x-envoy-"));
        let internal = if self.use_remote_address {
            self.at_edge(headers, peer, has_controls)
        } else {
            self.behind_edge(headers, peer)
        };
        if internal {
            headers.insert(INTERNAL, HeaderValue::from_static("true"));
        } else if has_controls {
            strip_controls(headers);
        }
        self.client_cert.apply(headers, certificate);
        self.introduce(headers);
    }

    /// The client's address after [`apply`](Self::apply): the peer's, or the one that trusted
    /// proxies have put into `x-forwarded-for`.
    pub fn client_address(&self, headers: &HeaderMap, peer: Peer) -> SocketAddr {
        let hops = self.xff_num_trusted_hops;
        let back = match (self.use_remote_address, self.skip_xff_append) {
            (false, _) => Some(hops),
            (true, false) => (hops > 0).then_some(hops),
            (true, true) => hops.checked_sub(1),
        };
        // The header says nothing of the port.
        back.and_then(|back| last_address(headers, back))
            .map_or(peer.address, |address| SocketAddr::new(address, 0))
    }

    /// Says upstream who we are.
    fn introduce(&self, headers: &mut HeaderMap) {
        if let Some(cluster) = &self.service_cluster {
            headers.insert(SERVICE_CLUSTER, cluster.clone());
            if headers.get(USER_AGENT).is_none_or(HeaderValue::is_empty) {
                headers.insert(USER_AGENT, cluster.clone());
            }
            if let Some(node) = &self.service_node {
                headers.insert(SERVICE_NODE, node.clone());
            }
        }
        if let Some(via) = &self.via {
            headers::append_to_list(headers, &VIA, via, ", ");
        }
    }

    /// The address of the client of a request as it came, before the policy was applied.
    pub fn client(&self, headers: &HeaderMap, peer: Peer) -> IpAddr {
        let told = match (self.use_remote_address, self.xff_num_trusted_hops) {
            (true, 0) => None,
            (true, hops) => last_address(headers, hops - 1),
            (false, hops) => last_address(headers, hops),
        };
        told.unwrap_or_else(|| peer.address.ip().to_canonical())
    }

    /// The proxy is where requests come in. Returns whether this one is internal.
    fn at_edge(&self, headers: &mut HeaderMap, peer: Peer, has_controls: bool) -> bool {
        let single_hop = !headers.contains_key(FOR);
        let client = self.client(headers, peer);
        if !self.skip_xff_append {
            self.append(headers, peer);
        }
        if self.xff_num_trusted_hops == 0 || !headers.contains_key(PROTO) {
            headers.insert(PROTO, scheme(peer));
        }
        let internal = single_hop && self.is_internal(client);
        if !internal {
            if !self.preserve_external_request_id {
                headers.remove(REQUEST_ID);
            }
            if has_controls {
                for name in EDGE {
                    headers.remove(&name);
                }
            }
            if let Ok(address) = HeaderValue::from_str(&client.to_string()) {
                headers.insert(EXTERNAL_ADDRESS, address);
            }
        }
        internal
    }

    /// The proxy is behind another, whose word counts. Returns whether the request is internal.
    fn behind_edge(&self, headers: &mut HeaderMap, peer: Peer) -> bool {
        if let http::header::Entry::Vacant(entry) = headers.entry(PROTO) {
            entry.insert(scheme(peer));
        }
        if self.internal_addresses.is_empty() {
            return false;
        }
        // One entry only: a request that went through several proxies came from outside.
        let single = headers.get(FOR).is_some_and(|v| !v.as_bytes().contains(&b','));
        single
            && last_address(headers, self.xff_num_trusted_hops)
                .is_some_and(|client| self.is_internal(client))
    }

    fn append(&self, headers: &mut HeaderMap, peer: Peer) {
        let address = peer.address.ip().to_canonical();
        let entry = match (self.local_address, address) {
            // As it is, also where others are mapped.
            (Some(local), address) if address.is_loopback() => local.to_string(),
            (_, IpAddr::V4(v4)) if self.ipv4_as_mapped_ipv6 => format!("::ffff:{v4}"),
            (_, address) => address.to_string(),
        };
        // One line: an upstream that looks at the first only must not see the client's alone.
        if let Ok(entry) = HeaderValue::from_str(&entry) {
            headers::append_to_list(headers, &FOR, &entry, ",");
        }
    }

    fn is_internal(&self, address: IpAddr) -> bool {
        self.internal_addresses.iter().any(|(network, bits)| contains(*network, *bits, address))
    }
}

fn scheme(peer: Peer) -> HeaderValue {
    HeaderValue::from_static(if peer.tls { "https" } else { "http" })
}

/// The address that the `back`-th last entry of `x-forwarded-for` gives.
fn last_address(headers: &HeaderMap, back: u32) -> Option<IpAddr> {
    let mut from_the_end = headers
        .get_all(FOR)
        .iter()
        .rev()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.rsplit(','));
    from_the_end.nth(usize::try_from(back).ok()?)?.trim().parse().ok()
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => same_prefix(
            u128::from(u32::from(network)) << 96,
            u128::from(u32::from(address)) << 96,
            bits,
        ),
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            same_prefix(network.into(), address.into(), bits)
        }
        _ => false,
    }
}

fn same_prefix(a: u128, b: u128, bits: u8) -> bool {
    let mask = match bits {
        0 => 0,
        1..=127 => u128::MAX << (128 - bits),
        _ => u128::MAX,
    };
    a & mask == b & mask
}

/// Takes out the controls that only internal clients may use.
fn strip_controls(headers: &mut HeaderMap) {
    for name in CONTROLS {
        headers.remove(&name);
    }
}

const CONTROLS: [HeaderName; 15] = [
    INTERNAL,
    HeaderName::from_static("x-envoy-expected-rq-timeout-ms"),
    HeaderName::from_static("x-envoy-force-trace"),
    HeaderName::from_static("x-envoy-hedge-on-per-try-timeout"),
    HeaderName::from_static("x-envoy-ip-tags"),
    HeaderName::from_static("x-envoy-max-retries"),
    HeaderName::from_static("x-envoy-original-url"),
    HeaderName::from_static("x-envoy-retriable-header-names"),
    HeaderName::from_static("x-envoy-retriable-status-codes"),
    HeaderName::from_static("x-envoy-retry-grpc-on"),
    HeaderName::from_static("x-envoy-retry-on"),
    HeaderName::from_static("x-envoy-upstream-alt-stat-name"),
    HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-alt-response"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-ms"),
];

/// What an edge also takes from external requests.
const EDGE: [HeaderName; 4] = [
    HeaderName::from_static("x-envoy-decorator-operation"),
    HeaderName::from_static("x-envoy-downstream-service-cluster"),
    HeaderName::from_static("x-envoy-downstream-service-node"),
    HeaderName::from_static("x-envoy-original-path"),
];

/// The peer of a request that nobody knows anything about.
pub(super) const UNKNOWN: Peer =
    Peer { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), tls: false };
