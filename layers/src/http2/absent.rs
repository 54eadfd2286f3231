//! Without the feature `http2`: there is no such body, and no `CONNECT` asks for a protocol.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, HeaderValue};
use http_body::{Body, Frame, SizeHint};

#[derive(Debug)]
pub(crate) enum Http2Body {}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match *self {}
    }

    fn is_end_stream(&self) -> bool {
        match *self {}
    }

    fn size_hint(&self) -> SizeHint {
        match *self {}
    }
}

pub(crate) fn ask_for_protocol(_: &mut Extensions, _: &HeaderValue) -> Option<()> {
    None
}

pub(crate) fn take_protocol(_: &mut Extensions) -> Option<Box<str>> {
    None
}
