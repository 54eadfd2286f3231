//! An answer that a layer gives itself, in place of the service inside it.
//!
//! It takes the form that Envoy gives to such answers: plain text, or a gRPC status where the
//! request is gRPC; and it is the same whether the layer stands in a proxy or around a handler of
//! one's own. In a proxy it begins with the headers that the route adds to responses, and the
//! access log learns why it was given.
//!
//! ```
//! use bytes::Bytes;
//! use front_proxy_layers::local_reply::LocalReply;
//! use http::{Request, StatusCode};
//! use http_body_util::Full;
//!
//! const FULL: LocalReply = LocalReply::new(StatusCode::SERVICE_UNAVAILABLE, "come back later");
//!
//! let response = FULL.respond::<Full<Bytes>, _>(&Request::new(()));
//! assert_eq!((response.status(), &response.headers()["content-type"]), (StatusCode::SERVICE_UNAVAILABLE, &"text/plain".parse()?));
//!
//! let call = Request::post("/").header("content-type", "application/grpc").body(())?;
//! let response = FULL.respond::<Full<Bytes>, _>(&call);
//! assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &"14".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answered;

pub(crate) use answered::Answered;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

use crate::error::respond::{grpc_reply_with, is_grpc, local_reply_to};
use crate::response_flags::ResponseFlag;
use crate::router::RouteEdits;
use crate::stream_info::{RequestHead, StreamInfo};

/// An answer that a layer gives itself; see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct LocalReply {
    status: StatusCode,
    text: &'static str,
    grpc_status: Option<u32>,
    flag: Option<ResponseFlag>,
    details: &'static str,
}

impl LocalReply {
    /// With this status and this text, which is the body, or gRPC's message.
    pub const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text, grpc_status: None, flag: None, details: "direct_response" }
    }

    /// What gRPC requests are told. Default: what gRPC's `http-grpc-status-mapping` makes of the
    /// HTTP status.
    #[must_use]
    pub const fn grpc_status(mut self, status: Option<u32>) -> Self {
        self.grpc_status = status;
        self
    }

    /// The response flag that logs show. Default none.
    #[must_use]
    pub const fn flag(mut self, flag: ResponseFlag) -> Self {
        self.flag = Some(flag);
        self
    }

    /// What logs say of it (`%RESPONSE_CODE_DETAILS%`). Default `direct_response`.
    #[must_use]
    pub const fn details(mut self, details: &'static str) -> Self {
        self.details = details;
        self
    }

    /// The answer to this request.
    pub fn respond<B: From<Bytes>, Q>(&self, request: &Request<Q>) -> Response<B> {
        self.respond_with(request, |_| {})
    }

    /// The answer to this request, with headers of the layer's own.
    pub fn respond_with<B: From<Bytes>, Q>(
        &self,
        request: &Request<Q>,
        edit: impl FnOnce(&mut HeaderMap),
    ) -> Response<B> {
        let mut headers = HeaderMap::with_capacity(8);
        self.note(request);
        if let Some(edits) = request.extensions().get::<RouteEdits>() {
            edits.local_reply(self.status, &mut headers);
        }
        edit(&mut headers);
        if let Some(status) = self.grpc_status.filter(|_| is_grpc(request.headers())) {
            return grpc_reply_with(headers, status, self.text.as_bytes());
        }
        let text = Bytes::from_static(self.text.as_bytes());
        local_reply_to(request.headers(), headers, self.status, text)
    }

    /// Takes the request and its answer down, where somebody wants to know.
    pub(crate) fn note<Q>(&self, request: &Request<Q>) {
        if let Some(info) = StreamInfo::of(request.extensions()) {
            info.set_request(RequestHead::of(request));
            info.set_details(self.details);
            if let Some(flag) = self.flag {
                info.flag(flag);
            }
        }
    }
}
