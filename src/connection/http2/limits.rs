//! Frames that cost the receiver more than the sender: Envoy's limits on them.

use front_proxy_layers::http2::{CodecStats, Frame, flag, kind};
use front_proxy_layers::stats::Counter;

/// Envoy's defaults for `http2_protocol_options.max_*_frames*`.
const EMPTY_FRAMES: u32 = 1;
const PRIORITY_PER_STREAM: u64 = 100;
const WINDOW_UPDATES_PER_DATA: u64 = 10;

/// Counts the frames that a client sends, as Envoy's `ProtocolConstraints` does.
#[derive(Debug, Default)]
pub(super) struct Limits {
    empty: u32,
    priority: u64,
    window_updates: u64,
    /// Streams that the client opened.
    pub(super) opened: u64,
    /// DATA frames that were sent to it.
    pub(super) data_sent: u64,
}

impl Limits {
    /// Counts a frame. Returns what is to be counted if it is one too many.
    pub(super) fn received<'a>(
        &mut self,
        frame: &Frame,
        stats: &'a CodecStats,
    ) -> Option<&'a Counter> {
        match frame.kind {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => {
                let ends = frame.kind != kind::CONTINUATION && frame.has(flag::END_STREAM);
                if !frame.is_empty() || ends {
                    self.empty = 0;
                    return None;
                }
                self.empty += 1;
                (self.empty > EMPTY_FRAMES).then_some(&stats.inbound_empty_frames_flood)
            }
            kind::PRIORITY => {
                self.priority += 1;
                let most = PRIORITY_PER_STREAM * (1 + self.opened);
                (self.priority > most).then_some(&stats.inbound_priority_frames_flood)
            }
            kind::WINDOW_UPDATE => {
                self.window_updates += 1;
                let most = 5 + 2 * (self.opened + WINDOW_UPDATES_PER_DATA * self.data_sent);
                (self.window_updates > most).then_some(&stats.inbound_window_update_frames_flood)
            }
            _ => None,
        }
    }
}

/// Requests that a client gives up before it can have their answer ("rapid reset"): Envoy's
/// `overload.premature_reset_*` with their defaults.
#[derive(Debug, Default)]
pub(super) struct PrematureResets {
    closed: u32,
    premature: u32,
}

impl PrematureResets {
    const TOTAL: u32 = 500;
    /// A request that lasted longer than this was meant.
    pub(super) const LIFETIME: std::time::Duration = std::time::Duration::from_secs(1);

    /// Counts a request that has ended. True if the connection has to end.
    pub(super) fn ended(&mut self, premature: bool) -> bool {
        self.closed = self.closed.saturating_add(1);
        if !premature {
            return false;
        }
        self.premature += 1;
        // Half of them, and half of the total even if all that follow were good.
        self.premature.saturating_mul(2) >= self.closed.max(Self::TOTAL)
    }
}

#[cfg(test)]
mod tests {
    use front_proxy_layers::stats::Scope;

    use super::*;

    fn flood(limits: &mut Limits, frame: Frame) -> usize {
        let stats = CodecStats::new(&Scope::noop());
        (1..10_000).find(|_| limits.received(&frame, &stats).is_some()).unwrap_or(usize::MAX)
    }

    #[test]
    fn empty_frames_are_allowed_one_at_a_time() {
        let mut limits = Limits::default();
        let stats = CodecStats::new(&Scope::noop());
        let empty = Frame { kind: kind::DATA, ..Frame::default() };
        let full = Frame { len: 1, ..empty };
        for _ in 0..100 {
            assert!(limits.received(&empty, &stats).is_none());
            assert!(limits.received(&full, &stats).is_none());
        }
        assert_eq!(flood(&mut limits, empty), 2);
        let last = Frame { flags: flag::END_STREAM, ..empty };
        assert_eq!(flood(&mut limits, last), usize::MAX);
    }

    #[test]
    fn priorities_and_windows_go_by_what_else_happens() {
        let priority = Frame { kind: kind::PRIORITY, len: 5, ..Frame::default() };
        let window = Frame { kind: kind::WINDOW_UPDATE, len: 4, ..Frame::default() };
        assert_eq!(flood(&mut Limits::default(), priority), 101);
        assert_eq!(flood(&mut Limits { opened: 2, ..Limits::default() }, priority), 301);
        assert_eq!(flood(&mut Limits::default(), window), 6);
        let busy = Limits { opened: 1, data_sent: 3, ..Limits::default() };
        assert_eq!(flood(&mut { busy }, window), 68);
    }

    #[test]
    fn resets_are_too_many_when_they_are_half() {
        let mut resets = PrematureResets::default();
        assert_eq!((1..1000).find(|_| resets.ended(true)), Some(250));
        let mut resets = PrematureResets::default();
        for _ in 0..1000 {
            assert!(!resets.ended(false));
        }
        assert_eq!((1..5000).find(|_| resets.ended(true)), Some(1000));
    }
}
