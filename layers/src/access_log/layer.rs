use std::sync::Arc;

use tower_layer::Layer;

use super::record::Connection;
use super::{AccessLog, AccessLogger, ClientFault};
use crate::stream_info::DownstreamConnection;

/// Logs every request; see the [module](super).
#[derive(Clone, Debug)]
pub struct AccessLogLayer {
    connection: Option<Arc<Connection>>,
}

impl AccessLogLayer {
    /// With these loggers. Nothing is known of the client's connection.
    pub fn new(loggers: impl Into<Arc<[AccessLogger]>>) -> Self {
        Self::for_connection(loggers, Arc::default(), None)
    }

    /// For the requests of one connection. `fault` says what the client did wrong on it, where
    /// its codec knows.
    pub fn for_connection(
        loggers: impl Into<Arc<[AccessLogger]>>,
        downstream: Arc<DownstreamConnection>,
        fault: Option<Arc<dyn ClientFault>>,
    ) -> Self {
        let loggers = loggers.into();
        if loggers.is_empty() {
            return Self::off();
        }
        Self { connection: Some(Arc::new(Connection { loggers, downstream, fault })) }
    }

    /// Without loggers: requests pass through.
    pub const fn off() -> Self {
        Self { connection: None }
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog::new(inner, self.connection.clone())
    }
}
