//! `/listeners`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::page::Page;
use super::state::AdminState;
use crate::stats::parameter;

pub(super) fn show(state: &AdminState, query: &str) -> Page {
    let listeners = state.listeners.listeners();
    if parameter(query, "format").as_deref() != Some("json") {
        let mut page = String::new();
        for listener in listeners {
            let _ = writeln!(page, "{}::{}", listener.name, listener.address);
        }
        return Page::text(page);
    }
    let mut page = Map::new();
    if !listeners.is_empty() {
        let listeners = listeners.into_iter().map(
            |listener| json!({ "name": listener.name, "local_address": address(listener.address) }),
        );
        page.insert("listener_statuses".to_owned(), listeners.collect());
    }
    Page::json(&Value::Object(page))
}

pub(super) fn address(address: SocketAddr) -> Value {
    json!({
        "socket_address": { "address": address.ip().to_string(), "port_value": address.port() },
    })
}
