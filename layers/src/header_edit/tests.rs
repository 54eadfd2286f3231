//! Headers as real Envoy 1.40 left them.

use AppendAction::{AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists, OverwriteIfExistsOrAdd};

use super::*;
use crate::response_flags::{ResponseFlag, ResponseFlags};

fn add(name: &'static str, value: &str, action: AppendAction) -> HeaderAdd {
    HeaderAdd {
        name: HeaderName::from_static(name),
        value: value.into(),
        action,
        keep_empty_value: false,
    }
}

fn keep(add: HeaderAdd) -> HeaderAdd {
    HeaderAdd { keep_empty_value: true, ..add }
}

fn request(request_add: Vec<HeaderAdd>) -> HeaderEdits {
    HeaderEdits { request_add, ..HeaderEdits::default() }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let lines =
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    lines.collect()
}

/// All lines, sorted by name; those of one name stay in order.
fn lines(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    lines.sort_by_key(|(name, _)| *name);
    lines
}

fn edited(
    edits: &HeaderEdits,
    before: &[(&'static str, &str)],
    context: &dyn FormatContext,
) -> HeaderMap {
    let editor = HeaderEditor::compile(Levels { route: Some(edits), ..Levels::default() }).unwrap();
    let mut map = headers(before);
    editor.edit_request(&mut map, context);
    map
}

fn four_actions() -> HeaderEdits {
    request(vec![
        add("x-add", "route", AppendIfExistsOrAdd),
        add("x-ow", "route", OverwriteIfExistsOrAdd),
        add("x-abs", "route", AddIfAbsent),
        add("x-oe", "route", OverwriteIfExists),
    ])
}

#[test]
fn actions_on_absent_headers() {
    let map = edited(&four_actions(), &[], &());
    assert_eq!(lines(&map), [("x-abs", "route"), ("x-add", "route"), ("x-ow", "route")]);
}

#[test]
fn actions_on_present_headers() {
    let me = [("x-add", "me"), ("x-ow", "me"), ("x-ow", "too"), ("x-abs", "me"), ("x-oe", "me")];
    let map = edited(&four_actions(), &me, &());
    assert_eq!(
        lines(&map),
        [
            ("x-abs", "me"),
            ("x-add", "me"),
            ("x-add", "route"),
            ("x-oe", "route"),
            ("x-ow", "route")
        ]
    );
}

#[test]
fn removals_come_first_and_overwriting_before_adding() {
    let edits = HeaderEdits {
        request_remove: vec![HeaderName::from_static("gone"), HeaderName::from_static("both")],
        request_add: vec![
            add("both", "new", AddIfAbsent),
            add("s", "3", AppendIfExistsOrAdd),
            add("s", "1", OverwriteIfExistsOrAdd),
            add("s", "2", OverwriteIfExistsOrAdd),
            add("twice", "a", AddIfAbsent),
            add("twice", "b", AddIfAbsent),
            add("was", "%REQ(s)%%REQ(gone)%", AppendIfExistsOrAdd),
        ],
        ..HeaderEdits::default()
    };
    let map = edited(&edits, &[("gone", "1"), ("both", "old"), ("s", "0")], &());
    assert_eq!(
        lines(&map),
        [("both", "new"), ("s", "2"), ("s", "3"), ("twice", "a"), ("twice", "b"), ("was", "0")]
    );
}

#[test]
fn empty_values_are_kept_only_on_request() {
    let edits = request(vec![
        add("empty", "", AppendIfExistsOrAdd),
        keep(add("empty-kept", "", AppendIfExistsOrAdd)),
        add("ow", "%REQ(nope)%", OverwriteIfExistsOrAdd),
        keep(add("ow-kept", "%REQ(nope)%", OverwriteIfExistsOrAdd)),
        add("part", "x%REQ(nope)%y", AppendIfExistsOrAdd),
        add("percent", "100%%", AppendIfExistsOrAdd),
    ]);
    let map = edited(&edits, &[("ow", "1"), ("ow-kept", "1")], &());
    assert_eq!(
        lines(&map),
        [("empty-kept", ""), ("ow", "1"), ("ow-kept", ""), ("part", "xy"), ("percent", "100%")]
    );
}

#[test]
fn headers_that_envoy_keeps_as_one_line_are_continued() {
    let edits = request(vec![
        add("x-forwarded-proto", "zz", AppendIfExistsOrAdd),
        add("x-request-id", "11", AppendIfExistsOrAdd),
    ]);
    let map = edited(&edits, &[("x-forwarded-proto", "http")], &());
    assert_eq!(lines(&map), [("x-forwarded-proto", "http,zz"), ("x-request-id", "11")]);
}

/// Edits of one level, each naming it.
fn level(name: &str) -> HeaderEdits {
    let all = vec![
        add("a", name, AppendIfExistsOrAdd),
        add("o", name, OverwriteIfExistsOrAdd),
        add("b", name, AddIfAbsent),
    ];
    HeaderEdits { response_add: all.clone(), ..request(all) }
}

#[test]
fn levels_run_in_envoys_order() {
    let [cluster, route, host, table] = ["W", "R", "V", "T"].map(level);
    for (most_specific_wins, order, last) in [(false, "WRVT", "T"), (true, "WTVR", "R")] {
        let editor = HeaderEditor::compile(Levels {
            weighted_cluster: Some(&cluster),
            route: Some(&route),
            virtual_host: Some(&host),
            table: Some(&table),
            most_specific_wins,
        });
        let editor = editor.unwrap();
        let mut requests = headers(&[("o", "me")]);
        editor.edit_request(&mut requests, &());
        let mut responses = headers(&[("b", "app")]);
        editor.edit_response(&mut responses, &());
        for (map, b) in [(&requests, "W"), (&responses, "app")] {
            let all: String =
                map.get_all("a").iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(all, order);
            assert_eq!((map["o"].as_bytes(), map["b"].as_bytes()), (last.as_bytes(), b.as_bytes()));
        }
    }
}

#[test]
fn a_level_reads_what_the_one_before_it_left() {
    let route = request(vec![add("x", "route", OverwriteIfExistsOrAdd)]);
    let table = request(vec![add("seen", "%REQ(x)%", AppendIfExistsOrAdd)]);
    let levels = Levels { route: Some(&route), table: Some(&table), ..Levels::default() };
    let mut map = headers(&[("x", "me")]);
    HeaderEditor::compile(levels).unwrap().edit_request(&mut map, &());
    assert_eq!(lines(&map), [("seen", "route"), ("x", "route")]);
}

/// A reply that the proxy makes itself: its status is not known yet while headers are added.
struct LocalReply(HeaderMap);

impl FormatContext for LocalReply {
    fn request_headers(&self) -> Option<&HeaderMap> {
        Some(&self.0)
    }
    fn response_flags(&self) -> ResponseFlags {
        ResponseFlag::UpstreamConnectionFailure.into()
    }
}

#[test]
fn responses_are_edited_with_what_is_known() {
    let edits = HeaderEdits {
        response_remove: vec![HeaderName::from_static("server")],
        response_add: vec![
            add("x-code", "%RESPONSE_CODE%", AppendIfExistsOrAdd),
            add("x-flags", "%RESPONSE_FLAGS%", AppendIfExistsOrAdd),
            add("x-up", "%UPSTREAM_HOST%", AppendIfExistsOrAdd),
            add("x-both", "%REQ(x)% %RESP(y)%", AppendIfExistsOrAdd),
        ],
        ..HeaderEdits::default()
    };
    let editor =
        HeaderEditor::compile(Levels { route: Some(&edits), ..Levels::default() }).unwrap();
    let context = LocalReply(headers(&[("x", "asked")]));
    let mut map = headers(&[("server", "app"), ("y", "answered")]);
    editor.edit_response(&mut map, &context);
    assert_eq!(
        lines(&map),
        [("x-both", "asked answered"), ("x-code", "0"), ("x-flags", "UF"), ("y", "answered")]
    );
    assert!(!editor.is_empty());
    assert!(HeaderEditor::compile(Levels::default()).unwrap().is_empty());
}

#[test]
fn bad_edits_are_refused() {
    let compile = |edits: HeaderEdits| {
        let levels = Levels { virtual_host: Some(&edits), ..Levels::default() };
        HeaderEditor::compile(levels).unwrap_err()
    };
    let host = HeaderEdits { response_remove: vec![HOST], ..HeaderEdits::default() };
    assert_eq!(compile(host), HeaderEditError::Host);
    assert_eq!(compile(request(vec![add("host", "x", AddIfAbsent)])), HeaderEditError::Host);
    let error = compile(request(vec![add("x-a", "a%NOPE%", AddIfAbsent)]));
    assert_eq!(error.to_string(), "`x-a`: at byte 1: unknown format command `NOPE`");
    let error = compile(request(vec![add("x-a", "a\nb", AddIfAbsent)]));
    assert_eq!(error.to_string(), "`x-a`: not a header value");
}
