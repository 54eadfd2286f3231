//! The tables of `docs/envoy-compatibility.md` say what the reader does.

use std::fmt::Write;
use std::path::Path;

use front_proxy::config::supported_fields;

const BEGIN: &str = "<!-- fields: begin -->\n";
const END: &str = "<!-- fields: end -->\n";

fn table() -> String {
    let mut out = String::from("| Message | Read | Refused |\n|---|---|---|\n");
    let code = |fields: &[&str]| {
        let fields: Vec<_> = fields.iter().map(|f| format!("`{f}`")).collect();
        fields.join(", ")
    };
    for message in supported_fields() {
        let note = match message.note {
            "" => String::new(),
            note => format!(" {note}"),
        };
        let (read, refused) = (code(message.supported), code(message.refused));
        writeln!(out, "| `{}`{note} | {read} | {refused} |", message.message).unwrap();
    }
    out
}

/// To write the table anew: `UPDATE_DOCS=1 cargo test --test compatibility_doc`.
#[test]
fn the_table_of_fields_is_that_of_the_reader() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/envoy-compatibility.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the mark before the table");
    let (found, tail) = rest.split_once(END).expect("the mark after the table");
    let expected = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{expected}{END}{tail}")).unwrap();
    } else {
        assert_eq!(found, expected, "run with UPDATE_DOCS=1 to write the table anew");
    }
}
