//! `LOGICAL_DNS`: the first address of the one name is the only member.

use std::future::Future;
use std::sync::Arc;

use super::refresh::Schedule;
use super::{FirstResolution, LookupError, LookupFamily, Resolver, Settings, Target};
use crate::discover::first::Announce;
use crate::discover::{Discover, MemberSet, UpdateStats};

/// Looks its target up again and again, and hands over the first address of each answer.
///
/// An address that was replaced is a member that went: its requests in flight finish and its idle
/// connections close, as with [`StrictDns`](super::StrictDns). (So in Envoy 1.40; older ones kept
/// the connections.) Envoy also counts a change when only the addresses after the first changed,
/// which a round-robin DNS server does all the time; here that is none.
#[derive(Debug)]
pub struct LogicalDns<R> {
    target: Target,
    resolver: R,
    family: LookupFamily,
    schedule: Schedule,
    stats: UpdateStats,
    first: Announce,
}

impl<R: Resolver> LogicalDns<R> {
    /// Prepares to look up `target`; [`run`](Self::run) begins.
    pub fn new(target: Target, resolver: R, settings: Settings, stats: UpdateStats) -> Self {
        Self {
            target,
            resolver,
            family: settings.family,
            schedule: Schedule::new(settings.refresh),
            stats,
            first: Announce::new(),
        }
    }

    /// Waits for the first lookup to end.
    pub fn first_resolution(&self) -> FirstResolution {
        self.first.subscribe()
    }

    /// Runs until it is dropped.
    pub async fn run(mut self, sink: impl MemberSet) {
        let mut known = None;
        loop {
            self.stats.attempt.increment(1);
            let result = self.resolver.lookup(&self.target.host, self.family).await;
            let found = result.and_then(|answer| {
                let first = answer.addresses.first().copied();
                first.map(|ip| (ip, answer)).ok_or(LookupError::NotFound)
            });
            let wait = match found {
                Ok((ip, answer)) => {
                    self.stats.success.increment(1);
                    let same = known.replace(ip) == Some(ip);
                    if same {
                        self.stats.named_again.increment(1);
                    }
                    if same || !sink.update(vec![self.target.member(ip)]) {
                        self.stats.no_rebuild.increment(1);
                    }
                    self.schedule.after(&answer)
                }
                Err(error) => {
                    self.stats.failure.increment(1);
                    sink.failed();
                    tracing::debug!(host = %self.target.host, %error, "lookup failed");
                    self.schedule.after_failure()
                }
            };
            self.first.done();
            tokio::time::sleep(wait).await;
        }
    }
}

impl<R: Resolver + 'static> Discover for LogicalDns<R> {
    fn run(self, members: Arc<dyn MemberSet>) -> impl Future<Output = ()> + Send + 'static {
        Self::run(self, members)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::testing::{Counters, FakeResolver, Recorder};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_address_is_the_member_and_stays_while_there_is_no_other() {
        let resolver = Arc::new(FakeResolver::default());
        resolver.answers("a", &["10.0.0.1", "10.0.0.2"]);
        let sink = Arc::new(Recorder::default());
        let counters = Counters::default();
        let discovery = LogicalDns::new(
            Target { hostname: Some("shown".into()), ..Target::new("a", 80) },
            Arc::clone(&resolver),
            Settings::default(),
            counters.stats(),
        );
        let first = discovery.first_resolution();
        let task = tokio::spawn(discovery.run(Arc::clone(&sink)));
        let refresh = || tokio::time::sleep(Duration::from_millis(5001));

        first.wait().await;
        assert_eq!(sink.addresses(), ["10.0.0.1:80"]);
        assert_eq!(&*sink.members()[0].hostname, "shown");
        assert_eq!(counters.read(), [1, 1, 0, 0, 0]);

        resolver.answers("a", &["10.0.0.1", "10.0.0.3"]);
        refresh().await;
        assert_eq!(counters.read(), [2, 2, 0, 0, 1]);

        resolver.answers("a", &["10.0.0.2", "10.0.0.1"]);
        refresh().await;
        assert_eq!(sink.addresses(), ["10.0.0.2:80"]);
        assert_eq!(counters.read(), [3, 3, 0, 0, 1]);

        for gone in [Err(LookupError::NotFound), Ok(Default::default())] {
            resolver.set("a", gone);
            refresh().await;
        }
        resolver.fails("a");
        refresh().await;
        assert_eq!(sink.addresses(), ["10.0.0.2:80"]);
        assert_eq!(counters.read(), [6, 3, 3, 0, 1]);
        assert_eq!(counters.named_again(), 1);
        task.abort();
    }
}
