//! `/stats` and `/stats/prometheus`.

use http::HeaderMap;
use http::header::ACCEPT;

use super::page::Page;
use super::state::AdminState;
use crate::stats::prometheus::{self as exposition, Exposition};
use crate::stats::{Format, Query, html, json, text};

pub(super) fn show(state: &AdminState, query: &str, headers: &HeaderMap) -> Page {
    let query = match Query::parse(Some(query)) {
        Ok(query) => query,
        Err(error) => return Page::bad_request(error.to_string()),
    };
    if query.format == Format::Prometheus {
        return expose(state, &query, headers);
    }
    if let Err(error) = query.check_buckets() {
        return Page::bad_request(error.to_string());
    }
    state.stats_are_asked_for();
    let selection = state.stats.select(&query);
    match query.format {
        Format::Json => Page::json_stream(json::render(selection, query.buckets)),
        Format::Html | Format::ActiveHtml => Page::html_stream(html::render(selection, &query)),
        Format::Text | Format::Prometheus => {
            Page::text_stream(text::render(selection, query.buckets))
        }
    }
}

pub(super) fn prometheus(state: &AdminState, query: &str, headers: &HeaderMap) -> Page {
    match Query::parse(Some(query)) {
        Ok(query) => expose(state, &query, headers),
        Err(error) => Page::bad_request(error.to_string()),
    }
}

fn expose(state: &AdminState, query: &Query, headers: &HeaderMap) -> Page {
    state.stats_are_asked_for();
    let form =
        if wants_openmetrics(headers) { Exposition::OpenMetrics } else { Exposition::Prometheus };
    match exposition::render(&state.stats, query, form) {
        Ok(page) => Page::exposition(form, page),
        Err(error) => Page::bad_request(error.to_string()),
    }
}

/// Whether OpenMetrics is named, and liked at least as much as plain text.
fn wants_openmetrics(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut openmetrics, mut text) = (0.0, 0.0_f32);
    for range in lists.flat_map(|list| list.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        let best = match kind.as_str() {
            "application/openmetrics-text" => &mut openmetrics,
            "text/plain" => &mut text,
            _ => continue,
        };
        *best = quality.unwrap_or(1.0).max(*best);
    }
    openmetrics > 0.0 && openmetrics >= text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a value"));
            wants_openmetrics(&headers)
        };
        // Of Prometheus 2.42 and 3.
        assert!(wants(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
             version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
        assert!(wants(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.3"
        ));
        assert!(!wants("text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.5"));
        assert!(!wants("application/openmetrics-text;q=0"));
        assert!(!wants("*/*"));
        assert!(!wants_openmetrics(&HeaderMap::new()));
    }
}
