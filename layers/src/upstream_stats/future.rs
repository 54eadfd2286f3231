use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderName, Response};
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::service::Charge;
use crate::error::{ErrorKind, ProxyError};

/// Set by an upstream that is a canary: its responses are counted apart as well.
const CANARY: HeaderName = HeaderName::from_static("x-envoy-upstream-canary");

pin_project! {
    /// The future of [`UpstreamStats`](super::UpstreamStats).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        charge: Option<Charge>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, charge: Charge) -> Self {
        Self { inner, charge: Some(charge) }
    }
}

impl<F, R> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, ProxyError>>,
    R: http_body::Body,
{
    type Output = Result<Response<ResponseBody<R>>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let Some(charge) = this.charge.take() else {
            return Poll::Pending;
        };
        if charge.silent {
            return Poll::Ready(result.map(|it| it.map(|body| ResponseBody::new(body, None))));
        }
        Poll::Ready(match result {
            Ok(response) => {
                charge.stats.charge(response.status(), charge.internal);
                if response.headers().get(CANARY).is_some_and(|value| value == "true") {
                    charge.stats.charge_canary(response.status());
                }
                Ok(response.map(|body| ResponseBody::new(body, Some(charge))))
            }
            Err(error) => {
                if is_charged(error.kind()) {
                    charge.stats.charge(error.kind().status(), charge.internal);
                }
                Err(error)
            }
        })
    }
}

/// Failures that Envoy's router charges to the cluster. Timeouts of the connection manager and
/// clients that left are not the cluster's doing.
fn is_charged(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::DownstreamClosed
            | ErrorKind::HandshakeFailed(_)
            | ErrorKind::IdleTimeout
            | ErrorKind::MaxDuration
            | ErrorKind::RequestIdleTimeout
            | ErrorKind::RequestTimeout
            | ErrorKind::RequestTooLarge
    )
}
