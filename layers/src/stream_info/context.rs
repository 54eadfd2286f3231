//! What formats read of it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Version};

use super::StreamInfo;
use crate::endpoint::Endpoint;
use crate::format::{FormatContext, TimePoint};
use crate::response_flags::ResponseFlags;
use crate::route::view;

impl FormatContext for StreamInfo {
    fn request_headers(&self) -> Option<&HeaderMap> {
        self.request().map(|request| &request.headers)
    }

    fn response_headers(&self) -> Option<&HeaderMap> {
        self.response_headers.get()
    }

    fn response_trailers(&self) -> Option<&HeaderMap> {
        self.response_trailers.get()
    }

    fn status(&self) -> Option<u16> {
        let replied = || Some(self.replied.load(Ordering::Relaxed)).filter(|status| *status > 0);
        self.response_code().or_else(replied)
    }

    fn elapsed(&self, point: TimePoint) -> Option<Duration> {
        if point == TimePoint::RequestReceived {
            // A request without a body is complete with its head.
            return match self.body.get() {
                None => self.request().map(|_| Duration::ZERO),
                Some(body) => {
                    Some(body.completed_at()?.saturating_duration_since(self.began.into_std()))
                }
            };
        }
        let nanos = self.points[point as usize].load(Ordering::Relaxed);
        nanos.checked_sub(1).map(Duration::from_nanos)
    }

    fn start_time(&self) -> Option<SystemTime> {
        Some(self.started)
    }

    fn duration(&self) -> Option<Duration> {
        Some(self.began.elapsed())
    }

    fn method(&self) -> Option<&str> {
        self.request().map(|request| request.method.as_str())
    }

    fn path(&self) -> Option<&str> {
        self.request()?.uri.path_and_query().map(http::uri::PathAndQuery::as_str)
    }

    fn authority(&self) -> Option<&str> {
        let request = self.request()?;
        let authority = view::authority_of(&request.uri, &request.headers);
        (!authority.is_empty()).then_some(authority)
    }

    fn scheme(&self) -> Option<&str> {
        let request = self.request()?;
        Some(view::scheme_of(&request.uri, &request.headers))
    }

    fn protocol(&self) -> Option<Version> {
        Some(self.protocol)
    }

    fn bytes_received(&self) -> u64 {
        self.body.get().map_or(0, |body| body.bytes())
    }

    fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    fn response_code(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|status| *status > 0)
    }

    fn response_code_details(&self) -> Option<&str> {
        self.late_details.get().or_else(|| self.details.get()).map(|details| &**details)
    }

    fn response_flags(&self) -> ResponseFlags {
        ResponseFlags::from_bits(self.flags.load(Ordering::Relaxed))
    }

    fn route_name(&self) -> Option<&str> {
        self.route.get().map(|name| &**name).filter(|name| !name.is_empty())
    }

    fn upstream_cluster(&self) -> Option<&str> {
        self.cluster.get().map(|names| &*names.stat)
    }

    fn upstream_cluster_raw(&self) -> Option<&str> {
        self.cluster.get().map(|names| &*names.raw)
    }

    fn upstream_host(&self) -> Option<SocketAddr> {
        self.tries.last().map(|endpoint| endpoint.address())
    }

    fn upstream_host_name(&self) -> Option<&str> {
        self.tries.last().map(|endpoint| Endpoint::hostname(endpoint))
    }

    fn upstream_protocol(&self) -> Option<Version> {
        self.tries.connection().map(|(_, protocol)| *protocol)
    }

    fn upstream_local_address(&self) -> Option<SocketAddr> {
        self.tries.connection()?.0.local_address
    }

    fn upstream_remote_address(&self) -> Option<SocketAddr> {
        self.tries.connection().and_then(|_| self.upstream_host())
    }

    fn upstream_connection_id(&self) -> Option<u64> {
        Some(self.tries.connection()?.0.id)
    }

    fn upstream_tls_version(&self) -> Option<&str> {
        self.tries.connection()?.0.tls_version
    }

    fn upstream_tls_cipher(&self) -> Option<&str> {
        self.tries.connection()?.0.tls_cipher.as_deref()
    }

    fn upstream_transport_failure_reason(&self) -> Option<&str> {
        self.transport_failure.get().map(|reason| &**reason)
    }

    fn upstream_attempt_count(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    fn downstream_local_address(&self) -> Option<SocketAddr> {
        self.downstream.local_address
    }

    fn downstream_remote_address(&self) -> Option<SocketAddr> {
        self.client.get().copied().or(self.downstream.remote_address)
    }

    fn downstream_direct_remote_address(&self) -> Option<SocketAddr> {
        self.downstream.remote_address
    }

    fn downstream_tls_version(&self) -> Option<&str> {
        self.downstream.tls_version.as_deref()
    }

    fn downstream_tls_cipher(&self) -> Option<&str> {
        self.downstream.tls_cipher.as_deref()
    }

    fn requested_server_name(&self) -> Option<&str> {
        self.downstream.server_name.as_deref()
    }

    fn connection_id(&self) -> Option<u64> {
        self.downstream.id
    }

    fn stream_id(&self) -> Option<&str> {
        self.request_headers()?.get(crate::request_id::REQUEST_ID)?.to_str().ok()
    }

    fn access_log_type(&self) -> Option<&str> {
        Some("DownstreamEnd")
    }

    fn filter_chain_name(&self) -> Option<&str> {
        self.downstream.filter_chain.as_deref()
    }
}
