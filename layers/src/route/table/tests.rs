//! Virtual hosts as real Envoy 1.40 chose them, and a naive table to compare with.

use http::Request;
use http::request::Parts;
use proptest::prelude::*;

use super::*;
use crate::route::PathMatch;

fn request(host: &str, target: &str) -> Parts {
    let request = Request::get(target).header("host", host);
    request.body(()).unwrap().into_parts().0
}

fn prefix(path: &str) -> RouteMatch {
    RouteMatch::new(PathMatch::Prefix(path.into()))
}

fn found<'t>(table: &'t RouteTable<&'static str>, host: &str) -> &'t str {
    let parts = request(host, "/");
    match table.find(&RequestView::of(&parts, 0)) {
        Some(Found::Route { virtual_host, .. }) => virtual_host,
        Some(Found::RequireTls { .. }) => "tls",
        None => "none",
    }
}

fn envoy_table() -> RouteTableBuilder<&'static str> {
    let all = || [(prefix("/"), "")];
    RouteTable::builder()
        .virtual_host("exact", ["A.example", "port.example:80", "[::1]:80"], all())
        .virtual_host("suffix", ["*.example"], all())
        .virtual_host("dash", ["*-bar.foo.com"], all())
        .virtual_host("foo", ["*.foo.com"], all())
        .virtual_host("prefix", ["www.*"], all())
        .virtual_host("longer", ["www.foo.*"], all())
}

#[test]
fn virtual_hosts_are_chosen_as_envoy_does() {
    let table = envoy_table().virtual_host("any", ["*"], [(prefix("/"), "")]).build().unwrap();
    for (host, want) in [
        ("a.example", "exact"),
        ("A.EXAMPLE", "exact"),
        ("b.example", "suffix"),
        (".example", "any"),
        ("example", "any"),
        ("x-bar.foo.com", "dash"),
        ("-bar.foo.com", "foo"),
        ("x.foo.com", "foo"),
        ("www.foo.com", "foo"),
        ("www.foo.org", "longer"),
        ("www.", "any"),
        ("www.a", "prefix"),
        ("port.example:80", "exact"),
        ("port.example", "suffix"),
        ("a.example:80", "any"),
        ("x.example:80", "any"),
        ("[::1]:80", "exact"),
        ("[::1]", "any"),
        ("", "any"),
        ("a.example.", "any"),
        ("www.bar.example", "suffix"),
    ] {
        assert_eq!(found(&table, host), want, "{host}");
    }
    let table = envoy_table().build().unwrap();
    assert_eq!(found(&table, "zzz"), "none");
}

#[test]
fn the_port_can_be_ignored() {
    let table = envoy_table().ignore_port(true).build().unwrap();
    assert_eq!(found(&table, "a.example:80"), "exact");
    assert_eq!(found(&table, "x.example:8080"), "suffix");
    assert_eq!(found(&table, "[::1]:80"), "none");
}

#[test]
fn stars_elsewhere_are_letters() {
    let all = || [(prefix("/"), "")];
    let table =
        RouteTable::builder().virtual_host("odd", ["*a*", "b*b", "**"], all()).build().unwrap();
    for (host, want) in
        [("xa*", "odd"), ("b*b", "odd"), ("bxb", "none"), ("x*", "odd"), ("*", "none")]
    {
        assert_eq!(found(&table, host), want, "{host}");
    }
}

#[test]
fn a_domain_belongs_to_one_virtual_host() {
    for twice in [["*", "*"], ["a.example", "A.example"], ["*.b", "*.B"], ["c.*", "c.*"]] {
        let builder = RouteTable::builder()
            .virtual_host("one", [twice[0]], [(prefix("/"), "")])
            .virtual_host("two", [twice[1]], [(prefix("/"), "")]);
        let error = builder.build().unwrap_err();
        assert_eq!(error, RouteTableError::DuplicateDomain { domain: twice[1].into() });
    }
}

#[test]
fn the_first_matching_route_wins() {
    let routes = [(prefix("/a/b"), 1), (prefix("/a"), 2), (prefix("/a/b/c"), 3)];
    let table = RouteTable::builder().virtual_host("v", ["*"], routes).build().unwrap();
    for (target, want) in [("/a/b/c", Some(1)), ("/a/c?x", Some(2)), ("/b", None)] {
        let parts = request("h", target);
        let action = table.find(&RequestView::of(&parts, 0)).map(|found| match found {
            Found::Route { action, .. } => *action,
            Found::RequireTls { .. } => 0,
        });
        assert_eq!(action, want, "{target}");
    }
    assert_eq!(table.actions().map(|(host, a)| (host, *a)).last(), Some(("v", 3)));
}

#[test]
fn tls_is_asked_for_before_routes_are_tried() {
    for (mode, proto, internal, want) in [
        (RequireTls::All, "http", false, "tls"),
        (RequireTls::All, "http", true, "tls"),
        (RequireTls::All, "gopher", false, "tls"),
        (RequireTls::All, "https", false, "v"),
        (RequireTls::ExternalOnly, "http", false, "tls"),
        (RequireTls::ExternalOnly, "http", true, "v"),
        (RequireTls::ExternalOnly, "https", false, "v"),
        (RequireTls::None, "http", false, "v"),
    ] {
        let table = RouteTable::builder()
            .virtual_host("v", ["*"], [(prefix("/"), ())])
            .require_tls(mode)
            .build()
            .unwrap();
        let mut parts = request("h", "/");
        parts.headers.insert("x-forwarded-proto", proto.parse().unwrap());
        if internal {
            parts.headers.insert("x-envoy-internal", "true".parse().unwrap());
        }
        let found = match table.find(&RequestView::of(&parts, 0)).unwrap() {
            Found::Route { virtual_host, .. } => virtual_host,
            Found::RequireTls { .. } => "tls",
        };
        assert_eq!(found, want, "{mode:?} {proto} {internal}");
    }
}

/// Tries every domain by Envoy's documented order, without any index.
fn naive_host(domains: &[(String, usize)], host: &str) -> Option<usize> {
    let host = host.to_ascii_lowercase();
    let rank = |domain: &str| -> Option<(u8, usize)> {
        if domain == "*" {
            return Some((0, 0));
        }
        if let Some(suffix) = domain.strip_prefix('*') {
            let fits = host.len() > suffix.len() && host.ends_with(suffix);
            return fits.then_some((2, suffix.len()));
        }
        if let Some(prefix) = domain.strip_suffix('*') {
            let fits = host.len() > prefix.len() && host.starts_with(prefix);
            return fits.then_some((1, prefix.len()));
        }
        (domain == host).then_some((3, 0))
    };
    domains
        .iter()
        .filter_map(|(domain, at)| Some((rank(&domain.to_ascii_lowercase())?, *at)))
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, at)| at)
}

proptest! {
    #[test]
    fn the_table_finds_what_a_naive_search_finds(
        domains in prop::collection::vec(r"\*|\*?[aB.]{1,4}|[ab.]{1,4}\*?", 0..40),
        prefixes in prop::collection::vec("/[ab]{0,2}", 1..6),
        hosts in prop::collection::vec("[abA.]{0,5}", 1..20),
        target in "/[ab]{0,4}(\\?[ab]{0,2})?",
    ) {
        // One virtual host per domain, each with all routes; duplicates are left out.
        let mut unique: Vec<(String, usize)> = Vec::new();
        for domain in domains {
            if !unique.iter().any(|(known, _)| known.eq_ignore_ascii_case(&domain)) {
                unique.push((domain, unique.len()));
            }
        }
        let mut builder = RouteTable::builder();
        for (domain, at) in &unique {
            let routes: Vec<_> = prefixes.iter().enumerate().map(|(n, p)| (prefix(p), n)).collect();
            builder = builder.virtual_host(at.to_string(), [domain.clone()], routes);
        }
        let table = builder.build().unwrap();
        for host in hosts {
            let parts = request(&host, &target);
            let path = target.split('?').next().unwrap_or_default();
            let route = prefixes.iter().position(|p| path.starts_with(p.as_str()));
            let want = naive_host(&unique, &host).zip(route);
            let found = table.find(&RequestView::of(&parts, 0)).map(|found| match found {
                Found::Route { virtual_host, action, .. } => (virtual_host.parse().unwrap(), *action),
                Found::RequireTls { .. } => unreachable!("never asked for"),
            });
            prop_assert_eq!(found, want, "host {}", host);
        }
    }

    #[test]
    fn a_duplicate_is_found_whatever_its_place(
        mut domains in prop::collection::hash_set("[a-z]{1,6}(\\.\\*)?|\\*\\.[a-z]{1,6}", 2..60)
            .prop_map(|set| set.into_iter().collect::<Vec<_>>()),
        pick in any::<prop::sample::Index>(),
    ) {
        let build = |domains: &[String]| RouteTable::<()>::builder().virtual_host("v", domains.to_vec(), []).build();
        prop_assert!(build(&domains).is_ok());
        let again = domains[pick.index(domains.len())].to_uppercase();
        domains.push(again.clone());
        prop_assert_eq!(build(&domains).unwrap_err(), RouteTableError::DuplicateDomain { domain: again });
    }
}
