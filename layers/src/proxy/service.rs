use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use tower_service::Service;

use super::builder::Mount;
use super::path::Path;
use super::{ProxyBuilder, ResponseBody, ResponseFuture};
use crate::cluster::Cluster;
use crate::error::BoxError;

/// A proxy as a service that never fails; see the [module](super).
#[derive(Clone, Debug)]
pub struct Proxy {
    path: Path,
    mount: Mount,
}

impl Proxy {
    /// Sends all requests to this cluster, with defaults for everything.
    pub fn new(cluster: Cluster) -> Self {
        Self::builder().route("/", cluster).build()
    }

    /// A proxy without routes.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::new()
    }

    pub(super) fn assembled(path: Path, mount: Mount) -> Self {
        Self { path, mount }
    }
}

impl<B> Service<Request<B>> for Proxy
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Path as Service<Request<B>>>::poll_ready(&mut self.path, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture {
        self.mount.prepare(&mut request);
        ResponseFuture::new(self.path.call(request))
    }
}

impl Mount {
    fn prepare<B>(&self, request: &mut Request<B>) {
        #[cfg(feature = "axum")]
        super::axum::prepare(self, request);
        if let Some(prefix) = &self.nested_at
            && let Some(uri) = below(prefix, request.uri())
        {
            *request.uri_mut() = uri;
        }
    }
}

/// The same target with `prefix` before its path. `None` where there is no path to speak of, as in
/// `OPTIONS *`.
fn below(prefix: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str();
    // What `nest_service` leaves of the prefix alone is `/`; a query may stand without one.
    let rest = match rest.strip_prefix('/') {
        Some("") => "",
        Some(_) => rest,
        None if rest.starts_with('?') => rest,
        None => return None,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{prefix}{rest}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nesting_took_is_put_back() {
        let cases = [
            ("/", Some("/service/1")),
            ("/x?y=1", Some("/service/1/x?y=1")),
            ("/?y=1", Some("/service/1/?y=1")),
            ("http://example.com/x", Some("http://example.com/service/1/x")),
            ("*", None),
        ];
        for (uri, wanted) in cases {
            let uri: Uri = uri.parse().expect("a target");
            let found = below("/service/1", &uri).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), wanted, "{uri}");
        }
    }

    #[test]
    fn apps_can_hold_it() {
        fn holds<S>(_: &S)
        where
            S: Service<Request<crate::body::Body>, Error = Infallible>
                + Clone
                + Send
                + Sync
                + 'static,
            S::Future: Send + 'static,
            S::Response: Send,
        {
        }
        holds(&Proxy::builder().build());
    }
}
