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
//! A text goes through three steps: [YAML](yaml) to a tree whose every part knows its place,
//! [decoders](decode) that read the tree message by message, and checks across messages. Each step
//! reports all that it finds. Fields are read, refused by name, or unknown; none is ignored.

mod decode;
mod diagnostic;
mod format;
mod merge;
mod message;
pub mod model;
mod pem;
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

/// Reads a file.
pub fn load_file(path: impl AsRef<Path>) -> Result<Bootstrap, Diagnostics> {
    load(Some(path.as_ref()), None)
}

/// Reads a text; `name` stands for it in messages.
pub fn load_str(name: &str, text: &str) -> Result<Bootstrap, Diagnostics> {
    load_texts(&[(name, text)])
}

/// Reads a file (`-c`), a text (`--config-yaml`), or the text merged over the file.
pub fn load(path: Option<&Path>, text: Option<&str>) -> Result<Bootstrap, Diagnostics> {
    let file = path.map(read).transpose()?;
    let mut texts = Vec::new();
    if let Some((name, text)) = &file {
        texts.push((name.as_str(), text.as_str()));
    }
    if let Some(text) = text {
        texts.push(("--config-yaml", text));
    }
    load_texts(&texts)
}

fn read(path: &Path) -> Result<(String, String), Diagnostics> {
    let name = path.display().to_string();
    let fail = |why: String| {
        let message = format!("can't read the configuration '{name}': {why}");
        Diagnostics::new(vec![Diagnostic::without_place(message)])
    };
    let bytes = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(_) => Err(fail("it is not UTF-8 text".to_owned())),
    }
}

/// Reads texts, each merged over those before it.
fn load_texts(texts: &[(&str, &str)]) -> Result<Bootstrap, Diagnostics> {
    let mut errors = Vec::new();
    let mut root: Option<Node> = None;
    let mut fatal = false;
    for (name, text) in texts {
        let source = Source::new(name, text);
        match yaml::parse(&source, &mut errors) {
            Ok(Some(node)) => match &mut root {
                Some(root) => merge::merge(root, node),
                None => root = Some(node),
            },
            Ok(None) => {
                fatal = true;
                errors.push(
                    Diagnostic::new(&source.start(), "the configuration is empty")
                        .help("`{}` is the smallest valid one"),
                );
            }
            Err(error) => {
                fatal = true;
                errors.push(error);
            }
        }
    }
    let cx = Context::new(errors);
    let mut bootstrap = Bootstrap::default();
    match root {
        // What is left of a text that can't be read would only give misleading errors.
        _ if fatal => {}
        Some(root) => bootstrap = decode::bootstrap(&cx, &root),
        None => cx.report(
            Diagnostic::without_place("there is no configuration")
                .help("give a file with `-c FILE` or a text with `--config-yaml`"),
        ),
    }
    let errors = cx.into_errors();
    if errors.is_empty() {
        Ok(bootstrap)
    } else {
        Err(Diagnostics::new(errors))
    }
}
