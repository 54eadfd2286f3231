use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::route::StringMatch;
use crate::runtime::RuntimeFraction;

const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// What pages of other origins may do (Envoy's `CorsPolicy`).
#[derive(Clone, Debug)]
pub struct CorsPolicy {
    /// Whose pages. One that matches `*` itself matches every origin. Default none.
    pub allow_origins: Vec<StringMatch>,
    /// `access-control-allow-methods`; `*` is what was asked for.
    pub allow_methods: Option<HeaderValue>,
    /// `access-control-allow-headers`; `*` is what was asked for.
    pub allow_headers: Option<HeaderValue>,
    /// `access-control-expose-headers`
    pub expose_headers: Option<HeaderValue>,
    /// `access-control-max-age` in seconds
    pub max_age: Option<HeaderValue>,
    /// Whether pages may send credentials. Default no.
    pub allow_credentials: Option<bool>,
    /// Whether pages of public networks may get at a private one. Default no.
    pub allow_private_network_access: Option<bool>,
    /// Whether the app answers preflights of origins that are not allowed. Default yes.
    pub forward_not_matching_preflights: Option<bool>,
    /// Of how many requests the policy is applied (`filter_enabled`). Default all.
    pub enabled: RuntimeFraction,
    /// Of how many of the others origins are counted (`shadow_enabled`). Default none.
    pub shadow: RuntimeFraction,
}

impl Default for CorsPolicy {
    fn default() -> Self {
        Self {
            allow_origins: Vec::new(),
            allow_methods: None,
            allow_headers: None,
            expose_headers: None,
            max_age: None,
            allow_credentials: None,
            allow_private_network_access: None,
            forward_not_matching_preflights: None,
            enabled: RuntimeFraction::ALL,
            shadow: RuntimeFraction::NONE,
        }
    }
}

impl CorsPolicy {
    /// With what another policy says where this one says nothing, as a route's policy is completed
    /// by that of its virtual host.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let origins =
            if self.allow_origins.is_empty() { &other.allow_origins } else { &Vec::new() };
        let or = |own: Option<HeaderValue>, other: &Option<HeaderValue>| {
            own.filter(|value| !value.is_empty()).or_else(|| other.clone())
        };
        Self {
            allow_origins: [self.allow_origins, origins.clone()].concat(),
            allow_methods: or(self.allow_methods, &other.allow_methods),
            allow_headers: or(self.allow_headers, &other.allow_headers),
            expose_headers: or(self.expose_headers, &other.expose_headers),
            max_age: or(self.max_age, &other.max_age),
            allow_credentials: self.allow_credentials.or(other.allow_credentials),
            allow_private_network_access: self
                .allow_private_network_access
                .or(other.allow_private_network_access),
            forward_not_matching_preflights: self
                .forward_not_matching_preflights
                .or(other.forward_not_matching_preflights),
            enabled: self.enabled,
            shadow: self.shadow,
        }
    }

    pub(super) fn allows(&self, origin: &HeaderValue) -> bool {
        self.allow_origins
            .iter()
            .any(|allowed| allowed.matches(b"*") || allowed.matches(origin.as_bytes()))
    }

    pub(super) fn forwards_not_matching(&self) -> bool {
        self.forward_not_matching_preflights.unwrap_or(true)
    }

    /// The headers of the answer to a preflight.
    pub(super) fn preflight(&self, request: &HeaderMap, origin: Option<&HeaderValue>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        if self.allow_credentials == Some(true) {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        let lists = [
            (&self.allow_methods, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_REQUEST_METHOD),
            (&self.allow_headers, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS),
        ];
        for (allowed, name, asked) in lists {
            let Some(allowed) = given(allowed) else { continue };
            let nothing = HeaderValue::from_static("");
            let asked = || request.get(asked).cloned().unwrap_or(nothing);
            headers.insert(name, if allowed == "*" { asked() } else { allowed.clone() });
        }
        if let Some(max_age) = given(&self.max_age) {
            headers.insert(ACCESS_CONTROL_MAX_AGE, max_age.clone());
        }
        let asks_private = request.get(REQUEST_PRIVATE).is_some_and(|asked| asked == "true");
        if asks_private && self.allow_private_network_access == Some(true) {
            headers.insert(ALLOW_PRIVATE, TRUE);
        }
        headers
    }

    /// What the answer to any request says to an origin that is allowed.
    pub(super) fn respond(&self, origin: HeaderValue, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.allow_credentials == Some(true) {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(exposed) = given(&self.expose_headers) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }
}

/// A value that says something.
fn given(value: &Option<HeaderValue>) -> Option<&HeaderValue> {
    value.as_ref().filter(|value| !value.is_empty())
}
