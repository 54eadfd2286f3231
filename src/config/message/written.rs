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
use crate::config::yaml::{Entry, Node, Value};

#[derive(Debug, Default)]
pub(super) struct Written {
    /// Fields by their names; those without one are left out.
    keys: RefCell<HashMap<usize, Option<&'static str>>>,
    values: RefCell<HashMap<usize, Json>>,
    lists_of_one: RefCell<HashSet<usize>>,
}

impl Written {
    /// A field under its name. What is null is not there.
    pub(super) fn key(&self, entry: &Entry, name: &'static str) {
        if entry.node.is_null() {
            self.left_out(entry);
        } else if entry.key != name {
            self.keys.borrow_mut().insert(place(entry), Some(name));
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
                    Some((key, self.json(&entry.node)))
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

/// A scalar as it stands in the file; nothing else is told apart.
fn plain(node: &Node) -> Json {
    let Value::Scalar(scalar) = &node.value else { return Json::Null };
    match scalar.typed() {
        Typed::Null => Json::Null,
        Typed::Bool(value) => value.into(),
        Typed::Integer(value) => value.into(),
        Typed::Float(value) => value.into(),
        Typed::Text(value) => value.into(),
    }
}

fn place<T>(part: &T) -> usize {
    std::ptr::from_ref(part).addr()
}
