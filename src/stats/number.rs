//! Numbers as Envoy prints them.

use std::fmt::{Display, Formatter, Result};

use serde_json::{Number, Value};

/// The shortest text that reads back as the same number, `nan` for none.
#[derive(Debug)]
pub(super) struct Shortest(pub(super) f64);

impl Display for Shortest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0.is_nan() { f.write_str("nan") } else { write!(f, "{}", self.0) }
    }
}

/// At most six significant digits, as C's `%g`.
#[derive(Debug)]
pub(super) struct SixDigits(pub(super) f64);

impl Display for SixDigits {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let value = self.0;
        if value == 0.0 || !value.is_finite() {
            return write!(f, "{value}");
        }
        // The exponent after rounding: 999999.7 is 1e+06.
        let scientific = format!("{value:.5e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent = exponent.parse::<i32>().unwrap_or(0);
        if (-4..6).contains(&exponent) {
            let decimals = usize::try_from(5 - exponent).unwrap_or(0);
            f.write_str(trim(&format!("{value:.decimals$}")))
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            let exponent = exponent.unsigned_abs();
            write!(f, "{}e{sign}{exponent:02}", trim(digits))
        }
    }
}

/// A JSON number; whole ones without a fraction, `null` for none.
pub(super) fn json(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn trim(decimal: &str) -> &str {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.')
    } else {
        decimal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_those_of_printf() {
        let cases = [
            (0.0, "0"),
            (0.5, "0.5"),
            (25.0, "25"),
            (300_000.0, "300000"),
            (1_800_000.0, "1.8e+06"),
            (3_600_000.0, "3.6e+06"),
            (490.000_000_000_000_06, "490"),
            (999_999.7, "1e+06"),
            (0.000_1, "0.0001"),
            (0.000_012, "1.2e-05"),
        ];
        for (value, text) in cases {
            assert_eq!(SixDigits(value).to_string(), text);
        }
    }

    #[test]
    fn json_numbers_are_whole_where_they_can_be() {
        assert_eq!(json(300_000.0).to_string(), "300000");
        assert_eq!(json(43.6).to_string(), "43.6");
        assert_eq!(json(f64::NAN), Value::Null);
    }
}
