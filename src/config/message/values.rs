//! Fields by their type.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message};
use crate::config::scalar::{self, Typed};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::yaml::{Node, Value};

/// The values of an enum: name, number, and what it becomes; `None` is known but not supported.
pub(in crate::config) type Variants<T> = [(&'static str, i64, Option<T>)];

impl<'a> Message<'a> {
    /// Text, where given. An empty text is no text, as in proto3.
    pub(in crate::config) fn string(&self, name: &str) -> Option<String> {
        let text = self.cx.text(self.get(name)?)?;
        Some(text.to_owned()).filter(|t| !t.is_empty())
    }

    /// Text that must be there.
    pub(in crate::config) fn required_string(&self, name: &str) -> String {
        match self.get(name) {
            None => self.missing(name),
            Some(node) => match self.cx.text(node) {
                Some("") => self.cx.error(&node.span, format!("`{name}` must not be empty")),
                Some(text) => return text.to_owned(),
                None => {}
            },
        }
        String::new()
    }

    /// Text that goes into a header; it can't hold control characters, such as line ends.
    pub(in crate::config) fn header_text(&self, name: &str) -> Option<String> {
        let text = self.string(name)?;
        if text.contains(|c: char| c.is_ascii_control() && c != '\t') {
            let message = format!("`{name}` must not hold line ends or other control characters");
            self.cx.error(&self.get(name)?.span, message);
            return None;
        }
        Some(text)
    }

    /// A list of texts with their places.
    pub(in crate::config) fn strings(&self, name: &str) -> Vec<(&'a str, &'a Span)> {
        self.list(name).into_iter().filter_map(|n| self.cx.text(n).map(|t| (t, &n.span))).collect()
    }

    /// A boolean, where given.
    pub(in crate::config) fn optional_bool(&self, name: &str) -> Option<bool> {
        let node = unwrapped(self.get(name)?);
        if let Value::Scalar(scalar) = &node.value {
            match scalar.typed() {
                Typed::Bool(value) => return Some(self.read_as(name, value)),
                Typed::Text("true") => return Some(self.read_as(name, true)),
                Typed::Text("false") => return Some(self.read_as(name, false)),
                _ => {}
            }
        }
        let found = describe(node);
        self.cx.error(&node.span, format!("`{name}` must be `true` or `false`, not {found}"));
        None
    }

    fn read_as(&self, name: &str, value: bool) -> bool {
        if let Some(node) = self.get(name) {
            self.cx.written.value(node, value);
        }
        value
    }

    /// A boolean; `false` where not given.
    pub(in crate::config) fn bool(&self, name: &str) -> bool {
        self.optional_bool(name).unwrap_or(false)
    }

    /// A whole number within limits, where given.
    pub(in crate::config) fn integer(
        &self,
        name: &str,
        limits: RangeInclusive<i64>,
    ) -> Option<i64> {
        self.cx.integer(name, self.get(name)?, limits)
    }

    /// A `uint32`, where given.
    pub(in crate::config) fn u32(&self, name: &str) -> Option<u32> {
        self.u32_in(name, 0..=i64::from(u32::MAX))
    }

    /// A `uint32` within limits, where given.
    pub(in crate::config) fn u32_in(&self, name: &str, limits: RangeInclusive<i64>) -> Option<u32> {
        self.integer(name, limits).and_then(|v| u32::try_from(v).ok())
    }

    /// A number within limits, where given.
    pub(in crate::config) fn number(&self, name: &str, limits: RangeInclusive<f64>) -> Option<f64> {
        let node = unwrapped(self.get(name)?);
        let value = match &node.value {
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Integer(value) => Some(value as f64),
                Typed::Float(value) => Some(value),
                Typed::Text(text) => text.parse().ok(),
                Typed::Null | Typed::Bool(_) => None,
            },
            _ => None,
        };
        let Some(value) = value else {
            let found = describe(node);
            self.cx.error(&node.span, format!("`{name}` must be a number, not {found}"));
            return None;
        };
        if !limits.contains(&value) {
            let (low, high) = (limits.start(), limits.end());
            let message = format!("`{name}` must be between {low} and {high}, not {value}");
            self.cx.error(&node.span, message);
            return None;
        }
        self.cx.written.number(node, value);
        Some(value)
    }

    /// A duration, where given.
    pub(in crate::config) fn duration(&self, name: &str) -> Option<Duration> {
        let node = self.get(name)?;
        match duration(node) {
            Ok(value) => {
                self.cx.written.duration(node, value);
                Some(value)
            }
            Err(why) => {
                let message = format!("`{name}` is not a duration: {why}");
                let mut diagnostic = Diagnostic::new(&node.span, message);
                if let Some(meant) = duration_meant(node) {
                    diagnostic = diagnostic.help(format!("did you mean `{meant}`?"));
                }
                self.cx.report(diagnostic);
                None
            }
        }
    }

    /// A duration that must be more than nothing, where given.
    pub(in crate::config) fn positive_duration(&self, name: &str) -> Option<Duration> {
        self.duration_from(name, Duration::from_nanos(1), "must be more than 0s")
    }

    /// A duration that must be there, and more than nothing.
    pub(in crate::config) fn required_duration(&self, name: &str) -> Option<Duration> {
        self.required(name).and_then(|_| self.positive_duration(name))
    }

    /// A duration of at least a millisecond, where given.
    pub(in crate::config) fn duration_from_1ms(&self, name: &str) -> Option<Duration> {
        self.duration_from(name, Duration::from_millis(1), "must be at least 0.001s")
    }

    fn duration_from(&self, name: &str, least: Duration, must: &str) -> Option<Duration> {
        let value = self.duration(name)?;
        if value < least {
            self.cx.error(&self.get(name)?.span, format!("`{name}` {must}"));
            return None;
        }
        Some(value)
    }

    /// A timeout: `None` where it is given as `0s`, which disables it.
    pub(in crate::config) fn timeout(
        &self,
        name: &str,
        default: Option<Duration>,
    ) -> Option<Duration> {
        match self.duration(name) {
            Some(value) => Some(value).filter(|v| !v.is_zero()),
            None => default,
        }
    }

    /// A value of an enum, where given.
    pub(in crate::config) fn enumeration<T: Copy>(
        &self,
        name: &str,
        variants: &'static Variants<T>,
    ) -> Option<T> {
        let node = self.get(name)?;
        let Value::Scalar(scalar) = &node.value else {
            let names = supported_names(variants);
            let message = format!("`{name}` must be one of {names}, not {}", node.describe());
            self.cx.error(&node.span, message);
            return None;
        };
        let text = scalar.text();
        let number = match scalar.typed() {
            Typed::Integer(number) => Some(number),
            Typed::Text(text) => text.parse().ok(),
            _ => None,
        };
        let found = variants
            .iter()
            .find(|(n, value, _)| n.eq_ignore_ascii_case(text) || number == Some(*value));
        match found {
            Some((variant, number, Some(value))) => {
                self.cx.written.value(node, *variant);
                if *number == 0 {
                    self.is_default(name);
                }
                return Some(*value);
            }
            Some((variant, _, None)) => {
                let message = format!("`{name}: {variant}` is not supported yet");
                self.cx.error(&node.span, message);
            }
            None => {
                let message = format!("unknown value `{text}` of `{name}`");
                let help = match nearest(text, variants.iter().map(|(n, _, _)| *n)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it can be {}", supported_names(variants)),
                };
                self.cx.report(Diagnostic::new(&node.span, message).help(help));
            }
        }
        None
    }
}

impl Context {
    /// The text of a node.
    pub(in crate::config) fn text<'a>(&self, node: &'a Node) -> Option<&'a str> {
        let node = unwrapped(node);
        let Value::Scalar(scalar) = &node.value else {
            let message = format!("expected text, found {}", node.describe());
            self.error(&node.span, message);
            return None;
        };
        let text = scalar.text();
        match scalar.typed() {
            Typed::Text(text) => Some(text),
            Typed::Null => Some(""),
            Typed::Bool(_) | Typed::Integer(_) | Typed::Float(_) => {
                let message = format!("expected text, found {} (`{text}`)", scalar.describe());
                self.report(
                    Diagnostic::new(&node.span, message)
                        .help(format!("put it in quotes: \"{text}\"")),
                );
                None
            }
        }
    }

    /// A whole number within limits.
    pub(in crate::config) fn integer(
        &self,
        name: &str,
        node: &Node,
        limits: RangeInclusive<i64>,
    ) -> Option<i64> {
        let whole_node = node;
        let node = unwrapped(node);
        let value = match &node.value {
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Integer(value) => Some(value),
                Typed::Float(value) => whole(value),
                // Proto3 JSON writes 64-bit numbers as text and reads all of them so.
                Typed::Text(text) => {
                    text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
                }
                Typed::Null | Typed::Bool(_) => None,
            },
            _ => None,
        };
        let Some(value) = value else {
            let found = describe(node);
            self.error(&node.span, format!("`{name}` must be a whole number, not {found}"));
            return None;
        };
        if !limits.contains(&value) {
            let (low, high) = (limits.start(), limits.end());
            let message = if *high == i64::MAX {
                format!("`{name}` must be at least {low}, not {value}")
            } else {
                format!("`{name}` must be between {low} and {high}, not {value}")
            };
            self.error(&node.span, message);
            return None;
        }
        self.written.value(whole_node, value);
        Some(value)
    }
}

fn whole(value: f64) -> Option<i64> {
    // 2^53: beyond it, not every whole number has a float.
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

/// A wrapper (`UInt32Value` and its like) may be written as the message it is.
fn unwrapped(node: &Node) -> &Node {
    match &node.value {
        Value::Map(entries) => match entries.as_slice() {
            [one] if one.key == "value" => &one.node,
            _ => node,
        },
        _ => node,
    }
}

fn duration(node: &Node) -> Result<Duration, String> {
    match &node.value {
        Value::Scalar(scalar) => match scalar.typed() {
            Typed::Text(text) => scalar::duration(text).map_err(str::to_owned),
            _ => Err(format!("{} without a unit", scalar.describe())),
        },
        // The message form, which Envoy reads as well.
        Value::Map(entries) => {
            let (mut seconds, mut nanos) = (0, 0);
            for entry in entries {
                let Value::Scalar(scalar) = &entry.node.value else {
                    return Err("expected numbers".to_owned());
                };
                let number: u64 = scalar
                    .text()
                    .parse()
                    .map_err(|_| "expected whole numbers, not negative".to_owned())?;
                match entry.key.as_str() {
                    "seconds" => seconds = number,
                    "nanos" => nanos = u32::try_from(number).unwrap_or(u32::MAX),
                    other => return Err(format!("unknown field `{other}`")),
                }
            }
            scalar::checked_duration(seconds, nanos).map_err(str::to_owned)
        }
        Value::List(_) => Err("found a list".to_owned()),
    }
}

/// What was probably meant by a duration in another unit or in none.
fn duration_meant(node: &Node) -> Option<String> {
    let Value::Scalar(scalar) = &node.value else {
        return None;
    };
    let text = scalar.text();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let value: f64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "" | "s" | "sec" | "second" | "seconds" => 1.0,
        "ms" => 0.001,
        "us" => 0.000_001,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    let meant = format!("{}s", value * factor);
    scalar::duration(&meant).is_ok().then_some(meant)
}

fn describe(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => format!("`{}`", scalar.text()),
        _ => node.describe().to_owned(),
    }
}

fn supported_names<T>(variants: &Variants<T>) -> String {
    let names: Vec<_> =
        variants.iter().filter(|(_, _, value)| value.is_some()).map(|(name, _, _)| *name).collect();
    super::list(&names)
}
