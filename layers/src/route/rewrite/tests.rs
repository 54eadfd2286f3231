//! Rewrites as real Envoy 1.40 did them.

use http::Request;
use proptest::prelude::*;

use super::*;

fn request(target: &str, lines: &[(&'static str, &str)]) -> Parts {
    let mut builder = Request::get(target).header("host", "front.example");
    for (name, value) in lines {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn prefix_match(prefix: &str) -> PathMatch {
    PathMatch::Prefix(prefix.into())
}

fn prefix(new: &str) -> PathRewrite {
    PathRewrite::Prefix(new.into())
}

fn regex(pattern: &str, substitution: &str) -> PathRewrite {
    PathRewrite::Regex {
        pattern: Pattern::new(pattern).unwrap(),
        substitution: substitution.into(),
    }
}

fn header(parts: &Parts, name: &str) -> Option<String> {
    let value = parts.headers.get(name)?;
    Some(value.to_str().unwrap().to_owned())
}

#[test]
fn paths_are_rewritten_as_envoys() {
    let exact = PathMatch::Exact("/full".into());
    let segment = || PathMatch::SegmentPrefix("/sg".into());
    let any = PathMatch::Regex(Pattern::new(".*").unwrap());
    for (matched, rewrite, target, want) in [
        (prefix_match("/api/"), prefix("/"), "/api/v1/x?y=1", "/v1/x?y=1"),
        (prefix_match("/api/"), prefix("/"), "/api/", "/"),
        (prefix_match("/strip"), prefix("/"), "/strip/a", "//a"),
        (exact, prefix("/replaced"), "/full?q=1", "/replaced?q=1"),
        (any, prefix("/all"), "/rmX/y?q", "/all?q"),
        (segment(), prefix("/"), "/sg", "/"),
        (segment(), prefix("/"), "/sg/a", "//a"),
        (segment(), prefix("/"), "/sg?x", "/?x"),
        (prefix_match("/CI"), prefix("/lower"), "/cI/z?Q", "/lower/z?Q"),
        (prefix_match("/pr2"), prefix("/a?b=1"), "/pr2/z?q=2", "/a?b=1/z?q=2"),
        // Here Envoy sends `x/z` and `/a b#c/z`, which no server could read.
        (prefix_match("/pr1"), prefix("x"), "/pr1/z", "/x/z"),
        (prefix_match("/pr3"), prefix("/a b#c"), "/pr3/z", "/a%20b%23c/z"),
        (
            prefix_match("/"),
            regex("^/rx/([^/]+)/([^/]+)$", r"/\2/\1"),
            "/rx/one/two?k=v",
            "/two/one?k=v",
        ),
        (prefix_match("/"), regex("nomatch", "x"), "/rx1/a?b", "/rx1/a?b"),
        (prefix_match("/"), regex("o", "0?z"), "/rx5/foo?x", "/rx5/f0?z0?z?x"),
        (prefix_match("/"), regex("^/", ""), "/rx3/a?b", "/rx3/a?b"),
    ] {
        let mut parts = request(target, &[("x-envoy-original-path", "liar")]);
        let rewrite = RequestRewrite::new(Some(rewrite), None).unwrap();
        assert_eq!(rewrite.apply(&matched, &mut parts), Ok(HostOutcome::Kept));
        assert_eq!(parts.uri.to_string(), want, "{matched:?} {target}");
        assert_eq!(header(&parts, "x-envoy-original-path").as_deref(), Some(target));
    }
}

#[test]
fn an_empty_result_is_no_rewrite() {
    for rewrite in [prefix(""), regex("^.*$", "")] {
        let mut parts = request("/rx2/a?b=1", &[]);
        let rewrite = RequestRewrite::new(Some(rewrite), None).unwrap();
        let before = parts.uri.clone();
        assert_eq!(rewrite.apply(&prefix_match("/rx2/"), &mut parts), Ok(HostOutcome::Kept));
        assert_eq!(parts.uri, before);
        assert_eq!(header(&parts, "x-envoy-original-path"), None);
    }
}

#[test]
fn an_absolute_uri_keeps_its_authority() {
    let mut parts = request("http://front.example/api/x", &[]);
    let host = HostRewrite::Literal("in.example:81".parse().unwrap());
    let rewrite = RequestRewrite::new(Some(prefix("/")), Some(host)).unwrap();
    assert_eq!(rewrite.apply(&prefix_match("/api/"), &mut parts), Ok(HostOutcome::Replaced));
    assert_eq!(parts.uri, "http://in.example:81/x");
    assert_eq!(parts.headers["host"], "in.example:81");
    assert_eq!(parts.headers["x-envoy-original-host"], "front.example");
}

#[test]
fn hosts_are_rewritten_as_envoys() {
    let literal = || HostRewrite::Literal("in.x".parse().unwrap());
    let by_header = || HostRewrite::Header(HeaderName::from_static("x-h"));
    let by_path = || HostRewrite::PathRegex {
        pattern: Pattern::new("^/prx/(.*)$").unwrap(),
        substitution: r"\1.h".into(),
    };
    let same = HostRewrite::Literal("front.example".parse().unwrap());
    for (rewrite, target, lines, host, original) in [
        (literal(), "/lit", &[][..], "in.x", Some("front.example")),
        (same, "/", &[("x-envoy-original-host", "liar")], "front.example", Some("front.example")),
        (by_header(), "/", &[], "front.example", None),
        (by_header(), "/", &[("x-h", "")], "front.example", None),
        (by_header(), "/", &[("x-h", "one"), ("x-h", "two")], "one", Some("front.example")),
        // Any text is a host to Envoy, and so is a path in which the pattern found nothing.
        (by_header(), "/", &[("x-h", "we ird")], "we ird", Some("front.example")),
        (by_path(), "/prx/abc?d", &[], "abc.h", Some("front.example")),
        (by_path(), "/prx", &[], "/prx", Some("front.example")),
    ] {
        let mut parts = request(target, lines);
        let rewrite = RequestRewrite::new(None, Some(rewrite)).unwrap();
        let outcome = rewrite.apply(&prefix_match("/"), &mut parts).unwrap();
        assert_eq!(outcome == HostOutcome::Replaced, original.is_some());
        assert_eq!(header(&parts, "host").as_deref(), Some(host), "{rewrite:?} {lines:?}");
        assert_eq!(header(&parts, "x-envoy-original-host").as_deref(), original);
        assert_eq!(header(&parts, "x-forwarded-host"), None);
    }
}

#[test]
fn the_endpoints_name_is_left_to_the_cluster() {
    let mut parts = request("/auto", &[]);
    let rewrite = RequestRewrite::new(None, Some(HostRewrite::Auto)).unwrap();
    assert_eq!(rewrite.apply(&prefix_match("/"), &mut parts), Ok(HostOutcome::Auto));
    assert_eq!(parts.headers["host"], "front.example");
}

#[test]
fn the_old_host_goes_into_x_forwarded_host_once() {
    let options = HostOptions { append_x_forwarded_host: true, keep_original: false };
    for (lines, want) in [
        (&[][..], "front.example"),
        (&[""], "front.example"),
        (&["a.b"], "a.b,front.example"),
        (&["front.example"], "front.example"),
        (&["a,front.example"], "a,front.example"),
        (&["a, front.example"], "a, front.example,front.example"),
        (&["a", "b"], "a,b,front.example"),
    ] {
        let lines: Vec<_> = lines.iter().map(|value| ("x-forwarded-host", *value)).collect();
        let mut parts = request("/", &lines);
        let literal = HostRewrite::Literal("in.x".parse().unwrap());
        let rewrite = RequestRewrite::new(None, Some(literal)).unwrap().options(options);
        assert_eq!(rewrite.apply(&prefix_match("/"), &mut parts), Ok(HostOutcome::Replaced));
        assert_eq!(header(&parts, "x-forwarded-host").as_deref(), Some(want), "{lines:?}");
        assert_eq!(header(&parts, "x-envoy-original-host"), None);
    }
}

#[test]
fn suppressed_headers_stay_away() {
    let options = HostOptions { keep_original: false, ..HostOptions::default() };
    let mut parts = request("/api/x", &[]);
    let rewrite = RequestRewrite::new(Some(prefix("/")), None).unwrap().options(options);
    assert_eq!(rewrite.apply(&prefix_match("/api/"), &mut parts), Ok(HostOutcome::Kept));
    assert_eq!(parts.uri, "/x");
    assert_eq!(header(&parts, "x-envoy-original-path"), None);
}

#[test]
fn config_is_checked() {
    let host = HostRewrite::Literal("a b".parse().unwrap());
    assert_eq!(RequestRewrite::new(None, Some(host)).unwrap_err(), RewriteConfigError::Host);
    let error = RequestRewrite::new(Some(regex("a", r"\1")), None).unwrap_err();
    assert!(matches!(error, RewriteConfigError::Substitution(_)), "{error}");
}

#[test]
fn a_path_that_grows_too_long_is_an_error() {
    let mut parts = request(&format!("/{}", "a".repeat(30_000)), &[]);
    let rewrite = RequestRewrite::new(Some(regex("a", "bbb")), None).unwrap();
    assert_eq!(rewrite.apply(&prefix_match("/"), &mut parts), Err(PathTooLong));
    assert_eq!(header(&parts, "x-envoy-original-path"), None);
}

proptest! {
    #[test]
    fn a_rewritten_path_is_a_valid_one(
        new in "\\PC{0,8}",
        cut in 0_usize..6,
        path in "/[a-z%./]{0,8}",
        query in prop::option::of("[a-z=&?/]{0,8}"),
    ) {
        let target = query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}"));
        let matched = prefix_match(&path[..cut.min(path.len())]);
        for rewrite in [prefix(&new), regex("[a-m]+", &new.replace('\\', ""))] {
            let mut parts = request(&target, &[]);
            let rewrite = RequestRewrite::new(Some(rewrite), None).unwrap();
            prop_assert_eq!(rewrite.apply(&matched, &mut parts), Ok(HostOutcome::Kept));
            let text = parts.uri.to_string();
            prop_assert!(text.starts_with('/'), "{}", text);
            prop_assert!(text.parse::<Uri>().is_ok_and(|uri| uri == parts.uri), "{}", text);
            prop_assert!(query.as_ref().is_none_or(|query| text.ends_with(query)), "{}", text);
        }
    }
}
