//! `/logging`.

use std::fmt::Write as _;

use super::page::Page;
use super::state::{AdminState, Control};
use super::status::LogLevel;
use crate::stats::parameters;

pub(super) fn show(state: &AdminState, query: &str) -> Page {
    let control = &*state.control;
    match change(control, query) {
        Ok(()) => Page::text(loggers(control)),
        Err(why) => {
            let mut page = format!("error: {why}\n\n{USAGE}levels: ");
            for level in LogLevel::ALL {
                let _ = write!(page, "{} ", level.as_str());
            }
            page.push('\n');
            page.push_str(&loggers(control));
            Page::bad_request(page)
        }
    }
}

fn change(control: &dyn Control, query: &str) -> Result<(), &'static str> {
    // The form on the home page sends what was left empty, too.
    let parameters = parameters(query).filter(|(_, value)| !value.is_empty());
    let parameters = parameters.collect::<Vec<_>>();
    let [(name, value)] = parameters.as_slice() else {
        return if parameters.is_empty() { Ok(()) } else { Err("invalid number of parameters") };
    };
    let level = |text: &str| LogLevel::parse(text).ok_or("unknown logger level");
    let set =
        |logger, level| control.set_log_level(logger, level).map_err(|_| "unknown logger name");
    match name.as_str() {
        "level" => set(None, level(value)?),
        "group" => Err("group parameter requires fine-grain logging to be enabled"),
        "paths" => {
            // All are read before any is set: an error changes nothing.
            let changes = value.split(',').map(|change| {
                let (logger, text) = change.split_once(':').unwrap_or((change, ""));
                if logger.is_empty() || text.is_empty() {
                    return Err("empty logger name or empty logger level");
                }
                Ok((logger, level(text)?))
            });
            let changes = changes.collect::<Result<Vec<_>, &str>>()?;
            let known = control.loggers();
            if changes.iter().any(|(logger, _)| known.iter().all(|(name, _)| name != logger)) {
                return Err("unknown logger name");
            }
            changes.into_iter().try_for_each(|(logger, level)| set(Some(logger), level))
        }
        logger => set(Some(logger), level(value)?),
    }
}

fn loggers(control: &dyn Control) -> String {
    let mut page = String::from("active loggers:\n");
    for (name, level) in control.loggers() {
        let _ = writeln!(page, "  {name}: {}", level.as_str());
    }
    page.push('\n');
    page
}

const USAGE: &str = "usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
usage: /logging?group=<group_name>:<level> (change group of loggers)
";
