//! From the configuration of access logs to their loggers.

use std::sync::Arc;

use front_proxy_layers::access_log::{AccessLogger, Comparison, LogSink, StatusFilter};
use front_proxy_layers::format::{DEFAULT_ACCESS_LOG, Format, JsonFormat, JsonTemplate};
use serde_json::Value;

use super::LogFiles;
use crate::config::model::{self, AccessLogFilter, AccessLogFormat, AccessLogSink};

/// Opens the files of access logs and compiles their formats. Without files, as where a
/// configuration is only checked, nothing is opened and nothing written.
pub(crate) fn access_logs(
    configs: &[model::AccessLog],
    files: Option<&LogFiles>,
) -> Result<Arc<[AccessLogger]>, String> {
    configs.iter().map(|config| access_log(config, files)).collect()
}

fn access_log(config: &model::AccessLog, files: Option<&LogFiles>) -> Result<AccessLogger, String> {
    let model::AccessLog { sink, format, filter } = config;
    let sink: Arc<dyn LogSink> = match (sink, files) {
        (_, None) => Arc::new(Nowhere),
        (AccessLogSink::File(path), Some(files)) => {
            let file = files.file(path);
            Arc::new(file.map_err(|e| format!("unable to open file '{}': {e}", path.display()))?)
        }
        (AccessLogSink::Stdout, Some(files)) => {
            Arc::new(files.stdout().map_err(|e| e.to_string())?)
        }
        (AccessLogSink::Stderr, Some(files)) => {
            Arc::new(files.stderr().map_err(|e| e.to_string())?)
        }
    };
    let text = |text: &str| Format::parse(text).map_err(|e| format!("access log: {e}"));
    let logger = match format {
        AccessLogFormat::Default => AccessLogger::text(text(DEFAULT_ACCESS_LOG)?, sink),
        AccessLogFormat::Text(format) => AccessLogger::text(text(format)?, sink),
        AccessLogFormat::Json(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| (name.clone(), template(value))).collect();
            let format = JsonFormat::compile(&fields).map_err(|e| format!("access log: {e}"))?;
            AccessLogger::json(format, sink)
        }
    };
    Ok(match filter {
        None => logger,
        Some(AccessLogFilter::Runtime(filter)) => logger.filter(filter.clone()),
        Some(AccessLogFilter::Status(comparison, value)) => {
            let (comparison, value) = (compare(*comparison), value.clone());
            logger.filter(StatusFilter { comparison, value })
        }
    })
}

/// Takes lines and writes none.
#[derive(Debug)]
struct Nowhere;

impl LogSink for Nowhere {
    fn write(&self, _: &[u8]) {}
}

fn template(value: &Value) -> JsonTemplate {
    match value {
        Value::Null => JsonTemplate::Null,
        Value::Bool(value) => JsonTemplate::Bool(*value),
        Value::Number(number) => JsonTemplate::Number(number.as_f64().unwrap_or(0.0)),
        Value::String(text) => JsonTemplate::Text(text.clone()),
        Value::Array(values) => JsonTemplate::List(values.iter().map(template).collect()),
        Value::Object(fields) => JsonTemplate::Object(
            fields.iter().map(|(name, value)| (name.clone(), template(value))).collect(),
        ),
    }
}

fn compare(comparison: model::Comparison) -> Comparison {
    match comparison {
        model::Comparison::Eq => Comparison::Equal,
        model::Comparison::Ge => Comparison::GreaterOrEqual,
        model::Comparison::Le => Comparison::LessOrEqual,
        model::Comparison::Ne => Comparison::NotEqual,
    }
}
