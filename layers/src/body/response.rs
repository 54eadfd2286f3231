//! A response body on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use pin_project_lite::pin_project;

use crate::error::ProxyError;

pin_project! {
    /// A response body: made by the proxy itself, or streaming from an upstream.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<B> {
        Local { bytes: Option<Bytes> },
        Upstream { #[pin] body: B },
        Boxed { body: UnsyncBoxBody<Bytes, ProxyError>, local: bool },
    }
}

impl<B> ResponseBody<B> {
    /// A body that the proxy made.
    pub fn local(bytes: Bytes) -> Self {
        Self { kind: Kind::Local { bytes: (!bytes.is_empty()).then_some(bytes) } }
    }

    /// A body that an upstream sends.
    pub fn upstream(body: B) -> Self {
        Self { kind: Kind::Upstream { body } }
    }

    /// The same local body in the company of other upstream bodies; an upstream's is left empty.
    pub(crate) fn into_any<C>(self) -> ResponseBody<C> {
        let bytes = match self.kind {
            Kind::Local { bytes } => bytes,
            Kind::Upstream { .. } | Kind::Boxed { .. } => None,
        };
        ResponseBody { kind: Kind::Local { bytes } }
    }

    /// Any other body in their company: what a filter makes of one of them. `local` says whether
    /// the proxy made it.
    pub(crate) fn boxed<C>(body: C, local: bool) -> Self
    where
        C: Body<Data = Bytes, Error = ProxyError> + Send + 'static,
    {
        Self { kind: Kind::Boxed { body: body.boxed_unsync(), local } }
    }

    /// Whether the proxy made it.
    pub fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local { .. } | Kind::Boxed { local: true, .. })
    }
}

impl<B> From<Bytes> for ResponseBody<B> {
    /// A body that the proxy made.
    fn from(bytes: Bytes) -> Self {
        Self::local(bytes)
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error = ProxyError>,
{
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        match self.project().kind.project() {
            KindProj::Local { bytes } => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            KindProj::Upstream { body } => body.poll_frame(cx),
            KindProj::Boxed { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Local { bytes } => bytes.is_none(),
            Kind::Upstream { body } => body.is_end_stream(),
            Kind::Boxed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Local { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Kind::Upstream { body } => body.size_hint(),
            Kind::Boxed { body, .. } => body.size_hint(),
        }
    }
}
