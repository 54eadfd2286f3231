//! Keeps other sites from using a visitor's browser against the admin pages.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// Whether a request that changes something may: see [`router`](super::router).
pub(super) fn allows(uri: &Uri, headers: &HeaderMap, trusted_hosts: &[String]) -> bool {
    let text = |name: http::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // Fetch metadata can't be set by scripts. `none` is the user's own doing (address bar).
    let site = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return false;
    }
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let Some(origin) = text(ORIGIN) else {
        return false;
    };
    // "null" and schemes without a host end here.
    let Some((_, origin)) = origin.split_once("://") else {
        return false;
    };
    let host = uri.authority().map(http::uri::Authority::as_str).or_else(|| text(HOST));
    let Some(host) = host else { return false };
    if !origin.eq_ignore_ascii_case(host) {
        return false;
    }
    let name = without_port(host).to_ascii_lowercase();
    is_local_name(&name) || trusted_hosts.contains(&name)
}

/// Names that nobody else can point here.
fn is_local_name(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || (!name.is_empty() && !name.contains('.'))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A page elsewhere gets nothing done, whatever its browser calls this place.
        #[test]
        fn another_origin_is_never_let_in(host in "[a-z.:\\[\\]]{0,9}", origin in "[a-z:/.]{0,12}") {
            let origin = format!("http://evil.example{origin}");
            prop_assert!(!allowed(&host, &[("origin", &origin)]));
        }
    }

    fn allowed(host: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        map.insert(HOST, host.parse().expect("a value"));
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        allows(&Uri::from_static("/quitquitquit"), &map, &["admin.example".to_owned()])
    }

    #[test]
    fn programs_are_not_concerned() {
        assert!(allowed("anything.example:9901", &[]));
    }

    #[test]
    fn the_pages_own_buttons_work() {
        for host in ["127.0.0.1:9901", "[::1]:9901", "localhost:9901", "front-envoy:8001"] {
            let origin = format!("http://{host}");
            assert!(allowed(host, &[("origin", &origin)]), "{host}");
        }
    }

    #[test]
    fn other_sites_forms_do_not() {
        let site = "http://evil.example";
        assert!(!allowed("127.0.0.1:9901", &[("origin", site)]));
        assert!(!allowed("127.0.0.1:9901", &[("origin", "null")]));
        // Another port is another site.
        assert!(!allowed("127.0.0.1:9901", &[("origin", "http://127.0.0.1:80")]));
        for fetch in ["cross-site", "same-site"] {
            assert!(!allowed("127.0.0.1:9901", &[("sec-fetch-site", fetch)]));
        }
    }

    #[test]
    fn a_rebound_name_is_not_trusted_unless_listed() {
        let rebound = [("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")];
        assert!(!allowed("evil.example", &rebound));
        assert!(allowed("admin.example", &[("origin", "http://admin.example")]));
    }
}
