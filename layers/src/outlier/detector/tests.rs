use tokio::time::advance;

use super::*;
use crate::cluster::Cluster;
use crate::discover::{Member, MemberSet};
use crate::health::HealthFlags;
use crate::outlier::OutlierDetection;

fn settings() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: 2,
        base_ejection_time: Duration::from_secs(30),
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    }
}

fn cluster(endpoints: u8, settings: OutlierDetection) -> Cluster {
    let cluster = Cluster::builder("c").outlier_detection(settings).build();
    let members = (1..=endpoints).map(|n| Member::new(([127, 0, 0, n], 80).into()));
    cluster.update(members.collect());
    cluster
}

fn report(endpoint: &Arc<Endpoint>, status: u16, times: usize) {
    for _ in 0..times {
        endpoint.report(Outcome::Status(status));
    }
}

/// Which of them are ejected.
fn gone(cluster: &Cluster) -> Vec<usize> {
    let endpoints = cluster.endpoints();
    (0..endpoints.len()).filter(|n| is_ejected(&endpoints[*n])).collect()
}

/// Lets time pass, an interval at a time.
async fn intervals(n: u32) {
    for _ in 0..n {
        advance(Duration::from_secs(10)).await;
        tokio::task::yield_now().await;
    }
}

/// The detector's task has begun to wait.
async fn begun(cluster: Cluster) -> Cluster {
    tokio::task::yield_now().await;
    cluster
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_eject_at_once_and_for_a_while() {
    let cluster = begun(cluster(2, settings())).await;
    report(&cluster.endpoints()[0], 500, 2);
    assert_eq!(gone(&cluster), [0]);
    intervals(2).await;
    assert_eq!(gone(&cluster), [0]);
    intervals(1).await;
    assert_eq!(gone(&cluster), []);
    assert_eq!(cluster.endpoints()[0].health(), HealthFlags::default());
}

#[tokio::test(start_paused = true)]
async fn the_next_ejection_lasts_longer_and_time_makes_up_for_it() {
    let cluster = begun(cluster(2, settings())).await;
    let first = Arc::clone(&cluster.endpoints()[0]);
    report(&first, 500, 2);
    intervals(3).await;
    report(&first, 500, 1);
    assert_eq!(gone(&cluster), [], "what was before is forgotten");
    report(&first, 500, 1);
    intervals(5).await;
    assert_eq!(gone(&cluster), [0], "twice the time");
    intervals(1).await;
    assert_eq!(gone(&cluster), []);
    // Two intervals without a failure take both steps back.
    intervals(3).await;
    report(&first, 500, 2);
    intervals(3).await;
    assert_eq!(gone(&cluster), []);
}

#[tokio::test(start_paused = true)]
async fn an_ejection_has_a_longest_time() {
    let max_ejection_time = Some(Duration::from_secs(30));
    let cluster = begun(cluster(1, OutlierDetection { max_ejection_time, ..settings() })).await;
    for _ in 0..3 {
        report(&cluster.endpoints()[0], 500, 2);
        assert_eq!(gone(&cluster), [0]);
        intervals(3).await;
        assert_eq!(gone(&cluster), []);
    }
}

#[tokio::test(start_paused = true)]
async fn only_so_many_may_be_ejected() {
    let limited = OutlierDetection { max_ejection_percent: 50, ..settings() };
    let cluster = begun(cluster(3, limited)).await;
    for endpoint in cluster.endpoints() {
        report(&endpoint, 500, 2);
    }
    assert_eq!(gone(&cluster), [0]);
}

#[tokio::test(start_paused = true)]
async fn one_may_be_ejected_in_any_case_if_wanted() {
    let none = OutlierDetection { max_ejection_percent: 10, ..settings() };
    let one = OutlierDetection { always_eject_one: true, ..none.clone() };
    for (settings, expected) in [(none, vec![]), (one, vec![0])] {
        let cluster = begun(cluster(2, settings)).await;
        for endpoint in cluster.endpoints() {
            report(&endpoint, 500, 2);
        }
        assert_eq!(gone(&cluster), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_enforced_is_only_counted() {
    let lax = OutlierDetection { enforcing_consecutive_5xx: 0, ..settings() };
    let cluster = begun(cluster(1, lax)).await;
    report(&cluster.endpoints()[0], 500, 5);
    assert_eq!(gone(&cluster), []);
}

#[tokio::test(start_paused = true)]
async fn a_low_rate_of_success_is_found_at_the_end_of_the_interval() {
    let rare = OutlierDetection { consecutive_5xx: 1000, ..settings() };
    let cluster = begun(cluster(5, rare)).await;
    let endpoints = cluster.endpoints();
    for endpoint in &endpoints {
        report(endpoint, 200, 100);
    }
    report(&endpoints[3], 500, 100);
    assert_eq!(gone(&cluster), []);
    intervals(1).await;
    assert_eq!(gone(&cluster), [3]);
    assert_eq!(endpoints[3].success_rates(), (Some(50.0), None));
    let averages = cluster.outlier_averages().expect("it is on");
    assert_eq!(averages.success_rate, Some(90.0));
    let threshold = averages.success_rate_threshold.expect("there is one");
    assert!((threshold - 52.0).abs() < 1e-9, "{threshold}");
    intervals(1).await;
    assert_eq!(endpoints[0].success_rates(), (None, None), "nothing was requested since");
}

#[tokio::test(start_paused = true)]
async fn too_few_requests_or_endpoints_say_nothing() {
    let rare = OutlierDetection { consecutive_5xx: 1000, ..settings() };
    for (count, volume) in [(4, 100), (5, 99)] {
        let cluster = begun(cluster(count, rare.clone())).await;
        let endpoints = cluster.endpoints();
        for endpoint in &endpoints[1..] {
            report(endpoint, 200, volume);
        }
        report(&endpoints[0], 500, volume);
        intervals(1).await;
        assert_eq!(gone(&cluster), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_percentage_of_failures_is_too_many() {
    let settings = OutlierDetection {
        consecutive_5xx: 1000,
        enforcing_success_rate: 0,
        enforcing_failure_percentage: 100,
        failure_percentage_minimum_hosts: 2,
        failure_percentage_threshold: 40,
        ..settings()
    };
    let cluster = begun(cluster(2, settings)).await;
    let endpoints = cluster.endpoints();
    for (endpoint, failures) in endpoints.iter().zip([20, 19]) {
        report(endpoint, 500, failures);
        report(endpoint, 200, 50 - failures);
    }
    intervals(1).await;
    assert_eq!(gone(&cluster), [0]);
}

#[tokio::test(start_paused = true)]
async fn who_left_is_not_reckoned_with() {
    let half = OutlierDetection { max_ejection_percent: 50, ..settings() };
    let cluster = begun(cluster(2, half)).await;
    let first = Arc::clone(&cluster.endpoints()[0]);
    report(&first, 500, 2);
    cluster.update((2..4).map(|n| Member::new(([127, 0, 0, n], 80).into())).collect());
    report(&cluster.endpoints()[0], 500, 2);
    assert_eq!(gone(&cluster), [0], "the place of the one that left is free");
    report(&first, 500, 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_healthy_one_gets_everything() {
    use crate::cluster::HealthOptions;
    let options = HealthOptions { panic_threshold: 0, ..HealthOptions::default() };
    let builder = Cluster::builder("c").endpoints(["127.0.0.1:1", "127.0.0.2:1"]);
    let builder = builder.expect("addresses").health(options).outlier_detection(settings());
    let cluster = begun(builder.build()).await;
    let endpoints = cluster.endpoints();
    report(&endpoints[0], 500, 2);
    let inner = endpoints[0].shared().cluster.upgrade().expect("it is there");
    for _ in 0..4 {
        assert_eq!(inner.pick_address(), Some(endpoints[1].address()));
    }
    report(&endpoints[1], 500, 2);
    assert_eq!(inner.pick_address(), None);
}
