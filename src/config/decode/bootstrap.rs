//! The bootstrap: node, admin, runtime, and the listeners and clusters.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use front_proxy_layers::runtime::Key;

use crate::config::decode::cluster::cluster;
use crate::config::decode::dns::{self, Resolver};
use crate::config::decode::listener::listener;
use crate::config::decode::runtime::runtime;
use crate::config::decode::shared::ip_port;
use crate::config::decode::stats;
use crate::config::deprecated::Looks;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message};
use crate::config::model::{Admin, Bootstrap, Cluster, Listener, Node as NodeModel, Source};
use crate::config::schema::bootstrap::{ADMIN, BOOTSTRAP, LOCALITY, NODE, STATIC_RESOURCES};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::yaml::Node;

/// Reads the whole tree.
pub(in crate::config) fn bootstrap(cx: &Context, root: &Node) -> Bootstrap {
    let mut out = Bootstrap::default();
    let Some(m) = Message::open(cx, root, &BOOTSTRAP) else {
        return out;
    };
    // The runtime first: other fields may name its keys.
    out.runtime = cx.runtime.clone();
    out.runtime_layers = runtime(&m);
    if let Some(node) = m.message("node", &NODE) {
        out.node = node_of(node);
    }
    if let Some(admin) = m.message("admin", &ADMIN) {
        out.admin = admin_of(admin);
    }
    let resolver = dns::resolver(&m, "typed_dns_resolver_config").unwrap_or_default();
    if let Some(resources) = m.message("static_resources", &STATIC_RESOURCES) {
        out.clusters = clusters(&resources, &resolver);
        out.listeners = cx.looked_at(Looks::Once, || listeners(&resources));
        resources.finish();
    }
    stats::read(&m, &mut out);

    m.finish();
    check_references(cx, &out.clusters);
    out.source = Source(cx.json(root));
    out.unknown_fields = cx.unknown_fields();
    out.deprecated = cx.take_deprecated();
    out
}

fn node_of(m: Message<'_>) -> NodeModel {
    let mut out = NodeModel {
        id: m.header_text("id").unwrap_or_default(),
        cluster: m.header_text("cluster").unwrap_or_default(),
        ..NodeModel::default()
    };
    if let Some((region, zone, sub_zone)) = locality(&m) {
        (out.region, out.zone, out.sub_zone) = (region, zone, sub_zone);
    }
    if let Some(metadata) = m.get("metadata") {
        out.metadata = struct_of(m.cx, metadata);
    }
    m.finish();
    out
}

/// `locality`: region, zone and sub zone.
pub(super) fn locality(m: &Message<'_>) -> Option<(String, String, String)> {
    let l = m.message("locality", &LOCALITY)?;
    let [region, zone, sub_zone] =
        ["region", "zone", "sub_zone"].map(|f| l.string(f).unwrap_or_default());
    l.finish();
    Some((region, zone, sub_zone))
}

/// A `google.protobuf.Struct` as JSON.
pub(super) fn struct_of(cx: &Context, node: &Node) -> serde_json::Map<String, serde_json::Value> {
    match cx.json(node) {
        serde_json::Value::Object(map) => map,
        _ => {
            let message = format!("expected a mapping, found {}", node.describe());
            cx.error(&node.span, message);
            serde_json::Map::new()
        }
    }
}

fn admin_of(m: Message<'_>) -> Option<Admin> {
    // As in Envoy, `admin: {}` opens nothing.
    let address = if m.has("address") { ip_port(&m, "address") } else { None };
    m.finish();
    address.map(|address| Admin { address })
}

fn clusters(m: &Message<'_>, resolver: &Resolver) -> Vec<Cluster> {
    let mut out: Vec<Cluster> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for node in m.list("clusters") {
        let Some(cluster) = cluster(m.cx, node, resolver) else {
            continue;
        };
        if let Some(line) = seen.insert(cluster.name.clone(), node.span.line)
            && !cluster.name.is_empty()
        {
            m.cx.report(
                Diagnostic::new(&node.span, format!("duplicate cluster '{}'", cluster.name))
                    .help(format!("the other one is on line {line}")),
            );
        }
        out.push(cluster);
    }
    out
}

fn listeners(m: &Message<'_>) -> Vec<Listener> {
    let mut out: Vec<(Listener, &Span)> = Vec::new();
    let mut names = HashSet::new();
    for node in m.list("listeners") {
        let Some(mut listener) = listener(m.cx, node) else {
            continue;
        };
        listener.connection_limit = connection_limit(m.cx, &listener.name);
        // The first listener of a name stays: Envoy takes a second one for an update, and what is
        // static can't be updated.
        if listener.name.is_empty() || names.insert(listener.name.clone()) {
            out.push((listener, &node.span));
        }
    }
    check_addresses(m.cx, &out);
    out.into_iter().map(|(listener, _)| listener).collect()
}

fn connection_limit(cx: &Context, name: &str) -> Option<Key> {
    let key = || format!("envoy.resource_limits.listener.{name}.connection_limit");
    (!name.is_empty()).then(|| cx.runtime.key(&key()))
}

/// Two listeners can't share an address; with port 0 each gets a port of its own.
fn check_addresses(cx: &Context, listeners: &[(Listener, &Span)]) {
    let mut seen: HashMap<SocketAddr, &Span> = HashMap::new();
    for (listener, place) in listeners {
        let address = listener.address;
        if address.port() == 0 {
            continue;
        }
        if let Some(other) = seen.insert(address, place) {
            let message = format!("the listener has a duplicate address: {address} is taken");
            cx.report(
                Diagnostic::new(place, message)
                    .help(format!("the other listener is on line {}", other.line)),
            );
        }
    }
}

fn check_references(cx: &Context, clusters: &[Cluster]) {
    let references = cx.take_cluster_references();
    // A cluster whose name could not be read may be the one that is meant.
    if clusters.iter().any(|c| c.name.is_empty()) {
        return;
    }
    let known: HashSet<_> = clusters.iter().map(|c| c.name.as_str()).collect();
    let mut budget: usize = 200_000;
    for reference in references {
        if known.contains(reference.name.as_str()) {
            continue;
        }
        let kind = if reference.weighted { "weighted cluster" } else { "cluster" };
        let message = format!("route: unknown {kind} '{}'", reference.name);
        // One name for all clusters (a typo in a template) must not compare all with all.
        let near = if budget > 0 {
            budget = budget.saturating_sub(known.len());
            nearest(&reference.name, known.iter().copied())
        } else {
            None
        };
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "define it under `static_resources.clusters`".to_owned(),
        };
        cx.report(Diagnostic::new(&reference.place, message).help(help));
    }
}
