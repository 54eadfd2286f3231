//! The command line: Envoy's, where Envoy has it, and the sandbox beside it.
//!
//! ```
//! use front_proxy::cli::{Command, load, parse};
//!
//! let bootstrap = "static_resources: { clusters: [{ name: service1 }] }";
//! let Ok(Command::Serve(options)) = parse(["front-proxy", "--config-yaml", bootstrap]) else {
//!     panic!("a command line to serve");
//! };
//! assert_eq!(load(&options).unwrap().clusters.len(), 1);
//! ```

mod arguments;
mod serve;
pub mod log;
pub mod options;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::config::model::Bootstrap;
use crate::config::{Diagnostics, Loader};
use crate::stats::Tag;

pub use self::arguments::{SandboxArgs, SandboxCommand};
pub use self::options::{Mode, Options};

use self::arguments::{Arguments, Subcommands};

/// What a command line asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Load the configuration and serve it.
    Serve(Options),
    /// Check the configuration and exit.
    Validate(Options),
    /// The whole sandbox in one process.
    Sandbox(SandboxArgs),
    /// The demo app alone.
    Service(crate::service::Options),
}

/// Why the program ends before it did anything.
#[derive(Clone, Debug)]
pub struct Exit {
    /// What to print.
    pub text: String,
    /// Whether it is an answer (`--help`) and not a complaint.
    pub success: bool,
}

/// Reads a command line, the program's name first.
///
/// # Errors
///
/// What to print and end with: a complaint, or the answer to `--help` and `--version`.
pub fn parse<I, T>(args: I) -> Result<Command, Exit>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments = Arguments::try_parse_from(args).map_err(|e| Exit {
        success: !e.use_stderr(),
        text: if std::io::stderr().is_terminal() && e.use_stderr() {
            e.render().ansi().to_string()
        } else {
            e.render().to_string()
        },
    })?;
    if arguments.version {
        return Err(Exit {
            text: format!("front-proxy  version: {}\n", options::version()),
            success: true,
        });
    }
    if let Some(subcommand) = arguments.subcommand {
        return Ok(match subcommand {
            Subcommands::Sandbox(args) => Command::Sandbox(args),
            Subcommands::Service(args) => Command::Service(args),
        });
    }
    if arguments.serve.hot_restart_version {
        // What Envoy answers where hot restart is not built in.
        return Err(Exit { text: "disabled\n".to_owned(), success: true });
    }
    let options = Options::try_from(arguments.serve).map_err(|why| Exit {
        text: format!("error: {why}\n\nFor more information, try '--help'.\n"),
        success: false,
    })?;
    Ok(match options.mode {
        Mode::Serve => Command::Serve(options),
        Mode::Validate => Command::Validate(options),
    })
}

/// Reads a command line and does what it asks for.
///
/// Exit codes are Envoy's: 0, or 1 for every mistake.
pub fn run<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    match parse(args) {
        Ok(command) => dispatch(command),
        Err(Exit { text, success: true }) => {
            // A closed pipe (`--help | head`) is no reason to fail.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Exit { text, .. }) => {
            complain(text.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// The one place where commands meet what carries them out.
fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Validate(options) => validate(&options),
        Command::Serve(options) => match load(&options) {
            Ok(bootstrap) => serve::serve(bootstrap, &options),
            Err(errors) => refuse(&options, &errors),
        },
        Command::Sandbox(args) => serve::sandbox(args),
        Command::Service(options) => serve::service(options),
    }
}

/// Loads the configuration that the options name, and puts the options over its `node` and before its
/// tags of stats.
///
/// # Errors
///
/// All that is wrong with the configuration, with places.
pub fn load(options: &Options) -> Result<Bootstrap, Diagnostics> {
    let mut loader = Loader::new().allow_unknown_fields(options.allow_unknown_static_fields);
    if !options.config_path.is_empty() {
        loader = loader.file(&options.config_path)?;
    }
    if !options.config_yaml.is_empty() {
        loader = loader.text("--config-yaml", &options.config_yaml);
    }
    let mut bootstrap = loader.load()?;
    let node = &mut bootstrap.node;
    for (field, option) in [
        (&mut node.id, &options.service_node),
        (&mut node.cluster, &options.service_cluster),
        (&mut node.zone, &options.service_zone),
    ] {
        if !option.is_empty() {
            field.clone_from(option);
        }
    }
    // The first tag of a name is the one that counts: in Envoy too, the command line's.
    let given = options.stats_tag.iter().filter_map(|tag| tag.split_once(':'));
    let given = given.map(|(name, value)| Tag::Fixed { name: name.into(), value: value.into() });
    bootstrap.stats.tags.splice(0..0, given.collect::<Vec<_>>());
    Ok(bootstrap)
}

/// Loads the configuration and builds what would serve it.
fn validate(options: &Options) -> ExitCode {
    match load(options) {
        Ok(bootstrap) => {
            if let Err(error) = crate::server::check(&bootstrap) {
                complain(&format!("error: {error} '{}'", options.config_path));
                return ExitCode::FAILURE;
            }
            let text = format!("configuration '{}' OK\n", options.config_path);
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(errors) => refuse(options, &errors),
    }
}

fn refuse(options: &Options, errors: &Diagnostics) -> ExitCode {
    let colour = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let text = if colour { errors.coloured() } else { errors.to_string() };
    complain(&format!("{text} '{}'", options.config_path));
    ExitCode::FAILURE
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Query, Registry, prometheus};

    #[test]
    fn tags_of_the_command_line_are_on_every_stat() {
        let config = "stats_config: {stats_tags: [{tag_name: zone, fixed_value: file}, \
                      {tag_name: own, fixed_value: o}]}";
        let args = ["front-proxy", "--config-yaml", config, "--stats-tag", "zone:z"];
        let Ok(Command::Serve(options)) = parse(args.into_iter().chain(["--stats-tag", "foo:b"]))
        else {
            panic!("not to be served");
        };
        let bootstrap = load(&options).expect("valid");
        let registry = Registry::with_rules(1, bootstrap.stats);
        let scope = registry.scope().child("cluster").tagged("envoy_cluster_name", "c");
        scope.counter("n").increment(1);
        let page = prometheus::render(&registry, &Query::default(), Default::default());
        let page: Vec<u8> = page.expect("rendered").flat_map(|chunk| chunk.to_vec()).collect();
        let page = String::from_utf8(page).expect("text");
        let labels = r#"{zone="z",foo="b",own="o",envoy_cluster_name="c"}"#;
        assert_eq!(page, format!("# TYPE envoy_cluster_n counter\nenvoy_cluster_n{labels} 1\n"));
    }
}
