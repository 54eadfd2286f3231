//! `layered_runtime`: static layers, flattened to dotted keys.

use std::collections::HashMap;

use crate::config::message::{Context, Message};
use crate::config::model::RuntimeValue;
use crate::config::scalar::Typed;
use crate::config::schema::bootstrap::{LAYERED_RUNTIME, RUNTIME_LAYER};
use crate::config::yaml::{Node, Value};

/// The merged layers.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    pub(super) layers: Vec<String>,
    /// In the order in which the keys first came.
    pub(super) values: Vec<(String, RuntimeValue)>,
}

/// Reads the layers and leaves their values with the context, for fields with a `runtime_key`.
pub(super) fn runtime(m: &Message<'_>) -> Runtime {
    let mut out = Runtime::default();
    let mut index = HashMap::new();
    let Some(m) = m.message("layered_runtime", &LAYERED_RUNTIME) else {
        return out;
    };
    for layer in m.messages("layers", &RUNTIME_LAYER) {
        let name = layer.required_string("name");
        if !name.is_empty() && out.layers.contains(&name) {
            layer.error(format!("duplicate runtime layer name: `{name}`"));
        }
        if let Some((_, node)) = layer.one_of(&["static_layer"], true) {
            if let Value::Map(_) = &node.value {
                flatten(m.cx, "", node, &mut out.values, &mut index);
            } else {
                let message = format!("`static_layer` must be a mapping, not {}", node.describe());
                m.cx.error(&node.span, message);
            }
        }
        layer.finish();
        out.layers.push(name);
    }
    m.cx.set_runtime(out.values.iter().cloned());
    m.finish();
    out
}

/// Adds the leaves below `node`; a later layer replaces what an earlier one said.
fn flatten(
    cx: &Context,
    key: &str,
    node: &Node,
    out: &mut Vec<(String, RuntimeValue)>,
    index: &mut HashMap<String, usize>,
) {
    let value = match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let key =
                    if key.is_empty() { entry.key.clone() } else { format!("{key}.{}", entry.key) };
                flatten(cx, &key, &entry.node, out, index);
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
    match index.get(key) {
        Some(at) => out[*at].1 = value,
        None => {
            index.insert(key.to_owned(), out.len());
            out.push((key.to_owned(), value));
        }
    }
}
