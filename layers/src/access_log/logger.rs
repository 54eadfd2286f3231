//! What makes lines of requests, and where it puts them.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Arc;

use super::AccessLogFilter;
use crate::format::{Format, FormatContext, JsonFormat};

/// Takes lines. They end with what their format ends them with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not take log lines",
    label = "needs `LogSink`"
)]
pub trait LogSink: Debug + Send + Sync + 'static {
    /// Takes a line. It is called on the task that served the request, which it must not block.
    fn write(&self, line: &[u8]);
}

/// One access log.
#[derive(Clone, Debug)]
pub struct AccessLogger {
    format: LineFormat,
    filter: Option<AccessLogFilter>,
    sink: Arc<dyn LogSink>,
}

#[derive(Clone, Debug)]
enum LineFormat {
    Text(Format),
    Json(JsonFormat),
}

thread_local! {
    /// The line that is being made: one buffer serves all lines of a worker.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AccessLogger {
    /// Logs in a text format.
    pub fn text(format: Format, sink: Arc<dyn LogSink>) -> Self {
        Self { format: LineFormat::Text(format), filter: None, sink }
    }

    /// Logs a JSON object for each request.
    pub fn json(format: JsonFormat, sink: Arc<dyn LogSink>) -> Self {
        Self { format: LineFormat::Json(format), filter: None, sink }
    }

    /// Only what the filter takes.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<AccessLogFilter>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// Logs a request that has ended.
    pub fn log(&self, request: &dyn FormatContext) {
        if self.filter.as_ref().is_some_and(|filter| !filter.takes(request)) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            match &self.format {
                LineFormat::Text(format) => format.write(request, line),
                LineFormat::Json(format) => format.write(request, line),
            }
            self.sink.write(line);
        });
    }
}

/// Logs a request with every logger.
pub fn log_all(loggers: &[AccessLogger], request: &dyn FormatContext) {
    for logger in loggers {
        logger.log(request);
    }
}
