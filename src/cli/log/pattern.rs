//! Log lines in spdlog's pattern syntax, which `--log-format` speaks.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::admin::timestamp::civil;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    escape: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// A flag: the letter after the percent sign.
    Flag(char),
}

impl Pattern {
    pub(super) fn new(format: &str, escape: bool) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            match chars.next() {
                Some('%') | None => text.push('%'),
                // Envoy's own: the message, escaped; it stands for the plain one.
                Some('_' | 'j') => parts_push(&mut parts, &mut text, 'v'),
                // Where the coloured part begins and ends.
                Some('^' | '$') => {}
                Some(flag) => parts_push(&mut parts, &mut text, flag),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self { parts, escape }
    }
}

fn parts_push(parts: &mut Vec<Part>, text: &mut String, flag: char) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
    parts.push(Part::Flag(flag));
}

impl<S, N> FormatEvent<S, N> for Pattern
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = Time::now();
        let metadata = event.metadata();
        for part in &self.parts {
            let flag = match part {
                Part::Text(text) => {
                    writer.write_str(text)?;
                    continue;
                }
                Part::Flag(flag) => *flag,
            };
            match flag {
                'v' => {
                    let mut text = String::new();
                    context.format_fields(Writer::new(&mut text), event)?;
                    // One entry, one line: a message can't forge another.
                    if self.escape {
                        text = text.escape_debug().to_string();
                    }
                    writer.write_str(&text)?;
                }
                'l' => writer.write_str(level(metadata.level()))?,
                'L' => writer.write_str(&level(metadata.level())[..1].to_ascii_uppercase())?,
                'n' => writer.write_str(super::component(metadata.target()))?,
                't' => write!(writer, "{}", thread())?,
                'P' => write!(writer, "{}", std::process::id())?,
                'g' => writer.write_str(metadata.file().unwrap_or(""))?,
                's' => writer.write_str(base_name(metadata.file().unwrap_or("")))?,
                '#' => write!(writer, "{}", metadata.line().unwrap_or(0))?,
                '@' => write!(
                    writer,
                    "{}:{}",
                    metadata.file().unwrap_or(""),
                    metadata.line().unwrap_or(0)
                )?,
                '!' => {}
                flag => time.write(flag, &mut writer)?,
            }
        }
        writeln!(writer)
    }
}

fn level(level: &Level) -> &'static str {
    match *level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warning",
        Level::ERROR => "error",
    }
}

/// A number for the thread: those of the standard library only print as `ThreadId(1)`.
fn thread() -> u64 {
    let text = format!("{:?}", std::thread::current().id());
    text.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0)
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A time, in UTC.
#[derive(Clone, Copy, Debug)]
struct Time {
    year: i64,
    month: i64,
    day: i64,
    seconds: u64,
    since_epoch: u64,
    nanos: u32,
}

impl Time {
    fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::new(now.as_secs(), now.subsec_nanos())
    }

    fn new(since_epoch: u64, nanos: u32) -> Self {
        let (year, month, day) = civil(i64::try_from(since_epoch / 86400).unwrap_or(0));
        Self { year, month, day, seconds: since_epoch % 86400, since_epoch, nanos }
    }

    fn write(self, flag: char, out: &mut impl Write) -> fmt::Result {
        let Self { year, month, day, seconds, .. } = self;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match flag {
            'Y' => write!(out, "{year:04}"),
            'C' | 'y' => write!(out, "{:02}", year % 100),
            'm' => write!(out, "{month:02}"),
            'd' => write!(out, "{day:02}"),
            'D' | 'x' => write!(out, "{month:02}/{day:02}/{:02}", year % 100),
            'F' => write!(out, "{:09}", self.nanos),
            'H' => write!(out, "{hour:02}"),
            'I' => write!(out, "{:02}", (hour + 11) % 12 + 1),
            'M' => write!(out, "{minute:02}"),
            'S' => write!(out, "{second:02}"),
            'p' => out.write_str(if hour < 12 { "AM" } else { "PM" }),
            'T' | 'X' => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            'R' => write!(out, "{hour:02}:{minute:02}"),
            'e' => write!(out, "{:03}", self.nanos / 1_000_000),
            'f' => write!(out, "{:06}", self.nanos / 1_000),
            'E' => write!(out, "{}", self.since_epoch),
            'z' => out.write_str("+00:00"),
            // As in spdlog, what isn't a flag stands for itself.
            other => write!(out, "%{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_088), (2024, 12, 31));
    }

    #[test]
    fn times_are_written_by_flag() {
        let time = Time::new(951_782_400 + 13 * 3600 + 5 * 60 + 9, 7_089_000);
        let text: String = "YmdHMSTeFpI"
            .chars()
            .map(|flag| {
                let mut out = String::new();
                time.write(flag, &mut out).unwrap();
                out + " "
            })
            .collect();
        assert_eq!(text, "2000 02 29 13 05 09 13:05:09 007 007089000 PM 01 ");
    }

    #[test]
    fn patterns_are_split() {
        let pattern = Pattern::new("[%T] 100%% %v%", false);
        assert_eq!(
            pattern.parts,
            [
                Part::Text("[".into()),
                Part::Flag('T'),
                Part::Text("] 100% ".into()),
                Part::Flag('v'),
                Part::Text("%".into()),
            ]
        );
    }
}
