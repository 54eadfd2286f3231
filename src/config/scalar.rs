//! What a piece of YAML text says: text, a number, a boolean, nothing or a duration.
//!
//! Plain text is typed as Envoy's reader (yaml-cpp) does it, so that a file means the same to both.

use std::time::Duration;

/// A YAML scalar.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    text: String,
    plain: bool,
}

/// What a scalar says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Typed<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
}

impl Scalar {
    pub(super) fn new(text: String, plain: bool) -> Self {
        Self { text, plain }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    pub(super) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    pub(super) fn typed(&self) -> Typed<'_> {
        if !self.plain {
            return Typed::Text(&self.text);
        }
        if self.is_null() {
            return Typed::Null;
        }
        if let Some(value) = boolean(&self.text) {
            return Typed::Bool(value);
        }
        if let Some(value) = integer(&self.text) {
            return Typed::Integer(value);
        }
        if let Some(value) = float(&self.text) {
            return Typed::Float(value);
        }
        Typed::Text(&self.text)
    }

    pub(super) fn describe(&self) -> &'static str {
        match self.typed() {
            Typed::Null => "nothing",
            Typed::Bool(_) => "a boolean",
            Typed::Integer(_) | Typed::Float(_) => "a number",
            Typed::Text(_) => "text",
        }
    }
}

/// YAML 1.1's words for true and false, which Envoy takes as well.
fn boolean(text: &str) -> Option<bool> {
    let first = text.chars().next()?;
    let rest = &text[first.len_utf8()..];
    let one_case = rest.chars().all(|c| c.is_ascii_lowercase())
        || (first.is_ascii_uppercase() && rest.chars().all(|c| c.is_ascii_uppercase()));
    if !one_case {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, `0x` hexadecimal or, with a leading zero, octal.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let value = if let Some(hex) = lower.strip_prefix("0x") {
        // `from_str_radix` would take a sign here.
        if !hex.starts_with(|c: char| c.is_ascii_hexdigit()) {
            return None;
        }
        i128::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i128::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    i64::try_from(if negative { -value } else { value }).ok()
}

fn float(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['-', '+']);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+'))
        && digits.contains(|c: char| c.is_ascii_digit());
    if !numeric {
        return None;
    }
    text.parse().ok().filter(|f: &f64| f.is_finite())
}

/// A duration as proto3 JSON writes it: `1.5s`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "a duration is a number of seconds and an `s`, as in \"1.5s\"";
    let number = text.strip_suffix('s').ok_or(SHAPE)?;
    if number.starts_with('-') {
        return Err("a duration can't be negative");
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(SHAPE);
    }
    if fraction.len() > 9 {
        return Err("a duration has at most nine digits after the point");
    }
    let seconds: u64 = whole.parse().map_err(|_| "this duration is too long")?;
    let nanos: u32 = format!("{fraction:0<9}").parse().map_err(|_| SHAPE)?;
    checked_duration(seconds, nanos)
}

/// A duration whose nanoseconds fit into 63 bits (292 years), which is what Envoy takes.
pub(super) fn checked_duration(seconds: u64, nanos: u32) -> Result<Duration, &'static str> {
    if seconds >= i64::MAX.unsigned_abs() / 1_000_000_000 {
        return Err("this duration is too long");
    }
    if nanos > 999_999_999 {
        return Err("`nanos` must be less than a second");
    }
    Ok(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Scalar {
        Scalar::new(text.to_owned(), true)
    }

    #[test]
    fn plain_text_has_a_type() {
        for (text, expected) in [
            ("~", Typed::Null),
            ("null", Typed::Null),
            ("yes", Typed::Bool(true)),
            ("True", Typed::Bool(true)),
            ("OFF", Typed::Bool(false)),
            ("tRUE", Typed::Text("tRUE")),
            ("12", Typed::Integer(12)),
            ("-3", Typed::Integer(-3)),
            ("+3", Typed::Integer(3)),
            ("0x1F", Typed::Integer(31)),
            ("010", Typed::Integer(8)),
            ("08", Typed::Float(8.0)),
            ("1e2", Typed::Float(100.0)),
            (".5", Typed::Float(0.5)),
            ("1.2.3", Typed::Text("1.2.3")),
            ("127.0.0.1", Typed::Text("127.0.0.1")),
            ("0x", Typed::Text("0x")),
            ("e5", Typed::Text("e5")),
            (".", Typed::Text(".")),
            ("-", Typed::Text("-")),
            ("1.5s", Typed::Text("1.5s")),
            ("inf", Typed::Text("inf")),
            ("99999999999999999999", Typed::Float(1e20)),
        ] {
            assert_eq!(typed(text).typed(), expected, "{text}");
        }
    }

    #[test]
    fn quoted_text_is_text() {
        let quoted = Scalar::new("12".to_owned(), false);
        assert_eq!(quoted.typed(), Typed::Text("12"));
        assert!(!Scalar::new(String::new(), false).is_null());
    }

    #[test]
    fn durations() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("0.000000001s"), Ok(Duration::from_nanos(1)));
        assert_eq!(duration("86400s"), Ok(Duration::from_secs(86400)));
        for bad in ["1", "s", "", "1m", "100ms", ".5s", "1.s", "-1s", "+1s", "1 s", "1e3s", "٣s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(duration("0.0000000001s").is_err());
        assert!(duration("9223372035.9s").is_ok());
        assert!(duration("9223372036s").is_err());
        assert!(duration("99999999999999999999999s").is_err());
    }
}
