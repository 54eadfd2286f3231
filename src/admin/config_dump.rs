//! `/config_dump`: the bootstrap and the resources in it, without secrets.

mod endpoints;

use http::StatusCode;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::page::Page;
use super::server_info;
use super::state::AdminState;
use super::timestamp::rfc3339;
use crate::config::supported_fields;
use crate::stats::{filter_regex, parameter};

pub(super) fn show(state: &AdminState, query: &str) -> Page {
    let value = |name| parameter(query, name).filter(|value| !value.is_empty());
    let pattern = value("name_regex");
    let name = match pattern.as_deref().map(filter_regex).transpose() {
        Ok(name) => name,
        Err(error) => {
            let (why, pattern) = (error.to_string(), pattern.unwrap_or_default());
            let why = why.strip_prefix("Invalid re2 regex: ").unwrap_or(&why);
            let place = format!("Error while parsing name_regex from {pattern}: {why}");
            return refuse(StatusCode::BAD_REQUEST, format!("INVALID_ARGUMENT: {place}"));
        }
    };
    let mut bootstrap = state.config.bootstrap();
    redact(&mut bootstrap, false);
    describe_node(&mut bootstrap);
    let mut sections = sections(bootstrap, &rfc3339(state.config.loaded_at()), name.as_ref());
    let clusters = match parameter(query, "include_eds") {
        Some(_) => state.clusters.clusters(),
        None => Vec::new(),
    };
    if !clusters.is_empty() {
        sections.insert(2, endpoints::section(&clusters, name.as_ref()));
    }
    let mask = value("mask");
    let found = match value("resource") {
        None => masked_sections(sections, mask.as_deref()),
        Some(resource) => one_resource(sections, &resource, mask.as_deref()),
    };
    match found {
        // As protobuf prints an empty list.
        Ok(configs) if configs.is_empty() => Page::json(&json!({})),
        Ok(configs) => Page::json(&json!({ "configs": configs })),
        Err(page) => page,
    }
}

/// Adds what the program says of itself as a node.
fn describe_node(bootstrap: &mut Value) {
    if let Value::Object(fields) = bootstrap
        && !fields.is_empty()
    {
        let given = match fields.remove("node") {
            Some(Value::Object(given)) => given,
            _ => Map::new(),
        };
        fields.insert("node".to_owned(), server_info::described(given).into());
    }
}

/// Envoy's errors here say nothing about their characters.
fn refuse(status: StatusCode, why: String) -> Page {
    Page::plain(why).with_status(status)
}

/// The fields of each section of a dump. All but the bootstrap's are repeated ones.
const SECTIONS: [(&str, &[&str]); 7] = [
    ("BootstrapConfigDump", &["bootstrap", "last_updated"]),
    (
        "ClustersConfigDump",
        &["version_info", "static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"],
    ),
    ("EndpointsConfigDump", &["static_endpoint_configs", "dynamic_endpoint_configs"]),
    ("ListenersConfigDump", &["version_info", "static_listeners", "dynamic_listeners"]),
    ("ScopedRoutesConfigDump", &["inline_scoped_route_configs", "dynamic_scoped_route_configs"]),
    ("RoutesConfigDump", &["static_route_configs", "dynamic_route_configs"]),
    ("SecretsConfigDump", &["static_secrets", "dynamic_active_secrets", "dynamic_warming_secrets"]),
];

/// The fields that a section may have.
fn fields(section: &Value) -> &'static [&'static str] {
    let kind = section["@type"].as_str().and_then(|kind| kind.rsplit('.').next());
    let known = SECTIONS.iter().find(|(known, _)| Some(*known) == kind);
    known.map_or(&[], |(_, fields)| fields)
}

/// The sections to which a mask can be applied.
fn masked_sections(mut sections: Vec<Value>, mask: Option<&str>) -> Result<Vec<Value>, Page> {
    let paths = mask.map(paths).unwrap_or_default();
    let Some(mask) = mask.filter(|_| !paths.is_empty()) else { return Ok(sections) };
    sections.retain(|section| {
        let known = fields(section);
        paths.iter().all(|path| {
            path.first().is_some_and(|field| known.contains(field))
                && (path.len() == 1 || leads_somewhere(section, path))
        })
    });
    if sections.is_empty() {
        let why = format!("FieldMask {mask} could not be successfully applied to any configs.");
        return Err(refuse(StatusCode::BAD_REQUEST, why));
    }
    for section in &mut sections {
        keep(section, &paths.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    Ok(sections)
}

fn paths(mask: &str) -> Vec<Vec<&str>> {
    let paths = mask.split(',').filter(|path| !path.is_empty());
    paths.map(|path| path.split('.').collect()).collect()
}

/// Whether a message may have a field at the end of `path`. A path can end in a list, but not go
/// through it. Of what is not there it can only be told whether any message has such a field.
fn leads_somewhere(value: &Value, path: &[&str]) -> bool {
    let [field, rest @ ..] = path else { return true };
    if *field == "@type" {
        return false;
    }
    match value.get(field) {
        Some(next @ Value::Object(_)) => leads_somewhere(next, rest),
        Some(_) => rest.is_empty(),
        None => path.iter().all(|field| is_field(field)),
    }
}

fn is_field(name: &str) -> bool {
    supported_fields()
        .any(|message| message.supported.contains(&name) || message.refused.contains(&name))
}

/// The parts of a dump, in Envoy's order.
fn sections(bootstrap: Value, loaded_at: &str, name: Option<&Regex>) -> Vec<Value> {
    let listeners = resources(&bootstrap, "/static_resources/listeners");
    let clusters = resources(&bootstrap, "/static_resources/clusters");
    let routes = listeners.iter().flat_map(route_configs).collect::<Vec<_>>();
    let dump = |resources: Vec<Value>, field: &str, kind: &str| {
        let resources = resources.into_iter().filter(|resource| {
            name.is_none_or(|name| name.is_match(resource["name"].as_str().unwrap_or_default()))
        });
        let dumped = resources.map(|resource| {
            let mut typed = Map::new();
            typed.insert("@type".to_owned(), format!("{TYPES}config.{kind}").into());
            if let Value::Object(fields) = resource {
                typed.extend(fields);
            }
            json!({ field: typed, "last_updated": loaded_at })
        });
        dumped.collect::<Vec<_>>()
    };
    let clusters = dump(clusters, "cluster", "cluster.v3.Cluster");
    let listeners = dump(listeners, "listener", "listener.v3.Listener");
    let routes = dump(routes, "route_config", "route.v3.RouteConfiguration");
    let section = |kind: &str, field: &str, resources: Vec<Value>| {
        let mut section = json!({ "@type": format!("{TYPES}admin.v3.{kind}") });
        if !resources.is_empty() {
            section[field] = resources.into();
        }
        section
    };
    vec![
        json!({
            "@type": format!("{TYPES}admin.v3.BootstrapConfigDump"),
            "bootstrap": bootstrap,
            "last_updated": loaded_at,
        }),
        section("ClustersConfigDump", "static_clusters", clusters),
        section("ListenersConfigDump", "static_listeners", listeners),
        section("ScopedRoutesConfigDump", "", Vec::new()),
        section("RoutesConfigDump", "static_route_configs", routes),
        section("SecretsConfigDump", "", Vec::new()),
    ]
}

fn resources(bootstrap: &Value, path: &str) -> Vec<Value> {
    bootstrap.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The route tables inside a listener's connection managers.
fn route_configs(listener: &Value) -> Vec<Value> {
    let list = |value: &Value, field: &str| {
        value.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let chains = list(listener, "filter_chains").into_iter();
    let filters = chains.flat_map(|chain| list(&chain, "filters"));
    filters.filter_map(|filter| filter.pointer("/typed_config/route_config").cloned()).collect()
}

/// The elements of the one repeated field that was asked for.
fn one_resource(
    sections: Vec<Value>,
    resource: &str,
    mask: Option<&str>,
) -> Result<Vec<Value>, Page> {
    let found = sections.into_iter().find(|section| fields(section).contains(&resource));
    let Some(mut section) = found else {
        return Err(refuse(StatusCode::NOT_FOUND, format!("{resource} not found in config dump")));
    };
    let kind = section["@type"].as_str().unwrap_or_default();
    if kind.ends_with("BootstrapConfigDump") || resource == "version_info" {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            format!(
                "{resource} is not a repeated field. Use ?mask={resource} to get only this field"
            ),
        ));
    }
    let kind = format!("{kind}.{}", element_type(resource));
    let elements = match section.get_mut(resource).map(Value::take) {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    };
    let typed = elements.into_iter().map(|element| {
        let mut typed = Map::new();
        typed.insert("@type".to_owned(), kind.clone().into());
        if let Value::Object(fields) = element {
            typed.extend(fields);
        }
        Value::Object(typed)
    });
    let mut typed = typed.collect::<Vec<_>>();
    let paths = mask.map(paths).unwrap_or_default();
    let Some(mask) = mask.filter(|_| !paths.is_empty()) else { return Ok(typed) };
    let paths = paths.iter().map(Vec::as_slice).collect::<Vec<_>>();
    // As a whole the resource is of any type, which Envoy's masks can't take.
    let is_whole = |element: &Value, path: &[&str]| match path {
        [field] => element[field].get("@type").is_some(),
        _ => false,
    };
    for element in &mut typed {
        if paths.iter().any(|path| is_whole(element, path) || !leads_somewhere(element, path)) {
            let why = format!("FieldMask {mask} could not be successfully used.");
            return Err(refuse(StatusCode::BAD_REQUEST, why));
        }
        keep(element, &paths);
    }
    Ok(typed)
}

/// `static_clusters` holds messages named `StaticCluster`.
fn element_type(field: &str) -> String {
    let words = field.trim_end_matches('s').split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

/// Leaves what lies on one of `paths`; tells whether there was anything.
fn keep(value: &mut Value, paths: &[&[&str]]) -> bool {
    if paths.iter().any(|path| path.is_empty()) {
        return true;
    }
    let Value::Object(fields) = value else { return false };
    let mut found = false;
    fields.retain(|name, field| {
        // A message without its type can't be read.
        if name == "@type" {
            return true;
        }
        let below = paths.iter().filter(|path| path.first() == Some(&name.as_str()));
        let below = below.map(|path| &path[1..]).collect::<Vec<_>>();
        // So is the message that a resource is, whatever is left of it.
        let is_resource = field.get("@type").is_some();
        let kept = !below.is_empty() && (keep(field, &below) || is_resource);
        found |= kept;
        kept
    });
    found
}

/// Blots out every text below a field that holds a secret.
fn redact(value: &mut Value, secret: bool) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                redact(field, secret || SECRETS.contains(&name.as_str()));
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| redact(element, secret)),
        Value::String(text) if secret => "[redacted]".clone_into(text),
        Value::Number(_) if secret => *value = "[redacted]".into(),
        _ => {}
    }
}

/// Fields that Envoy's messages mark as sensitive.
const SECRETS: [&str; 10] = [
    "private_key",
    "privateKey",
    "private_key_provider",
    "privateKeyProvider",
    "password",
    "pkcs12",
    "session_ticket_keys",
    "sessionTicketKeys",
    "token_secret",
    "hmac_secret",
];

const TYPES: &str = "type.googleapis.com/envoy.";

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap() -> Value {
        json!({
            "static_resources": {
                "listeners": [{
                    "name": "main",
                    "filter_chains": [{
                        "filters": [{ "typed_config": { "route_config": { "name": "table" } } }],
                        "transport_socket": { "typed_config": { "tls_certificates": [{
                            "certificate_chain": { "inline_string": "public" },
                            "private_key": { "inline_string": "hush" },
                            "password": { "inline_bytes": "aHVzaA==" },
                        }] } },
                    }],
                }],
                "clusters": [{ "name": "a" }, { "name": "b" }],
            },
        })
    }

    #[test]
    fn no_secret_leaves_by_any_section() {
        let mut bootstrap = bootstrap();
        redact(&mut bootstrap, false);
        let dump = Value::from(sections(bootstrap, "now", None)).to_string();
        assert!(!dump.contains("hush") && !dump.contains("aHVzaA"), "{dump}");
        // The listener shows in the bootstrap and in its own section.
        assert_eq!(dump.matches("\"public\"").count(), 2);
        assert_eq!(dump.matches("[redacted]").count(), 4);
    }

    #[test]
    fn resources_are_listed_by_kind_and_name() {
        let regex = Regex::new("^b$|table").expect("valid");
        let dump = sections(bootstrap(), "now", Some(&regex));
        assert_eq!(dump[1]["static_clusters"][0]["cluster"]["name"], "b");
        assert_eq!(dump[1]["static_clusters"].as_array().map(Vec::len), Some(1));
        assert!(dump[2].get("static_listeners").is_none());
        assert_eq!(dump[4]["static_route_configs"][0]["route_config"]["name"], "table");
    }

    fn masked(mask: &str) -> Option<Vec<Value>> {
        masked_sections(sections(bootstrap(), "now", None), Some(mask)).ok()
    }

    #[test]
    fn a_mask_leaves_what_it_names_and_types() {
        let dump = masked("bootstrap.static_resources.clusters").expect("a mask");
        assert_eq!(
            dump,
            [json!({
                "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
                "bootstrap": { "static_resources": { "clusters": [{ "name": "a" }, { "name": "b" }] } },
            })]
        );
        // Not set, but a field.
        assert!(masked("bootstrap.node.id").is_some());
        assert_eq!(masked(",").map(|dump| dump.len()), Some(6), "no path masks nothing");
        for not in ["nope", "bootstrap.nope", "bootstrap.static_resources.clusters.name"] {
            assert!(masked(not).is_none(), "{not}");
        }
    }

    #[test]
    fn a_mask_of_resources_goes_into_them() {
        let of = |mask| {
            let sections = sections(bootstrap(), "now", None);
            one_resource(sections, "static_clusters", Some(mask)).ok()
        };
        let named = of("cluster.name").expect("a mask");
        assert_eq!(named.len(), 2);
        let typed = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
        assert_eq!(named[0]["cluster"], json!({ "@type": typed, "name": "a" }));
        for not in ["cluster", "nope", "cluster.name,nope", "cluster.nope"] {
            assert!(of(not).is_none(), "{not}");
        }
    }

    #[test]
    fn element_types_are_the_fields_names() {
        assert_eq!(element_type("static_clusters"), "StaticCluster");
        assert_eq!(element_type("static_route_configs"), "StaticRouteConfig");
    }
}
