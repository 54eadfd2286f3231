//! Checks by an HTTP request.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};

use super::Payload;
use super::client::{Dialer, HttpClient};
use super::session::{CheckError, Finding};
use crate::header_edit::HeaderEditor;
use crate::headers;
use crate::route::StringMatch;

const DEGRADED: HeaderName = HeaderName::from_static("x-envoy-degraded");
const EXCLUDED: HeaderName = HeaderName::from_static("x-envoy-immediate-health-check-fail");
const CHECKED_CLUSTER: HeaderName =
    HeaderName::from_static("x-envoy-upstream-healthchecked-cluster");
const CHECKER: HeaderValue = HeaderValue::from_static("Envoy/HC");

/// Sends a request and looks at the status of the answer, and at its body where that is wanted.
///
/// The answer may also say that the endpoint is degraded, with the header `x-envoy-degraded`.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    /// The path with its query.
    pub path: String,
    /// The host that is asked for. Default the cluster's name.
    pub host: Option<String>,
    /// Default `GET`.
    pub method: Method,
    /// What is sent along. Default nothing.
    pub send: Bytes,
    /// What the body of the answer must hold. Default anything.
    pub receive: Payload,
    /// How much of the body is looked at, in bytes; 0 is all of it. Default 1024.
    pub response_buffer_size: usize,
    /// Statuses that are good, each range without its end. Default 200.
    pub expected_statuses: Vec<Range<u16>>,
    /// Statuses that count as a lost connection does, each range without its end. Default none.
    pub retriable_statuses: Vec<Range<u16>>,
    /// The protocol of checks, whatever that of the cluster is. Default HTTP/1.1.
    pub codec: Codec,
    /// Changes of the request's headers. `host` and `user-agent: Envoy/HC` are there.
    pub headers: HeaderEditor,
    /// What the answer's `x-envoy-upstream-healthchecked-cluster` must be. Default anything.
    pub service_name: Option<StringMatch>,
}

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2; over plain text with prior knowledge.
    #[cfg(feature = "http2")]
    Http2,
}

impl Codec {
    fn is_http1(self) -> bool {
        matches!(self, Self::Http1)
    }
}

impl HttpProbe {
    /// A `GET` of this path that must be answered with 200.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            host: None,
            method: Method::GET,
            send: Bytes::new(),
            receive: Payload::default(),
            response_buffer_size: 1024,
            expected_statuses: Vec::new(),
            retriable_statuses: Vec::new(),
            codec: Codec::Http1,
            headers: HeaderEditor::default(),
            service_name: None,
        }
    }

    fn expects(&self, status: StatusCode) -> bool {
        match &self.expected_statuses[..] {
            [] => status == StatusCode::OK,
            ranges => is_in(ranges, status),
        }
    }

    /// What an answer says. `verify`: whose it is, too, if that is to be checked.
    fn judge(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], verify: bool) -> Finding {
        let failed = |retriable| Finding::Failed {
            retriable,
            exclude: headers.contains_key(EXCLUDED),
            why: format!("it answered {status}"),
        };
        if !self.receive.matches(body) {
            return failed(false);
        }
        if !self.expects(status) {
            return failed(is_in(&self.retriable_statuses, status));
        }
        if verify && let Some(wanted) = &self.service_name {
            let name = headers.get(CHECKED_CLUSTER).map_or(&b""[..], HeaderValue::as_bytes);
            if !wanted.matches(name) {
                let why = "it is of another cluster".to_owned();
                return Finding::Failed { retriable: false, exclude: false, why };
            }
        }
        if headers.contains_key(DEGRADED) { Finding::Degraded } else { Finding::Healthy }
    }
}

fn is_in(ranges: &[Range<u16>], status: StatusCode) -> bool {
    ranges.iter().any(|range| range.contains(&status.as_u16()))
}

/// One endpoint's checks.
#[derive(Debug)]
pub(super) struct HttpSession {
    probe: Arc<HttpProbe>,
    host: Option<HeaderValue>,
    uri: Option<Uri>,
    kept: Option<HttpClient>,
}

impl HttpSession {
    /// `cluster` is the name of the cluster.
    pub(super) fn new(probe: HttpProbe, dialer: &Dialer, cluster: &str) -> Self {
        let own = dialer.endpoint().checking().and_then(|checking| checking.hostname.as_deref());
        let host = own.or(probe.host.as_deref()).unwrap_or(cluster);
        let tls = dialer.endpoint().shared().connector.is_tls();
        let uri = match probe.codec.is_http1() {
            true => probe.path.parse().map_err(Into::into),
            false => absolute(tls, host, &probe.path),
        };
        let host = HeaderValue::from_str(host).ok().filter(|_| probe.codec.is_http1());
        Self { probe: Arc::new(probe), host, uri: uri.ok(), kept: None }
    }

    /// Whether the answer is to be compared with a cluster's name.
    pub(super) fn verifies_cluster(&self) -> bool {
        self.probe.service_name.is_some()
    }

    pub(super) async fn check(
        &mut self,
        dialer: &Dialer,
        reuse: bool,
        verify: bool,
    ) -> Result<Finding, CheckError> {
        let request = self.request()?;
        let kept = self.kept.take().filter(|client| !client.is_closed());
        let mut client = match kept {
            Some(client) => client,
            None => HttpClient::connect(dialer, self.probe.codec).await?,
        };
        let (head, mut body) = client.send(request).await?.into_parts();
        let mut seen = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if self.probe.receive.is_empty() {
                continue;
            }
            let room = match self.probe.response_buffer_size {
                0 => data.len(),
                size => size.saturating_sub(seen.len()).min(data.len()),
            };
            seen.extend_from_slice(&data[..room]);
        }
        if reuse && !headers::has_token(&head.headers, &CONNECTION, b"close") {
            self.kept = Some(client);
        }
        Ok(self.probe.judge(head.status, &head.headers, &seen, verify))
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, CheckError> {
        let probe = &self.probe;
        let uri = self.uri.clone().ok_or_else(|| CheckError::Network("no valid path".into()))?;
        let mut request = Request::new(Full::new(probe.send.clone()));
        *request.method_mut() = probe.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        if let Some(host) = &self.host {
            headers.insert(HOST, host.clone());
        }
        headers.insert(USER_AGENT, CHECKER);
        probe.headers.edit_request(headers, &());
        if !probe.send.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(probe.send.len()));
        }
        if !probe.codec.is_http1() {
            *request.version_mut() = Version::HTTP_2;
        }
        Ok(request)
    }
}

/// A URI as HTTP/2 has it.
pub(super) fn absolute(tls: bool, host: &str, path: &str) -> Result<Uri, http::Error> {
    let scheme = if tls { "https" } else { "http" };
    Uri::builder().scheme(scheme).authority(host).path_and_query(path).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(probe: &HttpProbe, status: u16, headers: &[(&'static str, &str)]) -> Finding {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")))
            .collect();
        probe.judge(StatusCode::from_u16(status).expect("a status"), &headers, b"fine", true)
    }

    fn is_failed(finding: &Finding, retriable: bool) -> bool {
        matches!(finding, Finding::Failed { retriable: r, .. } if *r == retriable)
    }

    #[test]
    fn only_200_is_good_unless_said_otherwise() {
        let probe = HttpProbe::get("/");
        assert!(matches!(judge(&probe, 200, &[]), Finding::Healthy));
        assert!(is_failed(&judge(&probe, 204, &[]), false));
        let probe = HttpProbe {
            expected_statuses: vec![200..204, 404..405],
            retriable_statuses: std::iter::once(500..600).collect(),
            ..probe
        };
        assert!(matches!(judge(&probe, 404, &[]), Finding::Healthy));
        assert!(is_failed(&judge(&probe, 204, &[]), false));
        assert!(is_failed(&judge(&probe, 503, &[]), true));
    }

    #[test]
    fn answers_can_say_more() {
        let probe = HttpProbe::get("/");
        assert!(matches!(judge(&probe, 200, &[("x-envoy-degraded", "")]), Finding::Degraded));
        let leave = [("x-envoy-immediate-health-check-fail", "true")];
        assert!(matches!(judge(&probe, 503, &leave), Finding::Failed { exclude: true, .. }));
        assert!(matches!(judge(&probe, 200, &leave), Finding::Healthy));
    }

    #[test]
    fn the_body_and_the_cluster_are_compared() {
        let receive = Payload::new([Bytes::from_static(b"ok")]);
        assert!(is_failed(&judge(&HttpProbe { receive, ..HttpProbe::get("/") }, 200, &[]), false));
        let receive = Payload::new([Bytes::from_static(b"in")]);
        let name = StringMatch::Prefix { value: "loc".to_owned(), ignore_case: false };
        let probe = HttpProbe { receive, service_name: Some(name), ..HttpProbe::get("/") };
        let of = |name| judge(&probe, 200, &[("x-envoy-upstream-healthchecked-cluster", name)]);
        assert!(matches!(of("locations-production"), Finding::Healthy));
        assert!(is_failed(&of("users"), false));
        assert!(is_failed(&judge(&probe, 200, &[]), false));
    }
}
