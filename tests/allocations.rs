//! Recording allocates nothing.

use std::hint::black_box;

use allocation_counter::measure;
use front_proxy::stats::Registry;

#[test]
fn recording_allocates_nothing() {
    let registry = Registry::new(2);
    let scope = registry.scope().child("cluster").tagged("envoy_cluster_name", "s");
    let counter = scope.counter("upstream_rq_total");
    let gauge = scope.gauge("upstream_rq_active");
    let histogram = scope.histogram_ms("upstream_rq_time");
    let record = || {
        counter.increment(black_box(1));
        gauge.increment(black_box(1.0));
        gauge.decrement(black_box(1.0));
        gauge.set(black_box(3.0));
        histogram.record(black_box(12.0));
    };
    // A worker's first sample, and the first of its size, make room for those to come.
    assert_eq!(measure(record).count_total, 2);
    registry.flush();
    assert_eq!(measure(|| (0..1000).for_each(|_| record())).count_total, 0);
}
