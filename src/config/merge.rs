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
        // A single value stands for a list of one.
        (Value::List(base), value) => base.push(Node { value, span: over.span }),
        (value, Value::List(mut list)) => {
            let first = std::mem::replace(value, Value::List(Vec::new()));
            let span = base.span.clone();
            list.insert(0, Node { value: first, span });
            base.value = Value::List(list);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;
    use crate::config::yaml::parse;

    fn read(text: &str) -> Node {
        parse(&Source::new("f", text), &mut Vec::new()).unwrap().unwrap()
    }

    /// A tree in one line.
    fn show(node: &Node) -> String {
        match &node.value {
            Value::Scalar(s) => s.text().to_owned(),
            Value::List(items) => {
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
            }
            Value::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|e| format!("{}:{}", e.key, show(&e.node))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    fn merged(base: &str, over: &str) -> String {
        let mut base = read(base);
        merge(&mut base, read(over));
        show(&base)
    }

    #[test]
    fn follows_the_rules_of_protocol_buffers() {
        assert_eq!(merged("{a: 1, b: 2}", "{b: 3, c: 4}"), "{a:1 b:3 c:4}");
        assert_eq!(merged("{a: [1]}", "{a: [2, 3]}"), "{a:[1 2 3]}");
        assert_eq!(merged("{a: [1]}", "{a: 2}"), "{a:[1 2]}");
        assert_eq!(merged("{a: 1}", "{a: [2]}"), "{a:[1 2]}");
        assert_eq!(merged("{a_b: {c: 1}}", "{aB: {d: 2}}"), "{a_b:{c:1 d:2}}");
        assert_eq!(merged("{a: 1}", "{a: ~}"), "{a:1}");
        assert_eq!(merged("{a: ~}", "{a: 1}"), "{a:1}");
    }

    #[test]
    fn an_any_is_one_value() {
        assert_eq!(
            merged("{t: {'@type': x, a: 1}}", "{t: {'@type': y, b: 2}}"),
            "{t:{@type:y b:2}}"
        );
    }
}
