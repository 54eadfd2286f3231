//! Fractions of requests.

use front_proxy_layers::route::Fraction;
use front_proxy_layers::runtime::RuntimeFraction;

use crate::config::message::{Message, Variants};
use crate::config::schema::route::{FRACTIONAL_PERCENT, RUNTIME_FRACTION};

const DENOMINATORS: &Variants<u32> = &[
    ("HUNDRED", 0, Some(100)),
    ("TEN_THOUSAND", 1, Some(10_000)),
    ("MILLION", 2, Some(1_000_000)),
];

/// A `FractionalPercent` in a field, where given.
pub(super) fn fraction(m: &Message<'_>, field: &str) -> Option<Fraction> {
    m.message(field, &FRACTIONAL_PERCENT).map(fraction_of)
}

/// A `FractionalPercent`.
pub(super) fn fraction_of(percent: Message<'_>) -> Fraction {
    let out = Fraction {
        numerator: percent.u32("numerator").unwrap_or(0),
        denominator: percent.enumeration("denominator", DENOMINATORS).unwrap_or(100),
    };
    percent.finish();
    out
}

/// A `RuntimeFractionalPercent` in a field, where given.
pub(super) fn runtime_fraction(m: &Message<'_>, field: &str) -> Option<RuntimeFraction> {
    let m = m.message(field, &RUNTIME_FRACTION)?;
    m.required("default_value");
    let default = fraction(&m, "default_value");
    let key = m.string("runtime_key").map(|key| m.cx.runtime.key(&key));
    m.finish();
    let default = default?;
    Some(match key {
        Some(key) => RuntimeFraction::following(default, key),
        None => default.into(),
    })
}
