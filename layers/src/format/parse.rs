//! Reading a format: text and `%COMMAND%`s.

use std::error::Error;
use std::fmt;

use http::HeaderName;

use super::command::{AddressPart, Command, HeaderRef, PathSource, Plain, Side, TimeUnit};
use super::context::TimePoint;
use super::grpc::Style;
use super::plain::PLAIN;
use super::time::TimeFormat;

/// A piece of a format.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(String),
    /// A command, and the most bytes of its value that are printed.
    Command(Command, Option<usize>),
}

/// What is wrong with a format, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// The byte at which the command (its `%`) begins.
    pub offset: usize,
    /// How many bytes the command has, with both `%`; 1 where none can be read.
    pub len: usize,
    /// What is wrong.
    pub kind: FormatErrorKind,
}

/// What is wrong with a format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatErrorKind {
    /// A `%` begins nothing that reads like `%NAME(parameters):length%`; a literal one is `%%`.
    NotACommand,
    /// There is no command of this name.
    Unknown(String),
    /// Envoy has it, this proxy does not.
    NotSupported(String),
    /// Parameters or a length are missing, not taken, or not understood.
    Parameters {
        /// The command.
        command: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.kind)
    }
}

impl fmt::Display for FormatErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotACommand => {
                f.write_str("this is no `%COMMAND%` (a percent sign is written `%%`)")
            }
            Self::Unknown(name) => write!(f, "unknown format command `{name}`"),
            Self::NotSupported(name) => {
                write!(f, "the format command `{name}` is not supported yet")
            }
            Self::Parameters { command, expected } => {
                write!(f, "the format command `{command}` takes {expected}")
            }
        }
    }
}

impl Error for FormatError {}

pub(super) fn parse(text: &str) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(percent) = text[at..].find('%').map(|found| at + found) {
        literal.push_str(&text[at..percent]);
        let rest = &text[percent + 1..];
        if rest.starts_with('%') {
            literal.push('%');
            at = percent + 2;
            continue;
        }
        let fail = |len, kind| FormatError { offset: percent, len, kind };
        let raw = RawCommand::read(rest).ok_or_else(|| fail(1, FormatErrorKind::NotACommand))?;
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        let command = raw.compile().map_err(|kind| fail(1 + raw.len, kind))?;
        pieces.push(Piece::Command(command, raw.limit));
        at = percent + 1 + raw.len;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// A command as written.
struct RawCommand<'t> {
    name: &'t str,
    parameters: Option<&'t str>,
    limit: Option<usize>,
    /// With the `%` at its end.
    len: usize,
}

impl<'t> RawCommand<'t> {
    /// Reads `NAME`, `NAME(parameters)` or either with `:length`, and a `%`.
    fn read(text: &'t str) -> Option<Self> {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let (name, mut rest) = text.split_at(text.find(|c| !is_name(c))?);
        let mut parameters = None;
        if let Some(inside) = rest.strip_prefix('(') {
            let (all, after) = inside.split_once(')')?;
            (parameters, rest) = (Some(all), after);
        }
        let mut limit = None;
        if let Some(after) = rest.strip_prefix(':') {
            let (digits, after) = after.split_at(after.find(|c: char| !c.is_ascii_digit())?);
            (limit, rest) = (Some(digits.parse().ok()?), after);
        }
        let rest = rest.strip_prefix('%')?;
        let len = text.len() - rest.len();
        (!name.is_empty()).then_some(Self { name, parameters, limit, len })
    }

    fn compile(&self) -> Result<Command, FormatErrorKind> {
        let parameters = self.parameters.unwrap_or_default();
        let expects =
            |expected| FormatErrorKind::Parameters { command: self.name.to_owned(), expected };
        if let Some((_, plain)) = PLAIN.iter().find(|(name, _)| *name == self.name) {
            if parameters.is_empty() && self.limit.is_none() {
                return Ok(Command::Plain(*plain));
            }
            if let (Plain::Address(address, AddressPart::Ip), Ok(bits)) =
                (plain, parameters.parse())
                && self.limit.is_none()
            {
                return Ok(Command::Network(*address, bits));
            }
            return Err(expects("no parameters and no length"));
        }
        if self.limit.is_some() && !TAKES_LENGTH.contains(&self.name) {
            return Err(expects("no length"));
        }
        let without_parameters = |command| match parameters {
            "" => Ok(command),
            _ => Err(expects("no parameters")),
        };
        let headers = |side| {
            header_refs(parameters)
                .map(|(main, other)| Command::Header(side, main, other))
                .ok_or_else(|| expects("a header name, and another after a `?`"))
        };
        let time = || match parameters {
            "" => Ok(TimeFormat::default_format()),
            format => {
                TimeFormat::parse(format).ok_or_else(|| expects("a format without new lines"))
            }
        };
        match self.name {
            "REQ" | "REQUEST_HEADER" => headers(Side::Request),
            "RESP" | "RESPONSE_HEADER" => headers(Side::Response),
            "TRAILER" | "RESPONSE_TRAILER" => headers(Side::Trailers),
            "START_TIME" => time().map(Command::StartTime),
            "EMIT_TIME" => time().map(Command::EmitTime),
            "RESPONSE_CODE_DETAILS" => {
                Ok(Command::Details { keep_spaces: parameters == "ALLOW_WHITESPACES" })
            }
            "RESPONSE_FLAGS" => without_parameters(Command::Flags { long: false }),
            "RESPONSE_FLAGS_LONG" => without_parameters(Command::Flags { long: true }),
            "UPSTREAM_HOST_NAME" => without_parameters(Command::HostName { with_port: true }),
            "UPSTREAM_HOST_NAME_WITHOUT_PORT" => {
                without_parameters(Command::HostName { with_port: false })
            }
            "REQUEST_HEADERS_BYTES" => without_parameters(Command::HeaderBytes(Side::Request)),
            "RESPONSE_HEADERS_BYTES" => without_parameters(Command::HeaderBytes(Side::Response)),
            "RESPONSE_TRAILERS_BYTES" => without_parameters(Command::HeaderBytes(Side::Trailers)),
            "UNIQUE_ID" => without_parameters(Command::UniqueId),
            "HOSTNAME" => without_parameters(Command::Constant(host_name())),
            "LOCAL_REPLY_BODY" | "CUSTOM_FLAGS" => {
                without_parameters(Command::Constant(String::new()))
            }
            "ENVIRONMENT" if parameters.is_empty() => Err(expects("the name of a variable")),
            "ENVIRONMENT" => {
                Ok(Command::Constant(std::env::var(parameters).unwrap_or_else(|_| "-".into())))
            }
            "PATH" => path(parameters)
                .ok_or_else(|| expects("WQ or NQ, and ORIG, PATH or ORIG_OR_PATH after a `:`")),
            "QUERY_PARAM" if parameters.is_empty() => Err(expects("the name of a parameter")),
            "QUERY_PARAM" => Ok(Command::QueryParam(parameters.to_owned())),
            "QUERY_PARAMS" if matches!(parameters, "" | "ORIG") => Ok(Command::QueryParams),
            "COMMON_DURATION" => span(parameters)
                .ok_or_else(|| expects("two time points and ms, us or ns, with `:` between")),
            "GRPC_STATUS_NUMBER" => without_parameters(Command::GrpcStatus(Style::Number)),
            "GRPC_STATUS" => match parameters {
                "" | "CAMEL_STRING" => Ok(Command::GrpcStatus(Style::Camel)),
                "SNAKE_STRING" => Ok(Command::GrpcStatus(Style::Snake)),
                "NUMBER" => Ok(Command::GrpcStatus(Style::Number)),
                _ => Err(expects("CAMEL_STRING, SNAKE_STRING or NUMBER")),
            },
            "METADATA" if !is_metadata(parameters) => {
                Err(expects("the type of metadata, and a `:` and its name"))
            }
            "FILTER_STATE" | "UPSTREAM_FILTER_STATE" if !is_filter_state(parameters) => {
                Err(expects("a key, and after a `:` PLAIN, TYPED or FIELD with a field's name"))
            }
            name if MAYBE_ABSENT.contains(&name) => Ok(Command::Plain(Plain::Absent)),
            name if ALWAYS_ABSENT.contains(&name) && parameters.is_empty() => {
                Err(expects("parameters"))
            }
            name if ALWAYS_ABSENT.contains(&name) => Ok(Command::Plain(Plain::Absent)),
            name if NOT_SUPPORTED.contains(&name) => {
                Err(FormatErrorKind::NotSupported(name.to_owned()))
            }
            name => Err(FormatErrorKind::Unknown(name.to_owned())),
        }
    }
}

/// `NAME` or `NAME?OTHER`.
fn header_refs(parameters: &str) -> Option<(HeaderRef, Option<HeaderRef>)> {
    if parameters.is_empty() {
        return None;
    }
    match parameters.split_once('?') {
        None => Some((header_ref(parameters)?, None)),
        Some((main, other)) => Some((header_ref(main)?, Some(header_ref(other)?))),
    }
}

fn header_ref(name: &str) -> Option<HeaderRef> {
    Some(match &*name.to_ascii_lowercase() {
        ":method" => HeaderRef::Method,
        ":path" => HeaderRef::Path,
        ":authority" | "host" => HeaderRef::Authority,
        ":scheme" => HeaderRef::Scheme,
        ":status" => HeaderRef::Status,
        "" => HeaderRef::None,
        name => match name.strip_prefix(':') {
            Some(pseudo) => HeaderName::try_from(pseudo).map(|_| HeaderRef::None).ok()?,
            None => HeaderRef::Name(HeaderName::try_from(name).ok()?),
        },
    })
}

fn path(parameters: &str) -> Option<Command> {
    let (query, source) = match parameters.split_once(':') {
        Some((query, source)) => (query, source),
        None => (parameters, ""),
    };
    let with_query = match query {
        "" | "WQ" => true,
        "NQ" => false,
        _ => return None,
    };
    let source = match source {
        "ORIG" => PathSource::Original,
        "PATH" => PathSource::Current,
        "" | "ORIG_OR_PATH" => PathSource::Either,
        _ => return None,
    };
    Some(Command::Path(source, with_query))
}

fn span(parameters: &str) -> Option<Command> {
    let mut parts = parameters.split(':');
    let from = match parts.next()? {
        "DS_RX_BEG" => None,
        point => Some(time_point(point)?),
    };
    let to = time_point(parts.next()?)?;
    let unit = match parts.next()? {
        "ms" => TimeUnit::Milliseconds,
        "us" => TimeUnit::Microseconds,
        "ns" => TimeUnit::Nanoseconds,
        _ => return None,
    };
    parts.next().is_none().then_some(Command::Span(from, to, unit))
}

/// `TYPE` or `TYPE:name`, with a type that Envoy knows.
fn is_metadata(parameters: &str) -> bool {
    const TYPES: [&str; 7] = [
        "DYNAMIC",
        "CLUSTER",
        "ROUTE",
        "UPSTREAM_HOST",
        "LISTENER",
        "LISTENER_FILTER_CHAIN",
        "VIRTUAL_HOST",
    ];
    let kind = parameters.split(':').next();
    kind.is_some_and(|kind| TYPES.contains(&kind))
}

/// `key`, `key:PLAIN`, `key:TYPED` or `key:FIELD:name`.
fn is_filter_state(parameters: &str) -> bool {
    let (key, form) = parameters.split_once(':').unwrap_or((parameters, ""));
    !key.is_empty() && (matches!(form, "" | "PLAIN" | "TYPED") || form.starts_with("FIELD:"))
}

fn time_point(name: &str) -> Option<TimePoint> {
    Some(match name {
        "DS_RX_END" => TimePoint::RequestReceived,
        "US_CX_BEG" => TimePoint::UpstreamConnectBegin,
        "US_CX_END" => TimePoint::UpstreamConnectEnd,
        "US_HS_END" => TimePoint::UpstreamHandshakeEnd,
        "US_TX_BEG" => TimePoint::UpstreamSendBegin,
        "US_TX_END" => TimePoint::UpstreamSendEnd,
        "US_RX_BEG" => TimePoint::UpstreamReceiveBegin,
        "US_RX_END" => TimePoint::UpstreamReceiveEnd,
        "DS_TX_BEG" => TimePoint::ResponseBegin,
        "DS_TX_END" => TimePoint::ResponseEnd,
        _ => return None,
    })
}

/// The machine's name. The standard library has no call for it; Linux shows it in a file.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "-".to_owned())
}

/// Commands whose values may be cut.
const TAKES_LENGTH: &[&str] = &[
    "REQ",
    "REQUEST_HEADER",
    "RESP",
    "RESPONSE_HEADER",
    "TRAILER",
    "RESPONSE_TRAILER",
    "ENVIRONMENT",
    "PATH",
    "QUERY_PARAM",
    "DYNAMIC_METADATA",
    "CLUSTER_METADATA",
    "UPSTREAM_METADATA",
    "METADATA",
    "FILTER_STATE",
    "UPSTREAM_FILTER_STATE",
];

/// Commands with parameters whose value never exists here, as in an Envoy where no filter sets it.
const ALWAYS_ABSENT: &[&str] = &[
    "DYNAMIC_METADATA",
    "CLUSTER_METADATA",
    "UPSTREAM_METADATA",
    "METADATA",
    "FILTER_STATE",
    "UPSTREAM_FILTER_STATE",
];

/// The same, where parameters may be left out.
const MAYBE_ABSENT: &[&str] = &[
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
    "UPSTREAM_PEER_CERT_V_END",
];

/// Commands of Envoy's that would have a value.
const NOT_SUPPORTED: &[&str] = &[
    "CEL",
    "COALESCE",
    // Envoy knows it with a formatter of its own only.
    "REQ_WITHOUT_QUERY",
    "START_TIME_LOCAL",
    "EMIT_TIME_LOCAL",
    "QUERY_PARAMS",
    "UPSTREAM_SERVER_NAME",
];

/// Commands with a meaning of their own: those that [`RawCommand::compile`] names.
const NAMED: &[&str] = &[
    "REQ",
    "REQUEST_HEADER",
    "RESP",
    "RESPONSE_HEADER",
    "TRAILER",
    "RESPONSE_TRAILER",
    "START_TIME",
    "EMIT_TIME",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "REQUEST_HEADERS_BYTES",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "UNIQUE_ID",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "CUSTOM_FLAGS",
    "ENVIRONMENT",
    "PATH",
    "QUERY_PARAM",
    "QUERY_PARAMS",
    "COMMON_DURATION",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
];

/// All commands that a format may hold.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let plain = PLAIN.iter().map(|(name, _)| *name);
    plain.chain([NAMED, ALWAYS_ABSENT, MAYBE_ABSENT].concat())
}
