use std::time::Duration;

use front_proxy_layers::route::HeaderEdits;
use front_proxy_layers::runtime::RuntimeFraction;
use http::StatusCode;

use crate::config::decode::fraction::runtime_fraction;
use crate::config::decode::headers::added;
use crate::config::message::{Message, Variants};
use crate::config::model::{LocalRateLimit, TokenBucket};
use crate::config::schema::filters::{HTTP_STATUS, TOKEN_BUCKET};

const X_RATELIMIT_HEADERS: &Variants<bool> =
    &[("OFF", 0, Some(false)), ("DRAFT_VERSION_03", 1, Some(true))];

/// Envoy's limits.
const MIN_FILL_INTERVAL: Duration = Duration::from_millis(50);
const MAX_HEADERS: usize = 10;

/// `of_route` is whether it stands at a route, or at what a route belongs to.
pub(super) fn local_rate_limit(m: Message<'_>, of_route: bool) -> Option<LocalRateLimit> {
    if of_route && !m.has("token_bucket") {
        m.missing("token_bucket");
    }
    let status = m.message("status", &HTTP_STATUS).and_then(status);
    let headers = HeaderEdits {
        request_add: added(&m, "request_headers_to_add_when_not_enforced"),
        response_add: added(&m, "response_headers_to_add"),
        ..HeaderEdits::default()
    };
    for field in ["request_headers_to_add_when_not_enforced", "response_headers_to_add"] {
        if m.list(field).len() > MAX_HEADERS {
            let message = format!("`{field}` must not have more than {MAX_HEADERS} entries");
            m.cx.error(m.place_of(field), message);
        }
    }
    let out = LocalRateLimit {
        stat_prefix: m.required_string("stat_prefix"),
        bucket: m.message("token_bucket", &TOKEN_BUCKET).and_then(token_bucket),
        enabled: runtime_fraction(&m, "filter_enabled").unwrap_or(RuntimeFraction::NONE),
        enforced: runtime_fraction(&m, "filter_enforced").unwrap_or(RuntimeFraction::NONE),
        status: status.unwrap_or(StatusCode::TOO_MANY_REQUESTS),
        resource_exhausted: m.bool("rate_limited_as_resource_exhausted"),
        x_ratelimit_headers: m
            .enumeration("enable_x_ratelimit_headers", X_RATELIMIT_HEADERS)
            .unwrap_or(false),
        headers,
    };
    m.finish();
    Some(out)
}

fn token_bucket(m: Message<'_>) -> Option<TokenBucket> {
    m.required("fill_interval");
    let interval = m.duration("fill_interval");
    if interval.is_some_and(|interval| interval < MIN_FILL_INTERVAL) {
        m.cx.error(m.place_of("fill_interval"), "`fill_interval` must be at least 0.05s");
    }
    let max = m.u32("max_tokens").unwrap_or(0);
    let per_fill = m.u32_in("tokens_per_fill", 1..=i64::from(u32::MAX)).unwrap_or(1);
    m.finish();
    Some(TokenBucket { max, per_fill, interval: interval? })
}

fn status(m: Message<'_>) -> Option<StatusCode> {
    m.required("code");
    let code = m.enumeration("code", CODES);
    m.finish();
    code.and_then(|code| StatusCode::from_u16(code).ok())
}

/// Envoy's `StatusCode`.
const CODES: &Variants<u16> = &[
    ("Continue", 100, Some(100)),
    ("OK", 200, Some(200)),
    ("Created", 201, Some(201)),
    ("Accepted", 202, Some(202)),
    ("NonAuthoritativeInformation", 203, Some(203)),
    ("NoContent", 204, Some(204)),
    ("ResetContent", 205, Some(205)),
    ("PartialContent", 206, Some(206)),
    ("MultiStatus", 207, Some(207)),
    ("AlreadyReported", 208, Some(208)),
    ("IMUsed", 226, Some(226)),
    ("MultipleChoices", 300, Some(300)),
    ("MovedPermanently", 301, Some(301)),
    ("Found", 302, Some(302)),
    ("SeeOther", 303, Some(303)),
    ("NotModified", 304, Some(304)),
    ("UseProxy", 305, Some(305)),
    ("TemporaryRedirect", 307, Some(307)),
    ("PermanentRedirect", 308, Some(308)),
    ("BadRequest", 400, Some(400)),
    ("Unauthorized", 401, Some(401)),
    ("PaymentRequired", 402, Some(402)),
    ("Forbidden", 403, Some(403)),
    ("NotFound", 404, Some(404)),
    ("MethodNotAllowed", 405, Some(405)),
    ("NotAcceptable", 406, Some(406)),
    ("ProxyAuthenticationRequired", 407, Some(407)),
    ("RequestTimeout", 408, Some(408)),
    ("Conflict", 409, Some(409)),
    ("Gone", 410, Some(410)),
    ("LengthRequired", 411, Some(411)),
    ("PreconditionFailed", 412, Some(412)),
    ("PayloadTooLarge", 413, Some(413)),
    ("URITooLong", 414, Some(414)),
    ("UnsupportedMediaType", 415, Some(415)),
    ("RangeNotSatisfiable", 416, Some(416)),
    ("ExpectationFailed", 417, Some(417)),
    ("MisdirectedRequest", 421, Some(421)),
    ("UnprocessableEntity", 422, Some(422)),
    ("Locked", 423, Some(423)),
    ("FailedDependency", 424, Some(424)),
    ("UpgradeRequired", 426, Some(426)),
    ("PreconditionRequired", 428, Some(428)),
    ("TooManyRequests", 429, Some(429)),
    ("RequestHeaderFieldsTooLarge", 431, Some(431)),
    ("InternalServerError", 500, Some(500)),
    ("NotImplemented", 501, Some(501)),
    ("BadGateway", 502, Some(502)),
    ("ServiceUnavailable", 503, Some(503)),
    ("GatewayTimeout", 504, Some(504)),
    ("HTTPVersionNotSupported", 505, Some(505)),
    ("VariantAlsoNegotiates", 506, Some(506)),
    ("InsufficientStorage", 507, Some(507)),
    ("LoopDetected", 508, Some(508)),
    ("NotExtended", 510, Some(510)),
    ("NetworkAuthenticationRequired", 511, Some(511)),
];
