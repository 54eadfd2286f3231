//! Checks by gRPC's own health service, `grpc.health.v1.Health`.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use http::{Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};

use super::Codec;
use super::client::{Dialer, HttpClient};
use super::http::absolute;
use super::session::{CheckError, Finding};
use crate::header_edit::HeaderEditor;

/// Asks the health service of an endpoint, over HTTP/2.
///
/// The protocol is that of gRPC's [health checking](https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
#[derive(Clone, Debug, Default)]
pub struct GrpcProbe {
    /// The service that is asked about. Default the server as a whole.
    pub service_name: String,
    /// The authority that is asked for. Default the cluster's name.
    pub authority: Option<String>,
    /// Changes of the request's headers.
    pub metadata: HeaderEditor,
}

const PATH: &str = "/grpc.health.v1.Health/Check";
/// `HealthCheckResponse.ServingStatus.SERVING`
const SERVING: u64 = 1;
/// A `HealthCheckResponse` has a few bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// One endpoint's checks.
#[derive(Debug)]
pub(super) struct GrpcSession {
    probe: GrpcProbe,
    uri: Option<http::Uri>,
    kept: Option<HttpClient>,
}

impl GrpcSession {
    /// `cluster` is the name of the cluster.
    pub(super) fn new(probe: GrpcProbe, dialer: &Dialer, cluster: &str) -> Self {
        let own = dialer.endpoint().checking().and_then(|checking| checking.hostname.as_deref());
        let host = own.or(probe.authority.as_deref()).unwrap_or(cluster);
        let tls = dialer.endpoint().shared().connector.is_tls();
        let uri = absolute(tls, host, PATH).ok();
        Self { probe, uri, kept: None }
    }

    pub(super) async fn check(
        &mut self,
        dialer: &Dialer,
        reuse: bool,
    ) -> Result<Finding, CheckError> {
        let request = self.request()?;
        let kept = self.kept.take().filter(|client| !client.is_closed());
        let mut client = match kept {
            Some(client) => client,
            None => HttpClient::connect(dialer, Codec::Http2).await?,
        };
        let (head, mut body) = client.send(request).await?.into_parts();
        let mut message = BytesMut::new();
        let mut status = grpc_status(&head.headers);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) if message.len() + data.len() <= LONGEST_ANSWER => {
                    message.extend_from_slice(&data);
                }
                Ok(_) => return Err(CheckError::Network("an endless answer".into())),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    status = grpc_status(&trailers).or(status);
                }
            }
        }
        if reuse {
            self.kept = Some(client);
        }
        let serving = head.status == StatusCode::OK
            && status == Some(0)
            && serving_status(&message) == Some(SERVING);
        Ok(if serving {
            Finding::Healthy
        } else {
            let why = "it does not say that it is serving".to_owned();
            Finding::Failed { retriable: false, exclude: false, why }
        })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, CheckError> {
        let uri = self.uri.clone().ok_or_else(|| CheckError::Network("no valid name".into()))?;
        let mut request = Request::new(Full::new(question(&self.probe.service_name)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(USER_AGENT, HeaderValue::from_static("Envoy/HC"));
        self.probe.metadata.edit_request(headers, &());
        Ok(request)
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// A `HealthCheckRequest` with gRPC's five bytes before it.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put(message);
    framed.freeze()
}

/// The first field of the `HealthCheckResponse`; absent it is 0. `None` if it is none.
fn serving_status(framed: &[u8]) -> Option<u64> {
    let (head, message) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if head[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let mut rest = message;
    let mut status = 0;
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        match key & 7 {
            0 => {
                let value = take_varint(&mut rest)?;
                status = if key >> 3 == 1 { value } else { status };
            }
            2 => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            1 => rest = rest.get(8..)?,
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_name_the_service() {
        assert_eq!(question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(question("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(question(&"x".repeat(200))[5..8], [0x0a, 0xc8, 1]);
    }

    #[test]
    fn answers_say_the_status() {
        assert_eq!(serving_status(&[0, 0, 0, 0, 2, 8, 1]), Some(SERVING));
        assert_eq!(serving_status(&[0, 0, 0, 0, 0]), Some(0));
        // An unknown field before it.
        assert_eq!(serving_status(&[0, 0, 0, 0, 5, 0x12, 1, 9, 8, 2]), Some(2));
        for broken in [&[][..], &[0, 0, 0, 0, 2, 8], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 1, 8]] {
            assert_eq!(serving_status(broken), None, "{broken:?}");
        }
    }
}
