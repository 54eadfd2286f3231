//! Access logs: one record for each request, written when its response has ended.
//!
//! [`AccessLogLayer`] begins a [`StreamInfo`] with each request; the layers inside fill in what
//! they know. When the last byte of the response has gone out, or the client has left, every
//! [`AccessLogger`] makes a line of it and hands that to its [`LogSink`]. Without loggers the layer
//! does nothing.
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::{Arc, Mutex};
//!
//! use front_proxy_layers::access_log::{AccessLogLayer, AccessLogger, LogSink};
//! use front_proxy_layers::body::Body;
//! use front_proxy_layers::format::Format;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Debug, Default)]
//! struct Lines(Mutex<Vec<u8>>);
//!
//! impl LogSink for Lines {
//!     fn write(&self, line: &[u8]) {
//!         self.0.lock().unwrap().extend_from_slice(line);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lines = Arc::new(Lines::default());
//! let format = Format::parse("%PROTOCOL% %RESPONSE_CODE% %BYTES_SENT%\n")?;
//! let logger = AccessLogger::text(format, Arc::clone(&lines) as _);
//! let app = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
//! let service = ServiceBuilder::new().layer(AccessLogLayer::new([logger])).service(app);
//! service.oneshot(Request::new(Body::empty())).await?;
//! assert_eq!(*lines.0.lock().unwrap(), b"HTTP/1.1 200 0\n");
//! # Ok(()) }
//! ```
//!
//! [`StreamInfo`]: crate::stream_info::StreamInfo

mod body;
mod filter;
mod future;
mod layer;
mod logger;
mod record;
mod service;

pub use body::ResponseBody;
pub use filter::{AccessLogFilter, Comparison, RuntimeFilter, StatusFilter};
pub use future::ResponseFuture;
pub use layer::AccessLogLayer;
pub use logger::{AccessLogger, LogSink, log_all};
pub use record::{ClientFault, ConnectionEnd, Fault};
pub use service::AccessLog;
