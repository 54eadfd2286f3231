use std::fs;

use front_proxy_layers::route::Fraction;

use super::*;
use crate::config::load_str;
use crate::stats::{Query, Registry, text};

fn layered(layers: &str) -> (LayeredRuntime, Bootstrap, Registry) {
    let text = format!("node: {{cluster: front}}\nlayered_runtime: {{layers: [{layers}]}}");
    let bootstrap = load_str("test", &text).expect("valid");
    let registry = Registry::new(1);
    (LayeredRuntime::new(&bootstrap, &registry.scope()), bootstrap, registry)
}

fn stats(registry: &Registry, names: &[&str]) -> Vec<String> {
    let page = text::render(registry.select(&Query::default()), Default::default());
    let all = String::from_utf8(page.flatten().collect()).expect("text");
    let line = |name: &&str| {
        let prefix = format!("runtime.{name}: ");
        let line = all.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    names.iter().map(line).collect()
}

const ADMIN: &str = "{name: base, static_layer: {a: {b: 1}, c: 2}}, {name: admin, admin_layer: {}}";

#[test]
fn overrides_come_and_go() {
    let (runtime, bootstrap, registry) = layered(ADMIN);
    let [a, d] = ["a.b", "d"].map(|key| bootstrap.runtime.key(key));
    assert_eq!((a.integer(), d.integer()), (Some(1), None));
    runtime.modify([("a.b", "5"), ("d", "6"), ("nothing", "")]).expect("there is an admin layer");
    assert_eq!((a.integer(), d.integer()), (Some(5), Some(6)));
    let status = runtime.status();
    assert_eq!(status.layers, ["base", "admin"]);
    assert_eq!(status.entries["a.b"], ["1", "5"]);
    assert_eq!(status.entries["c"], ["2", ""]);
    assert_eq!(status.entries["d"], ["", "6"]);
    let names = ["admin_overrides_active", "num_keys", "num_layers", "load_success"];
    assert_eq!(stats(&registry, &names), ["1", "3", "2", "2"]);
    runtime.modify([("a.b", ""), ("d", "")]).expect("as before");
    assert_eq!((a.integer(), d.integer()), (Some(1), None));
    assert_eq!(stats(&registry, &names), ["0", "2", "2", "3"]);
}

#[test]
fn a_value_that_can_t_be_read_changes_nothing() {
    let (runtime, bootstrap, _) = layered(ADMIN);
    let refused = runtime.modify([("c", "3"), ("d", "{")]);
    assert!(matches!(refused, Err(ModifyError::Unreadable(_))), "{refused:?}");
    assert_eq!(bootstrap.runtime.key("c").integer(), Some(2));
    let (fixed, ..) = layered("{name: base, static_layer: {}}");
    assert_eq!(fixed.modify([("a", "1")]), Err(ModifyError::NoAdminLayer));
}

#[test]
fn a_runtime_of_no_layers_can_be_modified() {
    let (runtime, bootstrap, _) = layered("");
    assert_eq!(runtime.status().layers, [""]);
    runtime.modify([("a", "1")]).expect("a layer for it");
    assert_eq!(bootstrap.runtime.key("a").integer(), Some(1));
    let none = load_str("test", "admin: {}").expect("valid");
    let none = LayeredRuntime::new(&none, &Scope::noop());
    assert_eq!(none.modify([("a", "1")]), Err(ModifyError::NoAdminLayer));
}

/// What Envoy 1.40 makes of each, as an integer and as a fraction.
#[test]
fn values_are_read_as_envoy_reads_them() {
    let (runtime, bootstrap, _) = layered(ADMIN);
    let key = bootstrap.runtime.key("m");
    let percent = |numerator| Some(Fraction { numerator, denominator: 100 });
    for (text, integer, fraction) in [
        ("100", Some(100), percent(100)),
        ("50.9", Some(50), percent(50)),
        ("1e2", Some(100), percent(100)),
        ("+7", Some(7), percent(7)),
        ("0x10", Some(16), percent(16)),
        ("-1", None, None),
        ("true", None, None),
        ("\"100\"", None, None),
        ("100%", None, None),
        ("[1]", None, None),
        ("null", None, None),
        ("{numerator: 3}", None, percent(3)),
        (
            "{\"numerator\":5,\"denominator\":\"MILLION\"}",
            None,
            Some(Fraction { numerator: 5, denominator: 1_000_000 }),
        ),
        ("{}", None, percent(0)),
        ("{numerator: x}", None, None),
        ("{numerator: 1, other: 2}", None, None),
        ("{a: 1}", None, None),
    ] {
        runtime.modify([("m", text)]).expect(text);
        assert_eq!((key.integer(), key.fraction()), (integer, fraction), "{text}");
        assert_eq!(runtime.status().entries["m"][1], text);
    }
}

#[test]
fn static_values_are_texts_numbers_or_fractions() {
    let (runtime, bootstrap, _) = layered(
        "{name: base, static_layer: {f: {numerator: 3}, none: {}, t: \"12\", yes: on, half: 0.50, \
         word: a, of: {numerator: 1, by: 2}, written: \"{numerator: 3}\"}}",
    );
    let key = |name| bootstrap.runtime.key(name);
    let percent = |numerator| Some(Fraction { numerator, denominator: 100 });
    assert_eq!(key("f").fraction(), percent(3));
    assert_eq!(key("none").fraction(), percent(0));
    assert_eq!(key("t").integer(), Some(12));
    assert_eq!(key("half").integer(), Some(0));
    for nothing in ["yes", "word", "of", "written", "of.by"] {
        assert_eq!(key(nothing).fraction(), None, "{nothing}");
    }
    let entries = runtime.status().entries;
    let text = |name: &str| entries[name][0].as_str();
    assert_eq!([text("yes"), text("half"), text("t")], ["true", "0.50", "12"]);
}

#[test]
fn values_on_disk_are_read_and_read_anew() {
    let root = tempfile::tempdir().expect("a folder");
    let (path, current) = (root.path(), root.path().join("current"));
    let write = |file: &str, text: &str| {
        let file = path.join(file);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
    };
    write("v1/envoy/x/y", "# comment\n7\n\n");
    write("v1/envoy/z", "hello\nworld \n");
    write("v1/over/front/z", "9");
    let link = |to: &str| {
        _ = fs::remove_file(&current);
        #[cfg(unix)]
        std::os::unix::fs::symlink(to, &current).expect("linked");
    };
    link("v1");
    let disk = |name: &str, rest: &str| {
        format!("{{name: {name}, disk_layer: {{symlink_root: '{}', {rest}}}}}", current.display())
    };
    let layers = [
        disk("disk", "subdirectory: envoy"),
        disk("own", "subdirectory: over, append_service_cluster: true"),
    ];
    let (runtime, bootstrap, registry) = layered(&layers.join(", "));
    let status = runtime.status();
    assert_eq!(status.layers, ["disk", "own"]);
    assert_eq!(status.entries["x.y"], ["7", ""]);
    assert_eq!(status.entries["z"], ["hello\nworld", "9"]);
    let (y, z) = (bootstrap.runtime.key("x.y"), bootstrap.runtime.key("z"));
    assert_eq!((y.integer(), z.integer()), (Some(7), Some(9)));
    let names = [
        "load_success",
        "load_error",
        "override_dir_exists",
        "override_dir_not_exists",
        "num_layers",
    ];
    assert_eq!(stats(&registry, &names), ["1", "0", "1", "0", "2"]);

    write("v2/envoy/x/y", "8");
    let before = disk::stamp(&current);
    link("v2");
    assert_ne!(disk::stamp(&current), before);
    runtime.load();
    assert_eq!((y.integer(), z.integer()), (Some(8), None));
    assert_eq!(runtime.status().layers, ["disk"]);
    assert_eq!(stats(&registry, &names), ["2", "0", "1", "1", "1"]);

    write("v2/envoy/bad", "{");
    runtime.load();
    assert_eq!(y.integer(), None, "a layer that can't be read is left out");
    assert_eq!(stats(&registry, &names), ["2", "1", "1", "2", "0"]);
}
