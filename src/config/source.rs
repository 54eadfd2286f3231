//! Source texts and places in them.

use std::sync::Arc;

/// A text that was read, and what to call it.
#[derive(Debug)]
pub(super) struct Source {
    /// The path of the file, or `--config-yaml`.
    pub(super) name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// A place: a stretch of one line of a source.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) source: Arc<Source>,
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// In characters; at least 1.
    pub(super) width: usize,
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Arc<Self> {
        let mut lines = vec![0];
        lines.extend(text.match_indices('\n').map(|(i, _)| i + 1));
        Arc::new(Self { name: name.to_owned(), text: text.to_owned(), lines })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A line by its number from 1, without its end; empty where there is none.
    pub(super) fn line(&self, number: usize) -> &str {
        let Some(start) = number.checked_sub(1).and_then(|i| self.lines.get(i)) else {
            return "";
        };
        let end = self.lines.get(number).copied().unwrap_or(self.text.len());
        self.text.get(*start..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }

    /// The place of the whole text: its first character.
    pub(super) fn start(self: &Arc<Self>) -> Span {
        Span { source: Arc::clone(self), line: 1, column: 1, width: 1 }
    }
}

impl Span {
    /// The place within a text that starts here, `offset` characters on.
    ///
    /// Only right while the text stands on one line as it was written; a place past the end of the
    /// span falls back to the whole.
    pub(super) fn within(&self, offset: usize, width: usize) -> Self {
        let mut span = self.clone();
        if offset + width <= self.width {
            span.column += offset;
            span.width = width.max(1);
        }
        span
    }
}

impl Span {
    /// The place of the `nth` occurrence of `part`, from 0, in what begins here and has at most
    /// `lines` lines.
    pub(super) fn search(&self, part: &str, nth: usize, lines: usize) -> Option<Self> {
        let mut left = nth;
        for number in self.line..=self.line.saturating_add(lines) {
            let line = self.source.line(number);
            let skipped = if number == self.line { self.column - 1 } else { 0 };
            let from = line.char_indices().nth(skipped).map_or(line.len(), |(at, _)| at);
            let rest = line.get(from..).unwrap_or("");
            let found: Vec<_> = rest.match_indices(part).map(|(at, _)| at).collect();
            if let Some(at) = found.get(left) {
                return Some(Self {
                    source: Arc::clone(&self.source),
                    line: number,
                    column: 1 + skipped + rest.get(..*at).unwrap_or("").chars().count(),
                    width: part.chars().count().max(1),
                });
            }
            left -= found.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_their_ends() {
        let source = Source::new("f", "a\r\nb\n\nc");
        assert_eq!(source.line(1), "a");
        assert_eq!(source.line(2), "b");
        assert_eq!(source.line(3), "");
        assert_eq!(source.line(4), "c");
        assert_eq!(source.line(0), "");
        assert_eq!(source.line(5), "");
    }
}
