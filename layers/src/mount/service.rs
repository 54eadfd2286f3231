use std::task::{Context, Poll};

use http::{Request, Uri};
use tower_service::Service;

use super::MountLayer;

/// Tells the service inside what the app around it knows; see the [module](super).
#[derive(Clone, Debug)]
pub struct Mount<S> {
    inner: S,
    options: MountLayer,
}

impl<S> Mount<S> {
    pub(super) fn new(inner: S, options: MountLayer) -> Self {
        Self { inner, options }
    }
}

impl<S, B> Service<Request<B>> for Mount<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        #[cfg(feature = "axum")]
        self.options.ask_axum(&mut request);
        if let Some(prefix) = &self.options.nested_at
            && let Some(uri) = below(prefix, request.uri())
        {
            *request.uri_mut() = uri;
        }
        self.inner.call(request)
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
}
