//! `--config-yaml` over `-c`, by the rules of protocol buffers: single values are replaced, lists
//! joined, messages merged.

use super::yaml::{Entry, Node, Value};

/// Puts what `over` says into `base`.
pub(super) fn merge(base: &mut Node, over: Node) {
    // An `Any` is one value: its parts may be of another message altogether.
    let whole = is_any(&over) || is_any(base);
    match (&mut base.value, over.value) {
        (Value::Map(base), Value::Map(over)) if !whole => {
            for entry in over {
                merge_entry(base, entry);
            }
        }
        (Value::List(base), Value::List(over)) => base.extend(over),
        (_, value) => {
            *base = Node { value, span: over.span };
        }
    }
}

fn merge_entry(base: &mut Vec<Entry>, over: Entry) {
    if over.node.is_null() {
        return;
    }
    let name = snake_case(&over.key);
    match base.iter_mut().find(|e| snake_case(&e.key) == name) {
        Some(entry) if !entry.node.is_null() => merge(&mut entry.node, over.node),
        Some(entry) => *entry = over,
        None => base.push(over),
    }
}

fn is_any(node: &Node) -> bool {
    matches!(&node.value, Value::Map(entries) if entries.iter().any(|e| e.key == "@type"))
}

fn snake_case(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
