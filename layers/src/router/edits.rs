//! Header edits of a route, from its request to its response.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::error::ProxyError;
use crate::error::respond::is_grpc;
use crate::header_edit::HeaderEditor;
use crate::stream_info::{Observer, StreamInfo};

/// In a request's extensions: how answers that filters give in place of its route begin.
#[derive(Clone, Debug)]
pub(crate) struct RouteEdits(pub(super) Edits);

impl RouteEdits {
    /// Makes the first headers.
    pub(crate) fn local_reply(&self, status: StatusCode, headers: &mut HeaderMap) {
        self.0.set_replied(Some(status));
        self.0.edit_response(headers);
        // The filter's own headers come behind, and don't know it.
        self.0.set_replied(None);
    }

    /// The same for a failure.
    pub(crate) fn failure(&self, error: ProxyError) -> ProxyError {
        self.0.failure(error)
    }
}

/// In a response's extensions: how many tries there were, where the client is to learn it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptCount(u32);

impl AttemptCount {
    const NAME: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

    #[cfg(feature = "retry")]
    pub(crate) fn new(tries: u32) -> Self {
        Self(tries)
    }

    /// Says it. Envoy does so once more after the edits of the route, which can't take it out.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(Self::NAME, HeaderValue::from(self.0));
    }
}

/// What a response gets besides what its maker put in: the edits of its route.
#[derive(Clone, Debug)]
pub(super) struct Edits {
    editor: Arc<HeaderEditor>,
    /// Where the values come from, if any is not just text.
    info: Option<Arc<StreamInfo>>,
    /// Whether answers of the proxy's own are in gRPC's words.
    grpc: bool,
}

impl Edits {
    /// Begins with the request, which gets a [`StreamInfo`] if the edits need one.
    pub(super) fn begin(
        editor: &Arc<HeaderEditor>,
        parts: &mut Parts,
        observer: Option<&Observer>,
    ) -> Self {
        let info = editor.reads_context().then(|| match StreamInfo::of(&parts.extensions) {
            Some(info) => Arc::clone(info),
            None => {
                let info = Arc::new(Observer::begin(observer, parts));
                parts.extensions.insert(Arc::clone(&info));
                info
            }
        });
        let grpc = info.is_some() && is_grpc(&parts.headers);
        Self { editor: Arc::clone(editor), info, grpc }
    }

    /// Edits the request. Envoy does so before it rewrites path and host, which may be made of
    /// headers that are added here.
    pub(super) fn request(&self, parts: &mut Parts) {
        match &self.info {
            None => self.editor.edit_request(&mut parts.headers, &()),
            Some(info) => self.editor.edit_request_parts(parts, &**info),
        }
    }

    /// Edits the upstream's response.
    pub(super) fn upstream_response<B>(&self, response: &mut Response<B>) {
        if let Some(info) = &self.info {
            info.set_status(response.status());
            info.set_details("via_upstream");
        }
        self.edit_response(response.headers_mut());
        if let Some(attempts) = response.extensions().get::<AttemptCount>().copied() {
            attempts.write(response.headers_mut());
        }
    }

    /// Makes the headers that the response to a failure begins with.
    pub(super) fn failure(&self, mut error: ProxyError) -> ProxyError {
        if let Some(info) = &self.info {
            info.fail(&error);
        }
        self.set_replied(Some(error.kind().status()));
        self.edit_response(error.headers_mut());
        error
    }

    /// Edits the headers of the route's own response, which is to have this status.
    pub(super) fn reply(&self, status: StatusCode, headers: &mut HeaderMap) {
        if let Some(info) = &self.info {
            info.set_details("direct_response");
        }
        self.set_replied(Some(status));
        self.edit_response(headers);
    }

    fn set_replied(&self, status: Option<StatusCode>) {
        if let Some(info) = &self.info {
            info.set_replied(if self.grpc { status.and(Some(StatusCode::OK)) } else { status });
        }
    }

    fn edit_response(&self, headers: &mut HeaderMap) {
        match &self.info {
            None => self.editor.edit_response(headers, &()),
            Some(info) => self.editor.edit_response(headers, &**info),
        }
    }
}
