//! Listeners and filter chains.

use super::Schema;

pub(in crate::config) const LISTENER: Schema = Schema {
    message: "envoy.config.listener.v3.Listener",
    note: "",
    supported: &[
        "name",
        "address",
        "stat_prefix",
        "filter_chains",
        "per_connection_buffer_limit_bytes",
        "listener_filters",
        "enable_reuse_port",
        "tcp_backlog_size",
        "traffic_direction",
    ],
    refused: &[
        "access_log",
        "additional_addresses",
        "api_listener",
        "bind_to_port",
        "bypass_overload_manager",
        "connection_balance_config",
        "continue_on_listener_filters_timeout",
        "default_filter_chain",
        "deprecated_v1",
        "drain_type",
        "enable_mptcp",
        "fcds_config",
        "filter_chain_matcher",
        "freebind",
        "ignore_global_conn_limit",
        "internal_listener",
        "listener_filters_timeout",
        "max_connections_to_accept_per_socket_event",
        "metadata",
        "per_connection_buffer_high_watermark_timeout",
        "reuse_port",
        "socket_options",
        "stats_matcher",
        "tcp_fast_open_queue_length",
        "tcp_keepalive",
        "transparent",
        "udp_listener_config",
        "use_original_dst",
    ],
};

pub(in crate::config) const LISTENER_FILTER: Schema = Schema {
    message: "envoy.config.listener.v3.ListenerFilter",
    note: "",
    supported: &["name", "typed_config"],
    refused: &["config_discovery", "filter_disabled"],
};

pub(in crate::config) const TLS_INSPECTOR: Schema = Schema {
    message: "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    note: "",
    supported: &[],
    refused: &[
        "close_connection_on_client_hello_parsing_errors",
        "enable_ja3_fingerprinting",
        "enable_ja4_fingerprinting",
        "initial_read_buffer_size",
        "max_client_hello_size",
    ],
};

pub(in crate::config) const FILTER_CHAIN: Schema = Schema {
    message: "envoy.config.listener.v3.FilterChain",
    note: "",
    supported: &["filter_chain_match", "filters", "transport_socket", "name"],
    refused: &["metadata", "transport_socket_connect_timeout", "use_proxy_proto"],
};

pub(in crate::config) const FILTER_CHAIN_MATCH: Schema = Schema {
    message: "envoy.config.listener.v3.FilterChainMatch",
    note: "",
    supported: &["server_names"],
    refused: &[
        "address_suffix",
        "application_protocols",
        "destination_port",
        "direct_source_prefix_ranges",
        "prefix_ranges",
        "source_ports",
        "source_prefix_ranges",
        "source_type",
        "suffix_len",
        "transport_protocol",
    ],
};

pub(in crate::config) const NETWORK_FILTER: Schema = Schema {
    message: "envoy.config.listener.v3.Filter",
    note: "",
    supported: &["name", "typed_config"],
    refused: &["config_discovery"],
};

pub(in crate::config) const TRANSPORT_SOCKET: Schema = Schema {
    message: "envoy.config.core.v3.TransportSocket",
    note: "",
    supported: &["name", "typed_config"],
    refused: &[],
};

pub(in crate::config) const RAW_BUFFER: Schema = Schema {
    message: "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
    note: "",
    supported: &[],
    refused: &[],
};

pub(super) const ALL: &[&Schema] = &[
    &LISTENER,
    &LISTENER_FILTER,
    &TLS_INSPECTOR,
    &FILTER_CHAIN,
    &FILTER_CHAIN_MATCH,
    &NETWORK_FILTER,
    &TRANSPORT_SOCKET,
    &RAW_BUFFER,
];
