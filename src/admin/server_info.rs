//! `/server_info`, `/ready`, `/memory` and `/init_dump`.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::page::Page;
use super::state::AdminState;
use super::timestamp::seconds;
use super::version;
use crate::stats::server::ServerState;
use crate::stats::{Memory, parameter};

/// Sockets are not handed over to a new process; Envoy says so when it is told not to.
pub(super) const HOT_RESTART: &str = "disabled";

pub(super) fn show(state: &AdminState, _: &str) -> Page {
    let info = state.server.server_info();
    Page::json(&json!({
        "version": info.version,
        "state": info.state.as_str(),
        "uptime_current_epoch": seconds(info.uptime),
        // Without hot restart there is one epoch.
        "uptime_all_epochs": seconds(info.uptime),
        "hot_restart_version": HOT_RESTART,
        "command_line_options": info.command_line_options,
        "node": node(info.node),
        "hot_restart_initializing": false,
    }))
}

/// What the configuration says about the node, and what this build is: here fields are shown that
/// say nothing, too.
fn node(given: Map<String, Value>) -> Map<String, Value> {
    let mut node = Map::new();
    for field in ["id", "cluster"] {
        node.insert(field.to_owned(), "".into());
    }
    node.extend(described(Map::new()));
    for field in ["client_features", "listening_addresses"] {
        node.insert(field.to_owned(), json!([]));
    }
    node.insert("dynamic_parameters".to_owned(), json!({}));
    node.extend(given);
    node
}

/// A node with what this build is.
pub(super) fn described(given: Map<String, Value>) -> Map<String, Value> {
    let mut version = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u32>().ok());
    let mut next = || version.next().flatten().unwrap_or_default();
    let node = json!({
        "user_agent_name": env!("CARGO_PKG_NAME"),
        "user_agent_build_version": {
            "version": { "major_number": next(), "minor_number": next(), "patch": next() },
            "metadata": {
                "build.type": version::build_type(),
                "revision.sha": version::commit(),
                "ssl.version": "ring",
            },
        },
    });
    let mut node = if let Value::Object(node) = node { node } else { Map::new() };
    node.extend(given);
    node
}

pub(super) fn ready(state: &AdminState, _: &str) -> Page {
    let server = state.server.server_info().state;
    let status =
        if server == ServerState::Live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Page::text(format!("{}\n", server.as_str())).with_status(status)
}

pub(super) fn memory(_: &AdminState, _: &str) -> Page {
    let memory = Memory::now();
    // 64-bit numbers are strings in protobuf's JSON.
    Page::json(&json!({
        "allocated": memory.allocated.to_string(),
        "heap_size": memory.heap_size.to_string(),
        "pageheap_unmapped": memory.unmapped.to_string(),
        // The allocator does not tell what it keeps for reuse: it counts as allocated.
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": memory.physical.to_string(),
    }))
}

pub(super) fn init_dump(state: &AdminState, query: &str) -> Page {
    let mask = parameter(query, "mask").filter(|mask| !mask.is_empty());
    let mut targets = state.server.unready_targets();
    targets
        .retain(|kind, names| !names.is_empty() && mask.as_ref().is_none_or(|mask| mask == kind));
    let mut page = Map::new();
    if !targets.is_empty() {
        let dumps =
            targets.into_iter().map(|(kind, names)| json!({ "name": kind, "target_names": names }));
        page.insert("unready_targets_dumps".to_owned(), dumps.collect());
    }
    Page::json(&Value::Object(page))
}
