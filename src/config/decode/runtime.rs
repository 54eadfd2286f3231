//! `layered_runtime`: its layers, and what single values in them say.

use std::collections::HashMap;

use front_proxy_layers::route::Fraction;
use front_proxy_layers::runtime::RuntimeValue;

use crate::config::decode::fraction::fraction_of;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message};
use crate::config::model::{DiskLayer, RuntimeEntry, RuntimeLayer, RuntimeSource};
use crate::config::scalar::Typed;
use crate::config::schema::bootstrap::{DISK_LAYER, LAYERED_RUNTIME, RUNTIME_LAYER};
use crate::config::schema::route::FRACTIONAL_PERCENT;
use crate::config::source::Source;
use crate::config::yaml::{self, Node, Value};

const KINDS: &[&str] = &["static_layer", "admin_layer", "disk_layer"];

/// Reads the layers and tells the context's runtime what the static ones say.
pub(super) fn runtime(m: &Message<'_>) -> Vec<RuntimeLayer> {
    let mut layers: Vec<RuntimeLayer> = Vec::new();
    let Some(m) = m.message("layered_runtime", &LAYERED_RUNTIME) else {
        return layers;
    };
    let listed = m.messages("layers", &RUNTIME_LAYER);
    if m.list("layers").is_empty() {
        // A runtime of no layers can be modified, in Envoy; one that is not there can't.
        layers.push(RuntimeLayer { name: String::new(), source: RuntimeSource::Admin });
    }
    for layer in listed {
        let name = layer.required_string("name");
        if !name.is_empty() && layers.iter().any(|layer| layer.name == name) {
            layer.error(format!("duplicate runtime layer name: `{name}`"));
        }
        let source = source(&layer);
        let admin = |source: &RuntimeSource| matches!(source, RuntimeSource::Admin);
        if source.as_ref().is_some_and(admin) && layers.iter().any(|layer| admin(&layer.source)) {
            layer.error("there can be one `admin_layer` only");
        }
        layer.finish();
        layers.extend(source.map(|source| RuntimeLayer { name, source }));
    }
    let says = layers.iter().filter_map(|layer| match &layer.source {
        RuntimeSource::Static(entries) => Some(entries),
        RuntimeSource::Admin | RuntimeSource::Disk(_) => None,
    });
    m.cx.runtime.replace(says.flatten().map(|(key, entry)| (key.as_str(), entry.value)));
    m.finish();
    layers
}

fn source(layer: &Message<'_>) -> Option<RuntimeSource> {
    match layer.one_of(KINDS, true)? {
        ("static_layer", node) => static_layer(layer.cx, node),
        ("admin_layer", node) => {
            if !matches!(&node.value, Value::Map(fields) if fields.is_empty()) {
                layer
                    .cx
                    .error(&node.span, "`admin_layer` takes no fields: write `admin_layer: {}`");
            }
            Some(RuntimeSource::Admin)
        }
        _ => {
            let m = layer.message("disk_layer", &DISK_LAYER)?;
            let disk = DiskLayer {
                symlink_root: m.required_string("symlink_root").into(),
                subdirectory: m.string("subdirectory").unwrap_or_default(),
                append_service_cluster: m.bool("append_service_cluster"),
            };
            m.finish();
            Some(RuntimeSource::Disk(disk))
        }
    }
}

fn static_layer(cx: &Context, node: &Node) -> Option<RuntimeSource> {
    let Value::Map(fields) = &node.value else {
        let message = format!("`static_layer` must be a mapping, not {}", node.describe());
        cx.error(&node.span, message);
        return None;
    };
    let mut entries = Entries::default();
    for field in fields {
        flatten(cx, &field.key, &field.node, &mut entries);
    }
    Some(RuntimeSource::Static(entries.list))
}

/// Leaves by their dotted keys.
#[derive(Debug, Default)]
struct Entries {
    list: Vec<(String, RuntimeEntry)>,
    index: HashMap<String, usize>,
}

impl Entries {
    /// What comes later replaces what was said before.
    fn put(&mut self, key: &str, entry: RuntimeEntry) {
        match self.index.get(key) {
            Some(at) => self.list[*at].1 = entry,
            None => {
                self.index.insert(key.to_owned(), self.list.len());
                self.list.push((key.to_owned(), entry));
            }
        }
    }
}

/// Adds the leaves below `node`. A mapping that looks like a fraction is one.
fn flatten(cx: &Context, key: &str, node: &Node, out: &mut Entries) {
    match &node.value {
        Value::Map(fields) => {
            let of_fraction = |name: &str| matches!(name, "numerator" | "denominator");
            if fields.is_empty() || fields.iter().any(|field| of_fraction(&field.key)) {
                let text = cx.json(node).to_string();
                out.put(key, RuntimeEntry { text, value: mapping(node) });
                return;
            }
            for field in fields {
                flatten(cx, &format!("{key}.{}", field.key), &field.node, out);
            }
        }
        Value::Scalar(scalar) if !scalar.is_null() => {
            let text = match scalar.typed() {
                Typed::Bool(value) => value.to_string(),
                Typed::Integer(value) => value.to_string(),
                _ => scalar.text().to_owned(),
            };
            out.put(key, RuntimeEntry { value: plain(&text), text });
        }
        Value::List(_) | Value::Scalar(_) => {
            let message = format!("invalid runtime entry value for `{key}`: {}", node.describe());
            cx.error(&node.span, message);
        }
    }
}

/// What a value says that was not written into the bootstrap: it is YAML as well.
///
/// # Errors
///
/// It is no YAML.
pub(in crate::config) fn entry(text: &str) -> Result<RuntimeEntry, Diagnostic> {
    let mut errors = Vec::new();
    let node = yaml::parse(&Source::new("runtime", text), &mut errors)?;
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    let value = match node.as_ref().map(|node| (node, &node.value)) {
        Some((node, Value::Map(_))) => mapping(node),
        Some((_, Value::Scalar(scalar))) => match scalar.typed() {
            Typed::Integer(number) => RuntimeValue::Number(number as f64),
            _ => plain(text),
        },
        _ => RuntimeValue::Other,
    };
    Ok(RuntimeEntry { text: text.to_owned(), value })
}

/// Text is a number where it can be read as one.
fn plain(text: &str) -> RuntimeValue {
    text.trim_ascii().parse().map_or(RuntimeValue::Other, RuntimeValue::Number)
}

/// A fraction, where it is nothing else.
fn mapping(node: &Node) -> RuntimeValue {
    // Its mistakes are nobody's business: a value that is no fraction is something else.
    let cx = Context::default();
    let fraction: Option<Fraction> = Message::open(&cx, node, &FRACTIONAL_PERCENT).map(fraction_of);
    match fraction {
        Some(fraction) if cx.into_errors().is_empty() => RuntimeValue::Fraction(fraction),
        _ => RuntimeValue::Other,
    }
}
