//! Bootstraps that differ in their routes and clusters, and little else.

/// A bootstrap with admin pages, and a listener with one virtual host for all. Its parts are YAML as
/// it stands in their places, from a new line on: each says how far it is indented there.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bootstrap<'a> {
    pub(crate) admin: u16,
    pub(crate) listener: u16,
    /// What else the connection manager has, by 10.
    pub(crate) manager: &'a str,
    /// By 14.
    pub(crate) routes: &'a str,
    /// By 2.
    pub(crate) clusters: &'a str,
}

impl Bootstrap<'_> {
    pub(crate) fn yaml(&self) -> String {
        let Self { admin, listener: port, manager, routes, clusters } = self;
        let listener = listener(*port, manager, routes);
        format!("{}{listener}\n  clusters:\n{clusters}\n", up_to_listeners(*admin))
    }
}

/// The beginning of a bootstrap with admin pages; listeners follow.
pub(crate) fn up_to_listeners(admin: u16) -> String {
    format!(
        "
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:
"
    )
}

/// A listener with one virtual host for all; the parts as in [`Bootstrap`].
pub(crate) fn listener(port: u16, manager: &str, routes: &str) -> String {
    format!(
        r#"  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress_http
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
{manager}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
{routes}"#
    )
}

/// A cluster with these ports of this machine as its endpoints. `more` is YAML flow, with a comma at
/// its end.
pub(crate) fn cluster(name: &str, more: &str, ports: &[u16]) -> String {
    let endpoint = |port: &u16| {
        format!(
            "{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}"
        )
    };
    let endpoints = ports.iter().map(endpoint).collect::<Vec<_>>().join(", ");
    format!(
        "  - {{name: {name}, {more} load_assignment: {{cluster_name: {name}, endpoints: \
         [{{lb_endpoints: [{endpoints}]}}]}}}}\n"
    )
}
