use std::any::Any;

use bytes::Buf;
use http_body::Frame;

use super::record::Record;
use crate::body::{Watch, Watched};
use crate::error::ProxyError;

/// A response body whose end is logged.
pub type ResponseBody<B> = Watched<B, Box<Record>>;

impl<D: Buf, E: 'static> Watch<D, E> for Box<Record> {
    fn frame(&mut self, frame: &Frame<D>) {
        if let Some(data) = frame.data_ref() {
            self.sent(data.remaining());
        } else if let Some(trailers) = frame.trailers_ref() {
            self.trailers(trailers);
        }
    }

    fn ended(self) {
        self.finish();
    }

    fn failed(mut self, error: &E) -> Option<Self> {
        let error: &dyn Any = error;
        self.cut(error.downcast_ref::<ProxyError>());
        Some(self)
    }
}
