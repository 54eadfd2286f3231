//! `%COMMAND%` formats of access logs and headers: only their syntax.
//!
//! What they say is compiled where they are used. [`check`] is the one place that decides whether a
//! format is taken.

use super::suggest::nearest;

/// Why a format is not valid.
#[derive(Debug, PartialEq)]
pub(super) struct FormatError {
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Where in the format, and how much of it, in characters.
    pub(super) position: usize,
    pub(super) width: usize,
}

/// Checks a format: `%%` is a percent sign, `%NAME%`, `%NAME(parameters)%` and
/// `%NAME(parameters):length%` are commands, and all else is text.
pub(super) fn check(format: &str) -> Result<(), FormatError> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let from = &rest[at..];
        if let Some(after) = from.strip_prefix("%%") {
            rest = after;
            continue;
        }
        let position = format[..format.len() - from.len()].chars().count();
        let command = parse(from).ok_or_else(|| FormatError {
            position,
            width: 1,
            message: format!("no valid `%COMMAND%` begins at character {position} of this format"),
            help: Some(
                "write `%%` for a percent sign; commands look like `%REQ(x-name):20%`".into(),
            ),
        })?;
        known(&command).map_err(|(message, help)| FormatError {
            message,
            help,
            position,
            width: from[..command.length].chars().count(),
        })?;
        rest = &from[command.length..];
    }
    Ok(())
}

struct Command<'a> {
    name: &'a str,
    parameters: Option<&'a str>,
    limit: bool,
    /// All of it, with both percent signs.
    length: usize,
}

/// A command at the start of a text.
fn parse(text: &str) -> Option<Command<'_>> {
    let inner = text.strip_prefix('%')?;
    let end = inner
        .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|end| *end > 0)?;
    let (name, rest) = inner.split_at(end);
    let command = |parameters, rest: &str| {
        let (limit, after) = ending(rest)?;
        Some(Command { name, parameters, limit, length: text.len() - after.len() })
    };
    let Some(open) = rest.strip_prefix('(') else {
        return command(None, rest);
    };
    // Parameters may hold `)` and `%`, as in `START_TIME(%s)`: the first `)` that ends it counts.
    let line = &open[..open.find('\n').unwrap_or(open.len())];
    line.match_indices(')').find_map(|(close, _)| command(Some(&open[..close]), &open[close + 1..]))
}

/// The end of a command: `%` or `:length%`. Returns what follows it.
fn ending(text: &str) -> Option<(bool, &str)> {
    if let Some(after) = text.strip_prefix('%') {
        return Some((false, after));
    }
    let digits = text.strip_prefix(':')?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
    digits[end..].strip_prefix('%').map(|after| (true, after))
}

/// What is wrong with a command, and what to do about it.
type Complaint = (String, Option<String>);

fn known(command: &Command<'_>) -> Result<(), Complaint> {
    let Command { name, parameters, limit, .. } = command;
    let error = |message: String| Err((message, None));
    let in_list = |list: &[&str]| list.binary_search(name).is_ok();
    if in_list(PLAIN) {
        if parameters.is_some() || *limit {
            return error(format!("{name} does not take any parameters or length"));
        }
    } else if in_list(WITH_PARAMETERS) {
        if parameters.is_none_or(str::is_empty) {
            return error(format!("{name} requires parameters"));
        }
    } else if !in_list(MAYBE_PARAMETERS) {
        let all = [PLAIN, WITH_PARAMETERS, MAYBE_PARAMETERS].concat();
        let help = nearest(name, all).map(|near| format!("did you mean `%{near}%`?"));
        let message = format!("unknown format command `{name}`");
        return Err((message, help));
    }
    Ok(())
}

/// Commands that stand alone; sorted.
const PLAIN: &[&str] = &[
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_RETRANSMITTED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_CX_RTT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_DIRECT_LOCAL_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_GROUP",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "PACKETS_RETRANSMITTED",
    "PROTOCOL",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "ROUTE_RESOLUTION_COUNT",
    "ROUTE_RESOLUTION_TIME_US",
    "SPAN_ID",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_GROUP",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];

/// Commands that need parameters; sorted.
const WITH_PARAMETERS: &[&str] = &[
    "CEL",
    "CLUSTER_METADATA",
    "COALESCE",
    "COMMON_DURATION",
    "DYNAMIC_METADATA",
    "ENVIRONMENT",
    "FILTER_STATE",
    "METADATA",
    "QUERY_PARAM",
    "REQ",
    "REQUEST_HEADER",
    "RESP",
    "RESPONSE_HEADER",
    "RESPONSE_TRAILER",
    "TRAILER",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_METADATA",
];

/// Commands that may have parameters; sorted.
const MAYBE_PARAMETERS: &[&str] = &[
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "EMIT_TIME",
    "EMIT_TIME_LOCAL",
    "GRPC_STATUS",
    "PATH",
    "QUERY_PARAMS",
    "REQUESTED_SERVER_NAME",
    "RESPONSE_CODE_DETAILS",
    "START_TIME",
    "START_TIME_LOCAL",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_valid_formats() {
        for good in [
            "",
            "plain",
            "100%%",
            "%PROTOCOL%",
            "%REQ(X-A?:PATH):20% %RESP(a)%",
            "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
            "[%START_TIME%]",
            "%DYNAMIC_METADATA(a:b:c)%",
            "%%PROTOCOL%%",
            "%REQ(a))%",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn refuses_others() {
        for bad in [
            "50%",
            "%",
            "50% of",
            "%REQ(a",
            "%REQ(a):x%",
            "%REQ(a):%",
            "%req(a)%",
            "%REQ%",
            "%REQ()%",
            "%PROTOCOL(a)%",
            "%PROTOCOL:3%",
            "%PROTOCOLL%",
            "%%%",
            "%REQ(a\n)%",
            "%()%",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn says_what_was_meant() {
        let error = check("%PROTOCL%").unwrap_err();
        assert_eq!(error.message, "unknown format command `PROTOCL`");
        assert_eq!(error.help.as_deref(), Some("did you mean `%PROTOCOL%`?"));
    }

    #[test]
    fn lists_are_sorted() {
        for list in [PLAIN, WITH_PARAMETERS, MAYBE_PARAMETERS] {
            assert!(list.is_sorted());
        }
    }
}
