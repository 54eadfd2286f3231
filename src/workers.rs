//! Workers: threads with a runtime each, which serve the connections that they accept.
//!
//! As in Envoy, nginx and HAProxy a connection stays on its worker from accept to close, and so do
//! the upstream connections it uses: no task is stolen and no lock is fought over. Each worker has
//! a listening socket of its own for every listener (`SO_REUSEPORT`).

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

use crate::listener::{Listener, accept};
use crate::shutdown::{Phase, Signal};
use crate::watchdog::Pulse;

/// The sockets of one worker, with the listeners they belong to.
pub(crate) type Sockets = Vec<(Arc<Listener>, TcpListener)>;

/// The connections of a worker that are open.
#[derive(Debug, Default)]
pub(crate) struct OpenConnections {
    count: AtomicUsize,
    none_left: Notify,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<OpenConnections>);

impl OpenConnections {
    pub(crate) fn open(self: &Arc<Self>) -> OpenConnection {
        self.count.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    async fn none_left(&self) {
        loop {
            let notified = self.none_left.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

/// Starts worker `index`. Its thread ends when `signal` reaches [`Phase::Draining`] and the last
/// connection has closed, or at once with [`Phase::Stopped`].
pub(crate) fn start(
    index: usize,
    sockets: Sockets,
    signal: Signal,
    pulse: Pulse,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        front_proxy_layers::worker::enter(index);
        runtime.spawn(pulse.keep());
        runtime.block_on(run(index, sockets, signal));
        // Tasks that are still there (a deadline passed) are dropped with the runtime, but not
        // waited for.
        runtime.shutdown_timeout(Duration::ZERO);
    })
}

async fn run(index: usize, sockets: Sockets, mut signal: Signal) {
    let open = Arc::new(OpenConnections::default());
    for (listener, socket) in sockets {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(socket) => {
                let accepting = accept(index, listener, socket, signal.clone(), Arc::clone(&open));
                tokio::spawn(accepting);
            }
            Err(error) => tracing::error!(%error, listener = listener.name, "can't listen"),
        }
    }
    signal.reached(Phase::Draining).await;
    tokio::select! {
        () = open.none_left() => {}
        () = signal.reached(Phase::Stopped) => {}
    }
}
