//! `/help` and `/`.

use std::fmt::Write as _;

use super::commands::{Command, Input};
use crate::stats::html::escape;

/// The list of commands, as text.
pub(super) fn text(commands: &[&Command]) -> String {
    let mut page = String::from("admin commands are:\n");
    for command in commands {
        let post = if command.mutates() { " (POST)" } else { "" };
        let _ = writeln!(page, "  {}{post}: {}", command.path, command.help);
        for parameter in command.parameters {
            let _ = write!(page, "      {}: {}", parameter.name, parameter.help);
            if let Input::OneOf(options) = parameter.input {
                let _ = write!(page, "; One of ({})", options.join(", "));
            }
            page.push('\n');
        }
    }
    page
}

/// The list of commands as a web page; `path` is the one under which it was asked for.
pub(super) fn home(commands: &[&Command], path: &str) -> String {
    let mut page = String::from(HEAD);
    // Without a closing slash links would miss the last part of the path. They are relative all the
    // same: whatever is in front may have taken the beginning of the path away.
    let last = path.rsplit('/').next().unwrap_or_default();
    let base = if last.is_empty() { "./".to_owned() } else { format!("./{}/", escape(last)) };
    let _ = writeln!(page, "<base href=\"{base}\">\n</head>\n<body>\n<table>");
    for command in commands.iter().filter(|command| command.path != "/") {
        row(&mut page, command);
    }
    page.push_str("</table>\n</body>\n</html>\n");
    page
}

fn row(page: &mut String, command: &Command) {
    let path = command.path.trim_start_matches('/');
    let help = escape(command.help);
    if !command.mutates() && command.parameters.is_empty() {
        let _ = writeln!(page, "<tr><td><a href=\"{path}\">{path}</a></td><td>{help}</td></tr>");
        return;
    }
    let method = if command.mutates() { "post" } else { "get" };
    let _ = writeln!(
        page,
        "<tr><td><form id=\"{path}\" action=\"{path}\" method=\"{method}\">\
         <button>{path}</button></form></td><td>{help}</td></tr>"
    );
    for parameter in command.parameters {
        let name = parameter.name;
        let input = match parameter.input {
            Input::Text => format!("<input name=\"{name}\" form=\"{path}\">"),
            Input::Flag => format!("<input type=\"checkbox\" name=\"{name}\" form=\"{path}\">"),
            Input::OneOf(options) => {
                let mut select = format!("<select name=\"{name}\" form=\"{path}\">");
                for option in options {
                    let _ = write!(select, "<option>{option}</option>");
                }
                select.push_str("</select>");
                select
            }
        };
        let help = escape(parameter.help);
        let _ = writeln!(page, "<tr><td class=\"of\">{input}</td><td>{name}: {help}</td></tr>");
    }
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<title>Envoy Admin</title>
<style>
body { font-family: sans-serif; margin: 1.5rem; }
td { padding: 0.15rem 0.5rem; }
td.of { padding-left: 2rem; }
form { margin: 0; }
</style>
";
