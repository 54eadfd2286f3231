//! Who waits for whom: `*_flow_control_*`.
//!
//! A body goes on as fast as its receiver takes it, because nobody reads what there is no room for.
//! Envoy stops and starts its reading where buffers pass a mark, and counts that. Here nothing is
//! told to stop; what is counted is that a peer has taken no more of a body, all that could be done
//! with it meanwhile is done, and more of it is to come:
//!
//! * a client that does not take a response: `upstream_flow_control_paused_reading_total` and
//!   `upstream_flow_control_resumed_reading_total` of the cluster that sends it;
//! * an upstream that does not take a request: its `upstream_flow_control_backed_up_total` and
//!   `upstream_flow_control_drained_total`, and `downstream_flow_control_paused_reading_total` and
//!   `downstream_flow_control_resumed_reading_total` of the listener where it came in.
//!
//! Counts are of the order of Envoy's and not equal to them: its marks lie at 1 MiB (16 MiB of an
//! HTTP/2 stream), where here the kernel's buffers and those of the HTTP libraries (about 400 KiB)
//! are all that fills up. What a peer takes in bits of less than 512 KiB is one wait.
//!
//! A response of an HTTP/2 upstream may have come whole while its client is waited for. Its stream is
//! closed then but not done with: that is the cluster's `http2.deferred_stream_close`, until the client
//! has been given the last of it or is gone.

use std::cell::RefCell;
use std::sync::Arc;

use crate::body::RequestProgress;
use crate::cluster::ClusterStats;
use crate::endpoint::{HeldStream, Http2Stream};

/// Sees each time that one side begins to wait for the other, and each time that it has waited.
#[derive(Debug, Default)]
struct Pauses {
    /// Bytes that had been taken when the waiting began.
    since: Option<u64>,
}

/// What a peer that is waited for takes bit by bit is one wait up to here: half of Envoy's default
/// `per_connection_buffer_limit_bytes`, where it lets go on who was told to stop.
const DRAINED: u64 = 512 << 10;

impl Pauses {
    /// `full`: the bytes that were taken so far, where the last of them wait and more are to come.
    fn look(&mut self, full: Option<u64>, resumed: impl FnOnce(), paused: impl FnOnce()) {
        match (self.since, full) {
            (None, None) => return,
            (Some(since), Some(now)) if now < since + DRAINED => return,
            _ => {}
        }
        if self.since.is_some() {
            resumed();
        }
        if full.is_some() {
            paused();
        }
        self.since = full;
    }
}

/// A client that does not take a response.
#[derive(Debug, Default)]
pub struct SlowClient {
    pauses: Pauses,
    upstream: Option<Upstream>,
    /// While the client is waited for.
    held: Option<HeldStream>,
}

impl SlowClient {
    /// Polls the response's body, and learns from it whose it is.
    pub fn read<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        Upstream::note(&mut self.upstream, poll)
    }

    /// Who sends the response, where somebody else has read it.
    pub fn served_by(&mut self, upstream: Upstream) {
        self.upstream = Some(upstream);
        self.held = None;
    }

    /// `full`: the bytes of the response that were read so far, where the client has not taken the
    /// last of them and more are to come.
    pub fn look(&mut self, full: Option<u64>) {
        let Some(Upstream { stats, stream }) = &self.upstream else { return };
        self.pauses.look(
            full,
            || stats.flow_control_resumed_reading_total.increment(1),
            || stats.flow_control_paused_reading_total.increment(1),
        );
        if self.pauses.since.is_none() {
            self.held = None;
        } else if self.held.is_none() {
            self.held = stream.as_ref().map(Http2Stream::hold);
        }
    }
}

/// An upstream that does not take a request.
#[derive(Debug, Default)]
pub(crate) struct SlowUpstream(Pauses);

impl SlowUpstream {
    /// `full`: the upstream takes no more at the moment.
    #[inline]
    pub(crate) fn look(
        &mut self,
        full: bool,
        request: Option<&Arc<RequestProgress>>,
        stats: &ClusterStats,
    ) {
        if !full && self.0.since.is_none() {
            return;
        }
        let waits = request.filter(|_| full).and_then(|request| request.waits());
        let client = request.and_then(|request| request.client());
        self.0.look(
            waits,
            || {
                stats.flow_control_drained_total.increment(1);
                if let Some(client) = client {
                    client.flow_control_resumed_reading_total.increment(1);
                }
            },
            || {
                stats.flow_control_backed_up_total.increment(1);
                if let Some(client) = client {
                    client.flow_control_paused_reading_total.increment(1);
                }
            },
        );
    }
}

/// Where a response comes from.
#[derive(Clone, Debug)]
pub struct Upstream {
    stats: Arc<ClusterStats>,
    stream: Option<Http2Stream>,
}

/// Whoever polls a body asks here, and the upstream's own body answers. Layers between them are many,
/// and nothing of a response that is not held up should cost anything.
enum Asked {
    No,
    Yes,
    Answered(Upstream),
}

thread_local! {
    static ASKED: RefCell<Asked> = const { RefCell::new(Asked::No) };
}

impl Upstream {
    /// Polls a response's body; where it is not known yet whose it is, that is asked for.
    pub fn note<R>(known: &mut Option<Self>, poll: impl FnOnce() -> R) -> R {
        if known.is_some() {
            return poll();
        }
        let before = ASKED.replace(Asked::Yes);
        let polled = poll();
        if let Asked::Answered(upstream) = ASKED.replace(before) {
            *known = Some(upstream);
        }
        polled
    }

    /// Answers, if it was asked. Said with what is not the end of a response: only who may have to
    /// wait needs to know for whom.
    pub(crate) fn tell(stats: &Arc<ClusterStats>, stream: impl FnOnce() -> Option<Http2Stream>) {
        ASKED.with_borrow_mut(|asked| {
            if matches!(asked, Asked::Yes) {
                let (stats, stream) = (Arc::clone(stats), stream());
                *asked = Asked::Answered(Self { stats, stream });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each look came to: `r` resumed, `p` paused.
    fn looks(looks: &[Option<u64>]) -> String {
        let mut pauses = Pauses::default();
        let said = RefCell::new(String::new());
        for full in looks {
            pauses.look(*full, || said.borrow_mut().push('r'), || said.borrow_mut().push('p'));
            said.borrow_mut().push(' ');
        }
        said.into_inner()
    }

    #[test]
    fn each_wait_counts_once() {
        assert_eq!(looks(&[None, None]), "  ");
        assert_eq!(looks(&[Some(1), Some(1), None, None]), "p  r  ");
        let full = [Some(1), Some(2), Some(DRAINED), Some(DRAINED + 1), Some(2 * DRAINED), None];
        assert_eq!(looks(&full), "p   rp  r ");
        assert_eq!(looks(&[Some(1), None, Some(2), None]), "p r p r ");
    }

    #[test]
    fn a_body_tells_whose_it_is_to_whoever_asks() {
        let stats = Arc::new(ClusterStats::new(&crate::stats::Scope::from_metrics()));
        let mut known = None;
        Upstream::note(&mut known, || ());
        assert!(known.is_none());
        Upstream::note(&mut known, || Upstream::tell(&stats, || None));
        assert!(known.is_some_and(|known| Arc::ptr_eq(&known.stats, &stats)));
        Upstream::tell(&stats, || panic!("nobody asked"));
        let mut next = None;
        Upstream::note(&mut next, || ());
        assert!(next.is_none(), "what nobody asked for is not kept");
    }
}
