//! Text with `%COMMAND%`s: what access logs and added headers say of a request.
//!
//! A [`Format`] is compiled when the config is read, so that nothing is parsed per request. It is
//! written with a [`FormatContext`], which says what is known by then; for the rest it says `-`.
//! The commands are Envoy's: see its page on access logging for each.
//!
//! ```
//! use front_proxy_layers::format::{Format, FormatContext};
//!
//! struct Seen;
//! impl FormatContext for Seen {
//!     fn method(&self) -> Option<&str> { Some("GET") }
//!     fn response_code(&self) -> Option<u16> { Some(200) }
//! }
//!
//! let format = Format::parse("%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_HOST% 100%%")?;
//! assert_eq!(format.render(&Seen), b"GET 200 - - 100%");
//! assert_eq!(Format::parse("a %NOPE%").unwrap_err().offset, 2);
//! # Ok::<(), front_proxy_layers::format::FormatError>(())
//! ```

mod command;
mod context;
mod grpc;
mod json;
mod parse;
mod plain;
mod time;

pub use context::{FormatContext, TimePoint};
pub(crate) use context::{Overlay, RequestLine};
pub use json::{JsonFormat, JsonFormatError, JsonTemplate};
pub use parse::{FormatError, FormatErrorKind};

use command::Written;
use parse::Piece;

/// The line that Envoy logs for a request by default, with its end.
pub const DEFAULT_ACCESS_LOG: &str = "[%START_TIME%] \
    \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// A text format, compiled.
#[derive(Clone, Debug)]
pub struct Format {
    pieces: Vec<Piece>,
    absent: &'static str,
}

impl Format {
    /// Compiles a format. A literal `%` is written `%%`.
    ///
    /// # Errors
    ///
    /// A command that is not known, is not supported, or is not written right; with its place.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Ok(Self { pieces: parse::parse(text)?, absent: "-" })
    }

    /// The names of all commands that a format may hold, for who wants to say what was meant.
    pub fn commands() -> impl Iterator<Item = &'static str> {
        parse::names()
    }

    /// Says nothing for absent values, not `-`: what header values do.
    #[must_use]
    pub fn omit_absent(mut self) -> Self {
        self.absent = "";
        self
    }

    /// The text, where it is one without commands.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text for a request. Values are copied byte by byte; headers may hold bytes that
    /// are not UTF-8.
    pub fn write(&self, context: &dyn FormatContext, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            if write_piece(piece, context, out) == Written::Nothing {
                out.extend_from_slice(self.absent.as_bytes());
            }
        }
    }

    /// The text for a request.
    pub fn render(&self, context: &dyn FormatContext) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(context, &mut out);
        out
    }
}

fn write_piece(piece: &Piece, context: &dyn FormatContext, out: &mut Vec<u8>) -> Written {
    match piece {
        Piece::Text(text) => {
            out.extend_from_slice(text.as_bytes());
            Written::Text
        }
        Piece::Command(command, limit) => {
            let start = out.len();
            let written = command.write(context, out);
            if let Some(limit) = limit {
                out.truncate(start.saturating_add(*limit));
            }
            written
        }
    }
}

#[cfg(test)]
mod tests;
