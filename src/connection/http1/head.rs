//! The slow path: a head that is not plain is read as Envoy's codec reads it, and is refused or
//! written anew in the plain form that hyper reads the same way.

mod end;
mod fields;

use std::borrow::Cow;

use front_proxy_layers::sanitize::may_nominate;
use http::header::{EXPECT, HeaderMap, HeaderValue};

use self::fields::{Field, fields, has_controls, merge, underscores, write_fields};
use super::GateConfig;
use super::bytes::{HOST, is, trim};
use super::framing::Framing;
use super::refusal::{Refusal, RefusalKind};
use super::target::{is_known_method, normalize};

pub(super) use self::end::{EndFinder, Found};
pub(super) use self::fields::read_trailers;

/// hyper keeps the lengths above for itself.
const MAX_LENGTH: u64 = u64::MAX - 2;

/// A head that passes, in its plain form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// What hyper gets.
    pub(super) bytes: Vec<u8>,
    pub(super) framing: Framing,
    /// An answer of 101 (to `CONNECT`: any 2xx) turns the connection into a tunnel.
    pub(super) upgrade: bool,
    pub(super) connect: bool,
    /// The gate owes the client a `100 Continue`.
    pub(super) expect_continue: bool,
    /// Headers left out for an underscore in their name.
    pub(super) dropped_underscores: u32,
}

/// Reads a complete head, `input`, which ends with its empty line.
///
/// The order of the checks is Envoy's: it decides which answer a head with two faults gets.
pub(super) fn read(input: &[u8], config: &GateConfig) -> Result<Head, Refusal> {
    check(input, config).map_err(|mut refusal| {
        let line = input.split(|&byte| byte == b'\n').next().unwrap_or_default();
        refusal.http_10 = config.accept_http_10
            && refusal.kind.is_of_whole_head()
            && RequestLine::split(trim(line)).2 == b"HTTP/1.0";
        refusal
    })
}

fn check(input: &[u8], config: &GateConfig) -> Result<Head, Refusal> {
    let refuse = |kind| Err(Refusal::new(kind));
    let mut lines = input.split(|&byte| byte == b'\n');
    let request_line = lines.next().unwrap_or_default();
    if has_controls(input) {
        return refuse(RefusalKind::InvalidCharacters);
    }
    let mut fields = fields(lines).map_err(Refusal::new)?;
    let dropped_underscores = underscores(&mut fields, config).map_err(Refusal::new)?;
    let body = Body::of(&mut fields, config).map_err(Refusal::new)?;
    merge(&mut fields, b"host");
    merge(&mut fields, b"expect");
    if fields.len() > config.max_headers {
        return refuse(RefusalKind::TooManyHeaders);
    }
    let framing = body.framing().map_err(Refusal::new)?;
    let request = RequestLine::parse(request_line, config.allow_absolute_url);
    let old_version = RequestLine::split(request_line).2 != b"HTTP/1.1";
    // Envoy's codec takes every version: it is its connection manager that does not.
    let wrong_version = old_version && !config.accept_http_10;
    let request = match request {
        Err(RefusalKind::FragmentInPath) if wrong_version => return refuse(RefusalKind::Version),
        Err(RefusalKind::FragmentInPath) => return Err(fragment(request_line, &fields)),
        other => other.map_err(Refusal::new)?,
    };
    if config.refuse_https_url
        && config.allow_absolute_url
        && request.target.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"https://"))
    {
        return refuse(RefusalKind::HttpsInPlaintext);
    }
    let nominates = |field: &Field<'_>| field.is(b"connection") && !may_nominate(&field.value);
    if fields.iter().any(nominates) {
        return refuse(RefusalKind::ConnectionHeader);
    }
    let connect = request.method == b"CONNECT";
    if connect && framing == Framing::Chunked {
        return refuse(RefusalKind::TransferEncoding);
    }
    if connect && framing != Framing::Empty && framing != Framing::Length(0) {
        return refuse(RefusalKind::BodyDisallowed);
    }
    if wrong_version {
        return refuse(RefusalKind::Version);
    }
    if old_version && framing == Framing::Chunked {
        return refuse(RefusalKind::BadRequest);
    }
    // The authority of an absolute form takes the place of Host, which is then not looked at.
    let origin_form = request.target.first() == Some(&b'/') || *request.target == *b"*";
    let invalid = |field: &&mut Field<'_>| !field.value.iter().all(|&byte| is(byte, HOST));
    if let Some(host) = fields.iter_mut().find(|field| field.is(b"host")).filter(invalid) {
        if origin_form || connect || !config.allow_absolute_url {
            return refuse(RefusalKind::InvalidAuthority);
        }
        host.value = Cow::Borrowed(b"");
    }
    let expect = fields
        .iter()
        .position(|field| field.is(b"expect") && field.value.eq_ignore_ascii_case(b"100-continue"));
    match expect {
        Some(at) if config.answer_100_continue => drop(fields.remove(at)),
        // hyper would say it as soon as the body is read, and it is the upstream that should.
        Some(at) => {
            if let Some(field) = fields.get_mut(at) {
                field.value.to_mut().push(HIDES);
            }
        }
        None => {}
    }
    let upgrade = fields.iter().any(|field| field.is(b"upgrade"));
    let framing = if !old_version && !connect && asks_to_switch(&fields) {
        without_body(&mut fields, framing)
    } else {
        framing
    };
    let bytes = write(&request, old_version, &fields, input.len());
    let expect_continue = expect.is_some() && config.answer_100_continue;
    Ok(Head { bytes, framing, upgrade, connect, expect_continue, dropped_underscores })
}

/// What hides an `Expect: 100-continue` from hyper, behind its value. Nobody sends it: no charset of
/// a header ends in it.
const HIDES: u8 = 0xff;

/// Shows what was hidden from hyper.
pub(super) fn show_expect(headers: &mut HeaderMap) {
    if let Some(value) = headers.get_mut(EXPECT)
        && let Some(hidden) = value.as_bytes().strip_suffix(&[HIDES])
        && let Ok(shown) = HeaderValue::from_bytes(hidden)
    {
        *value = shown;
    }
}

/// Whether the request asks for another protocol. The switch to HTTP/2 is not among them: Envoy
/// serves such a request as if it had not asked.
fn asks_to_switch(fields: &[Field<'_>]) -> bool {
    let upgrades = |field: &Field<'_>| {
        let mut tokens = field.value.split(|&byte| byte == b',');
        field.is(b"connection") && tokens.any(|token| trim(token).eq_ignore_ascii_case(b"upgrade"))
    };
    let mut protocols = fields.iter().filter(|field| field.is(b"upgrade"));
    protocols.next().is_some_and(|field| !field.value.eq_ignore_ascii_case(b"h2c"))
        && fields.iter().any(upgrades)
}

/// What follows a request for another protocol is that protocol's, as Envoy's codec has it, and not
/// a body of so many bytes or chunks: nothing of it goes anywhere before the switch is granted, and
/// where it is not the connection ends.
fn without_body(fields: &mut Vec<Field<'_>>, framing: Framing) -> Framing {
    if matches!(framing, Framing::Empty | Framing::Length(0)) {
        return framing;
    }
    fields.retain(|field| !field.is(b"content-length") && !field.is(b"transfer-encoding"));
    Framing::Empty
}

/// `METHOD target HTTP/x.y`, however many blanks lie between.
#[derive(Debug)]
struct RequestLine<'a> {
    method: &'a [u8],
    target: Cow<'a, [u8]>,
    /// Empty for HTTP/0.9.
    version: &'a [u8],
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8], absolute_form: bool) -> Result<Self, RefusalKind> {
        let (method, target, version) = Self::split(line);
        if !is_known_method(method) {
            return Err(RefusalKind::BadRequest);
        }
        let target = normalize(method, target, absolute_form);
        match version {
            [] | [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {}
            _ => return Err(RefusalKind::BadRequest),
        }
        Ok(Self { method, target: target?, version })
    }

    /// The three words of a request line; the last one keeps inner blanks.
    fn split(line: &'a [u8]) -> (&'a [u8], &'a [u8], &'a [u8]) {
        let word = |input: &'a [u8]| {
            let start = input.iter().position(|&b| b > b' ').unwrap_or(input.len());
            let input = input.get(start..).unwrap_or_default();
            let end = input.iter().position(|&b| b <= b' ').unwrap_or(input.len());
            input.split_at_checked(end).unwrap_or((input, &[]))
        };
        // A line that begins with a blank has no method.
        let end = line.iter().position(|&b| b <= b' ').unwrap_or(line.len());
        let (method, rest) = line.split_at_checked(end).unwrap_or((line, &[]));
        let (target, rest) = word(rest);
        (method, target, trim(rest))
    }
}

/// What the headers say about the body.
#[derive(Debug, Clone, Copy)]
struct Body {
    length: Option<u64>,
    coding: Option<Coding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    Unknown,
}

impl Body {
    /// Reads them, and drops a length that `allow_chunked_length` makes meaningless.
    fn of(fields: &mut Vec<Field<'_>>, config: &GateConfig) -> Result<Self, RefusalKind> {
        let mut lengths = fields.iter().filter(|field| field.is(b"content-length"));
        let mut codings = fields.iter().filter(|field| field.is(b"transfer-encoding"));
        let (length, coding) = (lengths.next(), codings.next());
        let repeated = codings.next().is_some();
        if lengths.next().is_some() {
            return Err(RefusalKind::BadRequest);
        }
        if length.into_iter().chain(coding).any(|field| field.cr) {
            return Err(RefusalKind::BadRequest);
        }
        let coding = coding.map(|field| match field.value.eq_ignore_ascii_case(b"chunked") {
            true if !repeated => Coding::Chunked,
            _ => Coding::Unknown,
        });
        if length.is_some() && coding.is_some() {
            if !config.allow_chunked_length || coding != Some(Coding::Chunked) {
                return Err(RefusalKind::LengthAndChunked);
            }
            fields.retain(|field| !field.is(b"content-length"));
            return Ok(Self { length: None, coding });
        }
        let length = length.map(|field| number(&field.value).ok_or(RefusalKind::BadRequest));
        Ok(Self { length: length.transpose()?, coding })
    }

    fn framing(self) -> Result<Framing, RefusalKind> {
        match (self.coding, self.length) {
            (Some(Coding::Unknown), _) => Err(RefusalKind::TransferEncoding),
            (Some(Coding::Chunked), _) => Ok(Framing::Chunked),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (None, None) => Ok(Framing::Empty),
        }
    }
}

/// A fragment is refused where Envoy looks at paths, which is after it looked for a Host.
fn fragment(request_line: &[u8], fields: &[Field<'_>]) -> Refusal {
    let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
    let (method, target, _) = RequestLine::split(request_line);
    let host = fields.iter().find(|field| field.is(b"host"));
    let kind = match (host, target.first()) {
        (None, Some(b'/')) => RefusalKind::MissingHost,
        _ => RefusalKind::FragmentInPath,
    };
    Refusal {
        method: text(method),
        target: text(target),
        host: host.and_then(|field| text(&field.value)),
        ..Refusal::new(kind)
    }
}

fn write(request: &RequestLine<'_>, old: bool, fields: &[Field<'_>], len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 64);
    bytes.extend_from_slice(request.method);
    bytes.push(b' ');
    bytes.extend_from_slice(&request.target);
    bytes.extend_from_slice(if old { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
    write_fields(fields, &mut bytes);
    bytes
}

/// Digits only; leading zeros are fine.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0u64, |sum, &byte| sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')))?;
    (value <= MAX_LENGTH).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::scan;
    use super::*;

    fn normal(input: &str) -> Result<String, RefusalKind> {
        read(input.as_bytes(), &GateConfig::default())
            .map(|head| String::from_utf8_lossy(&head.bytes).into_owned())
            .map_err(|refusal| refusal.kind)
    }

    #[test]
    fn the_first_fault_in_envoys_order_decides() {
        let many = "a: b\r\n".repeat(101);
        for (lines, kind) in [
            ("transfer-encoding: x\r\ncontent-length: y\r\n", RefusalKind::LengthAndChunked),
            ("host: a b\r\ntransfer-encoding: x\r\n", RefusalKind::TransferEncoding),
            (&*format!("transfer-encoding: x\r\n{many}"), RefusalKind::TooManyHeaders),
            (&*format!("content-length: x\r\n{many}"), RefusalKind::BadRequest),
            (&*format!("bad\r\n{many}"), RefusalKind::BadRequest),
            (&*format!("host: a b\r\n{many}"), RefusalKind::TooManyHeaders),
            ("x: \u{1}\r\nbad\r\n", RefusalKind::InvalidCharacters),
        ] {
            assert_eq!(normal(&format!("GET /x HTTP/1.1\r\n{lines}\r\n")), Err(kind), "{lines:?}");
        }
        let old = format!("GET /x HTTP/1.0\r\n{many}\r\n");
        assert_eq!(normal(&old), Err(RefusalKind::TooManyHeaders));
        for (old, kind) in [
            ("GET /x HTTP/1.2\r\ntransfer-encoding: x\r\n\r\n", RefusalKind::TransferEncoding),
            ("GET /x HTTP/1.0\r\nconnection: forwarded\r\n\r\n", RefusalKind::ConnectionHeader),
            ("CONNECT h:1 HTTP/1.0\r\ncontent-length: 1\r\n\r\n", RefusalKind::BodyDisallowed),
            ("GET /x HTTP/1.0\r\nhost: a b\r\n\r\n", RefusalKind::Version),
            ("GET /x#y HTTP/1.0\r\n\r\n", RefusalKind::Version),
            ("POST /x HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", RefusalKind::Version),
        ] {
            assert_eq!(normal(old), Err(kind), "{old:?}");
        }
        let config = GateConfig { refuse_https_url: true, ..GateConfig::default() };
        let refused = read(b"GET https://h/ HTTP/1.0\r\n\r\n", &config).map_err(|r| r.kind);
        assert_eq!(refused.err(), Some(RefusalKind::HttpsInPlaintext));
    }

    #[test]
    fn a_cr_at_the_end_of_a_framing_header_is_only_a_blank() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: \rchunked\r\r\n\r\n";
        let plain = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(normal(head).as_deref(), Ok(plain));
    }

    #[test]
    fn what_follows_a_request_to_switch_is_no_body() {
        let read = |lines: &str| {
            let head = format!("POST / HTTP/1.1\r\n{lines}\r\n");
            let head = read(head.as_bytes(), &GateConfig::default()).expect("sound");
            (head.framing, String::from_utf8_lossy(&head.bytes).contains("content-length"))
        };
        let switch = "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\n";
        assert_eq!(read(&format!("{switch}content-length: 5\r\n")), (Framing::Empty, false));
        assert_eq!(
            read(&format!("{switch}transfer-encoding: chunked\r\n")),
            (Framing::Empty, false)
        );
        assert_eq!(read(&format!("{switch}content-length: 0\r\n")), (Framing::Length(0), true));
        for other in [
            "connection: upgrade\r\n",
            "upgrade: websocket\r\n",
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\n",
        ] {
            let kept = (Framing::Length(5), true);
            assert_eq!(read(&format!("{other}content-length: 5\r\n")), kept, "{other}");
        }
    }

    fn head() -> impl Strategy<Value = String> {
        let target = "(/[a-c?%#<]{0,4}|\\*|http://h(:1)?/?)";
        let line = "(x|host|te|content-length|transfer-encoding|expect|upgrade|connection|a_b): ?(chunked|100-continue|upgrade|[0-9]{1,3}|[a-c \\t\r]{0,4})(\r\n|\n| \r\n)";
        let headers = proptest::collection::vec(line, 0..5);
        ("(GET|POST|OPTIONS|BREW)", target, "(HTTP/1\\.[01])", headers, "(\r\n|\n)").prop_map(
            |(method, target, version, headers, end)| {
                format!("{method} {target} {version}\r\n{}{end}", headers.concat())
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4096,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// What the fast path lets through is what the slow path would, and reads the same.
        #[test]
        fn both_paths_agree(head in head()) {
            let config = GateConfig::default();
            if let Some(plain) = scan(head.as_bytes(), &config) {
                let slow = read(head.as_bytes(), &config).expect("plain heads are sound");
                prop_assert_eq!(plain.framing, slow.framing);
                prop_assert_eq!(plain.upgrade, slow.upgrade);
                prop_assert_eq!(plain.len, head.len());
            }
        }

        /// What is rewritten is plain, so rewriting it again changes nothing.
        #[test]
        fn rewriting_once_is_enough(head in head()) {
            let config = GateConfig { accept_http_10: true, ..GateConfig::default() };
            if let Ok(once) = read(head.as_bytes(), &config) {
                let twice = read(&once.bytes, &config).expect("still sound");
                prop_assert_eq!(&once.bytes, &twice.bytes);
                prop_assert_eq!(once.framing, twice.framing);
                let bytes = String::from_utf8_lossy(&once.bytes).into_owned();
                let path = bytes.split(' ').nth(1).is_some_and(|target| target.starts_with('/'));
                let plain = !bytes.contains("expect") && !bytes.contains("connection");
                if path && plain && bytes.contains(" HTTP/1.1\r\n") {
                    prop_assert!(scan(&once.bytes, &config).is_some(), "{bytes:?}");
                }
            }
        }
    }
}
