use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::record::{Connection, Record};
use super::{ResponseBody, ResponseFuture};
use crate::stream_info::StreamInfo;

/// Logs every request; see the [module](super).
#[derive(Clone, Debug)]
pub struct AccessLog<S> {
    inner: S,
    connection: Option<Arc<Connection>>,
}

impl<S> AccessLog<S> {
    pub(super) fn new(inner: S, connection: Option<Arc<Connection>>) -> Self {
        Self { inner, connection }
    }
}

impl<S, B, R> Service<Request<B>> for AccessLog<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let record = self.connection.as_ref().map(|connection| {
            let info = match StreamInfo::of(request.extensions()) {
                Some(info) => Arc::clone(info),
                None => {
                    let downstream = Arc::clone(&connection.downstream);
                    let info = Arc::new(StreamInfo::new(downstream, request.version()));
                    request.extensions_mut().insert(Arc::clone(&info));
                    info
                }
            };
            Box::new(Record::new(connection, info, &request))
        });
        ResponseFuture::new(self.inner.call(request), record)
    }
}
