//! `/config_dump`: the bootstrap and the resources in it, without secrets.

use http::StatusCode;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::page::Page;
use super::state::AdminState;
use super::timestamp::rfc3339;
use crate::stats::{filter_regex, parameter};

pub(super) fn show(state: &AdminState, query: &str) -> Page {
    let value = |name| parameter(query, name).filter(|value| !value.is_empty());
    let name = match value("name_regex").map(|name| filter_regex(&name)).transpose() {
        Ok(name) => name,
        Err(error) => {
            let why = error.to_string();
            let why = why.strip_prefix("Invalid re2 regex: ").unwrap_or(&why);
            return Page::bad_request(format!("Error while parsing name_regex: {why}"));
        }
    };
    let mut bootstrap = state.config.bootstrap();
    redact(&mut bootstrap, false);
    let sections = sections(bootstrap, &rfc3339(state.config.loaded_at()), name.as_ref());
    let mut configs = match value("resource") {
        None => sections,
        Some(resource) => match one_resource(sections, &resource) {
            Ok(configs) => configs,
            Err(page) => return page,
        },
    };
    if let Some(mask) = value("mask") {
        let paths = mask.split(',').map(|path| path.split('.').collect::<Vec<_>>());
        let paths = paths.collect::<Vec<_>>();
        configs.retain_mut(|config| {
            keep(config, &paths.iter().map(Vec::as_slice).collect::<Vec<_>>())
        });
    }
    Page::json(&json!({ "configs": configs }))
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
fn one_resource(sections: Vec<Value>, resource: &str) -> Result<Vec<Value>, Page> {
    let found = sections.into_iter().find_map(|mut section| {
        let kind = section["@type"].as_str().unwrap_or_default().to_owned();
        let field = section.get_mut(resource).filter(|_| resource != "@type")?;
        Some((kind, field.take()))
    });
    match found {
        Some((kind, Value::Array(elements))) => {
            let kind = format!("{kind}.{}", element_type(resource));
            let typed = elements.into_iter().map(|element| {
                let mut typed = Map::new();
                typed.insert("@type".to_owned(), kind.clone().into());
                if let Value::Object(fields) = element {
                    typed.extend(fields);
                }
                Value::Object(typed)
            });
            Ok(typed.collect())
        }
        Some(_) => Err(Page::bad_request(format!(
            "{resource} is not a repeated field. Use ?mask={resource} to get only this field"
        ))),
        None => {
            let page = Page::text(format!("{resource} not found in config dump"));
            Err(page.with_status(StatusCode::NOT_FOUND))
        }
    }
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
    let mut found = false;
    match value {
        Value::Object(fields) => fields.retain(|name, field| {
            // A message without its type can't be read.
            if name == "@type" {
                return true;
            }
            let below = paths.iter().filter(|path| path.first() == Some(&name.as_str()));
            let below = below.map(|path| &path[1..]).collect::<Vec<_>>();
            let kept = !below.is_empty() && keep(field, &below);
            found |= kept;
            kept
        }),
        Value::Array(elements) => elements.retain_mut(|element| {
            let kept = keep(element, paths);
            found |= kept;
            kept
        }),
        _ => {}
    }
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

    #[test]
    fn a_mask_leaves_what_it_names_and_types() {
        let mut dump = sections(bootstrap(), "now", None);
        let path: &[&str] = &["static_clusters", "cluster", "name"];
        dump.retain_mut(|section| keep(section, &[path]));
        assert_eq!(dump.len(), 1);
        let first = json!({
            "cluster": {
                "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a",
            },
        });
        assert_eq!(dump[0]["static_clusters"][0], first);
    }

    #[test]
    fn element_types_are_the_fields_names() {
        assert_eq!(element_type("static_clusters"), "StaticCluster");
        assert_eq!(element_type("static_route_configs"), "StaticRouteConfig");
    }
}
