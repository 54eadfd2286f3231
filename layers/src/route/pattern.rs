//! Regular expressions, in a type of this crate: who uses it has to keep up with no other's versions.

use std::error::Error;
use std::fmt;

use regex::Regex;

/// A compiled regular expression, in the syntax of the crate `regex`. Matching takes linear time.
///
/// ```
/// use front_proxy_layers::route::Pattern;
///
/// assert!(Pattern::new("[0-9]")?.is_match("a1"));
/// assert!(!Pattern::whole("[0-9]")?.is_match("a1"));
/// assert!(Pattern::new("(").is_err());
/// # Ok::<(), front_proxy_layers::route::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// One that may match anywhere in a text. Compiled it may take 10 MiB.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        Regex::new(pattern).map(Self).map_err(PatternError)
    }

    /// One that has to match the whole text, as Envoy's matchers do.
    pub fn whole(pattern: &str) -> Result<Self, PatternError> {
        // Compiled alone first, so that an unbalanced `)` can't close the group added here.
        Self::new(pattern)?;
        Self::new(&format!(r"\A(?:{pattern})\z"))
    }

    /// Whether it matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn regex(&self) -> &Regex {
        &self.0
    }
}

/// Why a text is no [`Pattern`].
#[derive(Clone, Debug)]
pub struct PatternError(regex::Error);

impl PatternError {
    /// Whether the pattern is one, but takes too much memory.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, regex::Error::CompiledTooBig(_))
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_cannot_leave_its_anchors() {
        assert!(Pattern::whole("a)|(b").is_err());
        let either = Pattern::whole("a|b").unwrap();
        assert!(either.is_match("a") && !either.is_match("xb") && !either.is_match("a\n"));
    }

    #[test]
    fn what_is_too_large_is_told_apart() {
        let of = |pattern| Pattern::new(pattern).expect_err("no pattern").is_too_large();
        assert!(of(r"\w{1000}{10}") && !of("("));
    }
}
