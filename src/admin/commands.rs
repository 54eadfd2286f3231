//! The table of pages: routes, `/help` and `/` are all made from it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Request, State};
use axum::routing::any;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response, StatusCode};

use super::page::Page;
use super::state::AdminState;
use super::{
    certs, clusters, config_dump, control, guard, help, listeners, logging, runtime, server_info,
    stats,
};
use crate::stats::parameters;

/// A page.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) path: &'static str,
    pub(super) help: &'static str,
    pub(super) method: Needs,
    pub(super) parameters: &'static [Parameter],
    run: Run,
}

/// What makes a page.
#[derive(Clone, Copy, Debug)]
enum Run {
    /// The list of commands, for browsers.
    Home,
    /// The list of commands.
    Help,
    /// The query alone.
    Query(fn(&AdminState, &str) -> Page),
    /// What the client accepts, too.
    Headers(fn(&AdminState, &str, &HeaderMap) -> Page),
}

/// Which methods a page takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Any: it changes nothing.
    Any,
    /// `POST`: it changes something.
    Post,
    /// `POST`, with parameters in the query or, if there are none, in a form.
    PostForm,
}

impl Command {
    pub(super) fn mutates(&self) -> bool {
        self.method != Needs::Any
    }
}

/// A parameter of a page's query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) input: Input,
}

/// What a parameter may be.
#[derive(Debug)]
pub(super) enum Input {
    /// Text.
    Text,
    /// There or not.
    Flag,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// The app with those pages of which `wanted` says so.
pub(super) fn router<S>(state: AdminState, wanted: impl Fn(&str) -> bool) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let listed = COMMANDS.iter().filter(|command| wanted(command.path));
    let listed: Listed = listed.collect();
    let others = Arc::clone(&listed);
    let mut router = Router::new().fallback(move || std::future::ready(unknown(&others)));
    for &command in listed.iter() {
        let listed = Arc::clone(&listed);
        let handler = move |State(state): State<AdminState>, uri: OriginalUri, request: Request| {
            run(command, listed, state, uri, request)
        };
        router = router.route(command.path, any(handler));
    }
    router.with_state(state)
}

/// The commands of an app.
type Listed = Arc<[&'static Command]>;

fn unknown(listed: &[&Command]) -> Response<Body> {
    let text = format!("invalid path. {}", help::text(listed));
    Page::text(text).with_status(StatusCode::NOT_FOUND).into_response()
}

async fn run(
    command: &Command,
    listed: Listed,
    state: AdminState,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let trusted = &state.trusted_hosts;
    if state.on_loopback && !guard::is_for_this_machine(&head.uri, &head.headers, trusted) {
        let page = Page::text("These pages are for this machine: ask for localhost.\n");
        return page.with_status(StatusCode::FORBIDDEN).into_response();
    }
    let mut query = head.uri.query().unwrap_or_default().to_owned();
    if command.mutates() {
        if head.method != Method::POST {
            let text = format!("Method {} not allowed, POST required.", head.method);
            let page = Page::text(text).with_status(StatusCode::METHOD_NOT_ALLOWED);
            return page.into_response();
        }
        if !guard::allows(&head.uri, &head.headers, trusted) {
            let page = Page::text("A page of another site may not do this.\n");
            return page.with_status(StatusCode::FORBIDDEN).into_response();
        }
    }
    if command.method == Needs::PostForm
        && parameters(&query).next().is_none()
        && is_form(&head.headers)
    {
        let Ok(form) = axum::body::to_bytes(body, FORM_LIMIT).await else {
            let page = Page::text("form too large\n").with_status(StatusCode::PAYLOAD_TOO_LARGE);
            return page.into_response();
        };
        query = String::from_utf8_lossy(&form).into_owned();
    }
    let page = match command.run {
        Run::Home => Page::html(help::home(&listed, uri.path())),
        Run::Help => Page::text(help::text(&listed)),
        Run::Query(run) => run(&state, &query),
        Run::Headers(run) => run(&state, &query, &head.headers),
    };
    page.into_response()
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded")
}

/// Bytes of a form.
const FORM_LIMIT: usize = 64 * 1024;

const fn page(path: &'static str, help: &'static str, run: Run) -> Command {
    Command { path, help, method: Needs::Any, parameters: &[], run }
}

const fn lever(
    path: &'static str,
    help: &'static str,
    run: fn(&AdminState, &str) -> Page,
) -> Command {
    Command { path, help, method: Needs::Post, parameters: &[], run: Run::Query(run) }
}

const fn text(name: &'static str, help: &'static str) -> Parameter {
    Parameter { name, help, input: Input::Text }
}

const fn flag(name: &'static str, help: &'static str) -> Parameter {
    Parameter { name, help, input: Input::Flag }
}

const fn one_of(
    name: &'static str,
    help: &'static str,
    options: &'static [&'static str],
) -> Parameter {
    Parameter { name, help, input: Input::OneOf(options) }
}

const ENABLE: &[Parameter] = &[one_of("enable", "on or off", &["y", "n"])];
const FORMAT: Parameter = one_of("format", "How to print it", &["text", "json"]);
const FILTER: Parameter = text("filter", "Only names in which this regular expression is found");
const INVERT: Parameter = flag("invert_filter", "Only names in which the filter is not found");
const USED: Parameter = flag("usedonly", "Leave out what was never written to");
const LEVELS: &[&str] = &["", "trace", "debug", "info", "warning", "error", "critical", "off"];

/// By path, as `/help` lists them.
pub(super) static COMMANDS: &[Command] = &[
    page("/", "this list, for browsers", Run::Home),
    Command {
        parameters: ENABLE,
        ..lever("/allocprofiler", "profile allocations (not in this build)", |_, query| {
            control::profiler(query, "The current build does not support allocation profiler\n")
        })
    },
    page("/certs", "certificates in use", Run::Query(certs::show)),
    Command {
        parameters: &[FILTER, FORMAT],
        ..page("/clusters", "clusters with their endpoints", Run::Query(clusters::show))
    },
    Command {
        parameters: &[
            text("resource", "Only this repeated field, such as static_clusters"),
            text("mask", "Only these fields, by path, separated by commas"),
            text("name_regex", "Only resources with a matching name"),
            flag("include_eds", "With the endpoints of clusters as they are now"),
        ],
        ..page(
            "/config_dump",
            "the configuration as it was loaded, without secrets",
            Run::Query(config_dump::show),
        )
    },
    page(
        "/contention",
        "waits on locks (not traced)",
        Run::Query(|_, _| {
            Page::text(
                "Mutex contention tracing is not enabled. To enable, run Envoy with flag \
             --enable-mutex-tracing.",
            )
        }),
    ),
    Command {
        parameters: ENABLE,
        ..lever("/cpuprofiler", "profile the CPU (not in this build)", |_, query| {
            control::profiler(query, "The current build does not support CPU profiler\n")
        })
    },
    Command {
        parameters: &[
            flag("graceful", "Ask clients to leave for the drain time, then close"),
            flag("skip_exit", "Ask clients to leave, but go on listening"),
            flag("inboundonly", "Only listeners whose traffic_direction is INBOUND"),
        ],
        ..lever("/drain_listeners", "stop listening", control::drain_listeners)
    },
    lever("/healthcheck/fail", "fail health checks from now on", |state, _| {
        control::set_healthy(state, false)
    }),
    lever("/healthcheck/ok", "pass health checks again", |state, _| {
        control::set_healthy(state, true)
    }),
    page(
        "/heap_dump",
        "allocations that live (not in this build)",
        Run::Query(|_, _| Page::unsupported("Heap dump is not supported in current build\n")),
    ),
    Command {
        parameters: ENABLE,
        ..lever("/heapprofiler", "profile the heap (not in this build)", |_, _| {
            Page::unsupported("The current build does not support heap profiler")
        })
    },
    page("/help", "this list", Run::Help),
    page(
        "/hot_restart_version",
        "which processes could take over from this one",
        Run::Query(|_, _| Page::text(server_info::HOT_RESTART)),
    ),
    Command {
        parameters: &[text("mask", "Only this kind: listener or cluster")],
        ..page("/init_dump", "what start-up still waits for", Run::Query(server_info::init_dump))
    },
    Command {
        parameters: &[FORMAT],
        ..page("/listeners", "listeners", Run::Query(listeners::show))
    },
    Command {
        parameters: &[
            text("paths", "Levels by logger: NAME:LEVEL,NAME:LEVEL"),
            one_of("level", "One level for every logger", LEVELS),
        ],
        ..lever("/logging", "show or change log levels", logging::show)
    },
    page("/memory", "memory of this process", Run::Query(server_info::memory)),
    page(
        "/memory/tcmalloc",
        "numbers of tcmalloc (not in this build)",
        Run::Query(|_, _| Page::unsupported("tcmalloc is not the allocator of this build\n")),
    ),
    page(
        "/peak_heap_dump",
        "allocations at the peak (not in this build)",
        Run::Query(|_, _| Page::unsupported("Heap dump is not supported in current build\n")),
    ),
    lever("/quitquitquit", "end the process", control::quit),
    page("/ready", "200 while the server is LIVE, else 503", Run::Query(server_info::ready)),
    lever("/reopen_logs", "open log files anew", control::reopen_logs),
    lever("/reset_counters", "set all counters to zero", |state, _| {
        state.stats.reset_counters();
        // Envoy counts lookups among them.
        state.stats.lookups().clear();
        Page::ok()
    }),
    page("/runtime", "runtime values by layer", Run::Query(runtime::show)),
    Command {
        method: Needs::PostForm,
        ..lever(
            "/runtime_modify",
            "override runtime values: KEY=VALUE&KEY=VALUE; an empty value ends an override",
            runtime::modify,
        )
    },
    page("/server_info", "version, state and options of the server", Run::Query(server_info::show)),
    Command {
        parameters: &[
            USED,
            FILTER,
            INVERT,
            one_of("format", "How to print them", &["html", "active-html", "text", "json"]),
            one_of(
                "type",
                "Only stats of this kind",
                &["All", "Counters", "Histograms", "Gauges", "TextReadouts"],
            ),
            one_of(
                "histogram_buckets",
                "How to show histograms",
                &["cumulative", "disjoint", "detailed", "summary"],
            ),
        ],
        ..page("/stats", "stats", Run::Headers(stats::show))
    },
    Command {
        parameters: &[
            USED,
            flag("text_readouts", "Show texts as labels of gauges that are 0"),
            FILTER,
            INVERT,
            one_of("histogram_buckets", "How to show histograms", &["cumulative", "summary"]),
        ],
        ..page("/stats/prometheus", "stats for Prometheus", Run::Headers(stats::prometheus))
    },
    page(
        "/stats/recentlookups",
        "names of stats that were looked up of late",
        Run::Query(|state, _| Page::text(state.stats.lookups().page())),
    ),
    lever("/stats/recentlookups/clear", "forget lookups", |state, _| {
        state.stats.lookups().clear();
        Page::ok()
    }),
    lever("/stats/recentlookups/disable", "stop noting lookups", |state, _| {
        state.stats.lookups().disable();
        Page::ok()
    }),
    lever("/stats/recentlookups/enable", "note lookups", |state, _| {
        state.stats.lookups().enable();
        Page::ok()
    }),
];
