//! Commands that take no parameters, each with the one thing it asks.

use std::borrow::Cow;

use super::command::AddressPart::{Ip, Port, Whole};
use super::command::Plain::{self, Absent, Address, Number, Text};
use super::command::protocol;
use super::context::{FormatContext, TimePoint};

pub(super) static PLAIN: &[(&str, Plain)] = &[
    ("BYTES_RECEIVED", Number(|cx| Some(cx.bytes_received()))),
    ("BYTES_SENT", Number(|cx| Some(cx.bytes_sent()))),
    ("PROTOCOL", Text(|cx| cx.protocol().map(protocol))),
    ("UPSTREAM_PROTOCOL", Text(|cx| cx.upstream_protocol().map(protocol))),
    // Envoy says 0 where there is no status yet, as in a header of a reply it makes itself.
    ("RESPONSE_CODE", Number(|cx| Some(cx.response_code().unwrap_or(0).into()))),
    ("DURATION", Number(|cx| cx.duration().map(|all| all.as_millis() as u64))),
    ("REQUEST_DURATION", Number(|cx| since_start(cx, TimePoint::RequestReceived))),
    ("REQUEST_TX_DURATION", Number(|cx| since_start(cx, TimePoint::UpstreamSendEnd))),
    ("RESPONSE_DURATION", Number(|cx| since_start(cx, TimePoint::UpstreamReceiveBegin))),
    ("RESPONSE_TX_DURATION", Number(|cx| response_sending(cx))),
    (
        "UPSTREAM_CONNECTION_POOL_READY_DURATION",
        Number(|cx| since_start(cx, TimePoint::UpstreamSendBegin)),
    ),
    (
        "CONNECTION_TERMINATION_DETAILS",
        Text(|cx| cx.connection_termination_details().map(Cow::from)),
    ),
    ("ROUTE_NAME", Text(|cx| cx.route_name().map(Cow::from))),
    ("VIRTUAL_CLUSTER_NAME", Text(|cx| cx.virtual_cluster_name().map(Cow::from))),
    ("UPSTREAM_CLUSTER", Text(|cx| cx.upstream_cluster().map(Cow::from))),
    ("UPSTREAM_CLUSTER_RAW", Text(|cx| cx.upstream_cluster_raw().map(Cow::from))),
    (
        "UPSTREAM_TRANSPORT_FAILURE_REASON",
        Text(|cx| cx.upstream_transport_failure_reason().map(without_blanks)),
    ),
    ("UPSTREAM_TLS_VERSION", Text(|cx| cx.upstream_tls_version().map(Cow::from))),
    ("UPSTREAM_TLS_CIPHER", Text(|cx| cx.upstream_tls_cipher().map(Cow::from))),
    (
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        Text(|cx| cx.downstream_transport_failure_reason().map(Cow::from)),
    ),
    ("DOWNSTREAM_TLS_VERSION", Text(|cx| cx.downstream_tls_version().map(Cow::from))),
    ("DOWNSTREAM_TLS_CIPHER", Text(|cx| cx.downstream_tls_cipher().map(Cow::from))),
    ("REQUESTED_SERVER_NAME", Text(|cx| cx.requested_server_name().map(Cow::from))),
    ("STREAM_ID", Text(|cx| cx.stream_id().map(Cow::from))),
    ("FILTER_CHAIN_NAME", Text(|cx| cx.filter_chain_name().map(Cow::from))),
    ("ACCESS_LOG_TYPE", Text(|cx| Some(cx.access_log_type().unwrap_or("NotSet").into()))),
    ("CONNECTION_ID", Number(|cx| Some(cx.connection_id().unwrap_or(0)))),
    ("UPSTREAM_CONNECTION_ID", Number(|cx| Some(cx.upstream_connection_id().unwrap_or(0)))),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Number(|cx| Some(cx.upstream_attempt_count().into()))),
    ("UPSTREAM_HOST", Address(|cx| cx.upstream_host(), Whole)),
    ("UPSTREAM_LOCAL_ADDRESS", Address(|cx| cx.upstream_local_address(), Whole)),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Address(|cx| cx.upstream_local_address(), Ip)),
    ("UPSTREAM_LOCAL_PORT", Address(|cx| cx.upstream_local_address(), Port)),
    ("UPSTREAM_REMOTE_ADDRESS", Address(|cx| cx.upstream_remote_address(), Whole)),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Address(|cx| cx.upstream_remote_address(), Ip)),
    ("UPSTREAM_REMOTE_PORT", Address(|cx| cx.upstream_remote_address(), Port)),
    ("DOWNSTREAM_LOCAL_ADDRESS", Address(|cx| cx.downstream_local_address(), Whole)),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Address(|cx| cx.downstream_local_address(), Ip)),
    ("DOWNSTREAM_LOCAL_PORT", Address(|cx| cx.downstream_local_address(), Port)),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS", Address(|cx| cx.downstream_local_address(), Whole)),
    (
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
        Address(|cx| cx.downstream_local_address(), Ip),
    ),
    ("DOWNSTREAM_DIRECT_LOCAL_PORT", Address(|cx| cx.downstream_local_address(), Port)),
    ("DOWNSTREAM_REMOTE_ADDRESS", Address(|cx| cx.downstream_remote_address(), Whole)),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Address(|cx| cx.downstream_remote_address(), Ip)),
    ("DOWNSTREAM_REMOTE_PORT", Address(|cx| cx.downstream_remote_address(), Port)),
    (
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        Address(|cx| cx.downstream_direct_remote_address(), Whole),
    ),
    (
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        Address(|cx| cx.downstream_direct_remote_address(), Ip),
    ),
    ("DOWNSTREAM_DIRECT_REMOTE_PORT", Address(|cx| cx.downstream_direct_remote_address(), Port)),
    // What nothing here counts or knows.
    ("BYTES_RETRANSMITTED", Absent),
    ("PACKETS_RETRANSMITTED", Absent),
    ("ROUNDTRIP_DURATION", Absent),
    ("DOWNSTREAM_HANDSHAKE_DURATION", Absent),
    ("DOWNSTREAM_CX_RTT", Absent),
    ("DOWNSTREAM_WIRE_BYTES_SENT", Absent),
    ("DOWNSTREAM_WIRE_BYTES_RECEIVED", Absent),
    ("DOWNSTREAM_HEADER_BYTES_SENT", Absent),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", Absent),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", Absent),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", Absent),
    ("UPSTREAM_WIRE_BYTES_SENT", Absent),
    ("UPSTREAM_WIRE_BYTES_RECEIVED", Absent),
    ("UPSTREAM_HEADER_BYTES_SENT", Absent),
    ("UPSTREAM_HEADER_BYTES_RECEIVED", Absent),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", Absent),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", Absent),
    ("UPSTREAM_DETECTED_CLOSE_TYPE", Absent),
    ("UPSTREAM_LOCAL_CLOSE_REASON", Absent),
    ("DOWNSTREAM_DETECTED_CLOSE_TYPE", Absent),
    ("DOWNSTREAM_LOCAL_CLOSE_REASON", Absent),
    ("UPSTREAM_HOSTS_ATTEMPTED", Absent),
    ("UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", Absent),
    ("UPSTREAM_HOST_NAMES_ATTEMPTED", Absent),
    ("UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", Absent),
    ("UPSTREAM_CONNECTION_IDS_ATTEMPTED", Absent),
    ("UPSTREAM_TLS_SESSION_ID", Absent),
    ("UPSTREAM_TLS_GROUP", Absent),
    ("UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", Absent),
    ("UPSTREAM_PEER_ISSUER", Absent),
    ("UPSTREAM_PEER_CERT", Absent),
    ("UPSTREAM_PEER_SUBJECT", Absent),
    ("UPSTREAM_PEER_URI_SAN", Absent),
    ("UPSTREAM_PEER_DNS_SAN", Absent),
    ("UPSTREAM_PEER_IP_SAN", Absent),
    ("UPSTREAM_LOCAL_URI_SAN", Absent),
    ("UPSTREAM_LOCAL_DNS_SAN", Absent),
    ("UPSTREAM_LOCAL_IP_SAN", Absent),
    ("DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", Absent),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", Absent),
    ("ROUTE_RESOLUTION_COUNT", Absent),
    ("ROUTE_RESOLUTION_TIME_US", Absent),
    ("DOWNSTREAM_TLS_SESSION_ID", Absent),
    ("DOWNSTREAM_TLS_GROUP", Absent),
    ("DOWNSTREAM_PEER_SUBJECT", Absent),
    ("DOWNSTREAM_PEER_ISSUER", Absent),
    ("DOWNSTREAM_PEER_SERIAL", Absent),
    ("DOWNSTREAM_PEER_CERT", Absent),
    ("DOWNSTREAM_PEER_FINGERPRINT_1", Absent),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", Absent),
    ("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", Absent),
    ("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", Absent),
    ("DOWNSTREAM_PEER_CHAIN_SERIALS", Absent),
    ("DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", Absent),
    ("DOWNSTREAM_PEER_ISSUER_SERIAL", Absent),
    ("DOWNSTREAM_PEER_URI_SAN", Absent),
    ("DOWNSTREAM_PEER_DNS_SAN", Absent),
    ("DOWNSTREAM_PEER_IP_SAN", Absent),
    ("DOWNSTREAM_PEER_EMAIL_SAN", Absent),
    ("DOWNSTREAM_PEER_OTHERNAME_SAN", Absent),
    ("DOWNSTREAM_LOCAL_SUBJECT", Absent),
    ("DOWNSTREAM_LOCAL_URI_SAN", Absent),
    ("DOWNSTREAM_LOCAL_DNS_SAN", Absent),
    ("DOWNSTREAM_LOCAL_IP_SAN", Absent),
    ("DOWNSTREAM_LOCAL_EMAIL_SAN", Absent),
    ("DOWNSTREAM_LOCAL_OTHERNAME_SAN", Absent),
    ("TLS_JA3_FINGERPRINT", Absent),
    ("TLS_JA4_FINGERPRINT", Absent),
    ("TRACE_ID", Absent),
    ("SPAN_ID", Absent),
];

/// Envoy keeps such a text in one piece for whoever splits lines at blanks.
fn without_blanks(text: &str) -> Cow<'_, str> {
    if text.contains(' ') { Cow::Owned(text.replace(' ', "_")) } else { Cow::Borrowed(text) }
}

fn since_start(context: &dyn FormatContext, point: TimePoint) -> Option<u64> {
    let elapsed = context.elapsed(point)?;
    Some(elapsed.as_millis() as u64)
}

/// From the upstream's first byte to the last one that went to the client.
fn response_sending(context: &dyn FormatContext) -> Option<u64> {
    let end = context.elapsed(TimePoint::ResponseEnd)?;
    let sending = end.checked_sub(context.elapsed(TimePoint::UpstreamReceiveBegin)?)?;
    Some(sending.as_millis() as u64)
}
