//! What makes lines of requests, and where it puts them.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Arc;

use crate::format::{Format, FormatContext, JsonFormat};
use crate::runtime::RuntimeU32;

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
    filter: Option<StatusFilter>,
    sink: Arc<dyn LogSink>,
}

#[derive(Clone, Debug)]
enum LineFormat {
    Text(Format),
    Json(JsonFormat),
}

/// `status_code_filter`: only requests with such a status are logged.
#[derive(Clone, Debug)]
pub struct StatusFilter {
    /// How the status is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: RuntimeU32,
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Greater or equal.
    GreaterOrEqual,
    /// Less or equal.
    LessOrEqual,
    /// Not equal.
    NotEqual,
}

impl StatusFilter {
    /// Whether a request with this status is logged; 0 is that of a request without a response.
    pub fn takes(&self, status: u16) -> bool {
        let (status, value) = (u32::from(status), self.value.get());
        match self.comparison {
            Comparison::Equal => status == value,
            Comparison::GreaterOrEqual => status >= value,
            Comparison::LessOrEqual => status <= value,
            Comparison::NotEqual => status != value,
        }
    }
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

    /// Only where the filter takes the status.
    #[must_use]
    pub fn filter(mut self, filter: StatusFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Logs a request that has ended.
    pub fn log(&self, request: &dyn FormatContext) {
        let status = request.response_code().unwrap_or(0);
        if self.filter.as_ref().is_some_and(|filter| !filter.takes(status)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_compares_as_it_says() {
        let takes =
            |comparison, status| StatusFilter { comparison, value: 400.into() }.takes(status);
        assert!(takes(Comparison::GreaterOrEqual, 400) && takes(Comparison::GreaterOrEqual, 503));
        assert!(!takes(Comparison::GreaterOrEqual, 399));
        assert!(takes(Comparison::LessOrEqual, 400) && takes(Comparison::LessOrEqual, 0));
        assert!(!takes(Comparison::LessOrEqual, 401));
        assert!(takes(Comparison::Equal, 400) && !takes(Comparison::Equal, 200));
        assert!(takes(Comparison::NotEqual, 200) && !takes(Comparison::NotEqual, 400));
    }
}
