//! The task that makes an HTTP/2 connection.

use std::sync::Arc;

use super::Opened;
use crate::endpoint::{ConnectError, Endpoint};
use crate::lock::lock;

/// Makes an HTTP/2 connection for those who wait for it.
pub(super) struct Making {
    endpoint: Arc<Endpoint>,
    home: usize,
    done: bool,
}

impl Making {
    pub(super) fn new(endpoint: Arc<Endpoint>, home: usize) -> Self {
        Self { endpoint, home, done: false }
    }

    pub(super) async fn run(mut self) {
        let made = match self.endpoint.open(Some(self.home)).await {
            Ok(Opened::Http2(connection)) => Ok(connection),
            Ok(Opened::Http1(_) | Opened::Tcp(_)) => Err(Arc::new(ConnectError::Timeout)),
            Err(error) => Err(Arc::new(error)),
        };
        self.done = true;
        let endpoint = &self.endpoint;
        let waiting = {
            let mut state = lock(&endpoint.shards[self.home].state);
            match &made {
                Ok(connection) => {
                    if let Some(other) = state.http2.first() {
                        connection.expect_as(other);
                    }
                    state.http2.made(Arc::clone(connection))
                }
                Err(_) => state.http2.given_up(),
            }
        };
        for waiter in waiting {
            let _ = waiter.send(match &made {
                Ok(connection) => Ok(connection.take_stream(&endpoint.shared().options)),
                Err(error) => Err(Arc::clone(error)),
            });
        }
        if let Ok(connection) = &made {
            endpoint.close_if_left(connection);
        }
    }
}

impl Drop for Making {
    /// Its runtime has ended before it. Others may use the endpoint on another one: who waits is let
    /// go, and who comes makes a connection.
    fn drop(&mut self) {
        if !self.done {
            let waiting = lock(&self.endpoint.shards[self.home].state).http2.given_up();
            // Outside the lock: it wakes them.
            drop(waiting);
        }
    }
}
