//! What regular expressions put in place of a match: RE2's rewrite strings, `\1` for a group.
//!
//! ```
//! # #[cfg(feature = "regex")] {
//! use front_proxy_layers::route::{Pattern, Substitution};
//!
//! let pattern = Pattern::new("^/rx/([^/]+)/([^/]+)$")?;
//! let swap = Substitution::parse(r"/\2/\1", &pattern)?;
//! assert_eq!(swap.replace_all(&pattern, "/rx/one/two"), "/two/one");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;

use super::Pattern;

/// A rewrite string, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitution(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Substitution {
    /// Parses a rewrite string: `\0` to `\9` name groups of `pattern`, `\\` is a backslash.
    ///
    /// # Errors
    ///
    /// It names a group that `pattern` lacks, or has a backslash before anything else.
    pub fn parse(text: &str, pattern: &Pattern) -> Result<Self, SubstitutionError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.char_indices();
        while let Some((offset, c)) = chars.next() {
            if c != '\\' {
                literal.push(c);
                continue;
            }
            match chars.next().map(|(_, c)| (c, c.to_digit(10))) {
                Some((_, Some(group))) => {
                    let group = group as usize;
                    if group > pattern.groups() {
                        return Err(SubstitutionError::NoSuchGroup { offset, group });
                    }
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Group(group));
                }
                Some(('\\', None)) => literal.push('\\'),
                _ => return Err(SubstitutionError::BadEscape { offset }),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self(pieces))
    }

    /// `text` with every match of `pattern` replaced; the pattern is the one given to
    /// [`parse`](Self::parse).
    pub fn replace_all(&self, pattern: &Pattern, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 16);
        let mut end = 0;
        pattern.each_match(text, |whole, captured| {
            out.push_str(&text[end..whole.start]);
            end = whole.end;
            for piece in &self.0 {
                match piece {
                    Piece::Text(literal) => out.push_str(literal),
                    Piece::Group(group) => out.push_str(captured(*group)),
                }
            }
        });
        out.push_str(&text[end..]);
        out
    }
}

/// What is wrong with a rewrite string; offsets are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubstitutionError {
    /// The pattern has no such group.
    NoSuchGroup {
        /// Where.
        offset: usize,
        /// Which.
        group: usize,
    },
    /// A backslash is followed by neither a digit nor a backslash.
    BadEscape {
        /// Where.
        offset: usize,
    },
}

impl fmt::Display for SubstitutionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchGroup { offset, group } => {
                write!(f, "the pattern has no group {group} (at {offset})")
            }
            Self::BadEscape { offset } => {
                write!(f, "a backslash needs a digit or a backslash after it (at {offset})")
            }
        }
    }
}

impl Error for SubstitutionError {}

#[cfg(all(test, feature = "regex"))]
mod tests {
    use super::*;

    fn replaced(pattern: &str, substitution: &str, text: &str) -> String {
        let pattern = Pattern::new(pattern).unwrap();
        Substitution::parse(substitution, &pattern).unwrap().replace_all(&pattern, text)
    }

    #[test]
    fn replaces_as_re2_does() {
        for (pattern, substitution, text, want) in [
            ("a*", "-", "/rx4/baab", "-/-r-x-4-/-b-b-"),
            ("o", "0?z", "/rx5/foo", "/rx5/f0?z0?z"),
            ("(?i)FOO", r"[\0]", "/rx6/foo/xFoo", "/rx6/[foo]/x[Foo]"),
            ("(a)(b)?", r"[\0|\1|\2]\\", "/rx0/ab/a", r"/rx0/[ab|a|b]\/[a|a|]\"),
            ("nomatch", "x", "/rx1/a", "/rx1/a"),
            ("^.*$", "", "/rx2/a", ""),
        ] {
            assert_eq!(replaced(pattern, substitution, text), want, "{pattern}");
        }
    }

    #[test]
    fn refuses_what_re2_refuses() {
        let pattern = Pattern::new("(a)").unwrap();
        assert_eq!(
            Substitution::parse(r"x\2", &pattern),
            Err(SubstitutionError::NoSuchGroup { offset: 1, group: 2 })
        );
        for (text, offset) in [(r"\x", 0), (r"ab\", 2), (r"é\é", 2)] {
            assert_eq!(
                Substitution::parse(text, &pattern),
                Err(SubstitutionError::BadEscape { offset })
            );
        }
    }
}
