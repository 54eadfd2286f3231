//! Fractions of requests.

use front_proxy_layers::route::Fraction;

use crate::config::message::{Context, Message, Variants};
use crate::config::schema::route::{FRACTIONAL_PERCENT, RUNTIME_FRACTION};

const DENOMINATORS: &Variants<u32> = &[
    ("HUNDRED", 0, Some(100)),
    ("TEN_THOUSAND", 1, Some(10_000)),
    ("MILLION", 2, Some(1_000_000)),
];

/// A `FractionalPercent` in a field, where given.
pub(super) fn fraction(m: &Message<'_>, field: &str) -> Option<Fraction> {
    let percent = m.message(field, &FRACTIONAL_PERCENT)?;
    let out = Fraction {
        numerator: percent.u32("numerator").unwrap_or(0),
        denominator: percent.enumeration("denominator", DENOMINATORS).unwrap_or(100),
    };
    percent.finish();
    Some(out)
}

/// A `RuntimeFractionalPercent` in a field, where given.
pub(super) fn runtime_fraction(m: &Message<'_>, field: &str) -> Option<Fraction> {
    let m = m.message(field, &RUNTIME_FRACTION)?;
    m.required("default_value");
    let default = fraction(&m, "default_value");
    let (cx, key) = (m.cx, m.string("runtime_key"));
    m.finish();
    let default = default?;
    Some(key.map_or(default, |key| of_runtime(cx, &key, default)))
}

/// What the runtime says. It is static here, so its word is final: a plain number there is percent.
pub(super) fn of_runtime(cx: &Context, key: &str, default: Fraction) -> Fraction {
    match cx.runtime_number(key).filter(|value| (0.0..=100.0).contains(value)) {
        Some(value) => Fraction { numerator: value as u32, denominator: 100 },
        None => default,
    }
}
