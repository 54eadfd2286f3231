//! A configuration as protobuf writes it, whatever the file's spelling of it: `/config_dump` shows
//! names in snake_case, enums by name, durations in seconds, and lists as lists.
//!
//! While messages are read it is noted what is spelt otherwise, which is little or nothing. Parts of
//! the tree are told apart by where they are in memory: the tree stays where it is meanwhile.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value as Json;

use crate::config::scalar::Typed;
use crate::config::schema::implicit;
use crate::config::yaml::{Entry, Node, Value};

#[derive(Debug, Default)]
pub(super) struct Written {
    /// Fields by their names; those without one are left out.
    keys: RefCell<HashMap<usize, Option<&'static str>>>,
    values: RefCell<HashMap<usize, Json>>,
    lists_of_one: RefCell<HashSet<usize>>,
    /// Fields that are left out where they are 0, `false` or empty.
    implicit: RefCell<HashSet<usize>>,
    /// Fields whose numbers are written as text.
    wide: RefCell<HashSet<usize>>,
}

impl Written {
    /// A field of a message, by its name. What is null is not there, nor is a list of nothing.
    pub(super) fn field(&self, entry: &Entry, message: &str, name: &'static str) {
        if implicit::is_implicit(message, name) {
            self.implicit.borrow_mut().insert(place(entry));
        }
        if implicit::is_wide(message, name) {
            self.wide.borrow_mut().insert(place(entry));
        }
        let is_empty = match &entry.node.value {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty() && MAPS.contains(&name),
            Value::Scalar(_) => false,
        };
        if entry.node.is_null() || is_empty {
            self.left_out(entry);
        } else if entry.key != name {
            self.keys.borrow_mut().insert(place(entry), Some(name));
        }
    }

    /// An enum that has its default.
    pub(super) fn default(&self, entry: &Entry, message: &str, name: &str) {
        if implicit::is_implicit(message, name) {
            self.left_out(entry);
        }
    }

    /// A field that is not there.
    pub(super) fn left_out(&self, entry: &Entry) {
        self.keys.borrow_mut().insert(place(entry), None);
    }

    /// A value that stands for a list.
    pub(super) fn list_of_one(&self, node: &Node) {
        self.lists_of_one.borrow_mut().insert(place(node));
    }

    /// What a scalar was read as.
    pub(super) fn value(&self, node: &Node, value: impl Into<Json>) {
        let value = value.into();
        if plain(node) != value {
            self.values.borrow_mut().insert(place(node), value);
        }
    }

    /// What a number was read as: a whole one is written as one.
    pub(super) fn number(&self, node: &Node, value: f64) {
        if value.fract() == 0.0 && value.abs() < 1e15 {
            self.value(node, value as i64);
        } else {
            self.value(node, value);
        }
    }

    /// What a duration was read as.
    pub(super) fn duration(&self, node: &Node, value: Duration) {
        let (seconds, nanos) = (value.as_secs(), value.subsec_nanos());
        // With three, six or nine digits, or none.
        let text = match nanos {
            0 => format!("{seconds}s"),
            _ if nanos % 1_000_000 == 0 => format!("{seconds}.{:03}s", nanos / 1_000_000),
            _ if nanos % 1_000 == 0 => format!("{seconds}.{:06}s", nanos / 1_000),
            _ => format!("{seconds}.{nanos:09}s"),
        };
        self.value(node, text);
    }

    pub(super) fn json(&self, node: &Node) -> Json {
        let json = match (self.values.borrow().get(&place(node)), &node.value) {
            (Some(value), _) => value.clone(),
            (None, Value::Map(entries)) => {
                let fields = entries.iter().filter_map(|entry| {
                    let key = match self.keys.borrow().get(&place(entry)) {
                        Some(name) => (*name)?.to_owned(),
                        None => entry.key.clone(),
                    };
                    let value = self.json(&entry.node);
                    if self.implicit.borrow().contains(&place(entry)) && is_default(&value) {
                        return None;
                    }
                    let wide = self.wide.borrow().contains(&place(entry)) && value.is_number();
                    Some((key, if wide { value.to_string().into() } else { value }))
                });
                Json::Object(fields.collect())
            }
            (None, Value::List(items)) => items.iter().map(|item| self.json(item)).collect(),
            (None, Value::Scalar(_)) => plain(node),
        };
        if self.lists_of_one.borrow().contains(&place(node)) {
            Json::Array(vec![json])
        } else {
            json
        }
    }
}

/// Fields that are maps.
const MAPS: [&str; 2] = ["typed_extension_protocol_options", "typed_per_filter_config"];

fn is_default(value: &Json) -> bool {
    match value {
        Json::Bool(value) => !value,
        Json::Number(value) => value.as_f64() == Some(0.0),
        Json::String(value) => value.is_empty(),
        Json::Null | Json::Array(_) | Json::Object(_) => false,
    }
}

/// A scalar as it stands in the file; nothing else is told apart.
fn plain(node: &Node) -> Json {
    let Value::Scalar(scalar) = &node.value else { return Json::Null };
    match scalar.typed() {
        Typed::Null => Json::Null,
        Typed::Bool(value) => value.into(),
        Typed::Integer(value) => value.into(),
        // Envoy's reader of YAML knows no fractions: where it is not told that a number is wanted, it
        // takes them for text.
        Typed::Float(_) => scalar.text().into(),
        Typed::Text(value) => value.into(),
    }
}

fn place<T>(part: &T) -> usize {
    std::ptr::from_ref(part).addr()
}
