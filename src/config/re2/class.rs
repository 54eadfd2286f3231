//! Character classes.

use super::{Chars, escape};

/// A character class, after its `[`.
pub(super) fn class(chars: &mut Chars<'_>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if matches!(chars.peek(), Some((_, '^'))) {
        chars.next();
        out.push('^');
    }
    // A `]` at the beginning is one of the class.
    let mut first = true;
    // Whether a `-` now would be that of a range.
    let mut after_one = false;
    while let Some((_, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        let mut one = true;
        match c {
            ']' if !first => {
                out.push(']');
                return Ok(());
            }
            '-' if after_one && next.is_some_and(|n| n != ']') => {
                out.push('-');
                range_end(chars, out)?;
                one = false;
            }
            '[' if next == Some(':') => one = !posix(chars, out)?,
            '\\' => {
                one = !matches!(next, Some('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P'));
                escape(chars, out, true)?;
            }
            c => literal(c, out),
        }
        first = false;
        after_one = one;
    }
    Err("missing ]".to_owned())
}

/// What a range goes up to.
fn range_end(chars: &mut Chars<'_>, out: &mut String) -> Result<(), String> {
    match chars.next() {
        Some((_, '\\')) => escape(chars, out, true),
        Some((_, c)) => {
            literal(c, out);
            Ok(())
        }
        None => Err("missing ]".to_owned()),
    }
}

/// A character of a class; to the crate, some begin an inner class or an operator on sets.
fn literal(c: char, out: &mut String) {
    if matches!(c, '[' | ']' | '&' | '~' | '-') {
        out.push('\\');
    }
    out.push(c);
}

/// `[:alpha:]` within a class, after its first `[`; `false` where it is only a `[`.
fn posix(chars: &mut Chars<'_>, out: &mut String) -> Result<bool, String> {
    const NAMES: &[&str] = &[
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
        "space", "upper", "word", "xdigit",
    ];
    let rest: String = chars.clone().map(|(_, c)| c).take(16).collect();
    let Some(end) = rest.find(":]") else {
        out.push_str("\\[");
        return Ok(false);
    };
    let name = &rest[1..end];
    if !NAMES.contains(&name.trim_start_matches('^')) {
        return Err(format!("invalid character class: [:{name}:]"));
    }
    out.push('[');
    out.push_str(&rest[..end + 2]);
    chars.nth(end + 1);
    Ok(true)
}
