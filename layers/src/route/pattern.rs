//! Regular expressions, in a type of this crate: who uses it has to keep up with no other's versions.

#[cfg(feature = "regex")]
use std::error::Error;
#[cfg(feature = "regex")]
use std::fmt;
use std::ops::Range;

#[cfg(feature = "regex")]
use regex::Regex;

/// What holds a pattern: without the feature there is none, and so no pattern either.
#[cfg(not(feature = "regex"))]
type Regex = std::convert::Infallible;

/// A compiled regular expression, in the syntax of the crate `regex`. Matching takes linear time.
///
/// They are made with the feature `regex`; without it there are none.
///
/// ```
/// # #[cfg(feature = "regex")] {
/// use front_proxy_layers::route::Pattern;
///
/// assert!(Pattern::new("[0-9]")?.is_match("a1"));
/// assert!(!Pattern::whole("[0-9]")?.is_match("a1"));
/// assert!(Pattern::new("(").is_err());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

#[cfg(feature = "regex")]
impl Pattern {
    /// One that may match anywhere in a text. Compiled it may take 10 MiB.
    ///
    /// # Errors
    ///
    /// It is no regular expression, or too large.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        Regex::new(pattern).map(Self).map_err(PatternError)
    }

    /// One that has to match the whole text, as Envoy's matchers do.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
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

    /// How many groups it has.
    pub(super) fn groups(&self) -> usize {
        self.0.captures_len().saturating_sub(1)
    }

    /// Calls `found` for each match, in order, with its place and what gives the text of a group: `""`
    /// for one that took no part in the match.
    pub(super) fn each_match<'t>(
        &self,
        text: &'t str,
        mut found: impl FnMut(Range<usize>, &dyn Fn(usize) -> &'t str),
    ) {
        for captures in self.0.captures_iter(text) {
            let Some(whole) = captures.get(0) else { return };
            found(whole.range(), &|group| captures.get(group).map_or("", |found| found.as_str()));
        }
    }
}

#[cfg(not(feature = "regex"))]
impl Pattern {
    /// Whether it matches.
    pub fn is_match(&self, _: &str) -> bool {
        match self.0 {}
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        match self.0 {}
    }

    pub(super) fn groups(&self) -> usize {
        match self.0 {}
    }

    pub(super) fn each_match(
        &self,
        _: &str,
        _: impl FnMut(Range<usize>, &dyn Fn(usize) -> &'static str),
    ) {
        match self.0 {}
    }
}

/// Why a text is no [`Pattern`].
#[cfg(feature = "regex")]
#[derive(Clone, Debug)]
pub struct PatternError(regex::Error);

#[cfg(feature = "regex")]
impl PatternError {
    /// Whether the pattern is one, but takes too much memory.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, regex::Error::CompiledTooBig(_))
    }
}

#[cfg(feature = "regex")]
impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "regex")]
impl Error for PatternError {}

#[cfg(all(test, feature = "regex"))]
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
