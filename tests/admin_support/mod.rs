//! An admin app over a make-believe engine.
#![allow(dead_code, clippy::mod_module_files, reason = "shared by test binaries")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use front_proxy::admin::{
    AdminState, CertificateDetails, CertificateStatus, ClusterStatus, ClusterView, ConfigView,
    Control, DrainOptions, HealthFlag, HostStats, HostStatus, ListenerStatus, ListenerView,
    LogLevel, OutlierStatus, ServerInfo, ServerView, UnknownLogger, Unsupported, router, version,
};
use front_proxy::config::load_str;
use front_proxy::runtime::LayeredRuntime;
use front_proxy::stats::Registry;
use front_proxy::stats::server::{ServerState, ServerStats};
use front_proxy_layers::stats::Scope;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// An answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

pub(crate) async fn get(app: &Router, path: &str) -> Page {
    request(app, Method::GET, path, &[], "").await
}

pub(crate) async fn post(app: &Router, path: &str) -> Page {
    request(app, Method::POST, path, &[], "").await
}

pub(crate) async fn request(
    app: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Page {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let response = app.clone().oneshot(request).await.expect("infallible");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let body = String::from_utf8(body.to_vec()).expect("text");
    Page { status: head.status, headers: head.headers, body }
}

/// Key paths with types, sorted.
pub(crate) fn shape(value: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        found.push(format!("{path}: {kind}"));
        match value {
            Value::Array(values) => {
                values.iter().for_each(|value| walk(value, &format!("{path}[]"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found.sort();
    found.dedup();
    found
}

/// The app, and what was done through it.
pub(crate) fn engine() -> (Router, Arc<Engine>) {
    let registry = Registry::new(2);
    let engine = Arc::new(Engine {
        calls: Mutex::default(),
        state: Mutex::default(),
        levels: Mutex::new(["admin", "http"].map(|name| (name.to_owned(), LogLevel::Info)).into()),
    });
    let stats = ServerStats::new(&registry.scope(), 2, version::number());
    let state = AdminState::new(registry)
        .server(engine.clone(), stats)
        .clusters(engine.clone())
        .listeners(engine.clone())
        .config(engine.clone())
        .control(engine.clone())
        .runtime(Arc::new(runtime()));
    (router(state), engine)
}

/// A layer that is fixed, and one that is not.
fn runtime() -> LayeredRuntime {
    let layers = "{name: base, static_layer: {limit: 5000}}, {name: admin, admin_layer: {}}";
    let text = format!("layered_runtime: {{layers: [{layers}]}}");
    let bootstrap = load_str("test", &text).expect("valid");
    LayeredRuntime::new(&bootstrap, &Scope::noop())
}

#[derive(Debug)]
pub(crate) struct Engine {
    calls: Mutex<Vec<String>>,
    state: Mutex<ServerState>,
    levels: Mutex<BTreeMap<String, LogLevel>>,
}

impl Engine {
    pub(crate) fn calls(&self) -> Vec<String> {
        lock(&self.calls).clone()
    }

    fn note(&self, call: String) -> Result<(), Unsupported> {
        lock(&self.calls).push(call);
        Ok(())
    }
}

impl ServerView for Engine {
    fn server_info(&self) -> ServerInfo {
        let arguments = ["front-proxy", "-c", "envoy.yaml", "--concurrency", "2"];
        let Ok(front_proxy::cli::Command::Serve(options)) = front_proxy::cli::parse(arguments)
        else {
            panic!("not to be served");
        };
        let options = serde_json::to_value(options).expect("JSON");
        ServerInfo {
            version: version::string(),
            state: *lock(&self.state),
            uptime: Duration::from_millis(61_900),
            connections: 7,
            command_line_options: options.as_object().cloned().unwrap_or_default(),
            node: json!({ "id": "n" }).as_object().cloned().unwrap_or_default(),
        }
    }
}

impl ClusterView for Engine {
    fn clusters(&self) -> Vec<ClusterStatus> {
        let first = HostStatus {
            hostname: "127.0.0.1".to_owned(),
            stats: HostStats {
                cx_active: 1,
                cx_total: 2,
                rq_error: 1,
                rq_success: 3,
                rq_total: 4,
                ..HostStats::default()
            },
            ..HostStatus::new(([127, 0, 0, 1], 8080).into())
        };
        let second = HostStatus {
            region: "r".to_owned(),
            health: [HealthFlag::FailedActiveHc, HealthFlag::FailedOutlierCheck]
                .into_iter()
                .collect(),
            ..HostStatus::new(([0, 0, 0, 0, 0, 0, 0, 1], 81).into())
        };
        let cluster = |name: &str, host, outlier| ClusterStatus {
            name: name.to_owned(),
            observability_name: name.to_owned(),
            outlier,
            hosts: vec![host],
            ..ClusterStatus::default()
        };
        vec![
            cluster("service1", first, None),
            cluster("service2", second, Some(OutlierStatus::default())),
        ]
    }
}

impl ListenerView for Engine {
    fn listeners(&self) -> Vec<ListenerStatus> {
        vec![
            ListenerStatus { name: "main".to_owned(), address: ([127, 0, 0, 1], 10_000).into() },
            ListenerStatus {
                name: "second".to_owned(),
                address: ([0, 0, 0, 0, 0, 0, 0, 1], 10_001).into(),
            },
        ]
    }
}

impl ConfigView for Engine {
    fn bootstrap(&self) -> Value {
        json!({ "static_resources": {
            "clusters": [{ "name": "service1" }, { "name": "service2" }],
            "listeners": [{ "name": "main", "filter_chains": [{ "transport_socket": {
                "typed_config": { "private_key": { "inline_string": "hush" } },
            } }] }],
        } })
    }

    fn loaded_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn certificates(&self) -> Vec<CertificateStatus> {
        let mut params =
            rcgen::CertificateParams::new(["front.example".to_owned(), "127.0.0.1".to_owned()])
                .expect("names");
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x2a, 0x1b]));
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2120, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let details = CertificateDetails::from_der("<inline>", certificate.der());
        vec![CertificateStatus {
            ca_cert: Vec::new(),
            cert_chain: vec![details.expect("readable")],
        }]
    }
}

impl Control for Engine {
    fn drain_listeners(&self, options: DrainOptions) -> Result<(), Unsupported> {
        let DrainOptions { graceful, inbound_only, skip_exit } = options;
        self.note(format!("drain graceful={graceful} inbound={inbound_only} skip={skip_exit}"))
    }

    fn quit(&self) -> Result<(), Unsupported> {
        self.note("quit".to_owned())
    }

    fn set_healthy(&self, healthy: bool) -> Result<(), Unsupported> {
        *lock(&self.state) = if healthy { ServerState::Live } else { ServerState::Draining };
        Ok(())
    }

    fn reopen_logs(&self) -> Result<(), Unsupported> {
        self.note("reopen".to_owned())
    }

    fn loggers(&self) -> Vec<(String, LogLevel)> {
        lock(&self.levels).clone().into_iter().collect()
    }

    fn set_log_level(&self, logger: Option<&str>, level: LogLevel) -> Result<(), UnknownLogger> {
        let mut levels = lock(&self.levels);
        match logger {
            None => levels.values_mut().for_each(|known| *known = level),
            Some(name) => *levels.get_mut(name).ok_or(UnknownLogger)? = level,
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
