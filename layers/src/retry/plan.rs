//! What a request is to have: its route's policy and what its own headers ask for.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, StatusCode};

use super::layer::Options;
use super::state::RetryState;
use crate::body::Body;
use crate::route::{RequestView, RetryOn};

const RETRY_ON: HeaderName = HeaderName::from_static("x-envoy-retry-on");
const RETRY_GRPC_ON: HeaderName = HeaderName::from_static("x-envoy-retry-grpc-on");
const MAX_RETRIES: HeaderName = HeaderName::from_static("x-envoy-max-retries");
const STATUS_CODES: HeaderName = HeaderName::from_static("x-envoy-retriable-status-codes");
const HEADER_NAMES: HeaderName = HeaderName::from_static("x-envoy-retriable-header-names");
const PER_TRY: HeaderName = HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms");
const HEDGE: HeaderName = HeaderName::from_static("x-envoy-hedge-on-per-try-timeout");
const STAT_NAME: HeaderName = HeaderName::from_static("x-envoy-upstream-alt-stat-name");
/// What goes no further, whether it has an effect or not.
const CONTROLS: [HeaderName; 7] =
    [RETRY_ON, RETRY_GRPC_ON, MAX_RETRIES, STATUS_CODES, HEADER_NAMES, HEDGE, STAT_NAME];
const EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// What a request is to have.
#[derive(Debug)]
pub(super) struct Plan {
    /// `None` where there is no policy at all.
    pub(super) state: Option<RetryState>,
    /// The time for all tries together, as the layer outside announced it.
    pub(super) global: Option<u64>,
    pub(super) per_try: Option<Duration>,
    pub(super) per_try_idle: Option<Duration>,
    counted: bool,
}

impl Plan {
    /// Reads the request's headers and takes those out that are for the proxy.
    pub(super) fn new(options: &Arc<Options>, request: &mut Request<Body>) -> Self {
        let policy = &options.policy;
        let global = request.headers().get(EXPECTED).and_then(number);
        let mut per_try = policy.per_try_timeout;
        let state = retry_state(options, request);
        if options.client_controls {
            let headers = request.headers_mut();
            if let Some(ms) = headers.remove(PER_TRY).as_ref().and_then(number) {
                per_try = Some(Duration::from_millis(ms));
            }
            for name in CONTROLS {
                headers.remove(name);
            }
        }
        // Zero is none, and one that the timeout for all tries comes before is none either.
        let per_try = per_try
            .filter(|d| !d.is_zero())
            .filter(|d| global.is_none_or(|global| *d < Duration::from_millis(global)));
        Self {
            state,
            global,
            per_try,
            per_try_idle: policy.per_try_idle_timeout.filter(|d| !d.is_zero()),
            counted: options.request_attempt_count || options.response_attempt_count,
        }
    }

    /// Whether the request needs nothing of all this.
    pub(super) fn is_nothing(&self) -> bool {
        self.state.is_none()
            && self.per_try.is_none()
            && self.per_try_idle.is_none()
            && !self.counted
    }
}

fn retry_state(options: &Arc<Options>, request: &Request<Body>) -> Option<RetryState> {
    let policy = &options.policy;
    let mut on = policy.on;
    let headers = request.headers();
    let controls = options.client_controls.then_some(headers);
    if let Some(headers) = controls {
        for name in words(headers, RETRY_ON) {
            // Unknown ones are passed over, as in Envoy: they come from other versions' clients.
            let _ = on.add(name);
        }
        for name in words(headers, RETRY_GRPC_ON) {
            let _ = on.add_grpc(name);
        }
    }
    if on == RetryOn::default() || !is_retriable(options, request) {
        return None;
    }
    let mut state = RetryState::new(on, Arc::clone(options));
    if let Some(headers) = controls {
        if let Some(max) = headers.get(MAX_RETRIES).and_then(number) {
            state.remaining = u32::try_from(max).unwrap_or(u32::MAX);
        }
        let codes = words(headers, STATUS_CODES).filter_map(|code| code.parse().ok());
        state.status_codes = codes.filter_map(|code| StatusCode::from_u16(code).ok()).collect();
        let names = words(headers, HEADER_NAMES).filter_map(|name| name.parse().ok());
        state.response_headers = names.collect();
    }
    Some(state)
}

/// `retriable_request_headers`: where there are any, the request must have one of them.
fn is_retriable(options: &Options, request: &Request<Body>) -> bool {
    let wanted = &options.policy.request_headers;
    let view = RequestView::new(request.method(), request.uri(), request.headers(), 0);
    wanted.is_empty() || wanted.iter().any(|header| header.matches(&view))
}

fn number(value: &http::HeaderValue) -> Option<u64> {
    value.to_str().ok()?.trim().parse().ok()
}

fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}
