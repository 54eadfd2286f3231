//! `/stats` and `/stats/prometheus`.

use super::page::Page;
use super::state::AdminState;
use crate::stats::{Format, Query, html, json, prometheus as exposition, text};

pub(super) fn show(state: &AdminState, query: &str) -> Page {
    let query = match Query::parse(Some(query)) {
        Ok(query) => query,
        Err(error) => return Page::bad_request(error.to_string()),
    };
    if query.format == Format::Prometheus {
        return expose(state, &query);
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

pub(super) fn prometheus(state: &AdminState, query: &str) -> Page {
    match Query::parse(Some(query)) {
        Ok(query) => expose(state, &query),
        Err(error) => Page::bad_request(error.to_string()),
    }
}

fn expose(state: &AdminState, query: &Query) -> Page {
    state.stats_are_asked_for();
    match exposition::render(&state.stats, query) {
        Ok(page) => Page::text_stream(page),
        Err(error) => Page::bad_request(error.to_string()),
    }
}
