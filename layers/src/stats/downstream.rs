//! The counters of a connection manager: `http.<prefix>.downstream_*`.

use http::StatusCode;

use super::{Counter, Gauge, Histogram, Scope};

macro_rules! downstream_stats {
    (counters { $($counter:ident),* $(,)? } gauges { $($gauge:ident),* $(,)? }
     histograms { $($histogram:ident),* $(,)? }) => {
        /// Handles of everything that a connection manager counts, under Envoy's names without
        /// `downstream_`.
        #[allow(missing_docs)] // the fields are Envoy's names, which Envoy's documentation explains
        pub struct DownstreamStats {
            $(pub $counter: Counter,)*
            $(pub $gauge: Gauge,)*
            $(pub $histogram: Histogram,)*
            classes: Classes,
            scope: Scope,
        }

        impl DownstreamStats {
            fn registered(scope: Scope, of_connections: &Scope) -> Self {
                let of = |name| if is_of_connections(name) { of_connections } else { &scope };
                Self {
                    $($counter: of(stringify!($counter))
                        .counter(concat!("downstream_", stringify!($counter))),)*
                    $($gauge: of(stringify!($gauge))
                        .gauge(concat!("downstream_", stringify!($gauge))),)*
                    $($histogram: of(stringify!($histogram))
                        .histogram_ms(concat!("downstream_", stringify!($histogram))),)*
                    classes: Classes::new(&scope),
                    scope,
                }
            }
        }
    };
}

downstream_stats! {
    counters {
        cx_delayed_close_timeout, cx_destroy, cx_destroy_active_rq, cx_destroy_local,
        cx_destroy_local_active_rq, cx_destroy_remote, cx_destroy_remote_active_rq,
        cx_drain_close, cx_http1_total, cx_http2_total, cx_idle_timeout,
        cx_max_duration_reached, cx_max_requests_reached, cx_protocol_error, cx_rx_bytes_total,
        cx_ssl_total, cx_total, cx_tx_bytes_total,
        flow_control_paused_reading_total, flow_control_resumed_reading_total,
        rq_failed_path_normalization, rq_header_timeout, rq_http1_total, rq_http2_total,
        rq_idle_timeout, rq_max_duration_reached, rq_non_relative_path,
        rq_redirected_with_normalized_path, rq_response_before_rq_complete, rq_rx_reset,
        rq_timeout, rq_too_large, rq_too_many_premature_resets, rq_total, rq_tx_reset,
    }
    gauges {
        cx_active, cx_http1_active, cx_http2_active, cx_rx_bytes_buffered, cx_ssl_active,
        cx_tx_bytes_buffered, rq_active,
    }
    histograms { cx_length_ms, rq_time }
}

/// What only who accepts connections can count.
fn is_of_connections(name: &str) -> bool {
    name.starts_with("cx_") || matches!(name, "rq_header_timeout" | "rq_too_many_premature_resets")
}

impl DownstreamStats {
    /// Registers them as `http.<prefix>.downstream_*` in `root`.
    pub fn new(root: &Scope, prefix: &str) -> Self {
        let scope = Self::scope_of(root, prefix);
        Self::registered(scope.clone(), &scope)
    }

    /// The same without those of connections, which would stay 0 where others accept them: an app's
    /// server, say.
    pub fn of_requests(root: &Scope, prefix: &str) -> Self {
        Self::registered(Self::scope_of(root, prefix), &Scope::noop())
    }

    fn scope_of(root: &Scope, prefix: &str) -> Scope {
        root.child("http").tagged("envoy_http_conn_manager_prefix", prefix)
    }

    /// `http.<prefix>`, for the stats of filters.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Counts a response by the class of its status.
    pub fn charge(&self, status: StatusCode) {
        self.classes.count(status);
    }
}

impl std::fmt::Debug for DownstreamStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DownstreamStats").finish_non_exhaustive()
    }
}

/// `listener.<address>.http.<prefix>.downstream_rq_*`: the statuses again, by listener.
pub struct ListenerCodes(Classes);

impl ListenerCodes {
    /// Registers them in `listener`, the scope of the listener.
    pub fn new(listener: &Scope, prefix: &str) -> Self {
        let scope = listener.child("http").tagged("envoy_http_conn_manager_prefix", prefix);
        Self(Classes::new(&scope))
    }

    /// Counts a response by the class of its status.
    pub fn charge(&self, status: StatusCode) {
        self.0.count(status);
    }
}

impl std::fmt::Debug for ListenerCodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerCodes").finish_non_exhaustive()
    }
}

struct Classes {
    completed: Counter,
    classes: [Counter; 5],
}

impl Classes {
    fn new(scope: &Scope) -> Self {
        let class = |n: usize| {
            let name = format!("downstream_rq_{n}xx");
            let tag = n.to_string();
            let base = "downstream_rq_xx";
            scope.sink().counter(&scope.leaf_tagged(&name, base, "envoy_response_code_class", tag))
        };
        Self {
            completed: scope.counter("downstream_rq_completed"),
            classes: [class(1), class(2), class(3), class(4), class(5)],
        }
    }

    fn count(&self, status: StatusCode) {
        self.completed.increment(1);
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = self.classes.get(class.wrapping_sub(1)) {
            counter.increment(1);
        }
    }
}
