//! `layered_runtime`: static layers, flattened to dotted keys.

use std::collections::HashMap;

use crate::config::message::{Context, Message};
use crate::config::model::{RuntimeLayer, RuntimeValue};
use crate::config::scalar::Typed;
use crate::config::schema::bootstrap::{LAYERED_RUNTIME, RUNTIME_LAYER};
use crate::config::yaml::{Node, Value};

/// The layers, each by itself and merged.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    pub(super) layers: Vec<RuntimeLayer>,
    /// In the order in which the keys first came.
    pub(super) values: Vec<(String, RuntimeValue)>,
}

/// Reads the layers and leaves their values with the context, for fields with a `runtime_key`.
pub(super) fn runtime(m: &Message<'_>) -> Runtime {
    let mut out = Runtime::default();
    let Some(m) = m.message("layered_runtime", &LAYERED_RUNTIME) else {
        return out;
    };
    for layer in m.messages("layers", &RUNTIME_LAYER) {
        let name = layer.required_string("name");
        if !name.is_empty() && out.layers.iter().any(|layer| layer.name == name) {
            layer.error(format!("duplicate runtime layer name: `{name}`"));
        }
        let mut values = Flat::default();
        if let Some((_, node)) = layer.one_of(&["static_layer"], true) {
            if let Value::Map(_) = &node.value {
                flatten(m.cx, "", node, &mut values);
            } else {
                let message = format!("`static_layer` must be a mapping, not {}", node.describe());
                m.cx.error(&node.span, message);
            }
        }
        layer.finish();
        out.layers.push(RuntimeLayer { name, values: values.list });
    }
    let mut merged = Flat::default();
    for (key, value) in out.layers.iter().flat_map(|layer| &layer.values) {
        merged.put(key, value.clone());
    }
    out.values = merged.list;
    m.cx.set_runtime(out.values.iter().cloned());
    m.finish();
    out
}

/// Leaves by their dotted keys.
#[derive(Debug, Default)]
struct Flat {
    list: Vec<(String, RuntimeValue)>,
    index: HashMap<String, usize>,
}

impl Flat {
    /// What comes later replaces what was said before.
    fn put(&mut self, key: &str, value: RuntimeValue) {
        match self.index.get(key) {
            Some(at) => self.list[*at].1 = value,
            None => {
                self.index.insert(key.to_owned(), self.list.len());
                self.list.push((key.to_owned(), value));
            }
        }
    }
}

/// Adds the leaves below `node`.
fn flatten(cx: &Context, key: &str, node: &Node, out: &mut Flat) {
    let value = match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let key =
                    if key.is_empty() { entry.key.clone() } else { format!("{key}.{}", entry.key) };
                flatten(cx, &key, &entry.node, out);
            }
            return;
        }
        Value::List(_) => {
            cx.error(&node.span, format!("invalid runtime entry value for `{key}`: a list"));
            return;
        }
        Value::Scalar(scalar) => match scalar.typed() {
            Typed::Null => return,
            Typed::Bool(value) => RuntimeValue::Bool(value),
            Typed::Integer(value) => RuntimeValue::Number(value as f64),
            Typed::Float(value) => RuntimeValue::Number(value),
            Typed::Text(value) => RuntimeValue::Text(value.to_owned()),
        },
    };
    out.put(key, value);
}
