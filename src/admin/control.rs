//! Pages that change something.

use super::page::Page;
use super::state::{AdminState, Unsupported};
use super::status::DrainOptions;
use crate::stats::parameter;

pub(super) fn drain_listeners(state: &AdminState, query: &str) -> Page {
    let on = |name| parameter(query, name).is_some();
    let options = DrainOptions {
        graceful: on("graceful"),
        inbound_only: on("inboundonly"),
        skip_exit: on("skip_exit"),
    };
    done(state.control.drain_listeners(options))
}

pub(super) fn set_healthy(state: &AdminState, healthy: bool) -> Page {
    done(state.control.set_healthy(healthy))
}

pub(super) fn quit(state: &AdminState, _: &str) -> Page {
    done(state.control.quit())
}

pub(super) fn reopen_logs(state: &AdminState, _: &str) -> Page {
    done(state.control.reopen_logs())
}

/// The answer of a profiler that was not built in; a wrong question is still told apart.
pub(super) fn profiler(query: &str, missing: &'static str) -> Page {
    match parameter(query, "enable").as_deref() {
        Some("y" | "n") => Page::unsupported(missing),
        _ => Page::bad_request("?enable=<y|n>\n"),
    }
}

fn done(result: Result<(), Unsupported>) -> Page {
    match result {
        Ok(()) => Page::ok(),
        Err(Unsupported) => Page::unsupported("This process does not support that\n"),
    }
}
