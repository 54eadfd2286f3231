//! What real Envoy 1.40 matched, as tables.

use http::request::Parts;
use http::{HeaderName, Request};

use super::*;

fn request(target: &str, lines: &[(&'static str, &str)]) -> Parts {
    let mut builder = Request::get(target);
    for (name, value) in lines {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn exact(value: &str) -> StringMatch {
    StringMatch::Exact { value: value.into(), ignore_case: false }
}

fn on_x(rule: HeaderRule, invert: bool, treat_missing_as_empty: bool) -> HeaderMatch {
    HeaderMatch {
        name: HeaderMatchName::Header(HeaderName::from_static("x")),
        rule,
        invert,
        treat_missing_as_empty,
    }
}

/// For no line, an empty one, `a`, `a` and `b`, `b` and `a`, 3, 5, -5, +3, 3x, too big, 1 and 9.
fn row(matcher: &HeaderMatch) -> String {
    let lines: [&[&str]; 12] = [
        &[],
        &[""],
        &["a"],
        &["a", "b"],
        &["b", "a"],
        &["3"],
        &["5"],
        &["-5"],
        &["+3"],
        &["3x"],
        &["99999999999999999999"],
        &["1", "9"],
    ];
    let matches = |values: &&[&str]| {
        let lines: Vec<_> = values.iter().map(|value| ("x", *value)).collect();
        let parts = request("/", &lines);
        matcher.matches(&RequestView::of(&parts, 0))
    };
    lines.iter().map(|l| if matches(l) { 'y' } else { '-' }).collect()
}

#[test]
fn headers_match_as_envoys() {
    use HeaderRule::{Present, Range, Value};
    let range = || Range { start: -5, end: 5 };
    for (rule, invert, missing, want) in [
        (Present(true), false, false, "-yyyyyyyyyyy"),
        (Present(true), true, false, "y-----------"),
        (Present(false), false, false, "y-----------"),
        (Present(false), true, false, "-yyyyyyyyyyy"),
        (Present(true), false, true, "yyyyyyyyyyyy"),
        (Present(true), true, true, "------------"),
        (Present(false), false, true, "------------"),
        (Value(exact("a")), false, false, "--yyy-------"),
        (Value(exact("a")), true, false, "-y---yyyyyyy"),
        (Value(exact("a")), true, true, "yy---yyyyyyy"),
        (Value(exact("a,b")), false, false, "------------"),
        (Value(StringMatch::Regex(Pattern::whole("a*").unwrap())), false, true, "yyyyy-------"),
        (range(), false, false, "-----y-yy--y"),
        (range(), true, false, "-yyyy-y--yy-"),
        (range(), true, true, "yyyyy-y--yy-"),
    ] {
        let matcher = on_x(rule, invert, missing);
        assert_eq!(row(&matcher), want, "{matcher:?}");
    }
}

#[test]
fn headers_that_envoy_keeps_as_one_line_are_joined() {
    let parts = request("/", &[("accept", "a"), ("accept", "b")]);
    let view = RequestView::of(&parts, 0);
    for (value, want) in [("a,b", true), ("a", false), ("b", false)] {
        let matcher = HeaderMatch {
            name: HeaderMatchName::Header(header::ACCEPT),
            ..on_x(HeaderRule::Value(exact(value)), false, false)
        };
        assert_eq!(matcher.matches(&view), want, "{value}");
    }
}

#[test]
fn pseudo_headers_are_headers() {
    let parts = request("http://front.example/p?a=1", &[]);
    let view = RequestView::of(&parts, 0);
    for (name, value) in [
        (HeaderMatchName::Method, "GET"),
        (HeaderMatchName::Path, "/p?a=1"),
        (HeaderMatchName::Authority, "front.example"),
        (HeaderMatchName::Header(header::HOST), "front.example"),
        (HeaderMatchName::Scheme, "http"),
    ] {
        let mut matcher = on_x(HeaderRule::Value(exact(value)), false, false);
        matcher.name = name;
        assert!(matcher.matches(&view), "{matcher:?}");
        matcher.rule = HeaderRule::Value(exact("other"));
        assert!(!matcher.matches(&view), "{matcher:?}");
        assert!(!matcher.matches_map(&parts.headers), "absent from a bare map");
    }
}

#[test]
fn case_is_ignored_in_every_kind() {
    type Make = fn(String, bool) -> StringMatch;
    let exact: Make = |value, ignore_case| StringMatch::Exact { value, ignore_case };
    let prefix: Make = |value, ignore_case| StringMatch::Prefix { value, ignore_case };
    let suffix: Make = |value, ignore_case| StringMatch::Suffix { value, ignore_case };
    let contains: Make = |value, ignore_case| StringMatch::Contains { value, ignore_case };
    for (kind, good, bad) in [
        (exact, "bAb", "bab2"),
        (prefix, "bAbel", "aBab"),
        (suffix, "xbAb", "bAbx"),
        (contains, "xbAbx", "baxb"),
    ] {
        assert!(kind("BaB".into(), true).matches(good.as_bytes()));
        assert!(!kind("BaB".into(), false).matches(good.as_bytes()));
        assert!(kind("bAb".into(), false).matches(good.as_bytes()));
        assert!(!kind("bAb".into(), true).matches(bad.as_bytes()));
        assert!(!kind("a long text".into(), true).matches(b"short"));
    }
}

#[test]
fn query_parameters_match_as_envoys() {
    use QueryRule::{Present, Value};
    let matchers = [
        ("a", Value(exact("1 2"))),
        ("a", Value(exact("1%202"))),
        ("a", Present(true)),
        ("a", Present(false)),
        ("a", Value(exact("1"))),
        ("a b", Present(true)),
        ("a", Value(StringMatch::Regex(Pattern::whole(".*").unwrap()))),
        ("a", Value(exact("1=2"))),
    ];
    for (query, want) in [
        ("a=1%202", &[2, 3, 7][..]),
        ("a=1+2", &[3, 7]),
        ("a", &[3, 7]),
        ("a=", &[3, 7]),
        ("b", &[4]),
        ("a=2&a=1", &[3, 7]),
        ("a=1&a=2", &[3, 5, 7]),
        ("a%20b", &[4]),
        ("a=1=2", &[3, 7, 8]),
        ("", &[4]),
        ("&a=1", &[3, 5, 7]),
        ("A=1", &[4]),
        ("?a=1", &[4]),
        ("=1", &[4]),
        ("a=%31", &[3, 7]),
        ("b?a=1", &[4]),
        ("x=/&a=1", &[3, 5, 7]),
    ] {
        let parts = request(&format!("/q?{query}"), &[]);
        let view = RequestView::of(&parts, 0);
        let matched: Vec<_> = (1..)
            .zip(&matchers)
            .filter(|(_, (name, rule))| {
                let rule = rule.clone();
                let name = (*name).to_owned();
                QueryMatch { name, rule }.matches(view.query())
            })
            .map(|(number, _)| number)
            .collect();
        assert_eq!(matched, want, "{query}");
    }
    assert!(!QueryMatch { name: "a".into(), rule: Present(true) }.matches(None));
}

#[test]
fn paths_match_as_envoys() {
    let prefix = |p: &str| PathMatch::Prefix(p.into());
    let segment = |p: &str| PathMatch::SegmentPrefix(p.into());
    let regex = |p: &str| PathMatch::Regex(Pattern::whole(p).unwrap());
    for (path, case_sensitive, matching, others) in [
        (prefix("/pre"), true, &["/pre", "/prefab", "/pre?x"][..], &["/Pre", "/pr", "/"][..]),
        (prefix("/pre"), false, &["/PREfab"], &["/pr"]),
        (prefix(""), true, &["/", "/x"], &[]),
        (prefix("/pf?x"), true, &[], &["/pf?x"]),
        (segment("/seg"), true, &["/seg", "/seg/", "/seg/x", "/seg?x"], &["/segment", "/SEG"]),
        (segment("/SEG"), false, &["/seg", "/sEg/x"], &["/segx"]),
        (PathMatch::Exact("/e".into()), true, &["/e", "/e?x=1"], &["/e/", "/E", "/"]),
        (PathMatch::Exact("/e".into()), false, &["/E"], &["/e/"]),
        (regex("/re/[0-9]+"), true, &["/re/12", "/re/12?y=x"], &["/re/", "/re/12x", "/a/re/1"]),
        (regex("/rx/a|/b"), false, &["/rx/a", "/b"], &["/Rx/a", "/rx/ab", "/a/b"]),
        (PathMatch::Connect, true, &[], &["/"]),
    ] {
        let case = |target: &&str| {
            let parts = request(target, &[]);
            path.matches(&RequestView::of(&parts, 0), case_sensitive)
        };
        assert!(matching.iter().all(case), "{path:?} takes all of {matching:?}");
        assert!(!others.iter().any(case), "{path:?} takes none of {others:?}");
    }
}

#[test]
fn a_connect_request_has_no_path() {
    let connect = Request::connect("front.example:80").body(()).unwrap();
    let (parts, ()) = connect.into_parts();
    let view = RequestView::of(&parts, 0);
    assert!(PathMatch::Connect.matches(&view, true));
    assert!(!PathMatch::Prefix(String::new()).matches(&view, true));
    assert_eq!(view.authority, "front.example:80");
}

#[test]
fn grpc_goes_by_content_type() {
    for (value, want) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc+", true),
        ("application/grpcx", false),
        ("Application/grpc", false),
        ("application/grpc;x", false),
        ("application/grpc-web", false),
    ] {
        let parts = request("/", &[("content-type", value)]);
        let mut matcher = RouteMatch::new(PathMatch::Prefix("/".into()));
        matcher.grpc = true;
        assert_eq!(matcher.matches(&RequestView::of(&parts, 0)), want, "{value}");
    }
}

#[test]
fn every_part_has_to_match() {
    let parts = request("/q?a=1", &[("x", "a")]);
    let view = RequestView::of(&parts, 49);
    let fits = |change: fn(&mut RouteMatch)| {
        let mut all = RouteMatch {
            headers: vec![on_x(HeaderRule::Present(true), false, false)],
            query: vec![QueryMatch { name: "a".into(), rule: QueryRule::Present(true) }],
            fraction: Some(Fraction { numerator: 50, denominator: 100 }.into()),
            ..RouteMatch::new(PathMatch::Prefix("/q".into()))
        };
        change(&mut all);
        all.matches(&view)
    };
    assert!(fits(|_| ()));
    assert!(!fits(|all| all.path = PathMatch::Exact("/".into())));
    assert!(!fits(|all| all.headers[0].invert = true));
    assert!(!fits(|all| all.query[0].name = "b".into()));
    assert!(!fits(|all| all.grpc = true));
    assert!(!fits(|all| all.fraction = Some(Fraction { numerator: 49, denominator: 100 }.into())));
}

#[test]
fn a_fraction_takes_its_share() {
    let taken = |numerator, denominator| {
        let fraction = Fraction { numerator, denominator };
        (0..10_000).filter(|n| fraction.takes(*n)).count()
    };
    assert_eq!(
        [taken(0, 100), taken(25, 100), taken(100, 100), taken(1, 10_000), taken(1, 0)],
        [0, 2500, 10_000, 1, 0]
    );
}
