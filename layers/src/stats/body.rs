use super::service::ActiveStream;
use crate::body::{Watch, Watched};

/// A response body that keeps its request counted as active until its end.
pub type ResponseBody<B> = Watched<B, ActiveStream>;

impl<D, E> Watch<D, E> for ActiveStream {
    fn ended(mut self) {
        self.complete();
    }

    fn failed(self, _: &E) -> Option<Self> {
        self.cut();
        Some(self)
    }
}
