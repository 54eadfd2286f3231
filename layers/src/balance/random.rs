//! Random choice, weights honoured.

use std::sync::Arc;

use super::{Candidate, LoadBalancer, PickContext, Picker};

/// Any endpoint, with a likelihood by its weight.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl LoadBalancer for Random {
    fn picker(&self, candidates: &[Candidate]) -> Arc<dyn Picker> {
        let mut sum = 0;
        let ends = candidates
            .iter()
            .map(|candidate| {
                sum += u64::from(candidate.weight);
                sum
            })
            .collect();
        Arc::new(Drawn { ends })
    }
}

/// Where the share of each candidate ends on the line from 0 to the sum of the weights.
#[derive(Debug)]
struct Drawn {
    ends: Box<[u64]>,
}

impl Picker for Drawn {
    fn pick(&self, _: &PickContext<'_>) -> Option<usize> {
        let sum = *self.ends.last()?;
        let at = fastrand::u64(..sum.max(1));
        Some(self.ends.partition_point(|end| *end <= at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::candidates;

    #[test]
    fn shares_follow_weights() {
        fastrand::seed(7);
        let picker = Random.picker(&candidates(&[1, 3]));
        let second = (0..4000).filter(|_| picker.pick(&PickContext::default()) == Some(1)).count();
        assert!((2800..3200).contains(&second), "{second} of 4000 for three quarters");
    }

    #[test]
    fn an_empty_set_gives_nothing() {
        assert_eq!(Random.picker(&[]).pick(&PickContext::default()), None);
    }
}
