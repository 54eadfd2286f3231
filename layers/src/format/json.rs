//! Formats that make a JSON object of each request.

use super::command::Written;
use super::context::FormatContext;
use super::parse::{FormatError, Piece, parse};
use super::write_piece;

/// A JSON value whose texts are formats: what a JSON format is compiled from.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTemplate {
    /// A format. One that is a single command gives the command's value: numbers stay numbers,
    /// what is absent is `null`. Any other gives text.
    Text(String),
    /// A number, printed as it is.
    Number(f64),
    /// A truth value, printed as it is.
    Bool(bool),
    /// `null`
    Null,
    /// A list.
    List(Vec<JsonTemplate>),
    /// An object.
    Object(Vec<(String, JsonTemplate)>),
}

/// A JSON format, compiled.
///
/// ```
/// use front_proxy_layers::format::{JsonFormat, JsonTemplate};
///
/// let text = |format: &str| JsonTemplate::Text(format.into());
/// let format = JsonFormat::compile(&[
///     ("method".into(), text("%REQ(:METHOD)%")),
///     ("code".into(), text("%RESPONSE_CODE%")),
/// ])?;
/// let mut line = Vec::new();
/// format.write(&(), &mut line);
/// assert_eq!(line, b"{\"code\":0,\"method\":null}\n");
/// # Ok::<(), front_proxy_layers::format::JsonFormatError>(())
/// ```
#[derive(Clone, Debug)]
pub struct JsonFormat(Vec<(Vec<u8>, Node)>);

#[derive(Clone, Debug)]
enum Node {
    /// Printed as it is.
    Fixed(Vec<u8>),
    Command(Piece),
    Mixed(Vec<Piece>),
    List(Vec<Node>),
    Object(Vec<(Vec<u8>, Node)>),
}

/// What is wrong with a JSON format, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFormatError {
    /// Keys and list positions down to the text: `nested.0.host`.
    pub path: String,
    /// What is wrong with it.
    pub error: FormatError,
}

impl std::fmt::Display for JsonFormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.error)
    }
}

impl std::error::Error for JsonFormatError {}

impl JsonFormat {
    /// Compiles the fields of an object. They are printed in the order of their names, as Envoy
    /// does.
    ///
    /// # Errors
    ///
    /// A text in it is no format; the error says which, by its path of names.
    pub fn compile(fields: &[(String, JsonTemplate)]) -> Result<Self, JsonFormatError> {
        compile_object(fields, "").map(Self)
    }

    /// Appends the object as one line.
    pub fn write(&self, context: &dyn FormatContext, out: &mut Vec<u8>) {
        write_object(&self.0, context, out);
        out.push(b'\n');
    }
}

fn compile_object(
    fields: &[(String, JsonTemplate)],
    path: &str,
) -> Result<Vec<(Vec<u8>, Node)>, JsonFormatError> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    let compiled = fields.into_iter().map(|(name, value)| {
        let mut key = quoted(name);
        key.push(b':');
        Ok((key, compile_node(value, &join(path, name))?))
    });
    compiled.collect()
}

fn compile_node(template: &JsonTemplate, path: &str) -> Result<Node, JsonFormatError> {
    Ok(match template {
        JsonTemplate::Text(text) => {
            let mut pieces =
                parse(text).map_err(|error| JsonFormatError { path: path.to_owned(), error })?;
            match (pieces.pop(), pieces.is_empty()) {
                (Some(piece @ Piece::Command(..)), true) => Node::Command(piece),
                (Some(Piece::Text(text)), true) => Node::Fixed(quoted(&text)),
                (None, _) => Node::Fixed(quoted("")),
                (Some(last), false) => {
                    pieces.push(last);
                    Node::Mixed(pieces)
                }
            }
        }
        JsonTemplate::Number(number) if number.is_finite() => {
            Node::Fixed(number.to_string().into_bytes())
        }
        JsonTemplate::Number(_) | JsonTemplate::Null => Node::Fixed(b"null".to_vec()),
        JsonTemplate::Bool(value) => Node::Fixed(value.to_string().into_bytes()),
        JsonTemplate::List(values) => {
            let nodes = values.iter().enumerate();
            let nodes = nodes.map(|(n, value)| compile_node(value, &join(path, &n.to_string())));
            Node::List(nodes.collect::<Result<_, _>>()?)
        }
        JsonTemplate::Object(fields) => Node::Object(compile_object(fields, path)?),
    })
}

fn join(path: &str, name: &str) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    format!("{path}{dot}{name}")
}

fn quoted(text: &str) -> Vec<u8> {
    let mut json = vec![b'"'];
    push_escaped(text.as_bytes(), &mut json);
    json.push(b'"');
    json
}

fn write_object(fields: &[(Vec<u8>, Node)], context: &dyn FormatContext, out: &mut Vec<u8>) {
    out.push(b'{');
    for (n, (key, value)) in fields.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        value.write(context, out);
    }
    out.push(b'}');
}

impl Node {
    fn write(&self, context: &dyn FormatContext, out: &mut Vec<u8>) {
        match self {
            Self::Fixed(json) => out.extend_from_slice(json),
            Self::Command(command) => {
                out.push(b'"');
                let start = out.len();
                match write_piece(command, context, out) {
                    Written::Text => {
                        escape_from(start, out);
                        out.push(b'"');
                    }
                    Written::Number => {
                        out.remove(start - 1);
                    }
                    Written::Nothing => {
                        out.truncate(start - 1);
                        out.extend_from_slice(b"null");
                    }
                }
            }
            Self::Mixed(pieces) => {
                out.push(b'"');
                for piece in pieces {
                    let start = out.len();
                    if write_piece(piece, context, out) == Written::Nothing {
                        out.push(b'-');
                    }
                    escape_from(start, out);
                }
                out.push(b'"');
            }
            Self::List(values) => {
                out.push(b'[');
                for (n, value) in values.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    value.write(context, out);
                }
                out.push(b']');
            }
            Self::Object(fields) => write_object(fields, context, out),
        }
    }
}

/// Escapes what was written from `start` on for a JSON string.
fn escape_from(start: usize, out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if !out[start..].iter().all(is_plain) {
        let text = out.split_off(start);
        push_escaped(&text, out);
    }
}

/// Bytes that are not UTF-8 are taken for Latin-1, as Envoy does.
fn push_escaped(text: &[u8], out: &mut Vec<u8>) {
    let is_utf8 = std::str::from_utf8(text).is_ok();
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f | 0x7f => push_escape(byte, out),
            0x80.. if !is_utf8 => push_escape(byte, out),
            _ => out.push(byte),
        }
    }
}

fn push_escape(byte: u8, out: &mut Vec<u8>) {
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    out.extend_from_slice(b"\\u00");
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
mod tests;
