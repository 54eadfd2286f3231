//! The bootstrap itself and what is used all over.

use super::Schema;

pub(in crate::config) const BOOTSTRAP: Schema = Schema {
    message: "envoy.config.bootstrap.v3.Bootstrap",
    note: "",
    supported: &[
        "node",
        "static_resources",
        "layered_runtime",
        "admin",
        "typed_dns_resolver_config",
        "stats_config",
        "stats_sinks",
        "stats_flush_interval",
        "stats_flush_on_admin",
    ],
    refused: &[
        "application_log_config",
        "bootstrap_extensions",
        "certificate_provider_instances",
        "cluster_manager",
        "config_sources",
        "default_config_source",
        "default_regex_engine",
        "default_socket_interface",
        "deferred_stat_options",
        "dns_resolution_config",
        "dynamic_resources",
        "enable_dispatcher_stats",
        "enable_worker_cpu_affinity",
        "fatal_actions",
        "flags_path",
        "grpc_async_client_manager_config",
        "hds_config",
        "header_prefix",
        "inline_headers",
        "listener_manager",
        "memory_allocator_manager",
        "node_context_params",
        "overload_manager",
        "perf_tracing_file_path",
        "stats_eviction_interval",
        "stats_server_version_override",
        "tracing",
        "use_tcp_for_dns_lookups",
        "watchdog",
        "watchdogs",
        "xds_config_tracker_extension",
        "xds_delegate_extension",
    ],
};

pub(in crate::config) const STATS_CONFIG: Schema = Schema {
    message: "envoy.config.metrics.v3.StatsConfig",
    note: "",
    supported: &[
        "stats_tags",
        "use_all_default_tags",
        "stats_matcher",
        "histogram_bucket_settings",
    ],
    refused: &[],
};

pub(in crate::config) const TAG_SPECIFIER: Schema = Schema {
    message: "envoy.config.metrics.v3.TagSpecifier",
    note: "",
    supported: &["tag_name", "regex", "fixed_value"],
    refused: &[],
};

pub(in crate::config) const STATS_MATCHER: Schema = Schema {
    message: "envoy.config.metrics.v3.StatsMatcher",
    note: "",
    supported: &["reject_all", "exclusion_list", "inclusion_list"],
    refused: &[],
};

pub(in crate::config) const LIST_STRING_MATCHER: Schema = Schema {
    message: "envoy.type.matcher.v3.ListStringMatcher",
    note: "",
    supported: &["patterns"],
    refused: &[],
};

pub(in crate::config) const HISTOGRAM_BUCKETS: Schema = Schema {
    message: "envoy.config.metrics.v3.HistogramBucketSettings",
    note: "",
    supported: &["match", "buckets"],
    refused: &["bins"],
};

pub(in crate::config) const STATS_SINK: Schema = Schema {
    message: "envoy.config.metrics.v3.StatsSink",
    note: "",
    supported: &["name", "typed_config"],
    refused: &[],
};

pub(in crate::config) const STATSD_SINK: Schema = Schema {
    message: "envoy.config.metrics.v3.StatsdSink",
    note: "",
    supported: &["address", "prefix"],
    refused: &["tcp_cluster_name"],
};

pub(in crate::config) const DOG_STATSD_SINK: Schema = Schema {
    message: "envoy.config.metrics.v3.DogStatsdSink",
    note: "",
    supported: &["address", "prefix", "max_bytes_per_datagram"],
    refused: &[],
};

pub(in crate::config) const STATIC_RESOURCES: Schema = Schema {
    message: "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
    note: "",
    supported: &["listeners", "clusters"],
    refused: &["secrets"],
};

pub(in crate::config) const ADMIN: Schema = Schema {
    message: "envoy.config.bootstrap.v3.Admin",
    note: "",
    supported: &["address"],
    refused: &[
        "access_log",
        "access_log_path",
        "allow_paths",
        "ignore_global_conn_limit",
        "profile_path",
        "socket_options",
    ],
};

pub(in crate::config) const NODE: Schema = Schema {
    message: "envoy.config.core.v3.Node",
    note: "",
    supported: &["id", "cluster", "metadata", "locality"],
    refused: &[
        "client_features",
        "dynamic_parameters",
        "extensions",
        "listening_addresses",
        "user_agent_build_version",
        "user_agent_name",
        "user_agent_version",
    ],
};

pub(in crate::config) const LOCALITY: Schema = Schema {
    message: "envoy.config.core.v3.Locality",
    note: "",
    supported: &["region", "zone", "sub_zone"],
    refused: &[],
};

pub(in crate::config) const LAYERED_RUNTIME: Schema = Schema {
    message: "envoy.config.bootstrap.v3.LayeredRuntime",
    note: "",
    supported: &["layers"],
    refused: &[],
};

pub(in crate::config) const RUNTIME_LAYER: Schema = Schema {
    message: "envoy.config.bootstrap.v3.RuntimeLayer",
    note: "",
    supported: &["name", "static_layer", "admin_layer", "disk_layer"],
    refused: &["rtds_layer"],
};

pub(in crate::config) const DISK_LAYER: Schema = Schema {
    message: "envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer",
    note: "",
    supported: &["symlink_root", "subdirectory", "append_service_cluster"],
    refused: &[],
};

pub(in crate::config) const ADDRESS: Schema = Schema {
    message: "envoy.config.core.v3.Address",
    note: "",
    supported: &["socket_address"],
    refused: &["envoy_internal_address", "pipe"],
};

pub(in crate::config) const SOCKET_ADDRESS: Schema = Schema {
    message: "envoy.config.core.v3.SocketAddress",
    note: "",
    supported: &["protocol", "address", "port_value"],
    refused: &["ipv4_compat", "named_port", "network_namespace_filepath", "resolver_name"],
};

pub(in crate::config) const DATA_SOURCE: Schema = Schema {
    message: "envoy.config.core.v3.DataSource",
    note: "",
    supported: &["filename", "inline_string", "environment_variable"],
    refused: &["inline_bytes", "watched_directory"],
};

pub(in crate::config) const TYPED_EXTENSION: Schema = Schema {
    message: "envoy.config.core.v3.TypedExtensionConfig",
    note: "",
    supported: &["name", "typed_config"],
    refused: &[],
};

pub(super) const ALL: &[&Schema] = &[
    &BOOTSTRAP,
    &STATS_CONFIG,
    &TAG_SPECIFIER,
    &STATS_MATCHER,
    &LIST_STRING_MATCHER,
    &HISTOGRAM_BUCKETS,
    &STATS_SINK,
    &STATSD_SINK,
    &DOG_STATSD_SINK,
    &STATIC_RESOURCES,
    &ADMIN,
    &NODE,
    &LOCALITY,
    &LAYERED_RUNTIME,
    &RUNTIME_LAYER,
    &DISK_LAYER,
    &ADDRESS,
    &SOCKET_ADDRESS,
    &DATA_SOURCE,
    &TYPED_EXTENSION,
];
