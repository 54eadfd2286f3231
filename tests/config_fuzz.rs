//! No text makes the reader panic, hang or lie about places.

use front_proxy::config::{load_str, supported_fields};
use proptest::prelude::*;

fn check(text: &str) {
    if let Err(errors) = load_str("f.yaml", text) {
        assert!(!errors.is_empty());
        let lines = text.split('\n').count();
        for error in errors.iter() {
            if let Some((_, line, column)) = error.place() {
                assert!((1..=lines + 1).contains(&line) && column >= 1, "{line}:{column}");
            }
        }
        // Printing cuts lines and counts columns.
        assert!(errors.to_string().ends_with(" in the configuration"));
    }
}

/// Keys that the reader knows, so that random trees get past the first level.
fn key() -> impl Strategy<Value = String> {
    let names: Vec<String> = supported_fields()
        .flat_map(|m| m.supported.iter().chain(m.refused).map(|f| (*f).to_owned()))
        .chain(["@type", "value", "seconds", "x", "<<", ""].map(str::to_owned))
        .collect();
    prop::sample::select(names)
}

fn scalar() -> impl Strategy<Value = String> {
    let types: Vec<String> =
        supported_fields().map(|m| format!("type.googleapis.com/{}", m.message)).collect();
    prop_oneof![
        3 => prop::sample::select(types),
        2 => prop::sample::select(vec![
            "127.0.0.1", "1.5s", "-1s", "5xx,reset", "%REQ(a):3%", "%", "*", "*.a", "(", "[[:x", "~",
            "yes", "0x1f", "1e400", "-9223372036854775808", "99999999999999999999", ":path", "é%é",
            "STRICT_DNS", "LOGICAL_DNS", "HTTP2", "/", "",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => any::<i64>().prop_map(|n| n.to_string()),
    ]
    .prop_map(|text| serde_json::Value::String(text).to_string())
}

/// A tree as flow-style YAML (which is JSON), sometimes unquoted.
fn tree() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![scalar(), scalar().prop_map(|s| s.trim_matches('"').to_owned())];
    leaf.prop_recursive(8, 96, 6, |inner| {
        prop_oneof![
            3 => prop::collection::vec((key(), inner.clone()), 0..6).prop_map(|entries| {
                let entries: Vec<_> =
                    entries.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
            1 => prop::collection::vec(inner, 0..4).prop_map(|v| format!("[{}]", v.join(", "))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn any_yaml_like_text(text in "([ \\-:{}\\[\\],&*!|>'\"%#?a-c\n\t]|<<|---|\\.\\.\\.){0,120}") {
        check(&text);
    }

    #[test]
    fn any_tree(text in tree()) {
        check(&text);
    }

    #[test]
    fn any_listener(tree in tree()) {
        check(&format!("static_resources:\n  listeners:\n  - address: {{}}\n    filter_chains: [{tree}]\n"));
    }

    #[test]
    fn any_cluster_part(key in key(), tree in tree()) {
        check(&format!("static_resources: {{clusters: [{{name: a, {key}: {tree}}}]}}"));
    }
}
