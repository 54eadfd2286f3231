//! Paths as real Envoy 1.40 made them, and what must hold for any path.

use proptest::prelude::*;

use super::*;

const NORMALIZE: PathNormalizer = PathNormalizer {
    normalize: true,
    merge_slashes: false,
    escaped_slashes: EscapedSlashes::KeepUnchanged,
};

fn outcome(normalizer: PathNormalizer, path: &str) -> String {
    match normalizer.normalize(&path.parse().unwrap()) {
        PathOutcome::Unchanged => path.to_owned(),
        PathOutcome::Changed(new) => {
            assert_ne!(new, path, "changed into itself");
            new.to_string()
        }
        PathOutcome::Reject => "400".to_owned(),
        PathOutcome::Redirect(to) => format!("307 {to}"),
    }
}

#[test]
fn paths_are_normalised_as_envoys() {
    for (path, want) in [
        ("/%zz", "/%zz"),
        ("/%", "/%"),
        ("/%4", "/%4"),
        ("/a/%2e", "/a/"),
        ("/a/%2E%2e/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/a/b/../", "/a/"),
        ("/..", "/"),
        ("/.", "/"),
        ("/../../etc", "/etc"),
        ("/a/...", "/a/..."),
        ("/a/..b", "/a/..b"),
        ("/a/.b", "/a/.b"),
        ("/a//../b", "/a/b"),
        ("//../b", "/b"),
        ("/a\\..\\b", "/b"),
        ("/a%5c..%5cb", "/a%5c..%5cb"),
        ("/a/%2e%2", "/a/.%2"),
        ("/a;x/../b", "/b"),
        ("/a/b?x/../y", "/a/b?x/../y"),
        ("/a/b?x=%41\\", "/a/b?x=%41\\"),
        ("/a/%252e%252e/b", "/a/%252e%252e/b"),
        ("/a/%25%32%65", "/a/%252e"),
        ("/a//./b", "/a//b"),
        ("/a/..?q", "/?q"),
        ("/a/..//", "//"),
        ("/a/b/../../..", "/"),
        ("/%2e%2e%2f", "/..%2f"),
        ("/a/..%2fb", "/a/..%2fb"),
        ("/%c3%a9/..", "/"),
        ("/c/%41%7e", "/c/A~"),
        ("/c\"<>^`{|}d", "/c%22%3C%3E%5E%60%7B%7C%7Dd"),
        ("/c!$&'()*+,-:;=@[]_~d", "/c!$&'()*+,-:;=@[]_~d"),
        ("/a%00", "400"),
        ("/a?%00", "/a?%00"),
        ("/%2%65%2%65/b", "/%252e%252e/b"),
        ("/%%32e/b", "/%252e/b"),
        ("/%%32%65", "/%252e"),
        ("/a%2%66b", "/a%252fb"),
        ("/a%2%35%63b", "/a%2525cb"),
        ("/a%%2fb", "/a%%2fb"),
        ("/a/%%2e", "/a/%."),
        ("/a/%2%2e", "/a/%2."),
        ("/a/b%%%", "/a/b%%%"),
        ("/a%%34%31", "/a%2541"),
        ("/.%\\%2e.\\%32", "/2"),
        ("/a/..;/b", "/b"),
        ("/a/.;/b", "/a/b"),
        ("/a/..;x=1", "/"),
        ("/a/..%3b/b", "/a/..%3b/b"),
        ("/a/...;/b", "/a/...;/b"),
        ("/a/b;/../c", "/a/c"),
        ("/a/..;\\b", "/"),
        ("/a/..;%2fb", "/"),
        ("/a/;x/../b", "/a/b"),
        ("/a/b/c/..;/..;/d", "/a/d"),
    ] {
        // The parser of URIs knows `<`, `>` and the backtick only as escapes.
        if path.parse::<PathAndQuery>().is_ok() {
            assert_eq!(outcome(NORMALIZE, path), want, "{path}");
        }
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let canonical = canonical(path).map_or("400".to_owned(), |path| path + query);
        assert_eq!(canonical, want, "{path}");
    }
    // Envoy gives `/a/..;/b` here, and `/b` for that.
    assert_eq!(outcome(NORMALIZE, "/a/%2e%2e;/b"), "/b");
}

#[test]
fn options_combine_as_envoys() {
    use EscapedSlashes::{KeepUnchanged, RejectRequest, UnescapeAndForward, UnescapeAndRedirect};
    let with = |normalize, merge_slashes, escaped_slashes| PathNormalizer {
        normalize,
        merge_slashes,
        escaped_slashes,
    };
    let nothing = with(false, false, KeepUnchanged);
    let merge = with(false, true, KeepUnchanged);
    let both = with(true, true, KeepUnchanged);
    let redirect = with(false, false, UnescapeAndRedirect);
    let redirect_all = with(true, true, UnescapeAndRedirect);
    let forward = with(true, false, UnescapeAndForward);
    let reject = with(true, false, RejectRequest);
    let columns = [nothing, merge, both, redirect, redirect_all, forward, reject];
    for (path, want) in [
        ("/a%2Fb", ["/a%2Fb", "/a%2Fb", "/a%2Fb", "307 /a/b", "307 /a/b", "/a/b", "400"]),
        ("/a%5Cb", ["/a%5Cb", "/a%5Cb", "/a%5Cb", "307 /a\\b", "307 /a/b", "/a/b", "400"]),
        ("/a//b", ["/a//b", "/a/b", "/a/b", "/a//b", "/a/b", "/a//b", "/a//b"]),
        ("/a/../b", ["/a/../b", "/a/../b", "/b", "/a/../b", "/b", "/b", "/b"]),
        ("/a//", ["/a//", "/a/", "/a/", "/a//", "/a/", "/a//", "/a//"]),
        ("//", ["//", "//", "//", "//", "//", "//", "//"]),
        (
            "//a?b//c",
            ["//a?b//c", "/a?b//c", "/a?b//c", "//a?b//c", "/a?b//c", "//a?b//c", "//a?b//c"],
        ),
        ("/?%2f", ["/?%2f", "/?%2f", "/?%2f", "/?%2f", "/?%2f", "/?%2f", "/?%2f"]),
        ("/%252f", ["/%252f", "/%252f", "/%252f", "/%252f", "/%252f", "/%252f", "/%252f"]),
        (
            "//x/..//a//b",
            ["//x/..//a//b", "/x/../a/b", "/a/b", "//x/..//a//b", "/a/b", "///a//b", "///a//b"],
        ),
    ] {
        for (normalizer, want) in columns.iter().zip(want) {
            assert_eq!(outcome(*normalizer, path), want, "{path} {normalizer:?}");
        }
    }
    for (path, normalizer, want) in [
        ("/a%5cb%2fc?x=%2f", redirect, "307 /a\\b/c?x=%2f"),
        ("/a%5cb%2fc?x=%2f", forward, "/a/b/c?x=%2f"),
        ("/a%2f..%2fb", redirect, "307 /a/../b"),
        ("/a%2f..%2fb", redirect_all, "307 /b"),
        ("/a%2f..%2fb", forward, "/b"),
        ("/a%2f%2fb", redirect_all, "307 /a/b"),
        ("/a/%2e%2e/b%2f/", redirect, "307 /a/%2e%2e/b//"),
        ("/a/%2e%2e/b%2f/", redirect_all, "307 /b/"),
        ("/a%2f\\b", forward, "/a//b"),
        ("/%41%2f", redirect_all, "307 /A/"),
        ("/a%5cb%2%66..", forward, "/a/b%252f.."),
        ("/x/%2e%2e%2fy", forward, "/y"),
        ("/a/..;%2fb", forward, "/b"),
        ("/a%%2fb", forward, "/a%/b"),
    ] {
        assert_eq!(outcome(normalizer, path), want, "{path} {normalizer:?}");
    }
}

#[test]
fn a_redirect_never_names_another_host() {
    let redirect = PathNormalizer {
        escaped_slashes: EscapedSlashes::UnescapeAndRedirect,
        ..PathNormalizer::default()
    };
    assert_eq!(outcome(redirect, "/%2Fevil.example?q"), "307 /.//evil.example?q");
    assert_eq!(outcome(redirect, "/%5Cevil.example"), "307 /./\\evil.example");
    assert_eq!(outcome(redirect, "//evil.example/%2F"), "307 /.//evil.example//");
}

#[test]
fn the_star_of_options_is_no_path() {
    let all = PathNormalizer {
        merge_slashes: true,
        escaped_slashes: EscapedSlashes::RejectRequest,
        ..NORMALIZE
    };
    assert_eq!(all.normalize(&PathAndQuery::from_static("*")), PathOutcome::Unchanged);
}

fn any_normalizer() -> impl Strategy<Value = PathNormalizer> {
    let slashes = prop::sample::select(vec![
        EscapedSlashes::KeepUnchanged,
        EscapedSlashes::RejectRequest,
        EscapedSlashes::UnescapeAndRedirect,
        EscapedSlashes::UnescapeAndForward,
    ]);
    (any::<bool>(), any::<bool>(), slashes).prop_map(
        |(normalize, merge_slashes, escaped_slashes)| PathNormalizer {
            normalize,
            merge_slashes,
            escaped_slashes,
        },
    )
}

/// Paths made of what matters: dots, slashes of all kinds, escapes whole and broken.
fn any_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", ".", "..", "a", "%", "%2", "2", "e", "f", "5", "c", ";", "\\", "%2e", "%2E",
        "%2f", "%5C", "%25", "%32", "%65", "%41", "%c3", "^", "\"", "é", "%3b", "//", "%35", "%63",
    ]);
    let query = prop::option::of("[a/.%\\\\?]{0,5}");
    (prop::collection::vec(piece, 0..14), query).prop_map(|(pieces, query)| {
        let query = query.map(|query| format!("?{query}"));
        format!("/{}{}", pieces.concat(), query.unwrap_or_default())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_second_pass_changes_nothing(normalizer in any_normalizer(), path in any_path()) {
        let path: PathAndQuery = path.parse().unwrap();
        let first = normalizer.normalize(&path);
        if let PathOutcome::Changed(first) = first {
            prop_assert_eq!(normalizer.normalize(&first), PathOutcome::Unchanged, "{}", first);
        }
    }

    #[test]
    fn no_dot_segment_is_left(mut normalizer in any_normalizer(), path in any_path()) {
        normalizer.normalize = true;
        let path: PathAndQuery = path.parse().unwrap();
        let new = match normalizer.normalize(&path) {
            PathOutcome::Unchanged => path,
            PathOutcome::Changed(new) => new,
            PathOutcome::Redirect(to) => {
                prop_assert!(to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\"));
                let to = to.strip_prefix("/.").filter(|to| to.starts_with("//")).unwrap_or(&to);
                to.parse().unwrap()
            }
            PathOutcome::Reject => return Ok(()),
        };
        prop_assert!(new.as_str().starts_with('/'));
        for segment in new.path().split('/') {
            let name = segment.split(';').next().unwrap_or_default();
            prop_assert!(name != "." && name != "..", "{}", new);
        }
        prop_assert!(!new.path().contains('\\'), "{}", new);
    }

    #[test]
    fn the_quick_look_agrees(normalizer in any_normalizer(), path in any_path()) {
        let path: PathAndQuery = path.parse().unwrap();
        if normalizer.is_clean(path.path()) {
            prop_assert_eq!(normalizer.rewrite(&path), PathOutcome::Unchanged);
        }
    }

    #[test]
    fn the_query_is_kept(normalizer in any_normalizer(), path in any_path()) {
        let path: PathAndQuery = path.parse().unwrap();
        match normalizer.normalize(&path) {
            PathOutcome::Changed(new) => prop_assert_eq!(new.query(), path.query()),
            PathOutcome::Redirect(to) => {
                prop_assert_eq!(to.split_once('?').map(|(_, query)| query), path.query());
            }
            PathOutcome::Unchanged | PathOutcome::Reject => {}
        }
    }
}
