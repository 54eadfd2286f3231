//! What is wrong with a configuration, where, and what to do about it.

use std::borrow::Cow;
use std::fmt;

use super::source::Span;

/// How much of a long line is shown on each side of the place (minified JSON is one line).
const CONTEXT: usize = 60;

/// One mistake.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    span: Option<Span>,
    message: String,
    help: Option<String>,
}

impl Diagnostic {
    pub(super) fn new(span: &Span, message: impl Into<String>) -> Self {
        Self { span: Some(span.clone()), message: message.into(), help: None }
    }

    /// A mistake that has no place in a text, such as a file that can't be read.
    pub(super) fn without_place(message: impl Into<String>) -> Self {
        Self { span: None, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, where that is known.
    pub fn suggestion(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// File, line and column, both from 1, where the mistake has a place.
    pub fn place(&self) -> Option<(&str, usize, usize)> {
        self.span.as_ref().map(|s| (s.source.name.as_str(), s.line, s.column))
    }

    fn write(&self, out: &mut dyn fmt::Write, paint: Paint) -> fmt::Result {
        let (bold, red, blue, end) = paint.codes();
        let message = printable(&self.message);
        writeln!(out, "{bold}{red}error{end}{bold}: {message}{end}")?;
        let gutter = self.span.as_ref().map_or(1, |s| s.line.to_string().len());
        if let Some(span) = &self.span {
            let (name, line, column) = (&span.source.name, span.line, span.column);
            writeln!(out, "{blue}{:gutter$}-->{end} {name}:{line}:{column}", "")?;
            let (text, marker) = snippet(span);
            if !text.trim().is_empty() {
                writeln!(out, "{blue}{:gutter$} |{end}", "")?;
                writeln!(out, "{blue}{line} |{end} {text}")?;
                writeln!(out, "{blue}{:gutter$} |{end} {red}{marker}{end}", "")?;
            }
        }
        if let Some(help) = &self.help {
            let help = printable(help);
            writeln!(out, "{blue}{:gutter$} ={end} help: {help}", "")?;
        }
        Ok(())
    }
}

/// A message may quote the text: its control characters must not act on the terminal.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect::<String>().into()
}

/// The line of a place, cut to what can be read, and the carets under it.
fn snippet(span: &Span) -> (String, String) {
    let line: Vec<char> = span
        .source
        .line(span.line)
        .chars()
        // A tab has no width to count on, and control characters would act on the terminal.
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let at = (span.column - 1).min(line.len());
    let width = span.width.min(line.len() - at).max(1);
    let shown = width.min(CONTEXT);
    let from = if line.len() > 2 * CONTEXT + shown { at.saturating_sub(CONTEXT) } else { 0 };
    let to = line.len().min(at + shown + CONTEXT);
    let mut text = String::new();
    if from > 0 {
        text.push_str("...");
    }
    let before = text.len() + at - from;
    text.extend(&line[from..to]);
    if to < line.len() {
        text.push_str("...");
    }
    let text = text.trim_end().to_owned();
    (text, " ".repeat(before) + &"^".repeat(shown))
}

/// Everything that is wrong with a configuration, in the order of the text.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn new(mut all: Vec<Diagnostic>) -> Self {
        // Stable, so that several mistakes at one place stay in the order they were found.
        all.sort_by(|a, b| a.place().cmp(&b.place()));
        Self { all }
    }

    /// The mistakes, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.all.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The text that [`Display`](fmt::Display) gives, with colours for a terminal.
    pub fn coloured(&self) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut out, Paint::Colour);
        out
    }

    fn write(&self, out: &mut dyn fmt::Write, paint: Paint) -> fmt::Result {
        for diagnostic in &self.all {
            diagnostic.write(out, paint)?;
            out.write_char('\n')?;
        }
        let count = self.all.len();
        let s = if count == 1 { "" } else { "s" };
        write!(out, "{count} error{s} in the configuration")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Paint::Plain)
    }
}

impl std::error::Error for Diagnostics {}

#[derive(Clone, Copy)]
enum Paint {
    Plain,
    Colour,
}

impl Paint {
    /// Bold, red, blue, end.
    fn codes(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Plain => ("", "", "", ""),
            Self::Colour => ("\x1b[1m", "\x1b[31m", "\x1b[34m", "\x1b[0m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    fn span(text: &str, line: usize, column: usize, width: usize) -> Span {
        Span { source: Source::new("f.yaml", text), line, column, width }
    }

    #[test]
    fn shows_place_line_and_help() {
        let all = Diagnostics::new(vec![
            Diagnostic::new(&span("a: 1\nbb: 2\n", 2, 1, 2), "unknown field `bb`").help("drop it"),
        ]);
        assert_eq!(
            all.to_string(),
            "error: unknown field `bb`\n --> f.yaml:2:1\n  |\n2 | bb: 2\n  | ^^\n  = help: drop it\n\n\
             1 error in the configuration"
        );
        assert!(all.coloured().contains("\x1b["));
    }

    #[test]
    fn is_sorted_by_place() {
        let text = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let all = Diagnostics::new(vec![
            Diagnostic::new(&span(text, 10, 1, 1), "third"),
            Diagnostic::new(&span(text, 9, 1, 1), "second"),
            Diagnostic::new(&span(text, 1, 1, 1), "first"),
        ]);
        let messages: Vec<_> = all.iter().map(Diagnostic::message).collect();
        assert_eq!(messages, ["first", "second", "third"]);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}HERE{}", "x".repeat(500), "y".repeat(500));
        let (line, marker) = snippet(&span(&text, 1, 501, 4));
        assert_eq!(line.len(), 3 + CONTEXT + 4 + CONTEXT + 3);
        assert_eq!(&line[marker.find('^').unwrap()..][..4], "HERE");
        assert!(marker.ends_with("^^^^"));
    }

    #[test]
    fn a_place_past_the_end_of_the_line_is_shown_after_it() {
        let (line, marker) = snippet(&span("abc", 1, 9, 3));
        assert_eq!((line.as_str(), marker.as_str()), ("abc", "   ^"));
    }
}
