//! What logs say of a failure, in Envoy's words.

use std::borrow::Cow;
use std::error::Error as _;
use std::sync::Arc;

use super::{ErrorKind, ProxyError};
use crate::endpoint::ConnectError;

impl ErrorKind {
    /// Envoy's name for what decided the response (`%RESPONSE_CODE_DETAILS%`).
    fn details(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::ClusterNotFound(_) => "cluster_not_found",
            Self::DownstreamClosed => "downstream_remote_disconnect",
            Self::HandshakeFailed(_) => "websocket_handshake_unsuccessful",
            Self::IdleTimeout | Self::RequestIdleTimeout => "stream_idle_timeout",
            Self::Maintenance => "maintenance_mode",
            Self::MaxDuration => "max_duration_timeout",
            Self::MaxUpstreamDuration => "upstream_max_stream_duration_reached",
            Self::NoHealthyUpstream => "no_healthy_upstream",
            Self::NoRoute => "route_not_found",
            Self::NonRelativePath => "absolute_path_rejected",
            Self::PathNotNormal => "path_normalization_failed",
            Self::PerTryTimeout => "upstream_per_try_timeout",
            Self::RequestTimeout => "request_overall_timeout",
            Self::RequestTooLarge => "request_payload_too_large",
            Self::UpgradeRefused => "upgrade_failed",
            Self::UpstreamTimeout => "response_timeout",
            Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::ConnectionTerminated
            | Self::Overflow
            | Self::ProtocolError
            | Self::RefusedStream
            | Self::RemoteReset => "upstream_reset_before_response_started",
        }
    }
}

impl ProxyError {
    /// With other details than its kind's.
    #[must_use]
    pub fn with_details(mut self, details: &'static str) -> Self {
        self.details = Some(details);
        self
    }

    /// What decided the response (`%RESPONSE_CODE_DETAILS%`); a reset also says how it came to it.
    pub fn details(&self) -> Cow<'static, str> {
        if let Some(details) = self.details {
            return Cow::Borrowed(details);
        }
        let details = self.kind.details();
        match (self.kind.reset_reason(), self.transport_failure()) {
            (None, _) => Cow::Borrowed(details),
            (Some(reason), None) => Cow::Owned(format!("{details}{{{reason}}}")),
            (Some(reason), Some(why)) => Cow::Owned(format!("{details}{{{reason}|{why}}}")),
        }
    }

    /// Why no connection came about (`%UPSTREAM_TRANSPORT_FAILURE_REASON%`).
    pub fn transport_failure(&self) -> Option<String> {
        let source = self.source()?;
        let shared = source.downcast_ref::<Arc<ConnectError>>().map(|error| &**error);
        match shared.or_else(|| source.downcast_ref())? {
            ConnectError::Tcp(error) => {
                let text = error.to_string();
                // Rust adds the number to the system's words.
                let words = text.split(" (os error").next().unwrap_or(&text);
                Some(format!("delayed connect error: {words}"))
            }
            ConnectError::Tls(error) => Some(format!("TLS_error:|{error}:TLS_error_end")),
            ConnectError::Http(_) | ConnectError::Http2(_) | ConnectError::Timeout => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_refused_connection_says_why() {
        let refused = io::Error::from_raw_os_error(111);
        let error = ProxyError::new(ErrorKind::ConnectFailed)
            .with_source(Arc::new(ConnectError::Tcp(refused)));
        assert_eq!(
            error.details(),
            "upstream_reset_before_response_started\
             {remote connection failure|delayed connect error: Connection refused}"
        );
    }

    #[test]
    fn what_a_layer_says_goes_before_the_kind() {
        let error = ProxyError::new(ErrorKind::BadRequest);
        assert_eq!(error.details(), "bad_request");
        assert_eq!(error.with_details("missing_host_header").details(), "missing_host_header");
    }
}
