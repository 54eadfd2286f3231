//! In place of `http2` without the feature of that name: there is no such connection, and so nothing
//! to be done with one.
#![allow(clippy::needless_pass_by_ref_mut, clippy::result_large_err, reason = "as in `http2`")]

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;

use super::http1::SendError;
use super::io::{UpstreamConnection, UpstreamIo};
use super::{ConnectError, ConnectionOptions, Endpoint};
use crate::body::Body;
use crate::error::ProxyError;

#[derive(Debug)]
pub(crate) enum Http2Connection {}

#[derive(Debug)]
pub(crate) enum Http2Streams {}

#[derive(Debug)]
pub(crate) enum Http2Exchange {}

#[derive(Clone, Debug)]
pub(crate) enum Http2Stream {}

#[derive(Debug)]
pub(crate) enum HeldStream {}

impl Http2Stream {
    pub(crate) fn hold(&self) -> HeldStream {
        match *self {}
    }
}

impl Http2Connection {
    /// Nobody asks: no protocol begins with it, and none is offered by ALPN.
    pub(super) async fn handshake(
        _: UpstreamIo,
        _: Arc<Endpoint>,
    ) -> Result<Arc<Self>, ConnectError> {
        Err(ConnectError::Http2("the feature `http2` is off".into()))
    }

    pub(super) fn expect_as(&self, _: &Self) {
        match *self {}
    }

    pub(super) fn take_stream(self: &Arc<Self>, _: &ConnectionOptions) -> Option<Http2Streams> {
        match **self {}
    }

    pub(super) fn close_when_idle(&self) {
        match *self {}
    }
}

impl Http2Streams {
    pub(crate) fn described(&self) -> &Arc<UpstreamConnection> {
        match *self {}
    }

    pub(crate) fn send(self, _: Request<Body>) -> Result<Http2Exchange, SendError> {
        match self {}
    }
}

impl Http2Exchange {
    pub(crate) fn poll_response(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, SendError>> {
        match *self {}
    }

    pub(crate) fn poll_frame(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        match *self {}
    }

    pub(crate) fn stream(&self) -> Option<Http2Stream> {
        match *self {}
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match *self {}
    }
}
