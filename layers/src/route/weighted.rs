//! One of several clusters, drawn by weight.
//!
//! ```
//! use front_proxy_layers::route::WeightedChoice;
//!
//! let clusters = WeightedChoice::new([(90, "blue"), (10, "green"), (0, "red")])?;
//! assert_eq!(clusters.pick(89), Some(&"blue"));
//! assert_eq!(clusters.pick(90), Some(&"green"));
//! assert_eq!(clusters.pick(100), Some(&"blue"));
//! # Ok::<(), front_proxy_layers::route::weighted::NoWeight>(())
//! ```

use std::error::Error;
use std::fmt;

use crate::runtime::RuntimeU32;

/// Choices with weights. Envoy draws with the request's random number, so shares are exact over
/// the numbers and random over the requests.
#[derive(Clone, Debug)]
pub struct WeightedChoice<T>(Choices<T>);

#[derive(Clone, Debug)]
enum Choices<T> {
    /// Only those with a weight, each with the sum of the weights up to and with it; and the sum of
    /// all.
    Fixed(Vec<(u64, T)>, u64),
    /// All, with weights that are added up for each request.
    Following(Vec<(RuntimeU32, T)>),
}

impl<T> WeightedChoice<T> {
    /// Takes weights and what they stand for; not all of them may be 0.
    ///
    /// # Errors
    ///
    /// All weights are 0.
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
        Ok(Self(Choices::Fixed(choices, total)))
    }

    /// Takes weights that follow the runtime. As long as all of them are 0 nothing can be drawn.
    pub fn following(choices: impl IntoIterator<Item = (RuntimeU32, T)>) -> Self {
        Self(Choices::Following(choices.into_iter().collect()))
    }

    /// The choice for a random number, where any has a weight.
    #[inline]
    pub fn pick(&self, random: u64) -> Option<&T> {
        match &self.0 {
            Choices::Fixed(choices, total) => {
                let drawn = random.checked_rem(*total)?;
                let at = choices.partition_point(|(sum, _)| *sum <= drawn);
                choices.get(at).map(|(_, choice)| choice)
            }
            Choices::Following(choices) => draw(choices, random),
        }
    }

    /// All choices that can be drawn, now or at another time, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let (fixed, following) = match &self.0 {
            Choices::Fixed(choices, _) => (&choices[..], &[][..]),
            Choices::Following(choices) => (&[][..], &choices[..]),
        };
        let fixed = fixed.iter().map(|(_, choice)| choice);
        fixed.chain(following.iter().map(|(_, choice)| choice))
    }
}

fn draw<T>(choices: &[(RuntimeU32, T)], random: u64) -> Option<&T> {
    let total = choices.iter().map(|(weight, _)| u64::from(weight.get())).sum::<u64>();
    let mut drawn = random.checked_rem(total)?;
    // Where weights change meanwhile the last one that has any may be passed by.
    choices.iter().find_map(|(weight, choice)| {
        let weight = u64::from(weight.get());
        match drawn.checked_sub(weight) {
            None => Some(choice),
            Some(left) => {
                drawn = left;
                None
            }
        }
    })
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
    use crate::runtime::{Runtime, RuntimeValue};

    #[test]
    fn every_weight_gets_its_exact_share() {
        let choice = WeightedChoice::new([(1, 'a'), (0, 'b'), (2, 'c'), (7, 'd')]).unwrap();
        let share = |wanted: char| (0..1000).filter(|n| choice.pick(*n) == Some(&wanted)).count();
        assert_eq!(
            ['a', 'b', 'c', 'd'].map(share),
            [100, 0, 200, 700],
            "the share of 1000 consecutive numbers"
        );
        assert_eq!(choice.iter().count(), 3);
        assert_eq!(choice.pick(u64::MAX), Some(&'d')); // 18446744073709551615 % 10 = 5
    }

    #[test]
    fn weights_may_add_up_beyond_32_bits() {
        let choice = WeightedChoice::new([(u32::MAX, 'a'), (u32::MAX, 'b')]).unwrap();
        assert_eq!(choice.pick(u64::from(u32::MAX) - 1), Some(&'a'));
        assert_eq!(choice.pick(u64::from(u32::MAX)), Some(&'b'));
    }

    #[test]
    fn weights_follow_the_runtime() {
        let runtime = Runtime::new();
        let weight = |default, key| RuntimeU32::following(default, runtime.key(key));
        let choice = WeightedChoice::following([(weight(1, "a"), 'a'), (weight(0, "b"), 'b')]);
        let drawn = || [0, 1, 2, 3].map(|random| choice.pick(random).copied());
        assert_eq!(drawn(), [Some('a'); 4]);
        runtime.replace([("b", RuntimeValue::from(3))]);
        assert_eq!(drawn(), [Some('a'), Some('b'), Some('b'), Some('b')]);
        runtime.replace([("a", RuntimeValue::from(0))]);
        assert_eq!(drawn(), [None; 4], "no weight, no choice");
    }

    #[test]
    fn no_weight_is_refused() {
        assert_eq!(WeightedChoice::new([(0, 'a')]).unwrap_err(), NoWeight);
        assert_eq!(WeightedChoice::<char>::new([]).unwrap_err(), NoWeight);
    }
}
