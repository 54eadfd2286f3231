//! What layers record into: a handle, and behind it the value that a sink keeps.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The value behind a [`Counter`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep a counter's value",
    label = "needs `CounterValue`"
)]
pub trait CounterValue: Send + Sync + 'static {
    /// Adds to it; 0 says that it is in use. Called while requests are served: from any thread, and
    /// often.
    fn increment(&self, by: u64);
}

/// The value behind a [`Gauge`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep a gauge's value",
    label = "needs `GaugeValue`"
)]
pub trait GaugeValue: Send + Sync + 'static {
    /// Adds to it; a negative number takes away, and 0 says that it is in use. Called while requests are served: from any thread,
    /// and often.
    fn add(&self, change: f64);
    /// Replaces it.
    fn set(&self, value: f64);
}

/// What is behind a [`Histogram`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep a histogram's samples",
    label = "needs `HistogramValue`"
)]
pub trait HistogramValue: Send + Sync + 'static {
    /// Adds a sample. Called while requests are served: from any thread, and often.
    fn record(&self, sample: f64);
}

macro_rules! handle {
    ($(#[$doc:meta])* $handle:ident of $value:ident) => {
        $(#[$doc])*
        ///
        /// Clones are handles to the same value.
        #[derive(Clone)]
        #[must_use = "a handle does nothing until something is recorded"]
        pub struct $handle(Option<Arc<dyn $value>>);

        impl $handle {
            /// A handle to `value`, which its sink goes on sharing.
            pub fn new(value: Arc<dyn $value>) -> Self {
                Self(Some(value))
            }

            /// A handle that records nothing.
            pub fn noop() -> Self {
                Self(None)
            }
        }

        impl fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($handle)).finish_non_exhaustive()
            }
        }
    };
}

handle! {
    /// A counter, which only grows.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use front_proxy_layers::stats::Counter;
    ///
    /// let total = Arc::new(AtomicU64::new(0));
    /// let counter = Counter::new(Arc::clone(&total) as _);
    /// counter.increment(2);
    /// assert_eq!(total.load(Ordering::Relaxed), 2);
    /// ```
    Counter of CounterValue
}

handle! {
    /// A gauge, which goes up and down. Envoy's gauges are whole numbers.
    Gauge of GaugeValue
}

handle! {
    /// A histogram, which takes samples.
    Histogram of HistogramValue
}

impl Counter {
    /// Adds to it. Adding 0 says that it is in use, to those that tell (`usedonly`).
    #[inline]
    pub fn increment(&self, by: u64) {
        if let Some(value) = &self.0 {
            value.increment(by);
        }
    }
}

impl Gauge {
    /// Adds to it. Adding 0 says that it is in use, to those that tell (`usedonly`).
    #[inline]
    pub fn increment(&self, by: f64) {
        if let Some(value) = &self.0 {
            value.add(by);
        }
    }

    /// Takes away from it.
    #[inline]
    pub fn decrement(&self, by: f64) {
        self.increment(-by);
    }

    /// Replaces it.
    #[inline]
    pub fn set(&self, value: f64) {
        if let Some(gauge) = &self.0 {
            gauge.set(value);
        }
    }
}

impl Histogram {
    /// Adds a sample.
    #[inline]
    pub fn record(&self, sample: f64) {
        if let Some(value) = &self.0 {
            value.record(sample);
        }
    }

    /// Records a time, in whole milliseconds.
    #[inline]
    pub fn record_time(&self, time: Duration) {
        self.record(millis(time));
    }
}

/// A time in whole milliseconds, as histograms take it.
#[expect(clippy::cast_precision_loss, reason = "no time comes near 2^53 ms")]
pub(crate) fn millis(time: Duration) -> f64 {
    // Not `as_millis`, whose 128 bits cost a call to convert.
    time.as_secs().saturating_mul(1000).saturating_add(time.subsec_millis().into()) as f64
}

impl CounterValue for AtomicU64 {
    #[inline]
    fn increment(&self, by: u64) {
        self.fetch_add(by, Ordering::Relaxed);
    }
}
