//! Streams whose end is put off: the connection's task sees the end, and the client's task that its
//! client is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use loom::thread;

use crate::held::Held;

/// The gauge that shows them. loom need not know of it, since the order of what is added does not
/// matter.
struct Streams {
    held: Held<2>,
    put_off: AtomicI32,
}

impl Streams {
    fn new() -> Arc<Self> {
        Arc::new(Self { held: Held::new(), put_off: AtomicI32::new(0) })
    }

    fn add(&self, changed: bool, by: i32) {
        self.put_off.fetch_add(if changed { by } else { 0 }, Ordering::Relaxed);
    }

    fn close(&self, id: u32) {
        self.add(self.held.close(id), 1);
    }

    fn hold(&self, id: u32) {
        self.add(self.held.hold(id), 1);
    }

    fn release(&self, id: u32) {
        self.add(self.held.release(id), -1);
    }

    fn put_off(&self) -> i32 {
        self.put_off.load(Ordering::Relaxed)
    }
}

/// A stream ends as its client is found to be slow: it counts, and once, whoever comes first.
pub fn an_end_counts_once_whoever_sees_it_first() {
    loom::model(|| {
        let streams = Streams::new();
        let end = thread::spawn({
            let streams = Arc::clone(&streams);
            move || streams.close(1)
        });
        streams.hold(1);
        end.join().unwrap();
        assert_eq!(streams.put_off(), 1);
        streams.release(1);
        assert_eq!(streams.put_off(), 0);
    });
}

/// A stream ends while its client comes back, and another's is slow: nothing is left of the one, and
/// the other was never put off.
pub fn nothing_is_left_of_who_reads_on() {
    loom::model(|| {
        let streams = Streams::new();
        streams.hold(1);
        let end = thread::spawn({
            let streams = Arc::clone(&streams);
            move || streams.close(1)
        });
        let other = thread::spawn({
            let streams = Arc::clone(&streams);
            move || streams.hold(3)
        });
        streams.release(1);
        end.join().unwrap();
        other.join().unwrap();
        assert_eq!(streams.put_off(), 0);
        streams.release(3);
        assert_eq!(streams.put_off(), 0);
    });
}
