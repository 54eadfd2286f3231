use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::ResponseFuture;
use super::hash::{Hashed, hash};
use crate::cluster::BalanceHash;
use crate::route::HashPolicy;

/// Hashes requests; see the [module](super).
#[derive(Clone, Debug)]
pub struct Hashing<S> {
    inner: S,
    policies: Option<Arc<[HashPolicy]>>,
}

impl<S> Hashing<S> {
    pub(super) fn new(inner: S, policies: Option<Arc<[HashPolicy]>>) -> Self {
        Self { inner, policies }
    }
}

impl<S, B, R> Service<Request<B>> for Hashing<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(policies) = &self.policies else {
            return ResponseFuture::new(self.inner.call(request), None);
        };
        let Hashed { hash, cookies } = hash(policies, &request);
        if let Some(hash) = hash {
            request.extensions_mut().insert(BalanceHash(hash));
        }
        let cookies = (!cookies.is_empty()).then_some(cookies);
        ResponseFuture::new(self.inner.call(request), cookies)
    }
}
