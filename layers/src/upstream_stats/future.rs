use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderName, Response};
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::service::Charge;
use crate::error::{ErrorKind, ProxyError};
use crate::headers;

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
        // A health check that is passed on counts for nothing.
        let counted = |charge: &mut Charge| !charge.silent;
        match this.inner.poll(cx) {
            Poll::Ready(Ok(response)) => {
                let charge = this.charge.take_if(counted);
                if let Some(charge) = &charge {
                    charge.stats.charge(response.status(), charge.internal);
                    let canary = headers::find(response.headers(), &CANARY);
                    if canary.is_some_and(|value| value == "true") {
                        charge.stats.charge_canary(response.status());
                    }
                }
                Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, charge))))
            }
            Poll::Ready(Err(error)) => {
                if let Some(charge) = this.charge.take_if(counted)
                    && is_charged(error.kind())
                {
                    charge.stats.charge(error.kind().status(), charge.internal);
                }
                Poll::Ready(Err(error))
            }
            Poll::Pending => Poll::Pending,
        }
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
