//! What is logged of one request, from its head to the end of its response.

use std::fmt::Debug;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode, Version};

use super::{AccessLogger, log_all};
use crate::error::ProxyError;
use crate::format::{FormatContext, TimePoint};
use crate::response_flags::ResponseFlag;
use crate::stream_info::{DownstreamConnection, RequestHead, StreamInfo};

/// What is the same for all requests of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) loggers: Arc<[AccessLogger]>,
    pub(super) downstream: Arc<DownstreamConnection>,
    pub(super) fault: Option<Arc<dyn ClientFault>>,
}

/// Says whether the client broke the protocol on its connection.
///
/// A codec that finds a broken request body ends the request from outside: the layers only see
/// that they are dropped. This is how the log learns why.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know what the client did wrong",
    label = "needs `ClientFault`, which the codec of a connection has"
)]
pub trait ClientFault: Debug + Send + Sync {
    /// What was wrong, once something was.
    fn fault(&self) -> Option<Fault>;

    /// How the connection ended, once it has. Requests that are dropped before were reset by the
    /// client, each on its own, where the protocol knows that.
    fn connection_end(&self) -> Option<ConnectionEnd> {
        None
    }
}

/// How a connection ended whose requests ended with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEnd {
    /// The client closed it, or it was cut.
    ByClient,
    /// The proxy closed it, and this is what `%RESPONSE_CODE_DETAILS%` says.
    ByProxy(&'static str),
    /// The client broke the protocol.
    Protocol,
}

/// How a request was refused by the codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The status that was answered.
    pub status: StatusCode,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// How long its body was, in bytes.
    pub body_len: usize,
    /// `%RESPONSE_CODE_DETAILS%`
    pub details: &'static str,
    /// Whether the client broke the protocol, which is flagged `DPE`.
    pub protocol_error: bool,
}

impl Fault {
    /// Takes it down.
    pub fn note(self, info: &StreamInfo) {
        info.set_status(self.status);
        info.set_late_details(self.details);
        info.set_bytes_sent(self.body_len as u64);
        if self.protocol_error {
            info.flag(ResponseFlag::DownstreamProtocolError);
        }
        info.set_response_headers(self.headers);
    }
}

/// The record of a request. It is logged when it is finished, or dropped.
#[derive(Debug)]
pub struct Record {
    connection: Arc<Connection>,
    info: Arc<StreamInfo>,
    /// The head as it came, should the router never see it.
    head: Option<RequestHead>,
    bodiless: bool,
    responded: bool,
    sent: u64,
    /// The response ended as it should, or its end has been explained.
    explained: bool,
}

impl Record {
    pub(super) fn new<B>(
        connection: &Arc<Connection>,
        info: Arc<StreamInfo>,
        request: &Request<B>,
    ) -> Self {
        Self {
            connection: Arc::clone(connection),
            info,
            head: Some(RequestHead::of(request)),
            bodiless: request.method() == Method::HEAD,
            responded: false,
            sent: 0,
            explained: false,
        }
    }

    /// The head of the response goes out.
    pub(super) fn respond<R>(&mut self, response: &Response<R>) {
        self.responded = true;
        self.info.mark(TimePoint::ResponseBegin);
        self.info.set_status(response.status());
        self.info.set_response_headers(response.headers().clone());
    }

    /// Whether the response has no body, whatever its head says.
    pub(super) fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    pub(super) fn trailers(&self, trailers: &HeaderMap) {
        self.info.set_response_trailers(trailers.clone());
    }

    /// The response was cut off from within.
    pub(super) fn cut(&mut self, error: Option<&ProxyError>) {
        self.explained = true;
        let Some(error) = error else {
            self.info.flag(ResponseFlag::LocalReset);
            return;
        };
        let kind = error.kind();
        if let Some(flag) = kind.flag() {
            self.info.flag(flag);
        }
        match kind.reset_reason() {
            Some(reason) => self
                .info
                .set_late_details(format!("upstream_reset_after_response_started{{{reason}}}")),
            None => self.info.set_late_details(error.details()),
        }
    }

    /// There is no response.
    pub(super) fn abandon(mut self: Box<Self>) {
        self.explained = true;
        self.info.flag(ResponseFlag::LocalReset);
    }

    /// The response has ended.
    pub(super) fn finish(mut self: Box<Self>) {
        self.explained = true;
        self.info.mark(TimePoint::ResponseEnd);
    }

    /// Nobody has said why it ended: the client did it.
    fn explain(&self) {
        if !self.responded
            && let Some(fault) = self.connection.fault.as_ref().and_then(|fault| fault.fault())
        {
            fault.note(&self.info);
            return;
        }
        let end = self.connection.fault.as_ref().and_then(|fault| fault.connection_end());
        let (flag, details) = match end {
            Some(ConnectionEnd::Protocol) => (ResponseFlag::DownstreamProtocolError, "codec_error"),
            Some(ConnectionEnd::ByProxy(details)) => {
                (ResponseFlag::DownstreamConnectionTermination, details)
            }
            None if self.info.protocol() == Some(Version::HTTP_2) => {
                (ResponseFlag::DownstreamRemoteReset, "http2.remote_reset")
            }
            Some(ConnectionEnd::ByClient) | None => {
                (ResponseFlag::DownstreamConnectionTermination, "downstream_remote_disconnect")
            }
        };
        self.info.flag(flag);
        self.info.set_late_details(details);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.info.set_bytes_sent(self.sent);
        if let Some(head) = self.head.take().filter(|_| self.info.request().is_none()) {
            self.info.set_request(head);
        }
        if !self.explained {
            self.explain();
        }
        log_all(&self.connection.loggers, &*self.info);
    }
}
