//! `/server_info`, `/ready`, `/memory` and `/init_dump`.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::page::Page;
use super::state::AdminState;
use super::timestamp::seconds;
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
        "node": info.node,
        "hot_restart_initializing": false,
    }))
}

pub(super) fn ready(state: &AdminState, _: &str) -> Page {
    let server = state.server.server_info().state;
    let status = if server == ServerState::Live {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Page::text(format!("{}\n", server.as_str())).with_status(status)
}

pub(super) fn memory(_: &AdminState, _: &str) -> Page {
    let memory = Memory::now();
    // 64-bit numbers are strings in protobuf's JSON.
    Page::json(&json!({
        "allocated": memory.allocated.to_string(),
        "heap_size": memory.heap_size.to_string(),
        "pageheap_unmapped": memory.heap_size.saturating_sub(memory.allocated).to_string(),
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
        let dumps = targets
            .into_iter()
            .map(|(kind, names)| json!({ "name": kind, "target_names": names }));
        page.insert("unready_targets_dumps".to_owned(), dumps.collect());
    }
    Page::json(&Value::Object(page))
}
