//! Connections for checks: made as the cluster's are, but counted only by their codecs.

#[cfg(feature = "http2")]
use std::error::Error as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
#[cfg(feature = "http2")]
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
#[cfg(feature = "http2")]
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::Codec;
use super::session::CheckError;
use crate::cluster::ClusterStats;
use crate::endpoint::{Endpoint, UpstreamIo};
use crate::task::Task;

/// Makes connections to one endpoint.
#[derive(Debug)]
pub(super) struct Dialer {
    endpoint: Arc<Endpoint>,
    /// Connections count their bytes; those of checks are nobody's traffic.
    stats: Arc<ClusterStats>,
}

impl Dialer {
    pub(super) fn new(endpoint: Arc<Endpoint>, stats: Arc<ClusterStats>) -> Self {
        Self { endpoint, stats }
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(super) async fn dial(&self) -> Result<UpstreamIo, CheckError> {
        let mut address = self.endpoint.address();
        if let Some(checking) = self.endpoint.checking() {
            address.set_ip(checking.ip.unwrap_or(address.ip()));
            address.set_port(checking.port.unwrap_or(address.port()));
        }
        let connector = &self.endpoint.shared().connector;
        Ok(connector.connect(address, Arc::clone(&self.stats)).await?)
    }
}

/// An HTTP connection, kept from check to check.
#[derive(Debug)]
pub(super) struct HttpClient {
    send: Send,
    stats: Arc<ClusterStats>,
    _connection: Task,
}

#[derive(Debug)]
enum Send {
    Http1(http1::SendRequest<Full<Bytes>>),
    #[cfg(feature = "http2")]
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl HttpClient {
    pub(super) async fn connect(dialer: &Dialer, codec: Codec) -> Result<Self, CheckError> {
        let stats = Arc::clone(&dialer.endpoint().shared().stats);
        // As in Envoy, which makes the codec before the connection.
        match codec {
            Codec::Http1 => stats.http1(),
            #[cfg(feature = "http2")]
            Codec::Http2 => stats.http2_codec(),
        }
        let io = TokioIo::new(dialer.dial().await?);
        let (send, connection) = match codec {
            Codec::Http1 => {
                let (send, connection) = http1::handshake(io).await?;
                (Send::Http1(send), Task::spawn(async move { drop(connection.await) }))
            }
            #[cfg(feature = "http2")]
            Codec::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                let (send, connection) = builder.timer(TokioTimer::new()).handshake(io).await?;
                (Send::Http2(send), Task::spawn(async move { drop(connection.await) }))
            }
        };
        Ok(Self { send, stats, _connection: connection })
    }

    /// Whether it can't be used any more.
    pub(super) fn is_closed(&self) -> bool {
        match &self.send {
            Send::Http1(send) => send.is_closed(),
            #[cfg(feature = "http2")]
            Send::Http2(send) => send.is_closed(),
        }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, CheckError> {
        let answer = match &mut self.send {
            Send::Http1(send) => {
                send.ready().await?;
                send.send_request(request).await
            }
            #[cfg(feature = "http2")]
            Send::Http2(send) => {
                send.ready().await?;
                send.send_request(request).await
            }
        };
        if answer.as_ref().is_err_and(is_protocol_error) {
            self.stats.cx_protocol_error.increment(1);
        }
        Ok(answer?)
    }
}

/// Whether an endpoint answered what is not HTTP.
fn is_protocol_error(error: &hyper::Error) -> bool {
    #[cfg(feature = "http2")]
    if let Some(error) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) {
        return error.is_library() && !error.is_remote();
    }
    error.is_parse()
}
