//! What a connection holds at the moment: `*_bytes_buffered`.

use std::fmt;
use std::task::Poll;

use super::Gauge;

/// Part of a gauge that many add to. What it adds is taken back when it is dropped.
#[derive(Clone)]
pub struct Level {
    gauge: Gauge,
    held: u64,
}

impl Level {
    /// Nothing of this gauge yet.
    pub fn new(gauge: &Gauge) -> Self {
        Self { gauge: gauge.clone(), held: 0 }
    }

    /// What it adds.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Adds this much from now on, instead of what it added before.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "nothing that is held comes near 2^53")]
    pub fn set(&mut self, held: u64) {
        if held > self.held {
            self.gauge.increment((held - self.held) as f64);
        } else if held < self.held {
            self.gauge.decrement((self.held - held) as f64);
        }
        self.held = held;
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level").field("held", &self.held).finish_non_exhaustive()
    }
}

/// `cx_rx_bytes_buffered` and `cx_tx_bytes_buffered` of a connection, in bytes.
///
/// As in Envoy the one is what the last turn of reading brought, and stays until the next brings
/// something else; the other is what is left of a write that the peer had no room for. A turn of
/// reading is over when there was nothing more to read, when something was written, or after 1 MiB,
/// which is what Envoy's buffer takes.
#[derive(Debug)]
pub struct Buffered {
    rx: Level,
    tx: Level,
    turn_over: bool,
}

/// `per_connection_buffer_limit_bytes`, if it is not set.
const TURN: u64 = 1 << 20;

impl Buffered {
    /// Of a connection that is counted in these gauges.
    pub fn new(rx: &Gauge, tx: &Gauge) -> Self {
        Self { rx: Level::new(rx), tx: Level::new(tx), turn_over: true }
    }

    /// So many bytes were read; none at the end, or where there was nothing to read.
    #[inline]
    pub fn read(&mut self, polled: &Poll<std::io::Result<()>>, bytes: usize) {
        match polled {
            Poll::Pending => self.turn_over = true,
            Poll::Ready(_) => {
                let before = if self.turn_over || bytes == 0 { 0 } else { self.rx.held() };
                let before = if before < TURN { before } else { 0 };
                self.rx.set(before + bytes as u64);
                self.turn_over = false;
            }
        }
    }

    /// What came of writing so many bytes.
    #[inline]
    pub fn wrote(&mut self, polled: &Poll<std::io::Result<usize>>, bytes: usize) {
        self.turn_over = true;
        self.tx.set(match polled {
            Poll::Pending => bytes as u64,
            Poll::Ready(Ok(written)) => bytes.saturating_sub(*written) as u64,
            Poll::Ready(Err(_)) => 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::lock::lock;
    use crate::stats::GaugeValue;

    #[derive(Default)]
    struct Value(Mutex<f64>);

    impl GaugeValue for Value {
        fn add(&self, change: f64) {
            *lock(&self.0) += change;
        }
        fn set(&self, value: f64) {
            *lock(&self.0) = value;
        }
    }

    fn gauge() -> (Gauge, impl Fn() -> u64) {
        let value = Arc::new(Value::default());
        let read = Arc::clone(&value);
        (Gauge::new(value), move || format!("{:.0}", lock(&read.0)).parse().unwrap())
    }

    #[test]
    fn reads_count_by_turns_and_writes_by_what_is_left() {
        let ((rx_gauge, rx), (tx_gauge, tx)) = (gauge(), gauge());
        let mut one = Buffered::new(&rx_gauge, &tx_gauge);
        let mut other = Buffered::new(&rx_gauge, &tx_gauge);
        let some = Poll::Ready(Ok(()));
        one.read(&some, 100);
        one.read(&some, 20);
        assert_eq!(rx(), 120, "one turn");
        one.read(&Poll::Pending, 0);
        assert_eq!(rx(), 120, "it stays");
        one.read(&some, 7);
        other.read(&some, 3);
        assert_eq!(rx(), 10);
        one.wrote(&Poll::Ready(Ok(50)), 80);
        other.wrote(&Poll::Pending, 5);
        assert_eq!(tx(), 35);
        one.wrote(&Poll::Ready(Ok(30)), 30);
        assert_eq!(tx(), 5);
        one.read(&some, 8);
        assert_eq!(rx(), 11, "a write ends a turn");
        for _ in 0..200 {
            one.read(&some, 1 << 16);
        }
        assert!(rx() < 3 << 20, "{}", rx());
        one.read(&some, 0);
        other.wrote(&Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), 5);
        assert_eq!((rx(), tx()), (3, 0), "nothing is held at the end");
        drop((one, other));
        assert_eq!((rx(), tx()), (0, 0));
    }
}
