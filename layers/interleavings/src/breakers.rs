//! Circuit breakers: requests of several workers take and give back what a cluster has.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use loom::thread;

use crate::permits::{Change, Permits};

/// A resource as `cluster::Resource` is one: the count, and the gauges that show it. loom need not
/// know of the gauges, since the order of what is added to them does not matter.
struct Resource {
    permits: Permits,
    full: AtomicI32,
    left: AtomicI32,
    /// Who believes to have one.
    held: AtomicI32,
}

impl Resource {
    fn new(max: u32) -> Arc<Self> {
        Arc::new(Self {
            permits: Permits::new(max),
            full: AtomicI32::new(0),
            left: AtomicI32::new(max as i32),
            held: AtomicI32::new(0),
        })
    }

    fn show(&self, change: Change) {
        self.full.fetch_add(i32::from(change.full), Ordering::Relaxed);
        self.left.fetch_add(change.left as i32, Ordering::Relaxed);
    }

    fn try_take(&self) -> bool {
        let Some(change) = self.permits.try_take() else {
            return false;
        };
        let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(held <= self.permits.max() as i32, "more than there are");
        self.show(change);
        true
    }

    fn give(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
        self.show(self.permits.give());
    }

    fn is_at_rest(&self) {
        assert_eq!(self.permits.taken(), 0, "all were given back");
        assert_eq!(self.full.load(Ordering::Relaxed), 0, "the breaker shows as closed");
        let max = self.permits.max() as i32;
        assert_eq!(self.left.load(Ordering::Relaxed), max, "all are left");
    }
}

/// Three requests, one place: never two at a time, and afterwards count and gauges are as before.
/// Covers a request that is refused in between another's taking and giving back.
pub fn never_more_than_there_are() {
    loom::model(|| {
        let resource = Resource::new(1);
        let request = |resource: &Arc<Resource>| {
            let resource = Arc::clone(resource);
            thread::spawn(move || {
                if resource.try_take() {
                    resource.give();
                }
            })
        };
        let others = [request(&resource), request(&resource)];
        if resource.try_take() {
            resource.give();
        }
        for other in others {
            other.join().expect("no panic");
        }
        resource.is_at_rest();
    });
}

/// One place, given back while another request asks for it: either that one gets it, or the next one
/// does. A request that is refused must not stand in the way of one that comes after it.
pub fn a_refusal_disturbs_nobody() {
    loom::model(|| {
        let resource = Resource::new(1);
        assert!(resource.try_take(), "it is free");
        let other = {
            let resource = Arc::clone(&resource);
            thread::spawn(move || resource.try_take())
        };
        resource.give();
        let next = resource.try_take();
        let other = other.join().expect("no panic");
        assert!(next != other, "one place, two requests: exactly one of them gets it");
        resource.give();
        resource.is_at_rest();
    });
}

/// Connections that are made whatever the limit says (a worker's first) beside those that keep to
/// it: the gauges come out right however the steps over and under the limit fall.
pub fn what_goes_over_the_limit_comes_back() {
    loom::model(|| {
        let resource = Resource::new(1);
        let forced = {
            let resource = Arc::clone(&resource);
            thread::spawn(move || {
                resource.show(resource.permits.take());
                resource.show(resource.permits.give());
            })
        };
        if let Some(change) = resource.permits.try_take() {
            resource.show(change);
            resource.show(resource.permits.give());
        }
        forced.join().expect("no panic");
        resource.is_at_rest();
    });
}

/// The limit is changed while a request takes and gives back: whichever limit a step was taken under,
/// the gauges come out right.
pub fn a_new_limit_leaves_the_gauges_right() {
    loom::model(|| {
        let resource = Resource::new(1);
        let request = {
            let resource = Arc::clone(&resource);
            thread::spawn(move || {
                resource.show(resource.permits.take());
                resource.show(resource.permits.give());
            })
        };
        resource.show(resource.permits.limit(2));
        resource.show(resource.permits.limit(1));
        request.join().expect("no panic");
        resource.is_at_rest();
    });
}
