//! The counters of a cluster: `cluster.<name>.*`, handles made when the cluster is built.

use std::sync::{Once, OnceLock};

use http::StatusCode;

use crate::http2::CodecStats;
use crate::stats::{Counter, Gauge, Histogram, Scope};

macro_rules! cluster_stats {
    (counters { $($counter:ident $(= $counter_name:literal)?),* $(,)? }
     gauges { $($gauge:ident $(= $gauge_name:literal)?),* $(,)? }
     histograms { $($histogram:ident $(= $histogram_name:literal)?),* $(,)? }) => {
        /// Handles of everything that a cluster counts, under Envoy's names without `upstream_`.
        #[allow(missing_docs)] // the fields are Envoy's names, which Envoy's documentation explains
        pub struct ClusterStats {
            $(pub $counter: Counter,)*
            $(pub $gauge: Gauge,)*
            $(pub $histogram: Histogram,)*
            codes: CodeCounters,
            external: CodeCounters,
            internal: CodeCounters,
            canary: CodeCounters,
            retry: CodeCounters,
            http1: Once,
            http2: OnceLock<CodecStats>,
        }

        impl ClusterStats {
            /// Registers all of them in `scope`, which names the cluster.
            pub fn new(scope: &Scope) -> Self {
                Self {
                    $($counter: scope.counter(cluster_stats!(@name $counter $($counter_name)?)),)*
                    $($gauge: scope.gauge(cluster_stats!(@name $gauge $($gauge_name)?)),)*
                    $($histogram: scope.histogram_ms(cluster_stats!(@name $histogram $($histogram_name)?)),)*
                    codes: CodeCounters::eager(scope.clone()),
                    external: CodeCounters::lazy(scope.child("external")),
                    internal: CodeCounters::lazy(scope.child("internal")),
                    canary: CodeCounters::lazy(scope.child("canary")),
                    retry: CodeCounters::lazy(scope.child("retry")),
                    http1: Once::new(),
                    http2: OnceLock::new(),
                }
            }
        }
    };
    (@name $field:ident $name:literal) => { $name };
    (@name $field:ident) => { concat!("upstream_", stringify!($field)) };
}

cluster_stats! {
    counters {
        cx_close_notify, cx_connect_fail, cx_connect_timeout,
        cx_destroy, cx_destroy_local, cx_destroy_local_with_active_rq, cx_destroy_remote,
        cx_destroy_remote_with_active_rq, cx_destroy_with_active_rq, cx_http1_total,
        cx_http2_total, cx_idle_timeout, cx_max_duration_reached, cx_max_requests,
        cx_none_healthy, cx_overflow, cx_protocol_error, cx_rx_bytes_total,
        cx_total, cx_tx_bytes_total, flow_control_backed_up_total, flow_control_drained_total,
        flow_control_paused_reading_total, flow_control_resumed_reading_total, rq_active_overflow, rq_cancelled, rq_maintenance_mode, rq_max_duration_reached,
        rq_pending_failure_eject, rq_pending_overflow, rq_pending_total,
        rq_per_try_idle_timeout, rq_per_try_timeout, rq_retry, rq_retry_backoff_exponential,
        rq_retry_limit_exceeded, rq_retry_overflow,
        rq_retry_success, rq_rx_reset, rq_timeout, rq_total, rq_tx_reset,
        default_total_match_count = "default.total_match_count",
        lb_healthy_panic = "lb_healthy_panic",
        membership_change = "membership_change",
        retry_or_shadow_abandoned = "retry_or_shadow_abandoned",
    }
    gauges {
        cx_active, cx_rx_bytes_buffered, cx_tx_bytes_buffered, rq_active, rq_pending_active,
        max_host_weight = "max_host_weight",
        membership_degraded = "membership_degraded",
        membership_excluded = "membership_excluded",
        membership_healthy = "membership_healthy",
        membership_total = "membership_total",
        warming_state = "warming_state",
    }
    histograms { cx_connect_ms, cx_length_ms, rq_per_cx }
}

impl std::fmt::Debug for ClusterStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterStats").finish_non_exhaustive()
    }
}

impl ClusterStats {
    /// `http2.*` of the cluster. As in Envoy they are there from the first HTTP/2 connection on.
    pub fn http2(&self) -> &CodecStats {
        self.http2.get_or_init(|| CodecStats::new(&self.codes.scope))
    }

    /// Counts the status that a request to the cluster ended with, made by the upstream or by the
    /// proxy on its behalf: `upstream_rq_200`, `upstream_rq_2xx`, `upstream_rq_completed`, and
    /// the same below `external.` or `internal.` by where the client is.
    pub fn charge(&self, status: StatusCode, internal: bool) {
        self.codes.count(status);
        self.side(internal).count(status);
    }

    /// Counts the status of a try that is followed by another: `retry.upstream_rq_503` ...
    pub fn charge_retry(&self, status: StatusCode) {
        self.retry.count(status);
    }

    /// Counts the status of a response that a canary gave, below `canary.`.
    pub fn charge_canary(&self, status: StatusCode) {
        self.canary.count(status);
    }

    /// Records how long a request took, from its end to the end of the response.
    pub fn record_time(&self, ms: f64, internal: bool) {
        self.codes.time().record(ms);
        self.side(internal).time().record(ms);
    }

    /// Counts a connection that speaks HTTP/1. With the first, its codec's own stats appear, as in
    /// Envoy; what they count can't happen with the codec that is used here.
    pub(crate) fn speaks_http1(&self) {
        self.cx_http1_total.increment(1);
        self.http1();
    }

    /// Counts a connection that speaks HTTP/2.
    pub(crate) fn speaks_http2(&self) {
        self.cx_http2_total.increment(1);
        self.http2_codec();
    }

    /// Registers the stats of the HTTP/2 codec, and counts one.
    pub(crate) fn http2_codec(&self) {
        let codec = self.http2();
        codec.nghttp2_upstream_connections.increment(1);
        // Its request will be in them, if only for a moment.
        codec.streams_active.increment(0.0);
        codec.outbound_frames_active.increment(0.0);
    }

    /// Registers the stats of the HTTP/1 codec.
    pub(crate) fn http1(&self) {
        self.http1.call_once(|| {
            let scope = self.codes.scope.child("http1");
            for name in [
                "dropped_headers_with_underscores",
                "metadata_not_supported_error",
                "requests_rejected_with_underscores_in_headers",
                "response_flood",
            ] {
                drop(scope.counter(name));
            }
        });
    }

    fn side(&self, internal: bool) -> &CodeCounters {
        if internal { &self.internal } else { &self.external }
    }
}

/// `upstream_rq_<code>`, `upstream_rq_<n>xx` and `upstream_rq_completed`: made at first use, as in
/// Envoy, where a cluster that never saw a 404 has no such stat.
struct CodeCounters {
    scope: Scope,
    completed: OnceLock<Counter>,
    classes: [OnceLock<Counter>; 5],
    /// By the hundred: clusters are many and most see few codes.
    codes: [OnceLock<Hundred>; 5],
    time: OnceLock<Histogram>,
}

type Hundred = Box<[OnceLock<Counter>; 100]>;

impl CodeCounters {
    fn lazy(scope: Scope) -> Self {
        Self {
            scope,
            completed: OnceLock::new(),
            classes: [const { OnceLock::new() }; 5],
            codes: [const { OnceLock::new() }; 5],
            time: OnceLock::new(),
        }
    }

    /// `upstream_rq_completed` of the cluster itself is there from the start.
    fn eager(scope: Scope) -> Self {
        let counters = Self::lazy(scope);
        let _ = counters.completed.set(counters.scope.counter("upstream_rq_completed"));
        counters
    }

    fn count(&self, status: StatusCode) {
        let code = usize::from(status.as_u16());
        self.completed.get_or_init(|| self.scope.counter("upstream_rq_completed")).increment(1);
        let class = (code / 100).wrapping_sub(1);
        if let Some(counter) = self.classes.get(class) {
            counter.get_or_init(|| self.class(code / 100)).increment(1);
        }
        if code >= 600 {
            // Legal for `http`, but without a counter of its own in Envoy.
            self.scope.counter("upstream_rq_unknown").increment(1);
        }
        if let Some(hundred) = self.codes.get(class) {
            let hundred = hundred.get_or_init(|| Box::new([const { OnceLock::new() }; 100]));
            if let Some(counter) = hundred.get(code % 100) {
                counter.get_or_init(|| self.code(code)).increment(1);
            }
        }
    }

    fn time(&self) -> &Histogram {
        self.time.get_or_init(|| self.scope.histogram_ms("upstream_rq_time"))
    }

    #[cold]
    fn class(&self, class: usize) -> Counter {
        self.scope.sink().counter(&self.scope.leaf_tagged(
            &format!("upstream_rq_{class}xx"),
            "upstream_rq_xx",
            "envoy_response_code_class",
            class.to_string(),
        ))
    }

    #[cold]
    fn code(&self, code: usize) -> Counter {
        self.scope.sink().counter(&self.scope.leaf_tagged(
            &format!("upstream_rq_{code}"),
            "upstream_rq",
            "envoy_response_code",
            code.to_string(),
        ))
    }
}
