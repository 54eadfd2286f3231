use crate::config::decode::route_match::header_matchers;
use crate::config::message::Message;
use crate::config::model::HealthCheckFilter;
use crate::config::schema::filters::PERCENT;
use crate::config::yaml::Value;

pub(super) fn health_check(m: Message<'_>) -> HealthCheckFilter {
    m.required("pass_through_mode");
    let pass_through = m.bool("pass_through_mode");
    let cache_time = m.duration("cache_time").filter(|time| !time.is_zero());
    if cache_time.is_some() && !pass_through {
        m.cx.error(
            m.place_of("cache_time"),
            "`cache_time` must not be set when `pass_through_mode` is off",
        );
    }
    let out = HealthCheckFilter {
        pass_through,
        cache_time,
        clusters: clusters(&m),
        headers: header_matchers(&m, "headers"),
    };
    m.finish();
    out
}

fn clusters(m: &Message<'_>) -> Vec<(String, f64)> {
    let Some(node) = m.get("cluster_min_healthy_percentages") else { return Vec::new() };
    let Value::Map(entries) = &node.value else {
        let what = node.describe();
        let message = format!("`cluster_min_healthy_percentages` must be a mapping, not {what}");
        m.cx.error(&node.span, message);
        return Vec::new();
    };
    let percent = |node| {
        let percent = Message::open(m.cx, node, &PERCENT)?;
        let value = number(&percent);
        percent.finish();
        value
    };
    let mut out: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), percent(&entry.node)?)))
        .collect();
    // The order of a map is nobody's wish.
    out.sort_by(|(one, _), (other, _)| one.cmp(other));
    out
}

/// `value`: a number from 0 to 100.
fn number(m: &Message<'_>) -> Option<f64> {
    if m.has("value") { m.number("value", 0.0..=100.0) } else { Some(0.0) }
}
