//! Least request: the better of two drawn at random.

use std::sync::Arc;

use super::{Candidate, LoadBalancer, PickContext, Picker};

/// Draws two endpoints and takes the one with fewer requests in flight for its weight.
///
/// Envoy's `LEAST_REQUEST` with its default of two choices: nearly as even as looking at all of
/// them, without everybody running to the same one. Requests count until their response body has
/// ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastRequest;

impl LoadBalancer for LeastRequest {
    fn picker(&self, candidates: &[Candidate]) -> Arc<dyn Picker> {
        Arc::new(TwoChoices { candidates: candidates.into() })
    }
}

#[derive(Debug)]
struct TwoChoices {
    candidates: Box<[Candidate]>,
}

impl Picker for TwoChoices {
    fn pick(&self, context: &PickContext<'_>) -> Option<usize> {
        let len = self.candidates.len();
        if len < 2 {
            return (len == 1).then_some(0);
        }
        let first = fastrand::usize(..len);
        // Another one: step over the first.
        let second = (first + 1 + fastrand::usize(..len - 1)) % len;
        let Some(active) = context.active else {
            return Some(first);
        };
        // active / weight, compared without dividing. The one to come counts as well, so that
        // weights matter while nothing is in flight.
        let load = |index: usize, other: usize| {
            u128::from(active(index) + 1) * u128::from(self.candidates[other].weight)
        };
        Some(if load(second, first) < load(first, second) { second } else { first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::candidates;

    #[test]
    fn the_less_loaded_of_two_is_taken() {
        let picker = LeastRequest.picker(&candidates(&[1, 1]));
        let active = |index: usize| if index == 0 { 5 } else { 0 };
        let context = PickContext { active: Some(&active), ..PickContext::default() };
        assert!((0..50).all(|_| picker.pick(&context) == Some(1)));
    }

    #[test]
    fn weight_buys_load() {
        let picker = LeastRequest.picker(&candidates(&[10, 1]));
        let active = |index: usize| if index == 0 { 5 } else { 1 };
        let context = PickContext { active: Some(&active), ..PickContext::default() };
        assert!((0..50).all(|_| picker.pick(&context) == Some(0)), "6/10 is less than 2/1");
    }
}
