//! Where the builder's cluster has its members from.

#[cfg(feature = "dns")]
mod dns;
mod found;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::{Cluster, ClusterBuilder};
use crate::discover::{Discover, FirstResolution, Member, MemberSet};
use crate::stats::Scope;
use found::Known;

/// What is known of the members when the cluster is built.
#[derive(Debug, Default)]
pub(super) struct Source {
    members: Vec<Member>,
    discoveries: Vec<Start>,
    #[cfg(feature = "dns")]
    dns: dns::Names,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A discovery that has not begun.
struct Start(Box<dyn FnOnce(Arc<dyn MemberSet>) -> Running + Send>);

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Start")
    }
}

impl ClusterBuilder {
    /// Adds endpoints by their addresses: texts as `127.0.0.1:8000` or `[::1]:8000`, socket addresses,
    /// or [`Member`]s, of which more can be said. Names are for
    #[cfg_attr(feature = "dns", doc = "[`dns`](Self::dns).")]
    #[cfg_attr(not(feature = "dns"), doc = "`dns`, with the feature of that name.")]
    ///
    /// # Errors
    ///
    /// One of the texts is not an address with a port.
    pub fn endpoints<A: TryInto<Member>>(
        mut self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, A::Error> {
        for address in addresses {
            self.source.members.push(address.try_into()?);
        }
        Ok(self)
    }

    /// Adds endpoints of which more is to be said than their address.
    pub fn members(mut self, members: impl IntoIterator<Item = Member>) -> Self {
        self.source.members.extend(members);
        self
    }

    /// Adds endpoints that come and go as this finds them, beside those known otherwise. It runs as a
    /// task of its own until the last clone of the cluster is gone. See [`Cluster::initialized`] for
    /// when it has looked once.
    pub fn discover(mut self, discovery: impl Discover) -> Self {
        let start = |members| -> Running { Box::pin(discovery.run(members)) };
        self.source.discoveries.push(Start(Box::new(start)));
        self
    }
}

impl Source {
    /// Gives the cluster its members, or begins to look for them.
    #[cfg_attr(not(feature = "dns"), allow(unused_mut))]
    pub(super) fn start(mut self, cluster: &Cluster, scope: &Scope) {
        if !self.members.is_empty() {
            cluster.update(self.members.clone());
        }
        #[cfg(feature = "dns")]
        let looked_up = self.dns.discovery(scope);
        #[cfg(not(feature = "dns"))]
        let looked_up = None;
        let known = Known::new(cluster, self.members);
        let looked_up = looked_up.map(|start| (start, None));
        let found = self.discoveries.drain(..).map(|start| (start, Some(scope)));
        let discoveries: Box<[_]> = looked_up
            .into_iter()
            .chain(found)
            .map(|(Start(start), counted)| {
                let (members, first) = known.sink(counted);
                let task = tokio::spawn(start(members)).abort_handle();
                Discovery { first, task }
            })
            .collect();
        if !discoveries.is_empty() {
            _ = cluster.inner.discoveries.set(discoveries);
        }
    }
}

/// A discovery under way; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Discovery {
    first: FirstResolution,
    task: AbortHandle,
}

impl Discovery {
    pub(super) async fn initialized(&self) {
        self.first.clone().wait().await;
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(cluster: &Cluster) -> Vec<(String, u32)> {
        let endpoints = cluster.endpoints();
        endpoints.iter().map(|e| (e.address().to_string(), e.weight())).collect()
    }

    #[test]
    fn endpoints_are_there_at_once() {
        let builder =
            Cluster::builder("c").endpoints(["127.0.0.1:1", "[::1]:2"]).expect("addresses");
        let heavy = Member { weight: 3, ..Member::new(([127, 0, 0, 2], 3).into()) };
        let cluster = builder.members([heavy]).build();
        let wanted = [("127.0.0.1:1", 1), ("[::1]:2", 1), ("127.0.0.2:3", 3)];
        assert_eq!(seen(&cluster), wanted.map(|(address, weight)| (address.to_owned(), weight)));
    }

    #[test]
    fn a_name_is_no_address() {
        let error = Cluster::builder("c").endpoints(["localhost:1"]).expect_err("a name");
        assert_eq!(error.to_string(), "`localhost:1` is not an IP address with a port");
    }

    #[tokio::test]
    async fn what_is_found_joins_what_is_known() {
        let (tell, told) = tokio::sync::oneshot::channel::<Vec<Member>>();
        let later = async move |members: Arc<dyn MemberSet>| {
            if let Ok(found) = told.await {
                members.update(found);
            }
        };
        let at_once = async |members: Arc<dyn MemberSet>| {
            members.update(vec![Member::new(([127, 0, 0, 2], 2).into())]);
        };
        let builder = Cluster::builder("c").endpoints(["127.0.0.1:1"]).expect("an address");
        let cluster = builder.discover(at_once).discover(later).build();
        assert_eq!(seen(&cluster).len(), 1, "nothing is found before somebody looks");
        _ = tell.send(vec![Member::new(([127, 0, 0, 3], 3).into())]);
        cluster.initialized().await;
        let mut addresses: Vec<_> =
            seen(&cluster).into_iter().map(|(address, _)| address).collect();
        addresses.sort();
        assert_eq!(addresses, ["127.0.0.1:1", "127.0.0.2:2", "127.0.0.3:3"]);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_discovery_that_finds_nothing() {
        let fails = async |members: Arc<dyn MemberSet>| {
            members.failed();
            std::future::pending::<()>().await;
        };
        Cluster::builder("c").discover(fails).build().initialized().await;
        let ends = async |_: Arc<dyn MemberSet>| {};
        Cluster::builder("c").discover(ends).build().initialized().await;
    }

    #[tokio::test]
    async fn a_discovery_ends_with_its_cluster() {
        let forever = async |members: Arc<dyn MemberSet>| {
            members.update(Vec::new());
            std::future::pending::<()>().await;
        };
        let cluster = Cluster::builder("c").discover(forever).build();
        cluster.initialized().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 1);
        drop(cluster);
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[cfg(feature = "dns")]
    #[tokio::test]
    async fn names_are_followed_for_as_long_as_the_cluster_lives() {
        let builder = Cluster::builder("c").endpoints(["127.0.0.9:9"]).expect("an address");
        // An address for a name needs no server.
        let builder = builder.dns("127.0.0.1:8000").and_then(|b| b.dns("127.0.0.2:8001"));
        let cluster = builder.expect("names").build();
        cluster.initialized().await;
        while cluster.endpoints().len() < 3 {
            tokio::task::yield_now().await;
        }
        let task = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        assert_eq!(task, 1);
        drop(cluster);
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
