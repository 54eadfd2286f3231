//! When to try again: Envoy's `RetryState`.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};

use super::backoff::Backoff;
use super::layer::Options;
use crate::error::ErrorKind;
use crate::response_flags::ResponseFlag;
use crate::route::RetryOn;

const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How many times longer than the first the longest back-off is, where a policy doesn't say.
const INTERVALS: u32 = 10;

/// What a request may still have of its policy.
#[derive(Debug)]
pub(super) struct RetryState {
    pub(super) on: RetryOn,
    pub(super) remaining: u32,
    /// From request headers, beside the policy's own.
    pub(super) status_codes: Vec<StatusCode>,
    pub(super) response_headers: Vec<HeaderName>,
    backoff: Backoff,
    options: Arc<Options>,
    /// A retry is in flight, and counts against the circuit breaker.
    retrying: bool,
}

/// What becomes of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another try after this long.
    Again(Duration),
    /// It is the answer.
    Final,
    /// It is the answer, though the policy would have had another try: this is why there is none.
    Denied(ResponseFlag),
}

impl RetryState {
    pub(super) fn new(on: RetryOn, options: Arc<Options>) -> Self {
        let policy = &options.policy;
        let base = policy.base_interval.unwrap_or_else(|| options.keys.base_interval());
        let max = policy.max_interval.unwrap_or_else(|| base.saturating_mul(INTERVALS));
        Self {
            on,
            remaining: policy.num_retries,
            status_codes: Vec::new(),
            response_headers: Vec::new(),
            backoff: Backoff::new(base, max),
            options,
            retrying: false,
        }
    }

    /// What becomes of a try that had this response.
    pub(super) fn response(&mut self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        let wanted = self.wants_response(status, headers);
        self.decide(wanted)
    }

    /// What becomes of a try that failed; `sent` if the upstream may have seen the request.
    pub(super) fn failure(&mut self, kind: ErrorKind, sent: bool) -> Verdict {
        let wanted = self.wants_failure(kind, sent);
        self.decide(wanted)
    }

    fn decide(&mut self, wanted: bool) -> Verdict {
        let stats = &self.options.stats;
        // Envoy counts a retry as a success if its outcome asks for no other, whatever it is.
        if self.retrying && !wanted {
            stats.rq_retry_success.increment(1);
        }
        self.finish();
        let stats = &self.options.stats;
        if !wanted {
            return Verdict::Final;
        }
        if self.remaining == 0 {
            stats.rq_retry_limit_exceeded.increment(1);
            return Verdict::Denied(ResponseFlag::UpstreamRetryLimitExceeded);
        }
        self.remaining -= 1;
        if !self.options.resources.retries.try_take() {
            stats.rq_retry_overflow.increment(1);
            return Verdict::Denied(ResponseFlag::UpstreamOverflow);
        }
        if !self.options.keys.allow() {
            self.options.resources.retries.give();
            return Verdict::Final;
        }
        self.retrying = true;
        stats.rq_retry.increment(1);
        stats.rq_retry_backoff_exponential.increment(1);
        Verdict::Again(self.backoff.next())
    }

    /// The retry that was in flight is no more.
    fn finish(&mut self) {
        if std::mem::take(&mut self.retrying) {
            self.options.resources.retries.give();
        }
    }

    fn wants_response(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let on = &self.on;
        // Another proxy's rate limit: retrying at once is what it must not lead to.
        if headers.contains_key(RATE_LIMITED) {
            return on.envoy_ratelimited;
        }
        let policy = &self.options.policy;
        (on.five_xx && status.is_server_error())
            || (on.gateway_error && matches!(status.as_u16(), 502..=504))
            || (on.retriable_4xx && status == StatusCode::CONFLICT)
            || (on.retriable_status_codes
                && (policy.status_codes.contains(&status) || self.status_codes.contains(&status)))
            || (on.retriable_headers
                && (policy.response_headers.iter().any(|h| h.matches_map(headers))
                    || self.response_headers.iter().any(|name| headers.contains_key(name))))
            || self.wants_grpc(headers)
    }

    /// Statuses in the response head, where trailers-only responses have them.
    fn wants_grpc(&self, headers: &HeaderMap) -> bool {
        let on = &self.on;
        let status = headers.get(GRPC_STATUS).and_then(|value| value.to_str().ok());
        match status.and_then(|status| status.parse::<u32>().ok()) {
            Some(1) => on.grpc_cancelled,
            Some(4) => on.grpc_deadline_exceeded,
            Some(8) => on.grpc_resource_exhausted,
            Some(13) => on.grpc_internal,
            Some(14) => on.grpc_unavailable,
            _ => false,
        }
    }

    fn wants_failure(&self, kind: ErrorKind, sent: bool) -> bool {
        let on = &self.on;
        match kind {
            // Retrying would make the overload worse.
            ErrorKind::Overflow => false,
            // A reset counts as the 5xx which it would be answered with.
            _ if on.reset || on.five_xx || on.gateway_error => true,
            _ if on.reset_before_request && !sent => true,
            ErrorKind::RefusedStream => on.refused_stream,
            ErrorKind::ConnectFailed | ErrorKind::ConnectTimeout => on.connect_failure,
            _ => false,
        }
    }
}

impl Drop for RetryState {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Whether a failure is one of the upstream stream, which policies are about. Others are the
/// client's, or would only happen again.
pub(super) fn is_reset(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectFailed
            | ErrorKind::ConnectTimeout
            | ErrorKind::ConnectionTerminated
            | ErrorKind::MaxUpstreamDuration
            | ErrorKind::Overflow
            | ErrorKind::PerTryTimeout
            | ErrorKind::ProtocolError
            | ErrorKind::RefusedStream
            | ErrorKind::RemoteReset
    )
}
