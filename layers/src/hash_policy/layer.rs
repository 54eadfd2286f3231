use std::sync::Arc;

use tower_layer::Layer;

use super::Hashing;
use crate::route::HashPolicy;

/// Hashes requests; see the [module](super).
#[derive(Clone, Debug)]
pub struct HashPolicyLayer {
    policies: Option<Arc<[HashPolicy]>>,
}

impl HashPolicyLayer {
    /// By these policies, in their order. Without any, requests have no hash.
    pub fn new(policies: impl Into<Arc<[HashPolicy]>>) -> Self {
        let policies = policies.into();
        Self { policies: (!policies.is_empty()).then_some(policies) }
    }
}

impl<S> Layer<S> for HashPolicyLayer {
    type Service = Hashing<S>;

    fn layer(&self, inner: S) -> Hashing<S> {
        Hashing::new(inner, self.policies.clone())
    }
}
