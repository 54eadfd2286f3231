//! Keeps other sites from using a visitor's browser against the admin pages.

use std::net::IpAddr;

use http::header::{ACCEPT_ENCODING, HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// Whether a request for a page that is only for this machine is from here: not from a page elsewhere
/// that has pointed its own name at this address. See [`AdminState::on_loopback`].
///
/// [`AdminState::on_loopback`]: super::AdminState::on_loopback
pub(super) fn is_for_this_machine(
    uri: &Uri,
    headers: &HeaderMap,
    trusted_hosts: &[String],
) -> bool {
    !may_be_of_a_browser(headers)
        || host(uri, headers).is_none_or(|host| is_trusted(host, trusted_hosts))
}

/// Every browser says in every request which encodings it takes, and no script can keep it from that
/// (Fetch: a forbidden request-header).
fn may_be_of_a_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCEPT_ENCODING) || headers.contains_key(ORIGIN)
}

/// Whether a request that changes something may: see [`router`](super::router).
pub(super) fn allows(uri: &Uri, headers: &HeaderMap, trusted_hosts: &[String]) -> bool {
    // Fetch metadata can't be set by scripts. `none` is the user's own doing (address bar).
    let site = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return false;
    }
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    // "null" and schemes without a host end here.
    let Some((_, origin)) = origin.split_once("://") else {
        return false;
    };
    let Some(host) = host(uri, headers) else { return false };
    origin.eq_ignore_ascii_case(host) && is_trusted(host, trusted_hosts)
}

/// What the client calls this place. One that can't be read is the empty name, which nobody trusts.
fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let authority = uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| headers.get(HOST).map(|value| value.to_str().unwrap_or_default()))
}

fn is_trusted(host: &str, trusted_hosts: &[String]) -> bool {
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
    fn what_is_only_for_this_machine_is_asked_for_by_a_local_name() {
        let asks = |host: &str| {
            let value = |text: &str| text.parse().expect("a value");
            let headers = [(HOST, value(host)), (ACCEPT_ENCODING, value("gzip, deflate"))];
            let headers = HeaderMap::from_iter(headers);
            let trusted = ["admin.example".to_owned()];
            is_for_this_machine(&Uri::from_static("/config_dump"), &headers, &trusted)
        };
        for host in [
            "127.0.0.1:9901",
            "[::1]",
            "10.0.0.1",
            "LOCALHOST:1",
            "a.localhost",
            "front-envoy:8001",
        ] {
            assert!(asks(host), "{host}");
        }
        assert!(asks("admin.example:9901"));
        for host in ["evil.example", "evil.example:9901", "127.0.0.1.evil.example", "", "ai."] {
            assert!(!asks(host), "{host}");
        }
        let browser =
            HeaderMap::from_iter([(ACCEPT_ENCODING, "identity".parse().expect("a value"))]);
        assert!(is_for_this_machine(&Uri::from_static("/config_dump"), &browser, &[]));
        let rebound = Uri::from_static("http://evil.example/config_dump");
        assert!(!is_for_this_machine(&rebound, &browser, &[]));
        assert!(is_for_this_machine(&rebound, &HeaderMap::new(), &[]), "no browser");
    }

    #[test]
    fn a_rebound_name_is_not_trusted_unless_listed() {
        let rebound = [("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")];
        assert!(!allowed("evil.example", &rebound));
        assert!(allowed("admin.example", &[("origin", "http://admin.example")]));
    }
}
