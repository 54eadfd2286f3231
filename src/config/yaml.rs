//! YAML text to a tree in which everything knows its place.
//!
//! JSON is read by the same rules, being YAML.

use std::borrow::Cow;
use std::sync::Arc;

use saphyr_parser::Parser;

use super::diagnostic::Diagnostic;
use super::scalar::Scalar;
use super::source::{Source, Span};

mod builder;

use self::builder::Builder;

/// A piece of the text.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Span,
}

/// What a piece of text says.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping with what it holds.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Span,
    pub(super) node: Node,
}

impl Node {
    /// Whether the node says nothing: `null`, `~` or no text at all.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(s) if s.is_null())
    }

    /// What the node is, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar(s) => s.describe(),
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The place of a part of the text that the node holds, in characters from its start.
    ///
    /// Escapes and line breaks make text and file differ; then the part is looked for, and where
    /// it is not found it is the place of the whole.
    pub(super) fn within(&self, offset: usize, width: usize) -> Span {
        let Value::Scalar(scalar) = &self.value else {
            return self.span.clone();
        };
        let quotes = usize::from(!scalar.is_plain());
        let text = scalar.text();
        if text.chars().count() + 2 * quotes == self.span.width {
            return self.span.within(offset + quotes, width);
        }
        let part: String = text.chars().skip(offset).take(width).collect();
        let before: String = text.chars().take(offset).collect();
        let nth = before.matches(&part).count();
        self.span.search(&part, nth, text.len()).unwrap_or_else(|| self.span.clone())
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|e| e.node.size()).sum(),
        }
    }
}

/// Reads the one document of a text; `None` where it holds nothing but comments.
///
/// Mistakes that leave a tree standing (a key given twice) are put into `errors`; others are
/// returned, since nothing after them can be trusted.
pub(super) fn parse(
    source: &Arc<Source>,
    errors: &mut Vec<Diagnostic>,
) -> Result<Option<Node>, Diagnostic> {
    // A byte order mark is allowed at the start of a stream (YAML 1.2, 5.2) and isn't content.
    let text = source.text();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = &json_escapes(text);
    let mut builder = Builder::new(source, errors);
    for event in Parser::new_from_str(text) {
        let (event, place) = event.map_err(|e| {
            let span = builder.span_at(e.marker().line(), e.marker().col());
            Diagnostic::new(&span, format!("this is not valid YAML: {}", e.info()))
        })?;
        let width = if place.start.line() == place.end.line() {
            place.end.col().saturating_sub(place.start.col())
        } else {
            // Underline the first line of what goes over several.
            let rest = source.line(place.start.line()).chars().count();
            rest.saturating_sub(place.start.col())
        };
        let mut span = builder.span_at(place.start.line(), place.start.col());
        span.width = width.max(1);
        builder.event(event, span)?;
    }
    Ok(builder.into_root())
}

/// JSON writes characters beyond U+FFFF as two escapes, which YAML does not know: `\ud83d\ude00`
/// becomes `\U0001f600`. Columns after one are off by two; lines stay right.
fn json_escapes(text: &str) -> Cow<'_, str> {
    if !text.trim_start().starts_with(['{', '[']) || !text.contains("\\u") {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let pair = surrogate(rest).and_then(|high| Some((high, surrogate(rest.get(6..)?)?)));
        let character = pair.and_then(|(high, low)| char::decode_utf16([high, low]).next()?.ok());
        if let Some(c) = character.filter(|c| u32::from(*c) > 0xffff) {
            out.push_str(&format!("\\U{:08x}", u32::from(c)));
            rest = &rest[12..];
        } else {
            // The escaped character may be a backslash: step over both.
            let next = rest[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..1 + next]);
            rest = &rest[1 + next..];
        }
    }
    out.push_str(rest);
    out.into()
}

/// The code of a `\uXXXX` at the start of a text.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Node>, String> {
        let mut errors = Vec::new();
        let node = parse(&Source::new("f", text), &mut errors).map_err(|e| describe(&e))?;
        match errors.first() {
            Some(e) => Err(describe(e)),
            None => Ok(node),
        }
    }

    fn describe(e: &Diagnostic) -> String {
        let (_, line, column) = e.place().unwrap();
        format!("{line}:{column} {}", e.message())
    }

    fn entries(node: &Node) -> &[Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn places_are_of_keys_and_values() {
        let node = read("a: 1\nbb:\n  ccc: 'four'\n").unwrap().unwrap();
        let bb = &entries(&node)[1];
        assert_eq!((bb.place.line, bb.place.column, bb.place.width), (2, 1, 2));
        let ccc = &entries(&bb.node)[0];
        assert_eq!((ccc.place.line, ccc.place.column), (3, 3));
        let value = &ccc.node.span;
        assert_eq!((value.line, value.column, value.width), (3, 8, 6));
    }

    #[test]
    fn parts_of_a_text_have_places() {
        for (text, line, column) in [
            ("a: one,two", 1, 8),
            ("a: 'one,two'", 1, 9),
            (r#"a: "on\x65,two""#, 1, 12),
            ("a: |-\n  one\n  two", 3, 3),
            // The part itself is written in another way.
            (r#"a: "one,\x74wo""#, 1, 4),
        ] {
            let node = read(text).unwrap().unwrap();
            let place = entries(&node)[0].node.within(4, 3);
            assert_eq!((place.line, place.column), (line, column), "{text}");
        }
    }

    #[test]
    fn places_count_characters_not_bytes() {
        let node = read("{ä: 'ö', b: c}").unwrap().unwrap();
        assert_eq!(entries(&node)[1].place.column, 10);
    }

    #[test]
    fn a_text_without_content_is_nothing() {
        for text in ["", "\n", "# only a comment\n", "---\n", "\u{feff}"] {
            assert!(read(text).unwrap().is_none(), "{text:?}");
        }
        assert!(read("{}").unwrap().is_some());
    }

    #[test]
    fn json_is_yaml() {
        let node = read("{\n\t\"a\": [1, 2],\n\t\"b\": {\"c\": \"d\\n\"}\n}").unwrap().unwrap();
        assert_eq!(entries(&node).len(), 2);
    }

    #[test]
    fn json_escapes_come_in_pairs() {
        let node = read(r#"{"a": "\ud83d\ude00\u00e9 \/ \\ud83d"}"#).unwrap().unwrap();
        let Value::Scalar(text) = &entries(&node)[0].node.value else {
            panic!("not text");
        };
        assert_eq!(text.text(), "\u{1f600}\u{e9} / \\ud83d");
        assert!(read(r#"{"a": "\ud83d"}"#).is_err());
    }

    #[test]
    fn a_key_given_twice_is_an_error_at_the_second() {
        assert_eq!(read("a: 1\na: 2").unwrap_err(), "2:1 `a` is given twice in one mapping");
    }

    #[test]
    fn aliases_copy_and_keep_the_first_place() {
        let node = read("a: &x {b: 1}\nc: *x").unwrap().unwrap();
        assert_eq!(entries(&entries(&node)[1].node)[0].place.line, 1);
    }

    #[test]
    fn ignored_keys_are_left_out() {
        let node = read("!ignore shared: &x 1\na: *x").unwrap().unwrap();
        assert_eq!(entries(&node).len(), 1);
    }

    #[test]
    fn laughter_is_limited() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..30 {
            let names = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{names}]\n"));
        }
        assert!(read(&text).unwrap_err().contains("aliases"));
    }

    #[test]
    fn depth_is_limited() {
        assert!(read(&"[".repeat(5000)).is_err());
        assert!(read(&"- ".repeat(5000)).is_err());
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(read(&deep).is_ok());
        let deeper = format!("{}{}", "[".repeat(101), "]".repeat(101));
        assert!(read(&deeper).unwrap_err().contains("deeper"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in
            ["a: *b", "a: &x [*x]", "? [a]\n: b", "a: 1\n---\nb: 2", "a: {<<: {b: 1}}", "{a"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
