//! One spelling for a host, before virtual hosts are looked up by it.

use http::header::HOST;
use http::uri::{Authority, Uri};
use http::{HeaderMap, HeaderValue, Version};

/// What is changed of `Host` before anything looks at it. By default nothing is.
///
/// ```
/// use front_proxy_layers::sanitize::{HostRules, StripPort};
/// use http::{HeaderMap, Version, header::HOST};
///
/// let rules = HostRules { strip_port: StripPort::Matching, ..HostRules::default() };
/// let mut headers = HeaderMap::new();
/// headers.insert(HOST, "front.example:8000".parse()?);
/// rules.apply(&mut headers, Version::HTTP_11, Some(8000));
/// assert_eq!(headers[HOST], "front.example");
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    /// `strip_matching_host_port` or `strip_any_host_port`
    pub strip_port: StripPort,
    /// `strip_trailing_host_dot`: `front.example.` is `front.example`.
    pub strip_trailing_dot: bool,
    /// `default_host_for_http_10`: for HTTP/1.0 requests without a host.
    pub default_host: Option<HeaderValue>,
}

/// Which port is taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StripPort {
    /// None.
    #[default]
    Never,
    /// The one that the client is connected to.
    Matching,
    /// Any.
    Any,
}

impl HostRules {
    /// Whether they change anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Applies them to a request that came to `local_port`.
    pub fn apply(&self, headers: &mut HeaderMap, version: Version, local_port: Option<u16>) {
        let Some(host) = headers.get(HOST) else {
            if let Some(default) = &self.default_host
                && version == Version::HTTP_10
            {
                headers.insert(HOST, default.clone());
            }
            return;
        };
        let Some(new) = host.to_str().ok().and_then(|host| self.rewrite(host, local_port)) else {
            return;
        };
        if let Ok(new) = HeaderValue::try_from(new) {
            headers.insert(HOST, new);
        }
    }

    /// Applies them to the target of a `CONNECT`, which is its host.
    pub(super) fn apply_to_connect(&self, target: &mut Uri, local_port: Option<u16>) {
        let new = target.authority().and_then(|host| self.rewrite(host.as_str(), local_port));
        let new = new.and_then(|host| Authority::try_from(host).ok());
        // One with a path is that of an extended CONNECT, and looked at as what it asks for.
        if let Some(host) = new.filter(|_| target.path_and_query().is_none()) {
            let mut parts = http::uri::Parts::default();
            parts.authority = Some(host);
            if let Ok(new) = Uri::from_parts(parts) {
                *target = new;
            }
        }
    }

    /// The new host; `None` where it stays.
    fn rewrite(&self, host: &str, local_port: Option<u16>) -> Option<String> {
        let (name, port) = split_port(host);
        let strip_port = match self.strip_port {
            StripPort::Never => false,
            StripPort::Matching => port.is_some() && port == local_port,
            StripPort::Any => port.is_some(),
        };
        let kept_port = if strip_port { "" } else { &host[name.len()..] };
        let kept_name = match name.strip_suffix('.') {
            Some(without) if self.strip_trailing_dot => without,
            _ => name,
        };
        let new_len = kept_name.len() + kept_port.len();
        (new_len < host.len()).then(|| [kept_name, kept_port].concat())
    }
}

/// The name, and the port where there is a valid one. What follows the name is the port with its
/// colon, valid or not.
fn split_port(host: &str) -> (&str, Option<u16>) {
    let after_brackets = if host.starts_with('[') { host.find(']').unwrap_or(0) } else { 0 };
    match host[after_brackets..].rfind(':') {
        None => (host, None),
        Some(colon) => {
            let (name, port) = host.split_at(after_brackets + colon);
            let digits = &port[1..];
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            (name, digits.parse().ok().filter(|_| is_number))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is written for a host, the rules only take off its end, and do so once.
        #[test]
        fn a_host_only_loses_its_end(
            given in "(\\[[0-9a-f:]{0,6}\\]?|[a-z.]{0,8})(:[0-9a-z+:]{0,6})?\\.?",
            any_port in any::<bool>(),
        ) {
            let strip_port = if any_port { StripPort::Any } else { StripPort::Matching };
            let rules = HostRules { strip_port, strip_trailing_dot: true, default_host: None };
            if let Some(new) = rules.rewrite(&given, Some(80)) {
                prop_assert!(new.len() < given.len());
                let name: &str = split_port(&new).0;
                prop_assert!(given.starts_with(name), "{given:?} {new:?}");
            }
        }
    }

    fn host(rules: &HostRules, given: Option<&str>, version: Version) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(HOST, given.parse().expect("a header value"));
        }
        rules.apply(&mut headers, version, Some(8000));
        headers.get(HOST).map(|host| host.to_str().expect("text").to_owned())
    }

    #[test]
    fn a_port_is_taken_off() {
        for (given, matching, any) in [
            ("a.example", "a.example", "a.example"),
            ("a.example:8000", "a.example", "a.example"),
            ("a.example:81", "a.example:81", "a.example"),
            ("a.example:", "a.example:", "a.example:"),
            ("a.example:x", "a.example:x", "a.example:x"),
            ("a.example:+81", "a.example:+81", "a.example:+81"),
            ("[::1]", "[::1]", "[::1]"),
            ("[::1]:8000", "[::1]", "[::1]"),
            ("", "", ""),
        ] {
            for (strip_port, want) in
                [(StripPort::Matching, matching), (StripPort::Any, any), (StripPort::Never, given)]
            {
                let rules = HostRules { strip_port, ..HostRules::default() };
                let got = host(&rules, Some(given), Version::HTTP_11);
                assert_eq!(got.as_deref(), Some(want), "{given} {strip_port:?}");
            }
        }
    }

    #[test]
    fn the_target_of_a_connect_is_a_host_too() {
        let rules = HostRules {
            strip_port: StripPort::Any,
            strip_trailing_dot: true,
            ..HostRules::default()
        };
        for (given, want) in
            [("a.example.:443", "a.example"), ("a.example", "a.example"), ("[::1]:81", "[::1]")]
        {
            let mut target = given.parse().expect("a target");
            rules.apply_to_connect(&mut target, Some(80));
            assert_eq!(target, want);
        }
    }

    #[test]
    fn a_dot_is_taken_off_before_the_port() {
        let rules = HostRules { strip_trailing_dot: true, ..HostRules::default() };
        for (given, want) in [
            ("a.example.", "a.example"),
            ("a.example.:81", "a.example:81"),
            ("a.example", "a.example"),
            ("a.example:81", "a.example:81"),
        ] {
            assert_eq!(host(&rules, Some(given), Version::HTTP_11).as_deref(), Some(want));
        }
    }

    #[test]
    fn only_http_10_has_a_default_host() {
        let default_host = Some(HeaderValue::from_static("default.example"));
        let rules = HostRules { default_host, ..HostRules::default() };
        assert_eq!(host(&rules, None, Version::HTTP_10).as_deref(), Some("default.example"));
        assert_eq!(host(&rules, None, Version::HTTP_11), None);
        assert_eq!(host(&rules, Some("x"), Version::HTTP_10).as_deref(), Some("x"));
    }
}
