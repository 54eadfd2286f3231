//! A connection that is being made for a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::{Connected, Place};
use crate::endpoint::{ConnectError, Endpoint};
use crate::lock::lock;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A connection that is being made. A request that leaves meanwhile leaves it to be finished, for
/// the next one: what was begun is mostly done, and clients that give up come in groups. Envoy's
/// pools do the same.
pub(crate) struct Connecting {
    connect: Option<BoxFuture<Result<Connected, Arc<ConnectError>>>>,
    endpoint: Arc<Endpoint>,
    /// The shard whose place it takes. HTTP/2 connections take none and are made for all who come.
    home: Option<usize>,
}

impl Connecting {
    pub(super) fn new(endpoint: &Arc<Endpoint>, place: Place) -> Self {
        let home = place.counted.then_some(place.home);
        let connect = Box::pin(Arc::clone(endpoint).connect_at(place));
        Self { connect: Some(connect), endpoint: Arc::clone(endpoint), home }
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Connected, Arc<ConnectError>>> {
        let Some(connect) = &mut self.connect else {
            return Poll::Pending;
        };
        let connected = ready!(connect.as_mut().poll(cx));
        self.connect = None;
        Poll::Ready(connected)
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let (Some(connect), Some(home)) = (self.connect.take(), self.home) else { return };
        // A runtime that is shutting down takes its connections along.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let spare = Spare::new(Arc::clone(&self.endpoint), home);
        runtime.spawn(async move {
            let connected = connect.await;
            if let Ok(Connected::Http1(connection)) = connected {
                spare.endpoint.give_back(connection);
            }
            drop(spare);
        });
    }
}

/// A connection that is being made and that nobody waits for any more.
struct Spare {
    endpoint: Arc<Endpoint>,
    home: usize,
}

impl Spare {
    fn new(endpoint: Arc<Endpoint>, home: usize) -> Self {
        lock(&endpoint.shards[home].state).http1.spare();
        Self { endpoint, home }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        lock(&self.endpoint.shards[self.home].state).http1.spared();
    }
}
