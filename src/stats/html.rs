//! `/stats` as a web page: the text form under a form that asks for other stats.
//!
//! ```
//! use front_proxy::stats::{Query, Registry, html};
//!
//! let registry = Registry::new(1);
//! registry.scope().child("server").gauge("live").set(1.0);
//! let query = Query::default();
//! let page = html::render(registry.select(&query), &query);
//! let page: String = page.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect();
//! assert!(page.contains("\nserver.live: 1\n"));
//! ```

use std::fmt::Write as _;

use bytes::Bytes;

use super::Chunks;
use super::query::{Buckets, Format, Kind, Query};
use super::selection::Selection;
use super::text;

/// The page; one that renews itself every five seconds for [`Format::ActiveHtml`].
pub fn render(selection: Selection, query: &Query) -> Chunks {
    let body = text::render(selection, query.buckets);
    Box::new(
        std::iter::once(Bytes::from(head(query)))
            .chain(body.map(|piece| Bytes::from(escape(&String::from_utf8_lossy(&piece)))))
            .chain(std::iter::once(Bytes::from_static(b"</pre>\n</body>\n</html>\n"))),
    )
}

/// Text that can stand between tags and inside quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn head(query: &Query) -> String {
    let active = query.format == Format::ActiveHtml;
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n");
    page.push_str("<meta charset=\"utf-8\">\n<title>Envoy Stats</title>\n");
    if active {
        page.push_str("<meta http-equiv=\"refresh\" content=\"5\">\n");
    }
    page.push_str("</head>\n<body>\n<form method=\"get\" action=\"stats\">\n");
    let filter = query.filter.as_ref().map_or("", |filter| filter.as_str());
    let checked = |on: bool| if on { " checked" } else { "" };
    let _ = writeln!(
        page,
        "<label>filter <input name=\"filter\" value=\"{}\"></label>\n\
         <label><input type=\"checkbox\" name=\"usedonly\"{}> used only</label>\n\
         <label><input type=\"checkbox\" name=\"invert_filter\"{}> invert</label>",
        escape(filter),
        checked(query.used_only),
        checked(query.invert_filter),
    );
    let kinds = [
        ("All", query.kind == Kind::All),
        ("Counters", query.kind == Kind::Counters),
        ("Gauges", query.kind == Kind::Gauges),
        ("Histograms", query.kind == Kind::Histograms),
        ("TextReadouts", query.kind == Kind::TextReadouts),
    ];
    choice(&mut page, "type", &kinds);
    let buckets = [
        ("summary", matches!(query.buckets, Buckets::Default | Buckets::Summary)),
        ("cumulative", query.buckets == Buckets::Cumulative),
        ("disjoint", query.buckets == Buckets::Disjoint),
        ("detailed", query.buckets == Buckets::Detailed),
    ];
    choice(&mut page, "histogram_buckets", &buckets);
    let formats = [("html", !active), ("active-html", active), ("text", false), ("json", false)];
    choice(&mut page, "format", &formats);
    page.push_str("<button>show</button>\n</form>\n<pre>\n");
    page
}

fn choice(page: &mut String, name: &str, options: &[(&str, bool)]) {
    let _ = writeln!(page, "<label>{name} <select name=\"{name}\">");
    for (option, chosen) in options {
        let chosen = if *chosen { " selected" } else { "" };
        let _ = writeln!(page, "<option{chosen}>{option}</option>");
    }
    page.push_str("</select></label>\n");
}
