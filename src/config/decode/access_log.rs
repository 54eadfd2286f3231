//! Access logs.

use std::fs::OpenOptions;
use std::path::Path;

use front_proxy_layers::access_log::RuntimeFilter;
use front_proxy_layers::route::Fraction;
use front_proxy_layers::runtime::RuntimeU32;

use crate::config::decode::any::typed_config;
use crate::config::decode::bootstrap::struct_of;
use crate::config::decode::fraction::fraction;
use crate::config::decode::headers::check_format;
use crate::config::decode::shared::data_source_of;
use crate::config::message::{Context, Message, Variants};
use crate::config::model::{
    AccessLog, AccessLogFilter, AccessLogFormat, AccessLogSink, Comparison,
};
use crate::config::schema::http::{
    ACCESS_LOG, ACCESS_LOG_FILTER, COMPARISON_FILTER, FILE_ACCESS_LOG, FORMAT_STRING,
    RUNTIME_FILTER, RUNTIME_UINT32, STATUS_CODE_FILTER, STDERR_ACCESS_LOG, STDOUT_ACCESS_LOG,
};
use crate::config::yaml::{Node, Value};

const COMPARISONS: &Variants<Comparison> = &[
    ("EQ", 0, Some(Comparison::Eq)),
    ("GE", 1, Some(Comparison::Ge)),
    ("LE", 2, Some(Comparison::Le)),
    ("NE", 3, Some(Comparison::Ne)),
];

/// `access_log`
pub(super) fn access_logs(m: &Message<'_>) -> Vec<AccessLog> {
    m.messages("access_log", &ACCESS_LOG).into_iter().filter_map(access_log).collect()
}

fn access_log(m: Message<'_>) -> Option<AccessLog> {
    let filter = m.message("filter", &ACCESS_LOG_FILTER).and_then(filter);
    let accepted = [&FILE_ACCESS_LOG, &STDOUT_ACCESS_LOG, &STDERR_ACCESS_LOG];
    let found = typed_config(&m, "an access log", &accepted);
    m.finish();
    let found = found?;
    let log = found.message;
    let sink = match found.schema.message {
        name if name == FILE_ACCESS_LOG.message => file(&log),
        name if name == STDERR_ACCESS_LOG.message => Some(AccessLogSink::Stderr),
        _ => Some(AccessLogSink::Stdout),
    };
    let format = format(&log, found.schema.message == FILE_ACCESS_LOG.message);
    log.finish();
    Some(AccessLog { sink: sink?, format: format.unwrap_or_default(), filter })
}

fn file(m: &Message<'_>) -> Option<AccessLogSink> {
    let path = m.required_string("path");
    let place = m.place_of("path");
    if path.is_empty() {
        return None;
    }
    // The file is opened when the proxy starts. Checking must not create it.
    let path = Path::new(&path);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    if folder.is_some_and(|f| !f.is_dir()) {
        let message = format!("unable to open file '{}': there is no such folder", path.display());
        m.cx.error(place, message);
    } else if path.is_dir() {
        let message = format!("unable to open file '{}': it is a folder", path.display());
        m.cx.error(place, message);
    } else if path.is_file()
        && let Err(why) = OpenOptions::new().append(true).open(path)
    {
        m.cx.error(place, format!("unable to open file '{}': {why}", path.display()));
    }
    Some(AccessLogSink::File(path.to_owned()))
}

fn format(m: &Message<'_>, old_forms: bool) -> Option<AccessLogFormat> {
    let names: &[&'static str] =
        if old_forms { &["log_format", "format", "json_format"] } else { &["log_format"] };
    let (name, node) = m.one_of(names, false)?;
    match name {
        "log_format" => substitution_format(m.cx, node),
        // Here an empty text is none.
        "format" => {
            text(m.cx, node).filter(|f| !matches!(f, AccessLogFormat::Text(t) if t.is_empty()))
        }
        _ => Some(json(m.cx, node)),
    }
}

/// A `SubstitutionFormatString`.
fn substitution_format(cx: &Context, node: &Node) -> Option<AccessLogFormat> {
    let m = Message::open(cx, node, &FORMAT_STRING)?;
    let given = m.one_of(&["text_format", "text_format_source", "json_format"], true);
    m.finish();
    match given? {
        ("text_format", node) => text(cx, node),
        ("text_format_source", node) => {
            let (source, value) = data_source_of(cx, node)?;
            text_of_bytes(cx, &source.bytes, value)
        }
        (_, node) => Some(json(cx, node)),
    }
}

fn text(cx: &Context, node: &Node) -> Option<AccessLogFormat> {
    let text = cx.text(node)?;
    check_format(cx, text, node);
    Some(AccessLogFormat::Text(text.to_owned()))
}

fn text_of_bytes(cx: &Context, bytes: &[u8], value: &Node) -> Option<AccessLogFormat> {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            check_format(cx, text, value);
            Some(AccessLogFormat::Text(text.to_owned()))
        }
        Err(why) => {
            cx.error(&value.span, format!("the format is not text: {why}"));
            None
        }
    }
}

fn json(cx: &Context, node: &Node) -> AccessLogFormat {
    check_json(cx, node);
    AccessLogFormat::Json(struct_of(cx, node))
}

/// Every text in a JSON format is a format.
fn check_json(cx: &Context, node: &Node) {
    match &node.value {
        Value::Scalar(scalar) => _ = check_format(cx, scalar.text(), node),
        Value::List(items) => items.iter().for_each(|n| check_json(cx, n)),
        Value::Map(entries) => entries.iter().for_each(|e| check_json(cx, &e.node)),
    }
}

fn filter(m: Message<'_>) -> Option<AccessLogFilter> {
    m.one_of(&["status_code_filter", "runtime_filter"], true);
    let status = m.message("status_code_filter", &STATUS_CODE_FILTER).map(status_filter);
    let runtime = m.message("runtime_filter", &RUNTIME_FILTER).map(runtime_filter);
    m.finish();
    status.or(runtime)?
}

fn runtime_filter(filter: Message<'_>) -> Option<AccessLogFilter> {
    filter.required("runtime_key");
    let key = filter.string("runtime_key");
    let share = fraction(&filter, "percent_sampled").unwrap_or(Fraction::NONE);
    let independent = filter.bool("use_independent_randomness");
    let runtime = &filter.cx.runtime;
    filter.finish();
    // An integer there stands for the numerator alone.
    let key = runtime.key(&key?);
    let (share, of) = (RuntimeU32::following(share.numerator, key), share.denominator);
    Some(AccessLogFilter::Runtime(RuntimeFilter { share, of, independent }))
}

fn status_filter(filter: Message<'_>) -> Option<AccessLogFilter> {
    filter.required("comparison");
    let comparison = filter.message("comparison", &COMPARISON_FILTER);
    filter.finish();
    let comparison = comparison?;
    let op = comparison.enumeration("op", COMPARISONS).unwrap_or(Comparison::Eq);
    comparison.required("value");
    let value = comparison.message("value", &RUNTIME_UINT32);
    comparison.finish();
    let value = value?;
    let default = value.u32("default_value").unwrap_or(0);
    let key = value.string("runtime_key");
    let number = match key {
        Some(key) => RuntimeU32::following(default, value.cx.runtime.key(&key)),
        None => default.into(),
    };
    value.finish();
    Some(AccessLogFilter::Status(op, number))
}
