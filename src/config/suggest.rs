//! "Did you mean": the nearest of a list of names.

/// The candidate that `word` was most likely meant to be, where one is near enough.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // One slip in three letters, and never a wholly different short word.
    let limit = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter_map(|c| distance(word, c, limit).map(|d| (d, c)))
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// The number of insertions, deletions, replacements and swaps of neighbours between two words
/// (optimal string alignment), without regard to case; `None` above `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let a: Vec<char> = a.chars().map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        if row.iter().min().is_some_and(|m| *m > limit) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    Some(last[b.len()]).filter(|d| *d <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["lb_policy", "name", "type", "connect_timeout"];
        assert_eq!(nearest("lb_polisy", names), Some("lb_policy"));
        assert_eq!(nearest("nmae", names), Some("name"));
        assert_eq!(nearest("connect_timout_", names), Some("connect_timeout"));
        assert_eq!(nearest("LB_POLICY", names), Some("lb_policy"));
        assert_eq!(nearest("sausages", names), None);
        assert_eq!(nearest("x", names), None);
    }

    #[test]
    fn prefers_the_nearer() {
        assert_eq!(nearest("abcdef", ["abcdxx", "abcdex"]), Some("abcdex"));
    }

    #[test]
    fn long_words_are_cut_off_early() {
        assert_eq!(distance(&"a".repeat(5000), &"b".repeat(5000), 4), None);
    }
}
