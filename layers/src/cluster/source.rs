//! Where the builder's cluster has its members from.

#[cfg(feature = "dns")]
mod dns;

#[cfg(feature = "dns")]
pub(super) use dns::Discovery;

use std::net::{AddrParseError, SocketAddr};

use super::{Cluster, ClusterBuilder};
use crate::discover::{Member, MemberSet};
use crate::stats::Scope;

/// What is known of the members when the cluster is built.
#[derive(Debug, Default)]
pub(super) struct Source {
    members: Vec<Member>,
    #[cfg(feature = "dns")]
    dns: dns::Names,
}

impl ClusterBuilder {
    /// Adds endpoints by their addresses, as `127.0.0.1:8000` or `[::1]:8000`. Names are for
    #[cfg_attr(feature = "dns", doc = "[`dns`](Self::dns).")]
    #[cfg_attr(not(feature = "dns"), doc = "`dns`, with the feature of that name.")]
    ///
    /// # Errors
    ///
    /// One of them is not an address with a port.
    pub fn endpoints<A: AsRef<str>>(
        mut self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, AddrParseError> {
        for address in addresses {
            let address: SocketAddr = address.as_ref().parse()?;
            self.source.members.push(Member::new(address));
        }
        Ok(self)
    }

    /// Adds endpoints of which more is to be said than their address.
    pub fn members(mut self, members: impl IntoIterator<Item = Member>) -> Self {
        self.source.members.extend(members);
        self
    }
}

impl Source {
    /// Gives the cluster its members, or begins to look for them.
    pub(super) fn start(self, cluster: &Cluster, scope: &Scope) {
        #[cfg(feature = "dns")]
        if self.dns.is_some() {
            self.dns.follow(self.members, cluster, scope);
            return;
        }
        let _ = scope;
        if !self.members.is_empty() {
            cluster.update(self.members);
        }
    }
}

/// Without DNS there is none.
#[cfg(not(feature = "dns"))]
#[derive(Debug)]
pub(super) enum Discovery {}

#[cfg(not(feature = "dns"))]
impl Discovery {
    pub(super) async fn initialized(&self) {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_there_at_once() {
        let builder =
            Cluster::builder("c").endpoints(["127.0.0.1:1", "[::1]:2"]).expect("addresses");
        let heavy = Member { weight: 3, ..Member::new(([127, 0, 0, 2], 3).into()) };
        let cluster = builder.members([heavy]).build();
        let seen: Vec<_> = cluster
            .endpoints()
            .iter()
            .map(|endpoint| (endpoint.address().to_string(), endpoint.weight()))
            .collect();
        let wanted = [("127.0.0.1:1", 1), ("[::1]:2", 1), ("127.0.0.2:3", 3)];
        assert_eq!(seen, wanted.map(|(address, weight)| (address.to_owned(), weight)));
    }

    #[test]
    fn a_name_is_no_address() {
        assert!(Cluster::builder("c").endpoints(["localhost:1"]).is_err());
    }

    #[cfg(feature = "dns")]
    #[tokio::test]
    async fn names_are_followed_for_as_long_as_the_cluster_lives() {
        let builder = Cluster::builder("c").endpoints(["127.0.0.9:9"]).expect("an address");
        // An address for a name needs no server.
        let cluster = builder.dns("127.0.0.1", 8000).dns("127.0.0.2", 8001).build();
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
