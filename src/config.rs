//! Configuration: an Envoy bootstrap file in, a validated model out.
//!
//! ```
//! let bootstrap = front_proxy::config::load_str(
//!     "example.yaml",
//!     "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 8001}}}",
//! )?;
//! assert_eq!(bootstrap.admin.unwrap().address.port(), 8001);
//!
//! let errors = front_proxy::config::load_str("example.yaml", "admin: {adress: {}}").unwrap_err();
//! assert!(errors.to_string().contains("did you mean `address`?"));
//! # Ok::<(), front_proxy::config::Diagnostics>(())
//! ```
//!
//! A text goes through three steps: YAML to a tree whose every part knows its place, decoders that
//! read the tree message by message, and checks across messages. Each step reports all that it
//! finds. Fields are read, refused by name, or unknown; none is ignored.

mod decode;
mod deprecated;
mod diagnostic;
pub(crate) mod files;
mod merge;
mod message;
pub mod model;
pub(crate) mod pem;
mod re2;
mod scalar;
mod schema;
mod source;
mod suggest;
mod yaml;

use std::path::Path;

use self::message::Context;
use self::model::Bootstrap;
use self::source::Source;
use self::yaml::Node;

pub use self::diagnostic::{Diagnostic, Diagnostics};
pub use self::schema::{MessageFields, supported_fields};

/// What a value of the runtime says that comes from elsewhere than the bootstrap.
pub(crate) fn runtime_entry(text: &str) -> Result<model::RuntimeEntry, Diagnostic> {
    decode::runtime_entry(text)
}

/// Reads a file.
///
/// # Errors
///
/// The file can't be read, or all that is wrong with it, with places.
pub fn load_file(path: impl AsRef<Path>) -> Result<Bootstrap, Diagnostics> {
    Loader::new().file(path)?.load()
}

/// Reads a text; `name` stands for it in messages.
///
/// # Errors
///
/// All that is wrong with it, with places.
pub fn load_str(name: &str, text: &str) -> Result<Bootstrap, Diagnostics> {
    Loader::new().text(name, text).load()
}

/// Reads a configuration from one or several texts, each merged over those before it.
///
/// The rules of merging are those of protocol buffers, as for Envoy's `--config-yaml`: single
/// values are replaced, lists joined, messages merged.
#[derive(Clone, Debug, Default)]
pub struct Loader {
    texts: Vec<(String, String)>,
    allow_unknown_fields: bool,
}

impl Loader {
    /// A loader without any text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of a file.
    ///
    /// # Errors
    ///
    /// It can't be read.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Self, Diagnostics> {
        let name = path.as_ref().display().to_string();
        let fail = |why: String| {
            let message = format!("can't read the configuration '{name}': {why}");
            Diagnostics::new(vec![Diagnostic::without_place(message)])
        };
        let bytes = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(self.text(&name, &text)),
            Err(_) => Err(fail("it is not UTF-8 text".to_owned())),
        }
    }

    /// Adds a text; `name` stands for it in messages.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.texts.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Leaves fields out that Envoy doesn't know either, as `--allow-unknown-static-fields` does.
    /// Fields that Envoy knows and this reader doesn't are still refused.
    #[must_use]
    pub fn allow_unknown_fields(mut self, allow: bool) -> Self {
        self.allow_unknown_fields = allow;
        self
    }

    /// Reads the texts.
    ///
    /// # Errors
    ///
    /// All that is wrong with them, with places.
    pub fn load(&self) -> Result<Bootstrap, Diagnostics> {
        let mut errors = Vec::new();
        let mut root: Option<Node> = None;
        let mut readable = true;
        for (name, text) in &self.texts {
            let source = Source::new(name, text);
            match yaml::parse(&source, &mut errors) {
                Ok(Some(node)) => match &mut root {
                    Some(root) => merge::merge(root, node),
                    None => root = Some(node),
                },
                Ok(None) => {
                    readable = false;
                    errors.push(
                        Diagnostic::new(&source.start(), "the configuration is empty")
                            .help("`{}` is the smallest valid one"),
                    );
                }
                Err(error) => {
                    readable = false;
                    errors.push(error);
                }
            }
        }
        let cx = Context::new(errors, self.allow_unknown_fields);
        let mut bootstrap = Bootstrap::default();
        match root {
            // What is left of a text that can't be read would only give misleading errors.
            _ if !readable => {}
            Some(root) => bootstrap = decode::bootstrap(&cx, &root),
            None => cx.report(
                Diagnostic::without_place("there is no configuration")
                    .help("give a file with `-c FILE` or a text with `--config-yaml`"),
            ),
        }
        let errors = cx.into_errors();
        if errors.is_empty() { Ok(bootstrap) } else { Err(Diagnostics::new(errors)) }
    }
}
