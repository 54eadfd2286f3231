//! `http2.*`: what Envoy's codec counts, below the root for clients and below a cluster for it.

use crate::stats::{Counter, Gauge, Scope, Unit};

macro_rules! codec_stats {
    (counters { $($counter:ident),* $(,)? } gauges { $($gauge:ident),* $(,)? }) => {
        /// Handles of everything that an HTTP/2 codec counts, under Envoy's names.
        #[allow(missing_docs)] // the fields are Envoy's names, which Envoy's documentation explains
        pub struct CodecStats {
            $(pub $counter: Counter,)*
            $(pub $gauge: Gauge,)*
        }

        impl CodecStats {
            /// Registers them as `http2.*` in `scope`: the root, or a cluster.
            pub fn new(scope: &Scope) -> Self {
                let scope = scope.child("http2");
                // Of limits on heads that are off unless they are set, which can't be done here.
                for name in ["cookie_count", "cookie_size", "header_count", "header_list_size"] {
                    drop(scope.histogram(name, Unit::Unspecified));
                }
                Self {
                    $($counter: scope.counter(stringify!($counter)),)*
                    $($gauge: scope.gauge(stringify!($gauge)),)*
                }
            }
        }
    };
}

codec_stats! {
    counters {
        cookies_total_bytes_too_large, dropped_headers_with_underscores, goaway_sent, header_list_size_too_large,
        header_overflow, headers_cb_no_stream, inbound_empty_frames_flood,
        inbound_priority_frames_flood, inbound_window_update_frames_flood, keepalive_timeout,
        metadata_empty_frames, nghttp2_downstream_connections, nghttp2_upstream_connections,
        oghttp2_downstream_connections, oghttp2_upstream_connections, outbound_control_flood,
        outbound_flood, requests_rejected_with_underscores_in_headers, rx_messaging_error,
        rx_reset, stream_refused_errors, trailers, tx_flush_timeout, tx_reset,
    }
    gauges {
        deferred_stream_close, outbound_control_frames_active, outbound_frames_active,
        pending_send_bytes, streams_active,
    }
}

impl std::fmt::Debug for CodecStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodecStats").finish_non_exhaustive()
    }
}
