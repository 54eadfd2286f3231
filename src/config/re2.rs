//! RE2's regular expressions on the `regex` crate.
//!
//! The two share their guarantee (linear time) and almost all of their syntax. What is written the
//! same and means something else is translated: `\d`, `\s`, `\w` and `\b` are ASCII in RE2, and a
//! class knows no `&&`, `--`, `~~` or inner `[`. What only the crate has is refused, since Envoy
//! would refuse it.

use std::iter::Peekable;
use std::str::CharIndices;

use front_proxy_layers::route::Pattern;

mod class;

use self::class::class;

/// RE2's limit on `{n}`.
const MAX_REPEAT: u32 = 1000;

/// Compiles a pattern that must match the whole text.
pub(super) fn anchored(pattern: &str) -> Result<Pattern, String> {
    let inner = translate(pattern)?;
    // The pattern must stand on its own before it is wrapped: `a)|(b` would else slip through.
    regex_syntax::Parser::new().parse(&inner).map_err(|e| last_line(&e.to_string()))?;
    compile(&format!("^(?:{inner})$"))
}

/// Compiles a pattern that may match anywhere in the text.
pub(super) fn unanchored(pattern: &str) -> Result<Pattern, String> {
    compile(&translate(pattern)?)
}

fn compile(pattern: &str) -> Result<Pattern, String> {
    Pattern::new(pattern).map_err(|error| {
        if error.is_too_large() {
            return "it is too large when compiled".to_owned();
        }
        last_line(&error.to_string())
    })
}

/// The crate's message shows the pattern over several lines; its last says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or(text).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.char_indices().peekable();
    let mut repeated = Repeated::No;
    while let Some((at, c)) = chars.next() {
        let operator = match c {
            '*' | '+' | '?' => true,
            '{' => repeat(&pattern[at + 1..])?,
            _ => false,
        };
        repeated = repeated.next(c, operator)?;
        match c {
            '\\' => escape(&mut chars, &mut out, false)?,
            '[' => class(&mut chars, &mut out)?,
            '(' => {
                out.push('(');
                group(&pattern[at + 1..])?;
            }
            // Braces that repeat nothing are text to RE2.
            '{' if !operator => out.push_str("\\{"),
            '}' if !closes_repeat(&pattern[..at]) => out.push_str("\\}"),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Whether a repetition has just been written: RE2 takes no second one, the crate does.
#[derive(Clone, Copy, PartialEq)]
enum Repeated {
    No,
    /// Within the braces of `{n}`.
    Braces,
    Yes,
    /// With a `?` that makes it lazy.
    Lazy,
}

impl Repeated {
    fn next(self, c: char, operator: bool) -> Result<Self, String> {
        match (self, operator) {
            (Self::Braces, _) if c != '}' => Ok(Self::Braces),
            (Self::Braces, _) => Ok(Self::Yes),
            (Self::No, true) if c == '{' => Ok(Self::Braces),
            (Self::No, true) => Ok(Self::Yes),
            (Self::Yes, true) if c == '?' => Ok(Self::Lazy),
            (_, true) => Err(format!("bad repetition operator before `{c}`")),
            (_, false) => Ok(Self::No),
        }
    }
}

type Chars<'a> = Peekable<CharIndices<'a>>;

/// What follows a backslash.
fn escape(chars: &mut Chars<'_>, out: &mut String, in_class: bool) -> Result<(), String> {
    let Some((_, c)) = chars.next() else {
        return Err("trailing \\".to_owned());
    };
    let ascii = match c {
        'd' => "0-9",
        's' => "\\t\\n\\f\\r ",
        'w' => "0-9A-Za-z_",
        'D' => "^0-9",
        'S' => "^\\t\\n\\f\\r ",
        'W' => "^0-9A-Za-z_",
        'b' if !in_class => {
            out.push_str("(?-u:\\b)");
            return Ok(());
        }
        'Q' if !in_class => {
            quoted(chars, out);
            return Ok(());
        }
        // Escapes that mean the same to both, and punctuation.
        'a' | 'f' | 't' | 'n' | 'r' | 'v' => return plain(c, out),
        'x' | 'p' | 'P' => {
            plain(c, out)?;
            braced(chars, out);
            return Ok(());
        }
        'A' | 'z' | 'B' if !in_class => return plain(c, out),
        '0'..='7' => return octal(c, chars, out),
        // The crate gives `\<` and `\>` a meaning of their own.
        '<' | '>' => {
            out.push(c);
            return Ok(());
        }
        c if c.is_ascii_punctuation() => return plain(c, out),
        c => return Err(format!("invalid escape sequence: \\{c}")),
    };
    if in_class && !ascii.starts_with('^') {
        out.push_str(ascii);
    } else {
        out.push('[');
        out.push_str(ascii);
        out.push(']');
    }
    Ok(())
}

fn plain(c: char, out: &mut String) -> Result<(), String> {
    out.push('\\');
    out.push(c);
    Ok(())
}

/// The `{Greek}` of `\p{Greek}` and its like, as it is.
fn braced(chars: &mut Chars<'_>, out: &mut String) {
    if !matches!(chars.peek(), Some((_, '{'))) {
        return;
    }
    for (_, c) in chars.by_ref() {
        out.push(c);
        if c == '}' {
            return;
        }
    }
}

/// `\0` and `\012` are characters; `\1` alone would be a back-reference.
fn octal(first: char, chars: &mut Chars<'_>, out: &mut String) -> Result<(), String> {
    let mut digits = first.to_string();
    while digits.len() < 3
        && let Some((_, c @ '0'..='7')) = chars.peek().copied()
    {
        digits.push(c);
        chars.next();
    }
    if first != '0' && digits.len() == 1 {
        return Err(format!("invalid escape sequence: \\{first} (RE2 has no back-references)"));
    }
    let code = u32::from_str_radix(&digits, 8).map_err(|e| e.to_string())?;
    out.push_str(&format!("\\x{{{code:x}}}"));
    Ok(())
}

/// `\Q...\E`: text as it is.
fn quoted(chars: &mut Chars<'_>, out: &mut String) {
    let mut text = String::new();
    while let Some((_, c)) = chars.next() {
        if c == '\\' && matches!(chars.peek(), Some((_, 'E'))) {
            chars.next();
            break;
        }
        text.push(c);
    }
    out.push_str(&regex::escape(&text));
}

/// Checks what follows a `(`: RE2 knows groups, named groups and the flags `imsU`.
fn group(rest: &str) -> Result<(), String> {
    let Some(rest) = rest.strip_prefix('?') else {
        return Ok(());
    };
    let look_behind = rest.starts_with("<=") || rest.starts_with("<!");
    if rest.starts_with("P<") || (rest.starts_with('<') && !look_behind) {
        return Ok(());
    }
    let end = rest.find([':', ')']).unwrap_or(rest.len());
    let flags = &rest[..end];
    if flags.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-')) && end < rest.len() {
        return Ok(());
    }
    let shown: String = rest.chars().take(2).collect();
    Err(format!("invalid perl operator: (?{}", shown.trim_end_matches(')')))
}

/// Whether what follows a `{` is a repetition; any other `{` is text to RE2.
fn repeat(rest: &str) -> Result<bool, String> {
    let Some(end) = rest.find('}') else {
        return Ok(false);
    };
    let inner = &rest[..end];
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !number(low) || !(high.is_empty() || number(high)) {
        return Ok(false);
    }
    for n in [low, high].into_iter().filter(|s| !s.is_empty()) {
        if n.parse::<u32>().map_or(true, |n| n > MAX_REPEAT) {
            return Err(format!("invalid repetition size: {{{inner}}}"));
        }
    }
    Ok(true)
}

fn closes_repeat(before: &str) -> bool {
    before.rfind('{').is_some_and(|open| {
        let inner = &before[open + 1..];
        inner.starts_with(|c: char| c.is_ascii_digit())
            && inner.bytes().all(|b| b.is_ascii_digit() || b == b',')
            && inner.matches(',').count() < 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        anchored(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}")).is_match(text)
    }

    #[test]
    fn the_whole_text_must_match() {
        assert!(matches("/re/[0-9]+", "/re/12"));
        assert!(!matches("/re/[0-9]+", "/re/12/"));
        assert!(matches("a|b", "b"));
        assert!(!matches("a|b", "bc"));
        assert!(unanchored("b").unwrap().is_match("abc"));
    }

    #[test]
    fn perl_classes_are_ascii() {
        assert!(matches(r"\d", "5"));
        assert!(!matches(r"\d", "٣"));
        assert!(matches(r"[\d_]+", "5_"));
        assert!(matches(r"[^\d]", "ä"));
        assert!(matches(r"\W", "ä"));
        assert!(!matches(r"[^\D]", "a"));
        assert!(matches(r"a\b.*", "a b"));
    }

    #[test]
    fn classes_have_no_set_operators() {
        assert!(matches("[a&&b]", "&"));
        assert!(matches("[a~~b]", "~"));
        assert!(matches("[[a]", "["));
        assert!(matches("[]a]", "]"));
        assert!(matches("[^]a]", "b"));
        assert!(matches("[[:alpha:]]+", "abc"));
        assert!(matches("[a-c-]+", "b-"));
        assert!(matches("[*--]", "+"));
        assert!(matches("[--/]", "."));
        assert!(matches("[a-]", "-"));
        assert!(matches(r"[\w-]+", "a-b"));
        assert!(matches(r"[[:digit:]-]+", "1-2"));
    }

    #[test]
    fn braces_may_be_text() {
        assert!(matches("a{2}", "aa"));
        assert!(matches("a{,2}", "a{,2}"));
        assert!(matches("{x}", "{x}"));
        assert!(matches(r"\Qa.b\E.", "a.bc"));
        assert!(matches(r"\012", "\n"));
    }

    #[test]
    fn refuses_what_re2_refuses() {
        for bad in [
            "(",
            ")",
            "a)|(b",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            "(?>a)",
            "(?x)a",
            r"(a)\1",
            r"\C\y",
            "a**",
            "a*+",
            "a+{2}",
            "a??*",
            "a{2}{3}",
            "a{2000}",
            "[a",
            r"\",
            "[[:foo:]]",
            "*",
            r"\u0041",
            "((a{1000}){1000}){1000}",
        ] {
            assert!(anchored(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn takes_what_re2_takes() {
        for good in [
            "(?i)a",
            "(?i:a)",
            "(?P<n>a)",
            "(?<n>a)",
            r"\pN",
            r"\p{Greek}",
            r"a\z",
            "a*?",
            "a{2,3}?",
            "a??",
            "(a*)*",
            r"\x{41}\x41",
            "(?s-m).",
            "^a$",
        ] {
            assert!(anchored(good).is_ok(), "{good}");
        }
    }
}
