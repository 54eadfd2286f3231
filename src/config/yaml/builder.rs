//! Builds the tree from the parser's events.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, ScalarStyle};

use crate::config::diagnostic::Diagnostic;
use crate::config::scalar::Scalar;
use crate::config::source::{Source, Span};
use crate::config::yaml::{Entry, Node, Value};

/// How deep a text may nest. Protocol buffers stop at 100 too.
const MAX_DEPTH: usize = 100;

/// How many nodes aliases may add to a tree: plenty for shared retry policies, and an end to
/// aliases of aliases ("billion laughs").
const MAX_ALIASED: usize = 200_000;

pub(super) struct Builder<'a> {
    source: &'a Arc<Source>,
    errors: &'a mut Vec<Diagnostic>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    open_anchors: HashSet<usize>,
    aliased: usize,
    root: Option<Node>,
    documents: usize,
}

/// A list or mapping whose end is still to come.
struct Open {
    anchor: usize,
    span: Span,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashSet<String>, key: Option<Key> },
}

struct Key {
    text: String,
    place: Span,
    /// Tagged `!ignore`: Envoy leaves the whole entry out, which makes it a home for anchors.
    ignored: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(source: &'a Arc<Source>, errors: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            source,
            errors,
            stack: Vec::new(),
            anchors: HashMap::new(),
            open_anchors: HashSet::new(),
            aliased: 0,
            root: None,
            documents: 0,
        }
    }

    /// What was built; nothing where the text holds only comments.
    pub(super) fn into_root(self) -> Option<Node> {
        self.root
    }

    pub(super) fn span_at(&self, line: usize, column0: usize) -> Span {
        Span { source: Arc::clone(self.source), line: line.max(1), column: column0 + 1, width: 1 }
    }

    pub(super) fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Diagnostic::new(
                        &span,
                        "a second YAML document begins here; a configuration is one document",
                    )
                    .help("remove the `---`"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|t| (t.handle.as_str(), t.suffix.as_str()));
                if self.wants_key() {
                    let ignored = matches!(tag, Some(("!", "ignore")));
                    return self.key(text.into_owned(), span, ignored);
                }
                let is_text = matches!(tag, Some(("tag:yaml.org,2002:", "str") | ("", "!")));
                let plain = style == ScalarStyle::Plain && !is_text;
                let value = Value::Scalar(Scalar::new(text.into_owned(), plain));
                self.add(Node { value, span }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => {
                self.open(anchor, span, OpenKind::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, _) => {
                let kind = OpenKind::Map { entries: Vec::new(), seen: HashSet::new(), key: None };
                self.open(anchor, span, kind)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.stack.pop() {
                    self.open_anchors.remove(&open.anchor);
                    let value = match open.kind {
                        OpenKind::List(items) => Value::List(items),
                        OpenKind::Map { entries, .. } => Value::Map(entries),
                    };
                    let span = open.span;
                    self.add(Node { value, span }, open.anchor)?;
                }
            }
            Event::Alias(id) => self.alias(id, span)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Open { kind: OpenKind::Map { key: None, .. }, .. }))
    }

    fn open(&mut self, anchor: usize, span: Span, kind: OpenKind) -> Result<(), Diagnostic> {
        if self.wants_key() {
            return Err(Diagnostic::new(&span, "a key must be text, not a list or a mapping"));
        }
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("the text nests deeper than {MAX_DEPTH} levels");
            return Err(Diagnostic::new(&span, message));
        }
        if anchor != 0 {
            self.open_anchors.insert(anchor);
        }
        self.stack.push(Open { anchor, span, kind });
        Ok(())
    }

    fn key(&mut self, text: String, place: Span, ignored: bool) -> Result<(), Diagnostic> {
        if text == "<<" {
            // Envoy doesn't merge them either: there `<<` is an unknown field.
            return Err(Diagnostic::new(&place, "merge keys (`<<`) are not supported")
                .help("write the fields out, or use an alias for the whole value"));
        }
        let Some(Open { kind: OpenKind::Map { seen, key, .. }, .. }) = self.stack.last_mut() else {
            return Ok(());
        };
        if !ignored && !seen.insert(text.clone()) {
            self.errors.push(
                Diagnostic::new(&place, format!("`{text}` is given twice in one mapping"))
                    .help("keep one of them"),
            );
        }
        *key = Some(Key { text, place, ignored });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        if anchor != 0 {
            let size = node.size();
            self.spend(size, &node.span)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.stack.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node).filter(|n| !is_blank(n)),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { entries, key, .. }) => match key.take() {
                Some(Key { ignored: true, .. }) => {}
                Some(Key { text: key, place, .. }) => entries.push(Entry { key, place, node }),
                None => {}
            },
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Diagnostic> {
        if self.open_anchors.contains(&id) {
            return Err(Diagnostic::new(&span, "this alias stands inside of what it names"));
        }
        let Some((node, size)) = self.anchors.get(&id).cloned() else {
            return Err(Diagnostic::new(&span, "this alias names nothing"));
        };
        if self.wants_key() {
            return match node.value {
                Value::Scalar(scalar) => self.key(scalar.into_text(), span, false),
                _ => Err(Diagnostic::new(&span, "a key must be text, not a list or a mapping")),
            };
        }
        self.spend(size, &span)?;
        self.add(node, 0)
    }

    fn spend(&mut self, size: usize, span: &Span) -> Result<(), Diagnostic> {
        self.aliased += size;
        if self.aliased > MAX_ALIASED {
            let message = format!("the aliases of this text add more than {MAX_ALIASED} values");
            return Err(Diagnostic::new(span, message));
        }
        Ok(())
    }
}

/// A document without content comes as one empty plain scalar.
fn is_blank(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(s) if s.is_plain() && s.text().is_empty())
}
