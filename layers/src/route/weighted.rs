//! One of several clusters, drawn by weight.
//!
//! ```
//! use front_proxy_layers::route::WeightedChoice;
//!
//! let clusters = WeightedChoice::new([(90, "blue"), (10, "green"), (0, "red")])?;
//! assert_eq!(clusters.pick(89), &"blue");
//! assert_eq!(clusters.pick(90), &"green");
//! assert_eq!(clusters.pick(100), &"blue");
//! # Ok::<(), front_proxy_layers::route::weighted::NoWeight>(())
//! ```

use std::error::Error;
use std::fmt;

/// Choices with weights. Envoy draws with the request's random number, so shares are exact over
/// the numbers and random over the requests.
#[derive(Clone, Debug)]
pub struct WeightedChoice<T> {
    /// Only those with a weight, each with the sum of the weights up to and with it.
    choices: Vec<(u64, T)>,
    total: u64,
}

impl<T> WeightedChoice<T> {
    /// Takes weights and what they stand for; not all of them may be 0.
    pub fn new(choices: impl IntoIterator<Item = (u32, T)>) -> Result<Self, NoWeight> {
        let mut total = 0;
        let choices: Vec<_> = choices
            .into_iter()
            .filter(|(weight, _)| *weight > 0)
            .map(|(weight, choice)| {
                total += u64::from(weight);
                (total, choice)
            })
            .collect();
        if choices.is_empty() {
            return Err(NoWeight);
        }
        Ok(Self { choices, total })
    }

    /// The choice for a random number.
    #[inline]
    pub fn pick(&self, random: u64) -> &T {
        let drawn = random % self.total;
        let at = self.choices.partition_point(|(sum, _)| *sum <= drawn);
        &self.choices[at].1
    }

    /// All choices that can be drawn, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.choices.iter().map(|(_, choice)| choice)
    }
}

/// No choice has a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoWeight;

impl fmt::Display for NoWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the weights of all clusters add up to 0")
    }
}

impl Error for NoWeight {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_gets_its_exact_share() {
        let choice = WeightedChoice::new([(1, 'a'), (0, 'b'), (2, 'c'), (7, 'd')]).unwrap();
        let share = |wanted: char| (0..1000).filter(|n| *choice.pick(*n) == wanted).count();
        assert_eq!(
            ['a', 'b', 'c', 'd'].map(share),
            [100, 0, 200, 700],
            "the share of 1000 consecutive numbers"
        );
        assert_eq!(choice.iter().count(), 3);
        assert_eq!(choice.pick(u64::MAX), &'d'); // 18446744073709551615 % 10 = 5
    }

    #[test]
    fn weights_may_add_up_beyond_32_bits() {
        let choice = WeightedChoice::new([(u32::MAX, 'a'), (u32::MAX, 'b')]).unwrap();
        assert_eq!(choice.pick(u64::from(u32::MAX) - 1), &'a');
        assert_eq!(choice.pick(u64::from(u32::MAX)), &'b');
    }

    #[test]
    fn no_weight_is_refused() {
        assert_eq!(WeightedChoice::new([(0, 'a')]).unwrap_err(), NoWeight);
        assert_eq!(WeightedChoice::<char>::new([]).unwrap_err(), NoWeight);
    }
}
