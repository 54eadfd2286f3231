//! The connections of a shard that requests share, and who waits for the one that is being made.

use crate::sync::oneshot;

/// What a request that waits is sent: a stream of the connection that was made, or nothing, where
/// there were not enough for all; or why none was made.
pub(super) type Made<S, E> = Result<Option<S>, E>;

/// Connections with streams for many requests.
///
/// Nothing here locks or wakes by itself, as in [`FreeList`](super::free_list::FreeList). While one
/// connection is being made, all requests that find no stream wait for it: one at a time is made.
#[derive(Debug)]
pub(super) struct SharedList<C, S, E> {
    connections: Vec<C>,
    /// `None` while none is being made.
    waiting: Option<Waiting<S, E>>,
}

/// Those who wait, in the order in which they came.
pub(super) type Waiting<S, E> = Vec<oneshot::Sender<Made<S, E>>>;

/// What a request gets.
#[derive(Debug)]
pub(super) enum Shared<S, E> {
    /// A stream.
    Stream(S),
    /// A place among those who wait; `make` where somebody has to make what they wait for.
    Queued { made: oneshot::Receiver<Made<S, E>>, make: bool },
}

impl<C, S, E> Default for SharedList<C, S, E> {
    fn default() -> Self {
        Self { connections: Vec::new(), waiting: None }
    }
}

impl<C, S, E> SharedList<C, S, E> {
    /// A stream of the first connection that has one.
    pub(super) fn stream(&self, of: impl FnMut(&C) -> Option<S>) -> Option<S> {
        self.connections.iter().find_map(of)
    }

    /// A stream, or a place among those who wait for the next connection.
    pub(super) fn stream_or_wait(&mut self, of: impl FnMut(&C) -> Option<S>) -> Shared<S, E> {
        if let Some(stream) = self.stream(of) {
            return Shared::Stream(stream);
        }
        let (tx, made) = oneshot::channel();
        let make = self.waiting.is_none();
        self.waiting.get_or_insert_default().push(tx);
        Shared::Queued { made, make }
    }

    /// A connection was made. Those who waited are to be sent its streams.
    pub(super) fn made(&mut self, connection: C) -> Waiting<S, E> {
        self.add(connection);
        self.given_up()
    }

    /// No connection was made. Those who waited are to be told; whoever comes now makes one.
    pub(super) fn given_up(&mut self) -> Waiting<S, E> {
        self.waiting.take().unwrap_or_default()
    }

    /// Adds a connection that nobody has waited for.
    pub(super) fn add(&mut self, connection: C) {
        self.connections.push(connection);
    }

    /// The oldest connection.
    pub(super) fn first(&self) -> Option<&C> {
        self.connections.first()
    }

    /// Forgets connections.
    pub(super) fn retain(&mut self, keep: impl FnMut(&C) -> bool) {
        self.connections.retain(keep);
    }

    /// Takes all connections out. The one that is being made stays expected.
    pub(super) fn clear(&mut self) -> Vec<C> {
        std::mem::take(&mut self.connections)
    }
}
