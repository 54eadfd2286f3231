use std::sync::{Arc, OnceLock};

use http::Version;

use crate::endpoint::{Endpoint, UpstreamConnection};

/// The endpoints that a request was tried with. The list only grows, so that what it holds can be
/// lent out; it is as long as a request has tries.
#[derive(Debug, Default)]
pub(super) struct Tries(OnceLock<Box<Try>>);

#[derive(Debug)]
struct Try {
    endpoint: Arc<Endpoint>,
    connection: OnceLock<(Arc<UpstreamConnection>, Version)>,
    next: Tries,
}

impl Tries {
    pub(super) fn push(&self, endpoint: &Arc<Endpoint>) {
        let mut at = self;
        let mut new = Box::new(Try {
            endpoint: Arc::clone(endpoint),
            connection: OnceLock::new(),
            next: Self::default(),
        });
        while let Err(back) = at.0.set(new) {
            let Some(taken) = at.0.get() else {
                return;
            };
            (at, new) = (&taken.next, back);
        }
    }

    pub(super) fn last(&self) -> Option<&Arc<Endpoint>> {
        self.iter().last().map(|one| &one.endpoint)
    }

    /// The latest try goes out on this connection. A kept connection may turn out to be dead; the
    /// request then goes out on another.
    pub(super) fn sent_on(&self, connection: &Arc<UpstreamConnection>, protocol: Version) {
        let Some(last) = self.iter().last() else {
            return;
        };
        let taken = last.connection.set((Arc::clone(connection), protocol)).is_err();
        if taken {
            last.next.push(&last.endpoint);
            last.next.sent_on(connection, protocol);
        }
    }

    /// The connection of the latest try, once it was sent.
    pub(super) fn connection(&self) -> Option<&(Arc<UpstreamConnection>, Version)> {
        self.iter().last()?.connection.get()
    }

    fn iter(&self) -> impl Iterator<Item = &Try> {
        std::iter::successors(self.0.get().map(|one| &**one), |one| {
            one.next.0.get().map(|one| &**one)
        })
    }
}
