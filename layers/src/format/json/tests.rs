//! Lines as real Envoy 1.40 logged them.

use http::HeaderMap;
use proptest::prelude::*;

use super::*;

struct Seen(HeaderMap);

impl FormatContext for Seen {
    fn request_headers(&self) -> Option<&HeaderMap> {
        Some(&self.0)
    }
    fn method(&self) -> Option<&str> {
        Some("GET")
    }
    fn response_code(&self) -> Option<u16> {
        Some(502)
    }
    fn protocol(&self) -> Option<http::Version> {
        Some(http::Version::HTTP_11)
    }
}

fn seen(x: &[u8]) -> Seen {
    let value = http::HeaderValue::from_bytes(x).unwrap();
    Seen(HeaderMap::from_iter([(http::HeaderName::from_static("x"), value)]))
}

fn text(format: &str) -> JsonTemplate {
    JsonTemplate::Text(format.into())
}

fn object<const N: usize>(fields: [(&str, JsonTemplate); N]) -> Vec<(String, JsonTemplate)> {
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

fn line(format: &JsonFormat, context: &dyn FormatContext) -> String {
    let mut out = Vec::new();
    format.write(context, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn values_keep_their_types_and_names_are_sorted() {
    let format = JsonFormat::compile(&object([
        ("method", text("%REQ(:METHOD)%")),
        ("code", text("%RESPONSE_CODE%")),
        ("flags", text("%RESPONSE_FLAGS%")),
        (
            "nested",
            JsonTemplate::Object(object([
                ("b", text("%REQ(X)%")),
                ("absent", text("%REQ(X-NONE)%")),
            ])),
        ),
        ("mix", text("a %PROTOCOL% b")),
        ("list", JsonTemplate::List(vec![text("%REQ(nope)%"), text("b"), text("%BYTES_SENT%")])),
        ("", text("")),
        ("B", JsonTemplate::Bool(true)),
        ("n", JsonTemplate::Number(3.0)),
        ("f", JsonTemplate::Number(1.5)),
        ("null", JsonTemplate::Null),
        ("nan", JsonTemplate::Number(f64::NAN)),
        ("empty", JsonTemplate::Object(Vec::new())),
        ("percent", text("100%%")),
        ("two", text("%REQ(nope)%%REQ(nope)%")),
        ("spaced", text(" %RESPONSE_CODE%")),
        ("cut", text("%REQ(x):3%")),
        ("é\"", text("%PROTOCOL%%%")),
    ]));
    assert_eq!(
        line(&format.unwrap(), &seen(b"value")),
        concat!(
            r#"{"":"","B":true,"code":502,"cut":"val","empty":{},"f":1.5,"flags":"-","#,
            r#""list":[null,"b",0],"method":"GET","mix":"a HTTP/1.1 b","n":3,"nan":null,"#,
            r#""nested":{"absent":null,"b":"value"},"null":null,"percent":"100%","#,
            r#""spaced":" 502","two":"--","é\"":"HTTP/1.1%"}"#,
            "\n"
        )
    );
}

#[test]
fn strings_are_escaped_as_envoys() {
    let format =
        JsonFormat::compile(&object([("mix", text("é\"%REQ(x)%")), ("x", text("%REQ(x)%"))]))
            .unwrap();
    for (value, want) in [
        ("café".as_bytes(), r#"{"mix":"é\"café","x":"café"}"#),
        (b"\xe9x\xff", r#"{"mix":"é\"\u00e9x\u00ff","x":"\u00e9x\u00ff"}"#),
        (b"a\"b\\c/\td", r#"{"mix":"é\"a\"b\\c/\td","x":"a\"b\\c/\td"}"#),
        (b"<&>'", r#"{"mix":"é\"<&>'","x":"<&>'"}"#),
        (b"", r#"{"mix":"é\"","x":""}"#),
    ] {
        assert_eq!(line(&format, &seen(value)).trim_end(), want);
    }
}

#[test]
fn an_error_names_its_place() {
    let nested = JsonTemplate::List(vec![text("a"), text("b %NOPE%")]);
    let fields = object([("a", JsonTemplate::Object(object([("b", nested)])))]);
    let error = JsonFormat::compile(&fields).unwrap_err();
    assert_eq!((error.path.as_str(), error.error.offset), ("a.b.1", 2));
    assert_eq!(error.to_string(), "a.b.1: at byte 2: unknown format command `NOPE`");
}

/// Reads a JSON string as far as this module writes them; gives the characters.
fn unquote(json: &str) -> Option<String> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '"' | '\0'..='\x1f' => return None,
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                c @ ('"' | '\\') => c,
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

proptest! {
    #[test]
    fn any_value_can_be_read_back(value in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut json = vec![b'"'];
        let start = json.len();
        json.extend_from_slice(&value);
        escape_from(start, &mut json);
        json.push(b'"');
        let want = match std::str::from_utf8(&value) {
            Ok(text) => text.to_owned(),
            Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
        };
        prop_assert_eq!(unquote(&String::from_utf8(json).unwrap()), Some(want));
    }
}
