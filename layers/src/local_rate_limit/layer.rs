use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use tower_layer::Layer;

use super::{LocalRateLimit, TokenBucket};
use crate::header_edit::HeaderEditor;
use crate::local_reply::LocalReply;
use crate::response_flags::ResponseFlag;
use crate::runtime::RuntimeFraction;
use crate::stats::{Counter, Scope};

/// How a limit is applied (Envoy's `LocalRateLimit`).
#[derive(Clone, Debug)]
pub struct LocalRateLimitSettings {
    /// Of how many requests tokens are asked (`filter_enabled`). Default all; Envoy's is none.
    pub enabled: RuntimeFraction,
    /// How many of those that find no token are refused (`filter_enforced`). Default all; Envoy's
    /// is none.
    pub enforced: RuntimeFraction,
    /// The answer. Default 429; one below 400 is taken for 429.
    pub status: StatusCode,
    /// Whether gRPC requests are told `RESOURCE_EXHAUSTED` (8), not `UNAVAILABLE` (14). Default no.
    pub resource_exhausted: bool,
    /// Whether responses tell the limit, in `x-ratelimit-limit`, `-remaining` and `-reset`
    /// (seconds). Default no.
    pub x_ratelimit_headers: bool,
    /// The response edits are those of refusals, the request edits those of requests that found no
    /// token and were let through. Default none.
    pub headers: HeaderEditor,
}

impl Default for LocalRateLimitSettings {
    fn default() -> Self {
        Self {
            enabled: RuntimeFraction::ALL,
            enforced: RuntimeFraction::ALL,
            status: StatusCode::TOO_MANY_REQUESTS,
            resource_exhausted: false,
            x_ratelimit_headers: false,
            headers: HeaderEditor::default(),
        }
    }
}

/// Refuses requests that come too fast; see the [module](super).
#[derive(Clone, Debug)]
pub struct LocalRateLimitLayer(Arc<Limit>);

#[derive(Debug)]
pub(super) struct Limit {
    /// Without one there are always tokens.
    pub(super) bucket: Option<Arc<TokenBucket>>,
    pub(super) settings: LocalRateLimitSettings,
    pub(super) reply: LocalReply,
    pub(super) stats: LocalRateLimitStats,
}

/// gRPC's `RESOURCE_EXHAUSTED`.
const RESOURCE_EXHAUSTED: u32 = 8;

impl LocalRateLimitLayer {
    /// With the tokens of this bucket, or as many as are asked for; counting nothing.
    pub fn new(
        bucket: impl Into<Option<Arc<TokenBucket>>>,
        settings: LocalRateLimitSettings,
    ) -> Self {
        Self::counted(bucket, settings, LocalRateLimitStats::new(&Scope::noop()))
    }

    /// The same, counting there.
    pub fn counted(
        bucket: impl Into<Option<Arc<TokenBucket>>>,
        settings: LocalRateLimitSettings,
        stats: LocalRateLimitStats,
    ) -> Self {
        let bucket = bucket.into();
        let is_error = settings.status.is_client_error() || settings.status.is_server_error();
        let status = if is_error { settings.status } else { StatusCode::TOO_MANY_REQUESTS };
        let reply = LocalReply::new(status, "local_rate_limited")
            .grpc_status(settings.resource_exhausted.then_some(RESOURCE_EXHAUSTED))
            .flag(ResponseFlag::RateLimited)
            .details("local_rate_limited");
        Self(Arc::new(Limit { bucket, settings, reply, stats }))
    }
}

impl<S> Layer<S> for LocalRateLimitLayer {
    type Service = LocalRateLimit<S>;

    fn layer(&self, inner: S) -> LocalRateLimit<S> {
        LocalRateLimit::new(inner, Arc::clone(&self.0))
    }
}

/// What is counted: `<prefix>.http_local_rate_limit.*`, under Envoy's names.
#[allow(missing_docs)] // Envoy's names
pub struct LocalRateLimitStats {
    pub enabled: Counter,
    pub enforced: Counter,
    pub ok: Counter,
    pub rate_limited: Counter,
}

impl LocalRateLimitStats {
    /// Registers them in `scope`, which is `<stat_prefix>`.
    pub fn new(scope: &Scope) -> Self {
        let scope = scope.child("http_local_rate_limit");
        Self {
            enabled: scope.counter("enabled"),
            enforced: scope.counter("enforced"),
            ok: scope.counter("ok"),
            rate_limited: scope.counter("rate_limited"),
        }
    }
}

impl fmt::Debug for LocalRateLimitStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimitStats").finish_non_exhaustive()
    }
}
