//! Locations as real Envoy 1.40 built them.

use http::Request;

use super::*;
use crate::route::Pattern;

fn location(config: Redirect, matched: &str, host: &str, proto: &str, target: &str) -> String {
    let request = Request::get(target)
        .header("host", host)
        .header("x-forwarded-proto", proto)
        .body(())
        .unwrap();
    let (parts, ()) = request.into_parts();
    let view = RequestView::of(&parts, 0);
    let redirector = Redirector::new(config).unwrap();
    let response = redirector.reply(&PathMatch::Prefix(matched.into()), &view);
    assert_eq!(response.headers().len(), 1);
    response.headers()["location"].to_str().unwrap().to_owned()
}

#[test]
fn a_default_port_goes_with_its_scheme() {
    for (scheme, port, host, proto, want) in [
        (Some("https"), None, "f.x", "http", "https://f.x/p"),
        (Some("https"), None, "f.x:8080", "http", "https://f.x:8080/p"),
        (Some("https"), None, "f.x:80", "http", "https://f.x/p"),
        (Some("https"), None, "f.x:80", "https", "https://f.x:80/p"),
        (Some("https"), None, "f.x:443", "http", "https://f.x:443/p"),
        (Some("https"), None, "[::1]:80", "http", "https://[::1]/p"),
        (Some("https"), None, "[::1]", "http", "https://[::1]/p"),
        (Some("ftp"), None, "f.x:443", "https", "ftp://f.x/p"),
        (Some("ftp"), None, "f.x:80", "https", "ftp://f.x:80/p"),
        (Some("http"), None, "f.x:80", "http", "http://f.x:80/p"),
        (Some("http"), None, "f.x:443", "https", "http://f.x/p"),
        (Some("https"), Some(443), "f.x:8080", "http", "https://f.x:443/p"),
        (Some("https"), Some(443), "[::1]:80", "https", "https://[::1]:443/p"),
        (None, None, "f.x:80", "http", "http://f.x:80/p"),
        (None, Some(8443), "f.x", "https", "https://f.x:8443/p"),
    ] {
        let config = Redirect { scheme: scheme.map(str::to_owned), port, ..Redirect::default() };
        let case = format!("{config:?} {host} {proto}");
        assert_eq!(location(config, "/", host, proto, "/p"), want, "{case}");
    }
}

#[test]
fn another_host_stands_as_it_is() {
    let config = |port| Redirect { host: Some("o.x:99".into()), port, ..Redirect::default() };
    assert_eq!(location(config(None), "/", "f.x:8080", "http", "/p?q"), "http://o.x:99/p?q");
    assert_eq!(location(config(Some(1)), "/", "f.x", "http", "/p"), "http://o.x:99:1/p");
}

#[test]
fn paths_are_redirected_as_envoys() {
    let full = |path: &str| Some(RedirectPath::Full(path.into()));
    let prefix = |path: &str| Some(RedirectPath::Prefix(path.into()));
    let regex = |pattern: &str, substitution: &str| {
        Some(RedirectPath::Regex {
            pattern: Pattern::new(pattern).unwrap(),
            substitution: substitution.into(),
        })
    };
    for (path, strip_query, target, want) in [
        (None, false, "/m/t?q=1", "/m/t?q=1"),
        (None, true, "/m/t?q=1", "/m/t"),
        (full("/n?x=1"), false, "/m/?q=1", "/n?x=1"),
        (full("/n?x=1"), true, "/m/t?q=1", "/n?x=1"),
        (full("/n"), false, "/m/t?q=1", "/n?q=1"),
        (full("/n"), true, "/m/t?q=1", "/n"),
        (full("rel"), false, "/m/t?q=1", "/rel?q=1"),
        (prefix("/z"), false, "/m/t?q=1", "/zt?q=1"),
        (prefix("/z"), true, "/m/t?q=1", "/zt"),
        (prefix("/"), false, "/m/t?q=1", "/t?q=1"),
        (prefix("/z?m=1"), false, "/m/t?q=1", "/z?m=1t?q=1"),
        (prefix(""), false, "/m/t?q=1", "/m/t?q=1"),
        (prefix("evil."), false, "/m/t", "/evil.t"),
        (regex("^/m/([^/]+)(.*)$", r"/\2/\1"), false, "/m/one/two?x", "//two/one?x"),
        (regex(".*", ""), false, "/m/t?q=1", "/m/t?q=1"),
        (regex("t", "yy"), true, "/m/t?q=1", "/m/yy"),
    ] {
        let config = Redirect { path, strip_query, ..Redirect::default() };
        let case = format!("{config:?} {target}");
        assert_eq!(
            location(config, "/m/", "f.x", "http", target),
            format!("http://f.x{want}"),
            "{case}"
        );
    }
}

#[test]
fn a_prefix_takes_the_whole_of_other_matches() {
    let config = Redirect { path: Some(RedirectPath::Prefix("/e".into())), ..Redirect::default() };
    let redirector = Redirector::new(config).unwrap();
    let (parts, ()) = Request::get("/sgp/x?q").header("host", "f.x").body(()).unwrap().into_parts();
    let view = RequestView::of(&parts, 0);
    for (matched, want) in [
        (PathMatch::SegmentPrefix("/sgp".into()), "http://f.x/e/x?q"),
        (PathMatch::Exact("/sgp/x".into()), "http://f.x/e?q"),
        (PathMatch::Regex(Pattern::new("/s.*").unwrap()), "http://f.x/e?q"),
    ] {
        assert_eq!(redirector.location(&matched, &view), want);
    }
}

#[test]
fn codes_are_as_configured() {
    for code in [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::PERMANENT_REDIRECT] {
        let redirector = Redirector::new(Redirect { code, ..Redirect::default() }).unwrap();
        let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
        let reply = redirector.reply(&PathMatch::Connect, &RequestView::of(&parts, 0));
        assert_eq!(reply.status(), code);
    }
}

#[test]
fn tls_redirects_keep_host_port_and_query() {
    let (parts, ()) =
        Request::get("/p?q=1").header("host", "H.x:80").body(()).unwrap().into_parts();
    let reply = tls_reply(&RequestView::of(&parts, 0));
    assert_eq!(reply.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(reply.headers()["location"], "https://H.x:80/p?q=1");
}

#[test]
fn a_location_never_breaks_its_header() {
    let reply = response(StatusCode::FOUND, "http://f.x/a\r\nset-cookie: b".into());
    assert_eq!(reply.headers()["location"], "http://f.x/a%0D%0Aset-cookie:%20b");
}
