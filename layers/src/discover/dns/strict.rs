//! `STRICT_DNS`: every address of every name is a member.

use std::collections::HashSet;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::refresh::Schedule;
use super::{Answer, FirstResolution, LookupError, LookupFamily, Resolver, Settings, Target};
use crate::discover::first::Announce;
use crate::discover::{Discover, Member, MemberSet, UpdateStats};

/// Looks each of its targets up on a cycle of its own, and hands over the members of all of them.
#[derive(Debug)]
pub struct StrictDns<R> {
    targets: Vec<State>,
    resolver: R,
    family: LookupFamily,
    stats: UpdateStats,
    first: Announce,
}

/// A target and what is known of it.
#[derive(Debug)]
struct State {
    target: Target,
    schedule: Schedule,
    /// `None` until it was resolved: then the first answer is handed over even if it is empty, since
    /// the sink may hold members of an earlier life.
    members: Option<Vec<Member>>,
}

type Cycle<'a> = Pin<Box<dyn Future<Output = Result<Answer, LookupError>> + Send + 'a>>;

impl<R: Resolver> StrictDns<R> {
    /// Prepares to look up `targets`; [`run`](Self::run) begins.
    pub fn new(targets: Vec<Target>, resolver: R, settings: Settings, stats: UpdateStats) -> Self {
        Self {
            targets: targets
                .into_iter()
                .map(|target| State {
                    target,
                    schedule: Schedule::new(settings.refresh.clone()),
                    members: None,
                })
                .collect(),
            resolver,
            family: settings.family,
            stats,
            first: Announce::new(),
        }
    }

    /// Waits for the first lookup of any target to end.
    pub fn first_resolution(&self) -> FirstResolution {
        self.first.subscribe()
    }

    /// Runs until it is dropped.
    pub async fn run(self, sink: impl MemberSet) {
        let Self { mut targets, resolver, family, stats, first } = self;
        let cycle = |target: &Target, wait: Duration| -> Cycle<'_> {
            let name = target.host.clone();
            let (resolver, stats) = (&resolver, &stats);
            Box::pin(async move {
                tokio::time::sleep(wait).await;
                stats.attempt.increment(1);
                resolver.lookup(&name, family).await
            })
        };

        if targets.is_empty() {
            first.done();
            return pending().await;
        }
        let mut cycles: Vec<_> =
            targets.iter().map(|state| cycle(&state.target, Duration::ZERO)).collect();
        loop {
            let (index, result) = next(&mut cycles).await;
            let wait = match result {
                Ok(answer) => apply(&mut targets, index, &answer, &stats, &sink),
                Err(LookupError::NotFound) => {
                    apply(&mut targets, index, &Answer::default(), &stats, &sink)
                }
                Err(error @ LookupError::Failed { .. }) => {
                    stats.failure.increment(1);
                    sink.failed();
                    let state = &mut targets[index];
                    tracing::debug!(host = %state.target.host, %error, "lookup failed");
                    state.schedule.after_failure()
                }
            };
            first.done();
            cycles[index] = cycle(&targets[index].target, wait);
        }
    }
}

impl<R: Resolver + 'static> Discover for StrictDns<R> {
    fn run(self, members: Arc<dyn MemberSet>) -> impl Future<Output = ()> + Send + 'static {
        Self::run(self, members)
    }
}

/// The next cycle to end. One that ended must be replaced before the next call.
async fn next(cycles: &mut [Cycle<'_>]) -> (usize, Result<Answer, LookupError>) {
    poll_fn(|cx| {
        // Clusters have a handful of targets, and wake-ups are lookups apart: polling all is fine.
        for (index, cycle) in cycles.iter_mut().enumerate() {
            if let Poll::Ready(result) = cycle.as_mut().poll(cx) {
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    })
    .await
}

/// Takes an answer in; returns how long to wait for the next one.
fn apply(
    targets: &mut [State],
    index: usize,
    answer: &Answer,
    stats: &UpdateStats,
    sink: &impl MemberSet,
) -> Duration {
    stats.success.increment(1);
    let state = &mut targets[index];
    let wait = state.schedule.after(answer);

    let mut seen = HashSet::with_capacity(answer.addresses.len());
    let members: Vec<_> = answer
        .addresses
        .iter()
        .filter(|ip| seen.insert(**ip))
        .map(|ip| state.target.member(*ip))
        .collect();
    let known = state.members.as_deref().unwrap_or_default();
    let again = known.iter().filter(|member| seen.contains(&member.address.ip())).count();
    let same = state.members.is_some() && again == known.len() && again == members.len();
    if again > 0 {
        stats.named_again.increment(again as u64);
    }
    let heaviest = members.iter().map(|member| member.weight).max().unwrap_or(1);
    stats.max_host_weight.set(f64::from(heaviest));
    if !same {
        state.members = Some(members);
    }
    if same || !sink.update(union(targets)) {
        stats.no_rebuild.increment(1);
    }
    wait
}

fn union(targets: &[State]) -> Vec<Member> {
    targets.iter().filter_map(|state| state.members.as_ref()).flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::timeout;

    use super::super::Refresh;
    use super::super::testing::{Counters, FakeResolver, Recorder, answer};
    use super::*;

    struct Running {
        resolver: Arc<FakeResolver>,
        sink: Arc<Recorder>,
        counters: Counters,
        first: FirstResolution,
        task: tokio::task::JoinHandle<()>,
    }

    fn start(names: &[&str], refresh: Refresh, prepare: impl FnOnce(&FakeResolver)) -> Running {
        let resolver = Arc::new(FakeResolver::default());
        prepare(&resolver);
        let sink = Arc::new(Recorder::default());
        let counters = Counters::default();
        let discovery = StrictDns::new(
            names.iter().map(|name| Target::new(*name, 80)).collect(),
            Arc::clone(&resolver),
            Settings { refresh, ..Settings::default() },
            counters.stats(),
        );
        let first = discovery.first_resolution();
        let task = tokio::spawn(discovery.run(Arc::clone(&sink)));
        Running { resolver, sink, counters, first, task }
    }

    /// Past the next refresh at the default rate.
    async fn refresh() {
        tokio::time::sleep(Duration::from_millis(5001)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn members_follow_the_answers() {
        let run = start(&["a"], Refresh::default(), |r| {
            r.answers("a", &["10.0.0.1"]);
        });
        run.first.clone().wait().await;
        assert_eq!(run.sink.addresses(), ["10.0.0.1:80"]);
        assert_eq!(run.counters.read(), [1, 1, 0, 0, 0]);

        run.resolver.answers("a", &["10.0.0.3", "10.0.0.1"]);
        refresh().await;
        assert_eq!(run.sink.addresses(), ["10.0.0.3:80", "10.0.0.1:80"]);
        assert_eq!(run.counters.read(), [2, 2, 0, 0, 0]);
        assert_eq!(run.counters.named_again(), 1);
        run.task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn order_and_repetition_are_no_change() {
        let run = start(&["a"], Refresh::default(), |r| {
            r.answers("a", &["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
        });
        run.first.clone().wait().await;
        assert_eq!(run.sink.addresses(), ["10.0.0.1:80", "10.0.0.2:80"]);
        run.resolver.answers("a", &["10.0.0.2", "10.0.0.2", "10.0.0.1"]);
        refresh().await;
        assert_eq!(run.counters.read(), [2, 2, 0, 0, 1]);
        assert_eq!(run.sink.calls(), 1);
        run.task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn failures_keep_members_and_a_name_that_is_gone_removes_them() {
        let run = start(&["a"], Refresh::default(), |r| {
            r.answers("a", &["10.0.0.1"]);
        });
        run.first.clone().wait().await;
        run.resolver.fails("a");
        refresh().await;
        assert_eq!(run.sink.addresses(), ["10.0.0.1:80"]);
        assert_eq!(run.counters.read(), [2, 1, 1, 0, 0]);

        run.resolver.set("a", Err(LookupError::NotFound));
        refresh().await;
        assert_eq!(run.sink.members(), []);
        assert_eq!(run.counters.read(), [3, 2, 1, 0, 0]);

        // An empty answer is the same as no such name.
        run.resolver.answers("a", &[]);
        refresh().await;
        assert_eq!(run.counters.read(), [4, 3, 1, 0, 1]);
        run.task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn targets_are_joined_and_each_has_its_own_cycle() {
        let run =
            start(&["a", "b", "hang"], Refresh { respect_ttl: true, ..Refresh::default() }, |r| {
                r.set("a", answer(&["10.0.0.1", "10.0.0.2"], 1));
                r.set("b", answer(&["10.0.0.2", "10.0.0.3"], 60));
            });
        // The target that hangs keeps nobody waiting.
        run.first.clone().wait().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        // As in Envoy, an address found under two names is there twice.
        assert_eq!(
            run.sink.addresses(),
            ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.2:80", "10.0.0.3:80"]
        );

        run.resolver.answers("a", &[]);
        run.resolver.answers("b", &[]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(run.sink.addresses(), ["10.0.0.2:80", "10.0.0.3:80"]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(run.sink.members(), []);
        run.task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_resolution_may_fail_and_may_be_of_nothing() {
        let run = start(&["a"], Refresh::default(), |r| r.fails("a"));
        let soon = Duration::from_millis(1);
        timeout(soon, run.first.wait()).await.unwrap();
        assert_eq!(run.sink.calls(), 0);
        run.task.abort();

        let run = start(&[], Refresh::default(), |_| ());
        timeout(soon, run.first.wait()).await.unwrap();
        run.task.abort();

        let run = start(&["hang"], Refresh::default(), |_| ());
        timeout(soon, run.first.clone().wait()).await.unwrap_err();
        run.task.abort();
        timeout(soon, run.first.wait()).await.unwrap();
    }
}
