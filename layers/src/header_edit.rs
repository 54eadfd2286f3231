//! Adding, replacing and removing headers, as routes, virtual hosts and route tables ask.
//!
//! A [`HeaderEditor`] holds the edits of all levels that concern a route, compiled and in order.
//! Within a level removals come first; then all values are made, of the headers as they are then;
//! then come those that overwrite, then those that are added.
//!
//! ```
//! use front_proxy_layers::header_edit::{HeaderEditor, Levels};
//! use front_proxy_layers::route::{AppendAction, HeaderAdd, HeaderEdits};
//!
//! let edits = HeaderEdits {
//!     request_add: vec![HeaderAdd {
//!         name: "x-was".parse()?,
//!         value: "%REQ(x-old)%!".into(),
//!         action: AppendAction::AppendIfExistsOrAdd,
//!         keep_empty_value: false,
//!     }],
//!     request_remove: vec!["x-secret".parse()?],
//!     ..HeaderEdits::default()
//! };
//! let editor = HeaderEditor::compile(Levels { route: Some(&edits), ..Levels::default() })?;
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert("x-old", "1".parse()?);
//! headers.insert("x-secret", "2".parse()?);
//! editor.edit_request(&mut headers, &());
//! assert_eq!(headers["x-was"], "1!");
//! assert!(!headers.contains_key("x-secret"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::format::{Format, FormatContext, FormatError, Overlay, RequestLine};
use crate::headers::{self, Side};
use crate::route::{AppendAction, HeaderAdd, HeaderEdits, view};

/// The edits that concern a route.
#[derive(Clone, Copy, Debug, Default)]
pub struct Levels<'c> {
    /// Those of the weighted cluster. They always run first.
    pub weighted_cluster: Option<&'c HeaderEdits>,
    /// Those of the route.
    pub route: Option<&'c HeaderEdits>,
    /// Those of the virtual host.
    pub virtual_host: Option<&'c HeaderEdits>,
    /// Those of the route table.
    pub table: Option<&'c HeaderEdits>,
    /// `most_specific_header_mutations_wins`: the table's run first and the route's last, so that
    /// the route's stand. By default it is the other way round.
    pub most_specific_wins: bool,
}

/// Edits of requests and responses, compiled.
#[derive(Clone, Debug, Default)]
pub struct HeaderEditor {
    request: Vec<Edits>,
    response: Vec<Edits>,
}

impl HeaderEditor {
    /// Compiles the edits of all levels.
    ///
    /// # Errors
    ///
    /// One of them changes `host`, or its value is no format or can't be a header's.
    pub fn compile(levels: Levels<'_>) -> Result<Self, HeaderEditError> {
        let Levels { weighted_cluster, route, virtual_host, table, most_specific_wins } = levels;
        let order = if most_specific_wins {
            [weighted_cluster, table, virtual_host, route]
        } else {
            [weighted_cluster, route, virtual_host, table]
        };
        let mut editor = Self::default();
        for level in order.into_iter().flatten() {
            let request = Edits::compile(&level.request_remove, &level.request_add)?;
            let response = Edits::compile(&level.response_remove, &level.response_add)?;
            editor.request.extend(request);
            editor.response.extend(response);
        }
        Ok(editor)
    }

    /// Whether requests and responses stay as they are.
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }

    /// Whether any value is made of the request or of what became of it.
    pub fn reads_context(&self) -> bool {
        let all = self.request.iter().chain(&self.response);
        all.flat_map(|edits| &edits.add).any(|add| matches!(add.value, Value::Format(_)))
    }

    /// Whether a header is taken out of requests and not put in again.
    pub fn removes_from_requests(&self, name: &HeaderName) -> bool {
        self.request.iter().any(|edits| edits.remove.contains(name))
            && !self.request.iter().flat_map(|edits| &edits.add).any(|add| add.name == *name)
    }

    /// Edits the headers of a request whose line is known too.
    pub(crate) fn edit_request_parts(&self, parts: &mut Parts, context: &dyn FormatContext) {
        if self.request.is_empty() {
            return;
        }
        let host = parts.headers.get(HOST).cloned();
        let authority = match parts.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => host.as_ref().and_then(|host| host.to_str().ok()),
        };
        let line = RequestLine {
            method: parts.method.as_str(),
            path: parts.uri.path_and_query().map(PathAndQuery::as_str),
            authority,
            scheme: view::scheme_of(&parts.uri, &parts.headers),
        };
        self.edit_request_of(&mut parts.headers, Some(line), context);
    }

    /// Edits a request's headers. The context says the rest of what is known; `%REQ(name)%` reads
    /// the headers that are edited.
    pub fn edit_request(&self, headers: &mut HeaderMap, context: &dyn FormatContext) {
        self.edit_request_of(headers, None, context);
    }

    fn edit_request_of(
        &self,
        headers: &mut HeaderMap,
        line: Option<RequestLine<'_>>,
        context: &dyn FormatContext,
    ) {
        for edits in &self.request {
            edits.apply(Side::Request, headers, |headers, format, out| {
                let overlay = Overlay {
                    inner: context,
                    line,
                    request_headers: Some(headers),
                    response_headers: None,
                };
                format.write(&overlay, out);
            });
        }
    }

    /// Edits a response's headers, which `%RESP(name)%` reads.
    pub fn edit_response(&self, headers: &mut HeaderMap, context: &dyn FormatContext) {
        for edits in &self.response {
            edits.apply(Side::Response, headers, |headers, format, out| {
                let overlay = Overlay {
                    inner: context,
                    line: None,
                    request_headers: None,
                    response_headers: Some(headers),
                };
                format.write(&overlay, out);
            });
        }
    }
}

/// The edits of one level in one direction.
#[derive(Clone, Debug)]
struct Edits {
    remove: Vec<HeaderName>,
    add: Vec<Addition>,
}

#[derive(Clone, Debug)]
struct Addition {
    name: HeaderName,
    value: Value,
    action: AppendAction,
    keep_empty_value: bool,
}

#[derive(Clone, Debug)]
enum Value {
    Literal(HeaderValue),
    Format(Format),
}

impl Edits {
    /// `None` where there is nothing to do.
    fn compile(remove: &[HeaderName], add: &[HeaderAdd]) -> Result<Option<Self>, HeaderEditError> {
        if remove.contains(&HOST) || add.iter().any(|add| add.name == HOST) {
            return Err(HeaderEditError::Host);
        }
        let compiled = Self {
            remove: remove.to_vec(),
            add: add.iter().map(Addition::compile).collect::<Result<_, _>>()?,
        };
        Ok((!(compiled.remove.is_empty() && compiled.add.is_empty())).then_some(compiled))
    }

    fn apply(
        &self,
        side: Side,
        headers: &mut HeaderMap,
        render: impl Fn(&HeaderMap, &Format, &mut Vec<u8>),
    ) {
        for name in &self.remove {
            headers.remove(name);
        }
        // All values are made before any is put in: they read the headers as they came.
        let mut changes: Vec<(&Addition, HeaderValue)> = Vec::with_capacity(self.add.len());
        for addition in &self.add {
            let is_wanted = match addition.action {
                AppendAction::AppendIfExistsOrAdd | AppendAction::OverwriteIfExistsOrAdd => true,
                AppendAction::AddIfAbsent => !headers.contains_key(&addition.name),
                AppendAction::OverwriteIfExists => headers.contains_key(&addition.name),
            };
            if is_wanted
                && let Some(value) = addition.value(|format, out| render(headers, format, out))
            {
                changes.push((addition, value));
            }
        }
        for (addition, value) in &changes {
            if addition.overwrites() {
                headers.insert(&addition.name, value.clone());
            }
        }
        for (addition, value) in changes {
            if !addition.overwrites() {
                append(side, headers, &addition.name, value);
            }
        }
    }
}

impl Addition {
    fn compile(config: &HeaderAdd) -> Result<Self, HeaderEditError> {
        let error = |kind| HeaderEditError::Value { header: config.name.clone(), kind };
        let format =
            Format::parse(&config.value).map_err(|e| error(ValueError::Format(e)))?.omit_absent();
        let value = match format.as_literal() {
            Some(text) => Value::Literal(
                HeaderValue::from_bytes(text.as_bytes()).map_err(|_| error(ValueError::Bytes))?,
            ),
            None => Value::Format(format),
        };
        Ok(Self {
            name: config.name.clone(),
            value,
            action: config.action,
            keep_empty_value: config.keep_empty_value,
        })
    }

    /// The value for a request; `None` where nothing is to be put in. What can't be a header's
    /// value (a control character) can't come from a request either.
    fn value(&self, render: impl FnOnce(&Format, &mut Vec<u8>)) -> Option<HeaderValue> {
        let value = match &self.value {
            Value::Literal(value) => value.clone(),
            Value::Format(format) => {
                let mut text = Vec::with_capacity(64);
                render(format, &mut text);
                HeaderValue::try_from(text).ok()?
            }
        };
        (self.keep_empty_value || !value.is_empty()).then_some(value)
    }

    fn overwrites(&self) -> bool {
        matches!(
            self.action,
            AppendAction::OverwriteIfExistsOrAdd | AppendAction::OverwriteIfExists
        )
    }
}

/// Adds a line, or goes on with the line of a header that Envoy keeps as one.
fn append(side: Side, headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    if side.is_single_line(name) {
        headers::append_to_list(headers, name, &value, ",");
    } else {
        headers.append(name, value);
    }
}

/// Why edits can't be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderEditError {
    /// `host` is changed by host rewrites only.
    Host,
    /// A value is no header value.
    Value {
        /// Of this header.
        header: HeaderName,
        /// What is wrong with it.
        kind: ValueError,
    },
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// Its format.
    Format(FormatError),
    /// It holds bytes that a header can't.
    Bytes,
}

impl fmt::Display for HeaderEditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("`host` can't be added or removed, only rewritten"),
            Self::Value { header, kind } => match kind {
                ValueError::Format(error) => write!(f, "`{header}`: {error}"),
                ValueError::Bytes => write!(f, "`{header}`: not a header value"),
            },
        }
    }
}

impl Error for HeaderEditError {}

#[cfg(test)]
mod tests;
