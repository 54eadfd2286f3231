//! What a local rate limit is made of.

use front_proxy_layers::header_edit::{HeaderEditor, Levels};
use front_proxy_layers::local_rate_limit::LocalRateLimitSettings;

use crate::config::model::LocalRateLimit;

pub(super) fn headers(limit: &LocalRateLimit) -> Result<HeaderEditor, String> {
    let levels = Levels { route: Some(&limit.headers), ..Levels::default() };
    HeaderEditor::compile(levels).map_err(|error| error.to_string())
}

pub(super) fn settings(limit: &LocalRateLimit, headers: HeaderEditor) -> LocalRateLimitSettings {
    LocalRateLimitSettings {
        enabled: limit.enabled.clone(),
        enforced: limit.enforced.clone(),
        status: limit.status,
        resource_exhausted: limit.resource_exhausted,
        x_ratelimit_headers: limit.x_ratelimit_headers,
        headers,
    }
}
