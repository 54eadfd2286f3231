//! Values that may change while requests are under way (Envoy's
//! [runtime](https://www.envoyproxy.io/docs/envoy/latest/configuration/operations/runtime)).
//!
//! A [`Runtime`] holds values by name. What follows one of them takes a [`Key`] when it is built and
//! reads that: an atomic, with no lock and no look-up by name. Where the runtime says nothing, or
//! nothing of the kind that is asked for, what was configured counts.
//!
//! ```
//! use front_proxy_layers::route::Fraction;
//! use front_proxy_layers::runtime::{Runtime, RuntimeFraction, RuntimeValue};
//!
//! let runtime = Runtime::new();
//! let canary = RuntimeFraction::following(Fraction::NONE, runtime.key("canary"));
//! assert_eq!(canary.get(), Fraction::NONE);
//! runtime.replace([("canary", RuntimeValue::from(100))]);
//! assert!(canary.draw());
//! ```
//!
//! [`ClusterBuilder::runtime`](crate::cluster::ClusterBuilder::runtime) has a cluster follow the keys
//! that Envoy's clusters follow.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::route::Fraction;

/// Values by name. Clones are one and the same.
#[derive(Clone, Default)]
pub struct Runtime(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Held while `values` change, and longer: who watches is told of one change after the other.
    watchers: Mutex<Vec<Watcher>>,
    values: Mutex<Values>,
}

/// Called after each change, until it says that nobody needs it any more.
type Watcher = Box<dyn FnMut() -> bool + Send>;

#[derive(Default)]
struct Values {
    now: HashMap<String, RuntimeValue>,
    slots: HashMap<String, Arc<Slot>>,
}

/// What one name stands for, in each form in which it may be asked for.
struct Slot {
    integer: AtomicU64,
    fraction: AtomicU64,
}

/// No integer. The largest one is therefore shown as one less.
const NO_INTEGER: u64 = u64::MAX;

/// No fraction: one of a denominator of 0.
const NO_FRACTION: u64 = 0;

/// What the runtime says under one name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RuntimeValue {
    /// A number. As an integer it is rounded down; as a fraction it is a percentage, and 100 is
    /// the most.
    Number(f64),
    /// A fraction. It is no number.
    Fraction(Fraction),
    /// Something that is neither.
    Other,
}

impl RuntimeValue {
    fn integer(self) -> Option<u64> {
        match self {
            // 2^64, beyond which there are none.
            Self::Number(number) if (0.0..=18_446_744_073_709_551_616.0).contains(&number) => {
                Some((number as u64).min(NO_INTEGER - 1))
            }
            _ => None,
        }
    }

    fn fraction(self) -> Option<Fraction> {
        match self {
            Self::Fraction(fraction) => Some(fraction),
            _ => self.integer().map(|percent| Fraction {
                numerator: u32::try_from(percent.min(100)).unwrap_or(100),
                denominator: 100,
            }),
        }
    }
}

impl From<u32> for RuntimeValue {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<Fraction> for RuntimeValue {
    fn from(fraction: Fraction) -> Self {
        Self::Fraction(fraction)
    }
}

impl Runtime {
    /// One that says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle on what is said under this name, now and later.
    pub fn key(&self, name: &str) -> Key {
        let mut values = lock(&self.0.values);
        let Values { now, slots } = &mut *values;
        let slot = slots.entry(name.to_owned()).or_insert_with(|| {
            let slot = Slot::default();
            slot.set(now.get(name).copied());
            Arc::new(slot)
        });
        Key(Arc::clone(slot))
    }

    /// Says this from now on, and nothing else. Of a name that comes twice the last value counts.
    pub fn replace<N: Into<String>>(&self, values: impl IntoIterator<Item = (N, RuntimeValue)>) {
        let next = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let mut watchers = lock(&self.0.watchers);
        let mut values = lock(&self.0.values);
        values.now = next;
        for (name, slot) in &values.slots {
            slot.set(values.now.get(name).copied());
        }
        drop(values);
        watchers.retain_mut(|watcher| watcher());
    }

    /// Calls `watcher` now and after each change, until it returns `false`. It must not change
    /// the runtime, nor watch it.
    pub fn watch(&self, mut watcher: impl FnMut() -> bool + Send + 'static) {
        let mut watchers = lock(&self.0.watchers);
        if watcher() {
            watchers.push(Box::new(watcher));
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&lock(&self.0.values).now).finish()
    }
}

/// A handle on what the runtime says under one name.
#[derive(Clone)]
pub struct Key(Arc<Slot>);

impl Key {
    /// The integer, where there is one.
    #[inline]
    pub fn integer(&self) -> Option<u64> {
        match self.0.integer.load(Ordering::Relaxed) {
            NO_INTEGER => None,
            integer => Some(integer),
        }
    }

    /// The integer, as far as it fits.
    pub(crate) fn u32(&self) -> Option<u32> {
        self.integer().map(|integer| u32::try_from(integer).unwrap_or(u32::MAX))
    }

    /// The fraction, where there is one; a number is a percentage.
    #[inline]
    pub fn fraction(&self) -> Option<Fraction> {
        match self.0.fraction.load(Ordering::Relaxed) {
            NO_FRACTION => None,
            packed => Some(Fraction {
                numerator: (packed >> 32) as u32,
                denominator: (packed & u64::from(u32::MAX)) as u32,
            }),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.integer()).field(&self.fraction()).finish()
    }
}

impl Slot {
    fn set(&self, value: Option<RuntimeValue>) {
        let integer = value.and_then(RuntimeValue::integer).unwrap_or(NO_INTEGER);
        let fraction = value.and_then(RuntimeValue::fraction).map_or(NO_FRACTION, |fraction| {
            u64::from(fraction.numerator) << 32 | u64::from(fraction.denominator)
        });
        self.integer.store(integer, Ordering::Relaxed);
        self.fraction.store(fraction, Ordering::Relaxed);
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self { integer: AtomicU64::new(NO_INTEGER), fraction: AtomicU64::new(NO_FRACTION) }
    }
}

/// A fraction of requests that may follow the runtime (Envoy's `RuntimeFractionalPercent`).
#[derive(Clone, Debug)]
pub struct RuntimeFraction {
    default: Fraction,
    key: Option<Key>,
}

impl RuntimeFraction {
    /// Every request.
    pub const ALL: Self = Self::fixed(Fraction::ALL);
    /// No request.
    pub const NONE: Self = Self::fixed(Fraction::NONE);

    /// Always the same.
    pub const fn fixed(fraction: Fraction) -> Self {
        Self { default: fraction, key: None }
    }

    /// What the runtime says there, or else `default`.
    pub const fn following(default: Fraction, key: Key) -> Self {
        Self { default, key: Some(key) }
    }

    /// The fraction as of now.
    #[inline]
    pub fn get(&self) -> Fraction {
        self.key.as_ref().and_then(Key::fraction).unwrap_or(self.default)
    }

    /// Whether a request, for which a number is drawn now, belongs to it.
    pub fn draw(&self) -> bool {
        self.get().draw()
    }

    /// Whether a request that drew this number belongs to it.
    pub fn takes(&self, random: u64) -> bool {
        self.get().takes(random)
    }
}

impl From<Fraction> for RuntimeFraction {
    fn from(fraction: Fraction) -> Self {
        Self::fixed(fraction)
    }
}

/// A number that may follow the runtime (Envoy's `RuntimeUInt32`).
#[derive(Clone, Debug)]
pub struct RuntimeU32 {
    default: u32,
    key: Option<Key>,
}

impl RuntimeU32 {
    /// Always the same.
    pub const fn fixed(number: u32) -> Self {
        Self { default: number, key: None }
    }

    /// What the runtime says there, or else `default`.
    pub const fn following(default: u32, key: Key) -> Self {
        Self { default, key: Some(key) }
    }

    /// The number as of now. What the runtime says above 2^32 - 1 counts as that.
    #[inline]
    pub fn get(&self) -> u32 {
        self.key.as_ref().and_then(Key::u32).unwrap_or(self.default)
    }
}

impl From<u32> for RuntimeU32 {
    fn from(number: u32) -> Self {
        Self::fixed(number)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const TENTH: Fraction = Fraction { numerator: 1, denominator: 10 };

    #[test]
    fn a_key_follows_before_and_after_it_is_said() {
        let runtime = Runtime::new();
        let early = runtime.key("a");
        assert_eq!((early.integer(), early.fraction()), (None, None));
        runtime.replace([("a", RuntimeValue::Number(7.9))]);
        let late = runtime.key("a");
        for key in [&early, &late] {
            assert_eq!(key.integer(), Some(7), "rounded down");
            assert_eq!(key.fraction(), Some(Fraction { numerator: 7, denominator: 100 }));
        }
        runtime.replace([("b", RuntimeValue::from(1))]);
        assert_eq!((early.integer(), early.fraction()), (None, None));
    }

    #[test]
    fn a_number_is_a_percentage_and_a_fraction_is_no_number() {
        let runtime = Runtime::new();
        let key = runtime.key("a");
        let say = |value| {
            runtime.replace([("a", value)]);
            (key.integer(), key.fraction())
        };
        assert_eq!(say(RuntimeValue::from(101)), (Some(101), Some(Fraction::ALL)));
        assert_eq!(say(RuntimeValue::from(0)), (Some(0), Some(Fraction::NONE)));
        assert_eq!(say(RuntimeValue::from(TENTH)), (None, Some(TENTH)));
        for nothing in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(say(RuntimeValue::Number(nothing)), (None, None));
        }
        assert_eq!(say(RuntimeValue::Other), (None, None));
        let most = 2.0_f64.powi(64);
        assert_eq!(say(RuntimeValue::Number(most)), (Some(u64::MAX - 1), Some(Fraction::ALL)));
    }

    #[test]
    fn defaults_count_where_nothing_is_said() {
        let runtime = Runtime::new();
        let fraction = RuntimeFraction::following(TENTH, runtime.key("f"));
        let number = RuntimeU32::following(400, runtime.key("n"));
        assert_eq!((fraction.get(), number.get()), (TENTH, 400));
        runtime.replace([
            ("f", RuntimeValue::Fraction(Fraction::ALL)),
            ("n", RuntimeValue::Number(1e15)),
        ]);
        assert_eq!((fraction.get(), number.get()), (Fraction::ALL, u32::MAX));
        runtime.replace([("f", RuntimeValue::Other), ("n", RuntimeValue::Other)]);
        assert_eq!((fraction.get(), number.get()), (TENTH, 400));
    }

    #[test]
    fn who_watches_is_told_until_he_has_enough() {
        let runtime = Runtime::new();
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        runtime.watch(move || count.fetch_add(1, Ordering::Relaxed) < 2);
        for expected in [1, 2, 3, 3] {
            assert_eq!(told.load(Ordering::Relaxed), expected);
            runtime.replace([("a", RuntimeValue::Other)]);
        }
    }
}
