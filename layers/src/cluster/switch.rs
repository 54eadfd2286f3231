//! What becomes of the response to a request that asks to switch protocols.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::service::ActiveRequest;
use super::tunnel::Tunnel;
use super::upstream_body::UpstreamBody;
use crate::body::Body;
use crate::endpoint::{ConnectError, Http1Connection, TunnelConnection, UpstreamIo};
use crate::error::{ErrorKind, ProxyError};
use crate::http2;

/// In the extensions of a `CONNECT` request: the cluster ends it, and takes its bytes on over TCP
/// (Envoy's `connect_config`).
#[derive(Clone, Copy, Debug)]
pub struct ConnectTcp;

pub(super) type TcpResult = Result<(UpstreamIo, TunnelConnection), Arc<ConnectError>>;

/// The upstream has answered: a tunnel, or a response like any other.
pub(super) fn receive(
    mut connection: Box<Http1Connection>,
    response: Response<Incoming>,
    active: ActiveRequest,
    client: Body,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let asked = client.asked();
    let status = response.status();
    if asked.is_some_and(|asked| asked.is_granted(status)) {
        let (mut parts, _) = response.into_parts();
        // Their type and length are those of a body that does not come.
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        let stream = connection.take_stream();
        let connection = TunnelConnection::http1(connection);
        // Without a stream the upstream closed right behind its answer.
        let stream = stream.ok_or_else(|| ProxyError::new(ErrorKind::ConnectionTerminated))?;
        let tunnel = Tunnel::start(stream, client, connection, active);
        return Ok(Response::from_parts(parts, UpstreamBody::tunnel(tunnel)));
    }
    let websocket = asked.is_some_and(|asked| asked.is("websocket"));
    if websocket && status.as_u16() < 400 {
        // No answer to a handshake (RFC 6455 section 4.1). Envoy passes its head on, but no body.
        connection.close();
        let (mut parts, _) = response.into_parts();
        // The type of a body that is not passed on.
        parts.headers.remove(header::CONTENT_TYPE);
        let error = ProxyError::new(ErrorKind::HandshakeFailed(status));
        return Err(error.with_headers(parts.headers));
    }
    let (parts, body) = response.into_parts();
    Ok(Response::from_parts(parts, UpstreamBody::http1(body, connection, active)))
}

/// Makes of a request that asks to switch protocols what asks for it over HTTP/2: a `CONNECT`, with
/// the protocol as RFC 8441 section 4 has it. The stream is the tunnel, once it is granted. Returns
/// what the client sends then, for the answer.
///
/// As in Envoy it is asked for whether or not the upstream has said that it knows how to.
pub(super) fn ask_over_http2(request: &mut Request<Body>) -> Option<Body> {
    let client = request.body().switch_again()?;
    let asked = client.asked()?;
    if !asked.is("CONNECT") {
        http2::ask_for_protocol(request.extensions_mut(), asked.protocol())?;
        *request.method_mut() = Method::CONNECT;
    }
    // RFC 9110 section 9.3.6: what follows is no content.
    request.headers_mut().remove(header::CONTENT_LENGTH);
    Some(client)
}

/// The answer to that, in the words of HTTP/1, in which the client asked.
pub(super) fn granted_over_http2(response: &mut Response<()>, client: &Body) {
    let Some(asked) = client.asked().filter(|asked| !asked.is("CONNECT")) else {
        return;
    };
    if response.status() != StatusCode::OK {
        return;
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::UPGRADE, asked.protocol().clone());
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
}

/// A `CONNECT` has its TCP connection.
pub(super) fn connected(
    (io, connection): (UpstreamIo, TunnelConnection),
    active: ActiveRequest,
    client: Body,
) -> Response<UpstreamBody> {
    active.connected();
    active.answered(StatusCode::OK, &HeaderMap::new());
    let tunnel = Tunnel::start((io, Bytes::new()), client, connection, active);
    Response::new(UpstreamBody::tunnel(tunnel))
}
