//! The commands of a format: what `%NAME(parameters):length%` stands for.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, Version};

use super::context::{FormatContext, TimePoint};
use super::grpc;
use super::time::TimeFormat;
use crate::headers;
use crate::request_id::new_id;
use crate::route::view::parameters;

/// A command, compiled.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Plain(Plain),
    Header(Side, HeaderRef, Option<HeaderRef>),
    HeaderBytes(Side),
    Path(PathSource, bool),
    QueryParam(String),
    QueryParams,
    StartTime(TimeFormat),
    EmitTime(TimeFormat),
    Span(Option<TimePoint>, TimePoint, TimeUnit),
    Details {
        keep_spaces: bool,
    },
    Flags {
        long: bool,
    },
    HostName {
        with_port: bool,
    },
    Network(fn(&dyn FormatContext) -> Option<SocketAddr>, u8),
    GrpcStatus(grpc::Style),
    UniqueId,
    /// Known when the format was compiled.
    Constant(String),
}

/// A command without parameters that asks the context one thing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plain {
    Number(fn(&dyn FormatContext) -> Option<u64>),
    Text(fn(&dyn FormatContext) -> Option<Cow<'_, str>>),
    Address(fn(&dyn FormatContext) -> Option<SocketAddr>, AddressPart),
    /// A value of Envoy's that nothing here has: it is always absent.
    Absent,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum AddressPart {
    Whole,
    Ip,
    Port,
}

/// Whose headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
    Trailers,
}

/// A header or pseudo header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeaderRef {
    Method,
    Path,
    Authority,
    Scheme,
    Status,
    Name(HeaderName),
    /// A pseudo header that does not exist.
    None,
}

/// Which path `%PATH%` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathSource {
    /// The one before a rewrite.
    Original,
    /// The one that is sent.
    Current,
    /// The original, where there is one.
    Either,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// What a command wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Nothing,
    Text,
    Number,
}

const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

impl Command {
    // Writing to a vector can't fail, so results of `write!` are dropped.
    pub(super) fn write(&self, context: &dyn FormatContext, out: &mut Vec<u8>) -> Written {
        match self {
            Self::Plain(plain) => return plain.write(context, out),
            Self::Header(side, main, other) => {
                let mut one = |header| write_header(context, *side, header, out);
                return found(one(main) || other.as_ref().is_some_and(one));
            }
            Self::HeaderBytes(side) => return number(out, header_bytes(context, *side)),
            Self::Path(source, with_query) => {
                let Some(path) = path(context, *source) else {
                    return Written::Nothing;
                };
                let path = if *with_query { &path } else { without_query(&path) };
                out.extend_from_slice(path);
            }
            Self::QueryParam(name) => {
                let value = query(context).and_then(|query| decoded_parameter(query, name));
                out.extend_from_slice(value.as_deref().unwrap_or_default());
                return found(value.is_some());
            }
            Self::QueryParams => return text(out, query(context)),
            Self::StartTime(format) => match context.start_time() {
                Some(time) => format.write(time, out),
                None => return Written::Nothing,
            },
            Self::EmitTime(format) => format.write(SystemTime::now(), out),
            Self::Span(from, to, unit) => {
                let start = from.map_or(Some(Default::default()), |point| context.elapsed(point));
                let span =
                    context.elapsed(*to).zip(start).and_then(|(end, start)| end.checked_sub(start));
                let Some(span) = span else {
                    return Written::Nothing;
                };
                let span = match unit {
                    TimeUnit::Milliseconds => span.as_millis(),
                    TimeUnit::Microseconds => span.as_micros(),
                    TimeUnit::Nanoseconds => span.as_nanos(),
                };
                return number(out, span as u64);
            }
            Self::Details { keep_spaces } => {
                let Some(details) = context.response_code_details() else {
                    return Written::Nothing;
                };
                let is_kept = |byte: u8| *keep_spaces || !byte.is_ascii_whitespace();
                out.extend(details.bytes().map(|byte| if is_kept(byte) { byte } else { b'_' }));
            }
            Self::Flags { long } => {
                let flags = context.response_flags();
                let _ =
                    if *long { write!(out, "{}", flags.long()) } else { write!(out, "{flags}") };
            }
            Self::HostName { with_port } => return host_name(context, *with_port, out),
            Self::Network(address, bits) => match address(context) {
                Some(address) => write_network(address.ip(), *bits, out),
                None => return Written::Nothing,
            },
            Self::GrpcStatus(style) => return style.write(context, out),
            Self::UniqueId => out.extend_from_slice(new_id().as_bytes()),
            Self::Constant(value) => out.extend_from_slice(value.as_bytes()),
        }
        Written::Text
    }
}

impl Plain {
    #[inline]
    fn write(&self, context: &dyn FormatContext, out: &mut Vec<u8>) -> Written {
        match self {
            Self::Number(ask) => ask(context).map_or(Written::Nothing, |n| number(out, n)),
            Self::Text(ask) => text(out, ask(context).as_deref()),
            Self::Address(ask, part) => {
                let Some(address) = ask(context) else {
                    return Written::Nothing;
                };
                let _ = match part {
                    AddressPart::Whole => write!(out, "{address}"),
                    AddressPart::Ip => write!(out, "{}", address.ip()),
                    AddressPart::Port => return number(out, address.port().into()),
                };
                Written::Text
            }
            Self::Absent => Written::Nothing,
        }
    }
}

pub(super) fn number(out: &mut Vec<u8>, number: u64) -> Written {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    Written::Number
}

fn text(out: &mut Vec<u8>, text: Option<&str>) -> Written {
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
    found(text.is_some())
}

fn found(is_found: bool) -> Written {
    if is_found { Written::Text } else { Written::Nothing }
}

fn without_query(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|byte| *byte == b'?');
    &path[..end.unwrap_or(path.len())]
}

fn map_of(context: &dyn FormatContext, side: Side) -> Option<&HeaderMap> {
    match side {
        Side::Request => context.request_headers(),
        Side::Response => context.response_headers(),
        Side::Trailers => context.response_trailers(),
    }
}

/// Writes a header's first line, or all of one that Envoy keeps as one.
fn write_header(
    context: &dyn FormatContext,
    side: Side,
    header: &HeaderRef,
    out: &mut Vec<u8>,
) -> bool {
    let of_request = side == Side::Request;
    match header {
        HeaderRef::Name(name) => map_of(context, side).is_some_and(|map| {
            let slots = if of_request { headers::Side::Request } else { headers::Side::Response };
            if let Some(joined) = headers::joined_if_single(slots, map, name) {
                out.extend_from_slice(&joined);
                return true;
            }
            let value = map.get(name);
            out.extend_from_slice(value.map_or(b"", |value| value.as_bytes()));
            value.is_some()
        }),
        HeaderRef::Status if side == Side::Response => {
            context.status().is_some_and(|code| number(out, code.into()) == Written::Number)
        }
        HeaderRef::Method if of_request => text(out, context.method()) == Written::Text,
        HeaderRef::Path if of_request => text(out, context.path()) == Written::Text,
        HeaderRef::Authority if of_request => text(out, context.authority()) == Written::Text,
        HeaderRef::Scheme if of_request => text(out, context.scheme()) == Written::Text,
        _ => false,
    }
}

fn header_bytes(context: &dyn FormatContext, side: Side) -> u64 {
    // `host` is counted as `:authority`, which it is to Envoy.
    let requests = side == Side::Request;
    let lines = map_of(context, side).map_or(0, |map| {
        map.iter()
            .filter(|(name, _)| !requests || *name != http::header::HOST)
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum()
    });
    let pseudo = match side {
        Side::Request => [
            (":method", context.method()),
            (":path", context.path()),
            (":authority", context.authority()),
            (":scheme", context.scheme()),
        ]
        .iter()
        .filter_map(|(name, value)| Some(name.len() + (*value)?.len()))
        .sum(),
        Side::Response if context.response_code().is_some() => ":status200".len(),
        Side::Response | Side::Trailers => 0,
    };
    (lines + pseudo) as u64
}

fn path(context: &dyn FormatContext, source: PathSource) -> Option<Cow<'_, [u8]>> {
    let original = || {
        let value = context.request_headers()?.get(ORIGINAL_PATH)?;
        Some(Cow::from(value.as_bytes()))
    };
    let current = || context.path().map(|path| Cow::from(path.as_bytes()));
    match source {
        PathSource::Original => original(),
        PathSource::Current => current(),
        PathSource::Either => original().or_else(current),
    }
}

fn query(context: &dyn FormatContext) -> Option<&str> {
    let (_, query) = context.path()?.split_once('?')?;
    Some(query)
}

/// The first parameter of this name, decoded. Unlike where routes look at it, Envoy decodes names
/// and values here; a plus stays one.
fn decoded_parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, [u8]>> {
    parameters(query)
        .find_map(|(key, value)| (*decoded(key) == *name.as_bytes()).then(|| decoded(value)))
}

/// Without percent-encoding; what is no such encoding stays.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    let hex = |digit: &u8| char::from(*digit).to_digit(16);
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let digits = rest.get(at + 1).and_then(hex).zip(rest.get(at + 2).and_then(hex));
        let (kept, length) = if digits.is_some() { (at, at + 3) } else { (at + 1, at + 1) };
        out.extend_from_slice(&rest[..kept]);
        out.extend(digits.map(|(high, low)| (high * 16 + low) as u8));
        rest = &rest[length..];
    }
    if out.is_empty() {
        return Cow::Borrowed(rest);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// The endpoint's name; without one its address.
fn host_name(context: &dyn FormatContext, with_port: bool, out: &mut Vec<u8>) -> Written {
    let _ = match (context.upstream_host_name(), context.upstream_host()) {
        (Some(name), _) if with_port => write!(out, "{name}"),
        (Some(name), _) => {
            let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let name = match name.rsplit_once(':') {
                Some((host, port)) if is_port(port) && !host.ends_with(':') => host,
                _ => name,
            };
            write!(out, "{name}")
        }
        (None, Some(address)) if with_port => write!(out, "{address}"),
        (None, Some(address)) => write!(out, "{}", address.ip()),
        (None, None) => return Written::Nothing,
    };
    Written::Text
}

fn write_network(ip: IpAddr, bits: u8, out: &mut Vec<u8>) {
    let kept = |width: u32| u128::MAX.checked_shl(width.saturating_sub(bits.into())).unwrap_or(0);
    let _ = match ip {
        IpAddr::V4(ip) => {
            let network = u32::from(ip) & kept(32) as u32;
            write!(out, "{}/{}", std::net::Ipv4Addr::from(network), bits.min(32))
        }
        IpAddr::V6(ip) => {
            let network = u128::from(ip) & kept(128);
            write!(out, "{}/{}", std::net::Ipv6Addr::from(network), bits.min(128))
        }
    };
}

/// Protocols as Envoy names them.
pub(super) fn protocol(version: Version) -> Cow<'static, str> {
    Cow::from(match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    })
}
