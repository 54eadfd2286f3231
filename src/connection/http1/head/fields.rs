//! Header lines, as Envoy's codec reads them, and back into plain ones.

use std::borrow::Cow;

use crate::config::model::UnderscoresAction;
use crate::connection::http1::GateConfig;
use crate::connection::http1::bytes::{TOKEN, is, trim};
use crate::connection::http1::refusal::RefusalKind;

/// Reads a complete trailer section, which ends with its empty line, into its plain form.
pub(in crate::connection::http1) fn read_trailers(
    input: &[u8],
    config: &GateConfig,
) -> Result<Vec<u8>, RefusalKind> {
    if has_controls(input) {
        return Err(RefusalKind::InvalidCharacters);
    }
    let mut fields = fields(input.split(|&byte| byte == b'\n'))?;
    if !config.enable_trailers {
        return Ok(b"\r\n".to_vec());
    }
    underscores(&mut fields, config)?;
    if fields.len() > config.max_headers {
        return Err(RefusalKind::TooManyHeaders);
    }
    // Fields that frame or route a message have no place in trailers (RFC 9110 section 6.5.1).
    fields.retain(|field| {
        !field.is(b"content-length") && !field.is(b"transfer-encoding") && !field.is(b"host")
    });
    let mut bytes = Vec::with_capacity(input.len() + 16);
    write_fields(&fields, &mut bytes);
    Ok(bytes)
}

/// One header, its value unfolded.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Cow<'a, [u8]>,
    /// Whether a CR stood inside the value.
    pub(super) cr: bool,
}

impl Field<'_> {
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The headers in `lines`, up to the empty one.
pub(super) fn fields<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Field<'a>>, RefusalKind> {
    let mut fields = Vec::<Field<'a>>::with_capacity(16);
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.first() {
            None => break,
            // A folded line: the line break goes, its blanks stay.
            Some(b' ' | b'\t') => {
                let field = fields.last_mut().ok_or(RefusalKind::BadRequest)?;
                field.value.to_mut().extend_from_slice(line);
            }
            Some(_) => {
                let colon = line.iter().position(|&byte| byte == b':');
                let (name, value) = colon
                    .and_then(|colon| line.split_at_checked(colon))
                    .ok_or(RefusalKind::BadRequest)?;
                if name.is_empty() || !name.iter().all(|&byte| is(byte, TOKEN)) {
                    return Err(RefusalKind::BadRequest);
                }
                let value = value.get(1..).unwrap_or_default();
                fields.push(Field { name, value: Cow::Borrowed(value), cr: false });
            }
        }
    }
    for field in &mut fields {
        field.value = match &field.value {
            Cow::Borrowed(value) => Cow::Borrowed(trim(value)),
            Cow::Owned(value) => Cow::Owned(trim(value).to_vec()),
        };
        field.cr = field.value.contains(&b'\r');
        if field.cr {
            field.value.to_mut().retain(|&byte| byte != b'\r');
        }
    }
    Ok(fields)
}

/// Applies `headers_with_underscores_action`; returns how many headers it dropped.
pub(super) fn underscores(
    fields: &mut Vec<Field<'_>>,
    config: &GateConfig,
) -> Result<u32, RefusalKind> {
    let before = fields.len();
    match config.underscores {
        UnderscoresAction::Allow => {}
        UnderscoresAction::RejectRequest => {
            if fields.iter().any(|field| field.name.contains(&b'_')) {
                return Err(RefusalKind::Underscore);
            }
        }
        UnderscoresAction::DropHeader => fields.retain(|field| !field.name.contains(&b'_')),
    }
    Ok(u32::try_from(before - fields.len()).unwrap_or(u32::MAX))
}

/// Joins repeated `name` lines into the first one, as Envoy does with headers it knows.
pub(super) fn merge(fields: &mut Vec<Field<'_>>, name: &[u8]) {
    if fields.iter().filter(|field| field.is(name)).count() < 2 {
        return;
    }
    let values: Vec<_> = fields.iter().filter(|field| field.is(name)).collect();
    let values: Vec<&[u8]> =
        values.iter().map(|field| &*field.value).filter(|value| !value.is_empty()).collect();
    let joined = values.join(&b',');
    let mut first = true;
    fields.retain(|field| !field.is(name) || std::mem::take(&mut first));
    if let Some(field) = fields.iter_mut().find(|field| field.is(name)) {
        field.value = Cow::Owned(joined);
    }
}

/// Whether a head or trailer section has a byte no part of it may have.
pub(super) fn has_controls(input: &[u8]) -> bool {
    input.iter().any(|&b| (b < b' ' && !matches!(b, b'\t' | b'\r' | b'\n')) || b == 0x7f)
}

pub(super) fn write_fields(fields: &[Field<'_>], bytes: &mut Vec<u8>) {
    for field in fields {
        bytes.extend_from_slice(field.name);
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(&field.value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}
