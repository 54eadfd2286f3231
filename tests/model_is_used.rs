//! Every field of the configuration's model is looked at by whatever is built from it: one that is
//! read and then forgotten would be a setting without effect.

use std::path::Path;

use regex::Regex;

/// All sources in a folder.
fn sources(folder: &Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn no_field_is_read_for_nothing() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut model = std::fs::read_to_string(src.join("config/model.rs")).unwrap();
    sources(&src.join("config/model"), &mut model);
    let mut code = String::new();
    for entry in std::fs::read_dir(&src).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("config") {
            sources(&path, &mut code);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("config.rs") {
            code.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let structs = Regex::new(r"(?s)\npub struct (\w+) \{\n(.*?)\n\}").unwrap();
    let fields = Regex::new(r"(?m)^    pub (\w+):").unwrap();
    let mut seen = 0;
    let mut unused = Vec::new();
    for one in structs.captures_iter(&model) {
        let (name, body) = (&one[1], &one[2]);
        for field in fields.captures_iter(body) {
            let field = &field[1];
            seen += 1;
            // `config.field`, or the field taken out by its struct's name.
            let used = format!(r"(?s)\.{field}\b[^(]|\b{name} \{{[^}}=]*\b{field}\b[^}}=]*\}}");
            if !Regex::new(&used).unwrap().is_match(&code) {
                unused.push(format!("{name}.{field}"));
            }
        }
    }
    assert!(seen > 100, "{seen} fields: the model is written in another way now");
    assert_eq!(unused, [""; 0]);
}
