use std::sync::{Arc, OnceLock};

use crate::endpoint::Endpoint;

/// The endpoints that a request was tried with. The list only grows, so that what it holds can be
/// lent out; it is as long as a request has tries.
#[derive(Debug, Default)]
pub(super) struct Tries(OnceLock<Box<Try>>);

#[derive(Debug)]
struct Try {
    endpoint: Arc<Endpoint>,
    next: Tries,
}

impl Tries {
    pub(super) fn push(&self, endpoint: &Arc<Endpoint>) {
        let mut at = self;
        let mut new = Box::new(Try { endpoint: Arc::clone(endpoint), next: Self::default() });
        while let Err(back) = at.0.set(new) {
            let Some(taken) = at.0.get() else {
                return;
            };
            (at, new) = (&taken.next, back);
        }
    }

    pub(super) fn last(&self) -> Option<&Arc<Endpoint>> {
        self.iter().last()
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.iter().count()).unwrap_or(u32::MAX)
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        std::iter::successors(self.0.get(), |one| one.next.0.get()).map(|one| &one.endpoint)
    }
}
