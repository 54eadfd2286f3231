//! A response body on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::cluster::UpstreamBody;
use crate::error::ProxyError;

/// A response body: made by the proxy itself, or streaming from an upstream.
#[derive(Debug)]
pub struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Local(Option<Bytes>),
    Upstream(UpstreamBody),
}

impl ResponseBody {
    /// A body that the proxy made.
    pub fn local(bytes: Bytes) -> Self {
        Self(Kind::Local((!bytes.is_empty()).then_some(bytes)))
    }

    /// Whether the proxy made it.
    pub fn is_local(&self) -> bool {
        matches!(self.0, Kind::Local(_))
    }
}

impl From<UpstreamBody> for ResponseBody {
    fn from(body: UpstreamBody) -> Self {
        Self(Kind::Upstream(body))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        match &mut self.0 {
            Kind::Local(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Local(bytes) => bytes.is_none(),
            Kind::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Local(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Kind::Upstream(body) => body.size_hint(),
        }
    }
}
