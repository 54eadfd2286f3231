//! Reading one message: its fields by name, each by its type.
//!
//! The rules are those of proto3's JSON form as Envoy applies them: names in snake_case or
//! lowerCamelCase, `null` as absent, numbers also as text, enums by name or number, a single value
//! where a list is wanted, and wrappers either plain or as `{value: ...}`.

use std::cell::{Cell, RefCell};

use front_proxy_layers::runtime::Runtime;

use super::deprecated::{Looks, is_deprecated};
use super::diagnostic::Diagnostic;
use super::model::Deprecated;
use super::schema::Schema;
use super::source::Span;
use super::suggest::nearest;
use super::yaml::{Entry, Node, Value};

mod values;
mod written;

use written::Written;

pub(super) use values::Variants;

/// What all decoders share.
#[derive(Debug, Default)]
pub(super) struct Context {
    errors: RefCell<Vec<Diagnostic>>,
    allow_unknown_fields: bool,
    unknown_fields: Cell<u64>,
    deprecated: RefCell<Vec<Deprecated>>,
    looks: Cell<Looks>,
    written: Written,
    /// What the static layers say; fields with a `runtime_key` follow it from then on.
    pub(super) runtime: Runtime,
    cluster_references: RefCell<Vec<ClusterReference>>,
}

/// A route's mention of a cluster, to be looked up once all clusters are known.
#[derive(Debug)]
pub(super) struct ClusterReference {
    pub(super) name: String,
    pub(super) place: Span,
    pub(super) weighted: bool,
}

impl Context {
    pub(super) fn new(errors: Vec<Diagnostic>, allow_unknown_fields: bool) -> Self {
        Self { errors: RefCell::new(errors), allow_unknown_fields, ..Self::default() }
    }

    pub(super) fn report(&self, diagnostic: Diagnostic) {
        self.errors.borrow_mut().push(diagnostic);
    }

    pub(super) fn error(&self, span: &Span, message: impl Into<String>) {
        self.report(Diagnostic::new(span, message));
    }

    /// A tree as protobuf writes the messages that were read from it.
    pub(super) fn json(&self, node: &Node) -> serde_json::Value {
        self.written.json(node)
    }

    /// Notes what a number was read as, for who reads it without [`Message::number`].
    pub(super) fn read_number(&self, node: &Node, value: f64) {
        self.written.number(node, value);
    }

    /// How many fields were left out since nobody knows them.
    pub(super) fn unknown_fields(&self) -> u64 {
        self.unknown_fields.get()
    }

    /// Reads a part of which Envoy counts deprecated fields so often.
    pub(super) fn looked_at<T>(&self, looks: Looks, read: impl FnOnce() -> T) -> T {
        let outer = self.looks.replace(looks);
        let read = read();
        self.looks.set(outer);
        read
    }

    /// The deprecated fields that were read.
    pub(super) fn take_deprecated(&self) -> Vec<Deprecated> {
        self.deprecated.take()
    }

    pub(super) fn into_errors(self) -> Vec<Diagnostic> {
        self.errors.into_inner()
    }

    pub(super) fn refer_to_cluster(&self, reference: ClusterReference) {
        self.cluster_references.borrow_mut().push(reference);
    }

    pub(super) fn take_cluster_references(&self) -> Vec<ClusterReference> {
        self.cluster_references.take()
    }
}

/// A message that is being read.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) cx: &'a Context,
    schema: &'static Schema,
    node: &'a Node,
    /// One for each supported field, in the order of the schema.
    fields: Vec<Option<&'a Entry>>,
    /// Bit by bit: which of them were asked for. No message has more than 64 supported fields.
    asked: Cell<u64>,
    /// Fields that are probably there under a wrong name: they need no second complaint.
    misspelt: Vec<&'static str>,
    /// Whether a field was refused: it may well be the one that seems to be missing.
    refused: bool,
}

impl<'a> Message<'a> {
    /// Sorts the fields of a mapping; reports those that are refused or unknown.
    pub(super) fn open(cx: &'a Context, node: &'a Node, schema: &'static Schema) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let name = schema.short_name();
            cx.error(
                &node.span,
                format!("expected a mapping (a `{name}`), found {}", node.describe()),
            );
            return None;
        };
        let mut message = Self {
            cx,
            schema,
            node,
            fields: vec![None; schema.supported.len()],
            asked: Cell::new(0),
            misspelt: Vec::new(),
            refused: false,
        };
        for entry in entries {
            message.sort(entry);
        }
        Some(message)
    }

    fn sort(&mut self, entry: &'a Entry) {
        let key = entry.key.as_str();
        if key == "@type" {
            return;
        }
        let named = |fields: &[&str]| fields.iter().position(|f| is_name_of(key, f));
        if let Some(i) = named(self.schema.supported) {
            self.cx.written.field(entry, self.schema.message, self.schema.supported[i]);
            if self.fields[i].is_some() {
                // Once in snake_case and once in camelCase; the reader sees equal keys.
                if self.fields[i].is_some_and(|e| e.key != key) {
                    let message = format!("`{}` is given twice", self.schema.supported[i]);
                    self.cx.report(Diagnostic::new(&entry.place, message).help("keep one of them"));
                }
                return;
            }
            if !entry.node.is_null() {
                self.fields[i] = Some(entry);
                self.deprecated(entry, self.schema.supported[i]);
            }
        } else if named(self.schema.refused).is_some() {
            if entry.node.is_null() {
                self.cx.written.left_out(entry);
            } else {
                self.refused = true;
                self.cx.error(&entry.place, format!("`{key}` is not supported yet"));
            }
        } else if self.cx.allow_unknown_fields {
            self.cx.written.left_out(entry);
            self.cx.unknown_fields.set(self.cx.unknown_fields.get() + 1);
        } else {
            self.unknown(entry);
        }
    }

    fn deprecated(&self, entry: &Entry, field: &'static str) {
        let message = self.schema.message;
        if is_deprecated(message, field) {
            let counted = self.cx.looks.get().count();
            let Span { source, line, column, .. } = &entry.place;
            let place = format!("{}:{line}:{column}", source.name);
            self.cx.deprecated.borrow_mut().push(Deprecated { message, field, place, counted });
        }
    }

    fn unknown(&mut self, entry: &Entry) {
        let (key, name) = (entry.key.as_str(), self.schema.short_name());
        let message = format!("unknown field `{key}` in `{name}`");
        let mut diagnostic = Diagnostic::new(&entry.place, message);
        let known = self.schema.supported.iter().chain(self.schema.refused);
        if let Some(near) = nearest(key, known.copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            self.misspelt.push(near);
        }
        self.cx.report(diagnostic);
    }

    /// The place of the message: its first line.
    pub(super) fn span(&self) -> &'a Span {
        &self.node.span
    }

    pub(super) fn short_name(&self) -> &'static str {
        self.schema.short_name()
    }

    /// Reports that the message lacks something or contradicts itself.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.cx.error(self.span(), message);
    }

    /// A field by its name.
    ///
    /// Asking for a name that the schema doesn't list is a mistake in the decoder: it would read a
    /// field that the documentation denies.
    pub(super) fn entry(&self, name: &str) -> Option<&'a Entry> {
        let index = self.schema.supported.iter().position(|f| *f == name);
        debug_assert!(index.is_some(), "{} has no `{name}`", self.schema.message);
        let index = index?;
        self.asked.set(self.asked.get() | 1 << index);
        self.fields[index]
    }

    /// Notes that an enum has its default.
    fn is_default(&self, name: &str) {
        if let Some(entry) = self.entry(name) {
            self.cx.written.default(entry, self.schema.message, name);
        }
    }

    /// What a field holds.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|e| &e.node)
    }

    /// Where a field's value is; the message's own place where it isn't given.
    pub(super) fn place_of(&self, name: &str) -> &'a Span {
        self.get(name).map_or(self.span(), |node| &node.span)
    }

    /// Whether a field is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// A field that must be there.
    pub(super) fn required(&self, name: &str) -> Option<&'a Node> {
        let node = self.get(name);
        if node.is_none() {
            self.missing(name);
        }
        node
    }

    /// Whether a field of this message was refused.
    pub(super) fn has_refused(&self) -> bool {
        self.refused
    }

    /// Reports that a field is missing, unless what was reported before explains it.
    pub(super) fn missing(&self, name: &str) {
        if self.refused || self.misspelt.contains(&name) {
            return;
        }
        self.error(format!("`{name}` is required in `{}`", self.short_name()));
    }

    /// The one field of a group that is given. More than one is an error, none is where `required`.
    pub(super) fn one_of(
        &self,
        names: &[&'static str],
        required: bool,
    ) -> Option<(&'static str, &'a Node)> {
        let mut given = names.iter().filter_map(|n| self.entry(n).map(|e| (*n, e)));
        let Some((name, first)) = given.next() else {
            let excused = self.refused || names.iter().any(|n| self.misspelt.contains(n));
            if required && !excused {
                self.error(format!("`{}` needs one of {}", self.short_name(), list(names)));
            }
            return None;
        };
        for (other, entry) in given {
            self.cx.report(
                Diagnostic::new(&entry.place, format!("`{other}` can't be given with `{name}`"))
                    .help(format!("only one of {} may be set", list(names))),
            );
        }
        Some((name, &first.node))
    }

    /// A message in a field.
    pub(super) fn message(&self, name: &str, schema: &'static Schema) -> Option<Message<'a>> {
        self.get(name).and_then(|n| Message::open(self.cx, n, schema))
    }

    /// The items of a list; a single value is a list of one.
    pub(super) fn list(&self, name: &str) -> Vec<&'a Node> {
        match self.get(name) {
            None => Vec::new(),
            Some(Node { value: Value::List(items), .. }) => {
                items.iter().filter(|n| !n.is_null()).collect()
            }
            Some(node) => {
                self.cx.written.list_of_one(node);
                vec![node]
            }
        }
    }

    /// The messages of a list.
    pub(super) fn messages(&self, name: &str, schema: &'static Schema) -> Vec<Message<'a>> {
        self.list(name).into_iter().filter_map(|n| Message::open(self.cx, n, schema)).collect()
    }

    /// Ends the reading. A given field that no decoder asked for would be ignored, so it is refused.
    pub(super) fn finish(self) {
        // A field that the schema promises and the decoder forgot.
        debug_assert_eq!(
            self.asked.get().count_ones() as usize,
            self.schema.supported.len(),
            "{} reads not all of its fields",
            self.schema.message,
        );
        for (i, entry) in self.fields.iter().enumerate() {
            if let Some(entry) = entry
                && self.asked.get() & 1 << i == 0
            {
                let message = format!("`{}` has no effect here", entry.key);
                self.cx.error(&entry.place, message);
            }
        }
    }
}

/// Whether a key names a field, as it is or in lowerCamelCase.
fn is_name_of(key: &str, field: &str) -> bool {
    if key == field {
        return true;
    }
    if key.contains('_') || !field.contains('_') {
        return false;
    }
    let mut upper = false;
    let mut key = key.chars();
    for c in field.chars() {
        if c == '_' {
            upper = true;
            continue;
        }
        let expected = if upper { c.to_ascii_uppercase() } else { c };
        upper = false;
        if key.next() != Some(expected) {
            return false;
        }
    }
    key.next().is_none()
}

/// "`a`, `b` or `c`".
pub(super) fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_snake_or_camel() {
        assert!(is_name_of("lb_policy", "lb_policy"));
        assert!(is_name_of("lbPolicy", "lb_policy"));
        assert!(is_name_of("proxy100Continue", "proxy_100_continue"));
        assert!(!is_name_of("lbpolicy", "lb_policy"));
        assert!(!is_name_of("LbPolicy", "lb_policy"));
        assert!(!is_name_of("lbPolicyX", "lb_policy"));
        assert!(!is_name_of("lb", "lb_policy"));
    }

    #[test]
    fn lists_read_well() {
        assert_eq!(list(&["a"]), "`a`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
