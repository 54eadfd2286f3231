//! Bodies: one concrete type each way, so that services inside the proxy need no type parameters.
//!
//! [`Body`] is a request body on its way upstream. It takes any body that people bring and boxes
//! those that it does not know: what hyper and h2 give, bytes and switches stay as they are. [`ResponseBody`] comes back: made by the proxy, or
//! streaming from an upstream connection that it keeps until its end.
//!
//! ```
//! use bytes::Bytes;
//! use front_proxy_layers::body::Body;
//! use http_body::Body as _;
//! use http_body_util::{BodyExt, Full};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let body = Body::new(Full::new(Bytes::from("hello")));
//! assert_eq!(body.size_hint().exact(), Some(5));
//! assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
//! assert!(Body::new(String::new()).is_end_stream());
//! # }
//! ```

/// In the `Body` of a wrapper that changes no frame: it says of itself what the body inside says.
macro_rules! hints_of_inner {
    () => {
        fn is_end_stream(&self) -> bool {
            http_body::Body::is_end_stream(&self.inner)
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::Body::size_hint(&self.inner)
        }
    };
}
pub(crate) use hints_of_inner;

mod progress;
mod response;
mod watched;

pub use progress::RequestProgress;
pub use response::ResponseBody;
pub use watched::{Watch, Watched};

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use crate::error::BoxError;
use crate::http2::Http2Body;
use crate::upgrade::{Asked, Source};

/// A request body on its way upstream.
pub struct Body {
    kind: Kind,
    progress: Option<Arc<RequestProgress>>,
}

enum Kind {
    Empty,
    Full(Option<Bytes>),
    Incoming(Incoming),
    Http2(Http2Body),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
    Switch(Arc<Source>, Asked),
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self { kind: Kind::Empty, progress: None }
    }

    /// Any body. Empty ones and hyper's own are kept as they are, others are boxed once.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        let mut slot = Some(body);
        let any: &mut dyn Any = &mut slot;
        if let Some(incoming) = any.downcast_mut::<Option<Incoming>>().and_then(Option::take) {
            return Self { kind: Kind::Incoming(incoming), progress: None };
        }
        if let Some(body) = any.downcast_mut::<Option<Http2Body>>().and_then(Option::take) {
            return Self { kind: Kind::Http2(body), progress: None };
        }
        if let Some(body) = any.downcast_mut::<Option<Self>>().and_then(Option::take) {
            return body;
        }
        match slot {
            Some(body) => {
                Self { kind: Kind::Boxed(body.map_err(Into::into).boxed_unsync()), progress: None }
            }
            None => Self::empty(),
        }
    }

    /// What a client sends once protocols are switched.
    pub(crate) fn switch(source: Arc<Source>, asked: Asked) -> Self {
        let progress = Some(Arc::new(RequestProgress::new(Some(asked.clone()))));
        Self { kind: Kind::Switch(source, asked), progress }
    }

    /// Whether it comes in over HTTP/2 from `h2` itself.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.kind, Kind::Http2(_))
    }

    /// Whether the request asks to switch protocols: the body is what the client sends then.
    pub fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Switch(..))
    }

    /// The protocol that the request asks to switch to.
    pub fn asked(&self) -> Option<&Asked> {
        match &self.kind {
            Kind::Switch(_, asked) => Some(asked),
            _ => None,
        }
    }

    /// The same again for another try, where the body is that of a switch: nothing of it is read
    /// before the upstream has granted it.
    pub(crate) fn switch_again(&self) -> Option<Self> {
        let Kind::Switch(source, asked) = &self.kind else { return None };
        let kind = Kind::Switch(Arc::clone(source), asked.clone());
        Some(Self { kind, progress: self.progress.clone() })
    }

    /// Takes the client's stream out of a request to switch protocols; what is left has no body.
    pub(crate) fn take_switch(&mut self) -> Option<Self> {
        if !self.is_switch() {
            return None;
        }
        let rest = self.rest();
        Some(std::mem::replace(self, rest))
    }

    /// No body, but the same progress.
    pub(crate) fn rest(&self) -> Self {
        Self { kind: Kind::Empty, progress: self.progress.clone() }
    }

    /// Follows the body from here on: when it has ended, and whether it did.
    ///
    /// Returns `None` for a body that is at its end already, which needs no following.
    pub fn track(&mut self) -> Option<Arc<RequestProgress>> {
        if matches!(self.kind, Kind::Empty) {
            return None;
        }
        Some(Arc::clone(self.progress.get_or_insert_with(Default::default)))
    }

    /// The progress of a body that is followed.
    pub fn progress(&self) -> Option<&Arc<RequestProgress>> {
        self.progress.as_ref()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let kind = if bytes.is_empty() { Kind::Empty } else { Kind::Full(Some(bytes)) };
        Self { kind, progress: None }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::Incoming(body) => {
                Pin::new(body).poll_frame(cx).map(|f| f.map(|r| r.map_err(Into::into)))
            }
            Kind::Http2(body) => {
                Pin::new(body).poll_frame(cx).map(|f| f.map(|r| r.map_err(Into::into)))
            }
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
            Kind::Switch(source, _) => {
                source.poll_piece(cx).map(|piece| Some(piece.map(Frame::data).map_err(Into::into)))
            }
        };
        if let Some(progress) = &self.progress {
            let more = matches!(&polled, Poll::Ready(Some(Ok(_))) if !self.is_end_stream());
            progress.set_more(more);
        }
        if let (Some(progress), Poll::Ready(frame)) = (&self.progress, &polled) {
            match frame {
                None => progress.finish(),
                Some(Ok(frame)) => {
                    progress.advance(frame.data_ref().map_or(0, Bytes::len));
                    if self.is_end_stream() || frame.is_trailers() {
                        progress.finish();
                    }
                }
                Some(Err(_)) => progress.fail(),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Http2(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
            Kind::Switch(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Http2(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
            Kind::Switch(..) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Empty => "Empty",
            Kind::Full(_) => "Full",
            Kind::Incoming(_) => "Incoming",
            Kind::Http2(_) => "Http2",
            Kind::Boxed(_) => "Boxed",
            Kind::Switch(..) => "Switch",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::{Empty, Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_full_body_keeps_its_length_and_ends() {
        let mut body = Body::new(Full::new(Bytes::from_static(b"abc")));
        assert_eq!(body.size_hint().exact(), Some(3));
        let progress = body.track().expect("a body that has not ended");
        assert!(progress.completed_at().is_none());
        let frame = body.frame().await.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), "abc");
        assert!(progress.completed_at().is_some(), "the end is seen with the last frame");
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn an_empty_body_is_at_its_end_and_is_not_followed() {
        let mut body = Body::new(Empty::<Bytes>::new());
        assert!(body.is_end_stream());
        assert!(body.track().is_none());
    }

    #[tokio::test]
    async fn an_error_marks_the_request_as_broken() {
        let stream = futures_stream(vec![Ok(Frame::data(Bytes::from_static(b"a"))), Err("gone")]);
        let mut body = Body::new(StreamBody::new(stream));
        let progress = body.track().expect("not ended");
        assert!(body.frame().await.expect("frame").is_ok());
        assert!(body.frame().await.expect("frame").is_err());
        assert!(progress.is_failed() && progress.completed_at().is_none());
    }

    fn futures_stream<T>(items: Vec<T>) -> impl futures_core::Stream<Item = T> + Send + 'static
    where
        T: Send + Unpin + 'static,
    {
        struct Items<T>(std::vec::IntoIter<T>);
        impl<T: Unpin> futures_core::Stream for Items<T> {
            type Item = T;
            fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
                Poll::Ready(self.0.next())
            }
        }
        Items(items.into_iter())
    }
}
