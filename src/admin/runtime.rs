//! `/runtime` and `/runtime_modify`.

use http::StatusCode;
use serde_json::{Map, json};

use super::page::Page;
use super::state::AdminState;
use crate::runtime::ModifyError;
use crate::stats::parameters;

pub(super) fn show(state: &AdminState, _: &str) -> Page {
    let runtime = state.runtime.as_ref().map(|runtime| runtime.status()).unwrap_or_default();
    let entries = runtime.entries.into_iter().map(|(key, values)| {
        let last = values.iter().rev().find(|value| !value.is_empty());
        let last = last.cloned().unwrap_or_default();
        (key, json!({ "layer_values": values, "final_value": last }))
    });
    Page::json(&json!({
        "entries": entries.collect::<Map<_, _>>(),
        "layers": runtime.layers,
    }))
}

pub(super) fn modify(state: &AdminState, query: &str) -> Page {
    let values = parameters(query).collect::<Vec<_>>();
    if values.is_empty() {
        return Page::bad_request(
            "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n       \
             or send the parameters as form values\n\
             use an empty value to remove a previously added override",
        );
    }
    // Of a key that comes twice the first value counts, and `modify` takes the last.
    let values = values.into_iter().rev();
    let modified = match &state.runtime {
        Some(runtime) => runtime.modify(values),
        None => Err(ModifyError::NoAdminLayer),
    };
    match modified {
        Ok(()) => Page::ok(),
        Err(error) => Page::text(error.to_string()).with_status(StatusCode::SERVICE_UNAVAILABLE),
    }
}
