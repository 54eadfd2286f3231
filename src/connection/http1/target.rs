//! Methods and request targets: which ones Envoy accepts, and how hyper can carry them.

use std::borrow::Cow;

use super::bytes::{HOST, TARGET, URL_HOST, is};
use super::refusal::RefusalKind;

/// Whether Envoy's codec knows the method; it refuses any other token.
pub(crate) fn is_known_method(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET"
            | b"HEAD"
            | b"POST"
            | b"PUT"
            | b"DELETE"
            | b"OPTIONS"
            | b"PATCH"
            | b"CONNECT"
            | b"TRACE"
            | b"ACL"
            | b"BIND"
            | b"CHECKOUT"
            | b"COPY"
            | b"LINK"
            | b"LOCK"
            | b"MERGE"
            | b"MKACTIVITY"
            | b"MKCALENDAR"
            | b"MKCOL"
            | b"MOVE"
            | b"MSEARCH"
            | b"NOTIFY"
            | b"PROPFIND"
            | b"PROPPATCH"
            | b"PURGE"
            | b"REBIND"
            | b"REPORT"
            | b"SEARCH"
            | b"SOURCE"
            | b"SUBSCRIBE"
            | b"UNBIND"
            | b"UNLINK"
            | b"UNLOCK"
            | b"UNSUBSCRIBE"
    )
}

/// The target in a form that hyper can carry, or why it is refused.
///
/// Without `absolute_form` Envoy takes a URL, or `*`, for a path like any other, which is then found
/// not to be one: it is passed on for that, with any scheme and without its fragment.
pub(super) fn normalize<'a>(
    method: &[u8],
    target: &'a [u8],
    absolute_form: bool,
) -> Result<Cow<'a, [u8]>, RefusalKind> {
    if method == b"CONNECT" {
        return match authority(target) {
            Some(Authority { host: true, port: true }) => Ok(Cow::Borrowed(target)),
            _ => Err(RefusalKind::BadRequest),
        };
    }
    match target {
        [b'/', ..] => path(target),
        // Envoy lets `OPTIONS *x` through to a 404 as it does `OPTIONS *`.
        [b'*', rest @ ..]
            if (method == b"OPTIONS" || !absolute_form)
                && rest.iter().all(|&b| is_path_byte(b)) =>
        {
            Ok(Cow::Borrowed(b"*"))
        }
        [b'*', ..] => Err(RefusalKind::InvalidUrl),
        _ => absolute(target, absolute_form),
    }
}

/// A path with query; also what follows the authority of an absolute form.
fn path(target: &[u8]) -> Result<Cow<'_, [u8]>, RefusalKind> {
    if target.iter().all(|&byte| is(byte, TARGET)) {
        return Ok(Cow::Borrowed(target));
    }
    if !target.iter().all(|&byte| is_path_byte(byte)) {
        return Err(RefusalKind::BadRequest);
    }
    if target.contains(&b'#') {
        return Err(RefusalKind::FragmentInPath);
    }
    // Only bytes are left that an URI cannot carry.
    let mut encoded = Vec::with_capacity(target.len() + 16);
    let mut in_query = false;
    for &byte in target {
        in_query |= byte == b'?';
        let carried = match byte {
            b'<' | b'>' => false,
            b'`' => in_query,
            b'"' => !in_query,
            _ => true,
        };
        if carried {
            encoded.push(byte);
        } else {
            encoded.push(b'%');
            encoded.extend([byte >> 4, byte & 15].map(|digit| b"0123456789ABCDEF"[digit as usize]));
        }
    }
    Ok(Cow::Owned(encoded))
}

/// `http://[userinfo@]host[:port][/path]`, without the user info, which Envoy drops.
fn absolute(target: &[u8], allowed: bool) -> Result<Cow<'_, [u8]>, RefusalKind> {
    let fragment = target.iter().position(|&b| b == b'#').filter(|_| !allowed);
    let target = target.get(..fragment.unwrap_or(target.len())).unwrap_or_default();
    let colon = target.iter().position(|&b| b == b':').ok_or(RefusalKind::BadRequest)?;
    let (scheme, rest) = target.split_at_checked(colon).ok_or(RefusalKind::BadRequest)?;
    let rest = rest.strip_prefix(b"://").ok_or(RefusalKind::BadRequest)?;
    let known = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    let word = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(u8::is_ascii_alphanumeric);
    if !known && (allowed || !word) {
        return Err(RefusalKind::InvalidUrl);
    }
    let end = rest.iter().position(|&b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (whole_authority, path_and_query) =
        rest.split_at_checked(end).ok_or(RefusalKind::BadRequest)?;
    let mut parts = whole_authority.rsplitn(2, |&b| b == b'@');
    let host_port = parts.next().unwrap_or_default();
    let user = parts.next();
    let user_is_valid = user.is_none_or(|user| user.iter().all(|&b| is(b, HOST) && b != b'@'));
    if !user_is_valid || !authority(host_port).is_some_and(|authority| authority.host) {
        return Err(RefusalKind::InvalidUrl);
    }
    let path_and_query = match path_and_query {
        [] => Cow::Borrowed(path_and_query),
        [b'#', ..] => return Err(RefusalKind::FragmentInPath),
        _ => path(path_and_query)?,
    };
    if user.is_none() && matches!(path_and_query, Cow::Borrowed(_)) {
        return Ok(Cow::Borrowed(target));
    }
    Ok(Cow::Owned([scheme, b"://", host_port, &path_and_query].concat()))
}

/// Which parts a valid `host[:port]` has.
struct Authority {
    host: bool,
    port: bool,
}

/// Reads `host[:port]`; `None` if a part of it is not valid.
fn authority(input: &[u8]) -> Option<Authority> {
    let (host, port) = if let [b'[', rest @ ..] = input {
        let close = rest.iter().position(|&b| b == b']')?;
        let (host, rest) = rest.split_at_checked(close)?;
        let valid = host.iter().all(|&b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
        let colons = host.iter().filter(|&&b| b == b':').count();
        if !valid || !(2..=7).contains(&colons) {
            return None;
        }
        (host, rest.strip_prefix(b"]")?)
    } else {
        let end = input.iter().position(|&b| b == b':').unwrap_or(input.len());
        let (host, port) = input.split_at_checked(end)?;
        if !host.iter().all(|&b| is(b, URL_HOST)) {
            return None;
        }
        (host, port)
    };
    if !port.is_empty() {
        let digits = port.strip_prefix(b":")?;
        let number = str::from_utf8(digits).ok()?;
        if !digits.iter().all(u8::is_ascii_digit) || number.parse::<u16>().is_err() {
            return None;
        }
    }
    Some(Authority { host: !host.is_empty(), port: !port.is_empty() })
}

/// What Envoy accepts in a path or query.
fn is_path_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Result<String, RefusalKind> {
        normalize(b"GET", target.as_bytes(), true).map(|t| String::from_utf8_lossy(&t).into_owned())
    }

    #[test]
    fn origin_and_absolute_form() {
        for same in
            ["/", "/a?b=c/?%20", "//x", "/{}|\\^", "http://h", "HTTP://h:0/x", "https://h?x"]
        {
            assert_eq!(get(same).as_deref(), Ok(same));
        }
        assert_eq!(get("http://[::1]:8080/x").as_deref(), Ok("http://[::1]:8080/x"));
        assert_eq!(get("/\"<>`?\"<>`").as_deref(), Ok("/\"%3C%3E%60?%22%3C%3E`"));
        assert_eq!(get("http://u:p@h:1/x").as_deref(), Ok("http://h:1/x"));
        assert_eq!(get("http://@h/<").as_deref(), Ok("http://h/%3C"));
    }

    #[test]
    fn refused_targets() {
        for bad in ["", "x", "h/x", "/a\u{e9}", "/a\u{7f}", "/a\u{1}", "?x", "http:/x", "http//x"] {
            assert_eq!(get(bad), Err(RefusalKind::BadRequest), "{bad:?}");
        }
        for bad in [
            "*",
            "*x",
            "ftp://h/x",
            "ws://h/x",
            "http://",
            "http:///x",
            "http://h:/x",
            "http://h:x/",
            "http://h:65536/",
            "http://h:+1/",
            "http://h_x/",
            "http://u@v@h/",
            "http://[zz]/",
            "http://[::1/",
            "http://[1:2:3:4:5:6:7:8:9]/",
        ] {
            assert_eq!(get(bad), Err(RefusalKind::InvalidUrl), "{bad:?}");
        }
        for bad in ["/a#b", "/a?b#c", "/#", "http://h/x#y", "http://h#y"] {
            assert_eq!(get(bad), Err(RefusalKind::FragmentInPath), "{bad:?}");
        }
    }

    #[test]
    fn connect_and_options() {
        let connect = |target: &str| normalize(b"CONNECT", target.as_bytes(), true).is_ok();
        for good in ["h:80", "h:0", "h:080", "h:65535", "[::1]:80"] {
            assert!(connect(good), "{good}");
        }
        for bad in
            ["", "h", "h:", "h:65536", ":80", "/x", "http://h:80/", "u@h:80", "[::1:80", "h:8/"]
        {
            assert!(!connect(bad), "{bad}");
        }
        assert_eq!(normalize(b"OPTIONS", b"*", true).as_deref(), Ok(&b"*"[..]));
        assert_eq!(normalize(b"OPTIONS", b"*x", true).as_deref(), Ok(&b"*"[..]));
        assert!(normalize(b"OPTIONS", b"*\x01", true).is_err());
    }

    #[test]
    fn what_is_no_path_passes_where_a_url_is_not_allowed() {
        let get = |target: &str| {
            normalize(b"GET", target.as_bytes(), false)
                .map(|target| String::from_utf8_lossy(&target).into_owned())
        };
        assert_eq!(get("ftp://h/x").as_deref(), Ok("ftp://h/x"));
        assert_eq!(get("http://h/a#b").as_deref(), Ok("http://h/a"));
        assert_eq!(get("*").as_deref(), Ok("*"));
        assert_eq!(get("/a#b"), Err(RefusalKind::FragmentInPath));
        for bad in ["x", "h:80", "://h/"] {
            assert!(get(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_passes_is_what_an_uri_carries() {
        for byte in 0..=255u8 {
            let places = ["/a?b", "/ab?", "http://h/a?b", "http://h/ab?"];
            for (place, allowed) in places.into_iter().flat_map(|p| [(p, true), (p, false)]) {
                let mut target = place.as_bytes().to_vec();
                let at = if place.ends_with('?') { target.len() - 2 } else { target.len() };
                target.insert(at, byte);
                if let Ok(normal) = normalize(b"GET", &target, allowed) {
                    let uri = http::Uri::try_from(&*normal).expect("an URI");
                    let path = normal.strip_prefix(b"http://h").unwrap_or(&normal);
                    assert_eq!(uri.path_and_query().unwrap().as_str().as_bytes(), path);
                }
            }
        }
    }
}
