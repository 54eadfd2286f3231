//! Filling in the placeholders of a bootstrap file.

use super::Error;

/// Replaces `${NAME}` and `${NAME:-usual value}` by the value of `NAME`.
///
/// The usual value is for readers of the file and never used: a placeholder without a value is an
/// error, and so is a value without a placeholder, so that file and program can't drift apart.
pub(super) fn render(template: &str, values: &[(&str, String)]) -> Result<String, Error> {
    let mut out = String::with_capacity(template.len());
    let mut used = vec![false; values.len()];
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (placeholder, after) = after
            .split_once('}')
            .ok_or_else(|| Error::Template("a placeholder has no closing brace".to_owned()))?;
        let name = placeholder.split_once(":-").map_or(placeholder, |(name, _)| name);
        let index = values
            .iter()
            .position(|(known, _)| *known == name)
            .ok_or_else(|| Error::Template(format!("there is no value for `{name}`")))?;
        used[index] = true;
        out.push_str(before);
        out.push_str(&values[index].1);
        rest = after;
    }
    out.push_str(rest);
    match used.iter().position(|used| !used) {
        Some(index) => {
            Err(Error::Template(format!("there is no placeholder for `{}`", values[index].0)))
        }
        None => Ok(out),
    }
}

/// `text` as a double-quoted scalar, which may stand in one line of YAML whatever it holds.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &'static str, value: &str) -> (&'static str, String) {
        (name, value.to_owned())
    }

    #[test]
    fn placeholders_are_replaced_with_and_without_a_usual_value() {
        let out = render("a: ${A:-1}:${B}\nb: ${A}", &[value("A", "7"), value("B", "${A}")]);
        assert_eq!(out.unwrap(), "a: 7:${A}\nb: 7");
        assert_eq!(quoted("x\n\"y\""), r#""x\n\"y\"""#);
    }

    #[test]
    fn nothing_may_be_left_over_or_missing() {
        for (template, values) in [
            ("${A} ${B:-2}", vec![value("A", "1")]),
            ("${A}", vec![value("A", "1"), value("B", "1")]),
            ("${A", vec![value("A", "1")]),
        ] {
            assert!(render(template, &values).is_err(), "{template}");
        }
    }
}
