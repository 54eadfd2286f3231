//! Stats sent to a StatsD or DogStatsD server over UDP, line by line as Envoy words them.
//!
//! Counters go as what was added since the last flush, gauges as they are, both from their first
//! use on. Histograms are sent with each flush and not as samples come, since a request must not wait
//! for a socket: a line for each sample, or an even selection of them with its rate (`|@0.25`), which
//! servers multiply out again.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use front_proxy_layers::stats::Unit;

use super::histogram::Distribution;
use super::name::Name;
use super::number::Shortest;
use super::selection::{HistogramReading, StatValue};

/// What a flush sends of a histogram at most: a burst of datagrams that a server has no room for is
/// lost, and of a hundred lines percentiles can be told.
const LINES: u64 = 100;

/// The values of an interval, and how many lines each has. The lines are all samples or every n-th of
/// them by size, so that one rate is right for all: some servers take percentiles of the lines as
/// they are.
fn chosen(interval: &Distribution) -> impl Iterator<Item = (f64, u64)> {
    let samples = interval.count();
    let lines_until = move |sample: u64| {
        if samples <= LINES { sample } else { share(sample, samples) }
    };
    let mut seen = 0;
    interval.bins().iter().map(move |bin| {
        let before = lines_until(seen);
        seen += bin.count();
        // Of whole numbers below a hundred each has a bin of its own, at its lower edge.
        let value = if bin.width() <= 1.0 { bin.lower() } else { bin.middle().round() };
        (value, lines_until(seen) - before)
    })
}

/// How many of the lines the first `part` of `all` samples have, rounded to the nearest.
fn share(part: u64, all: u64) -> u64 {
    let lines =
        (u128::from(part) * u128::from(LINES) * 2 + u128::from(all)) / (u128::from(all) * 2);
    u64::try_from(lines).unwrap_or(LINES)
}

/// Envoy's `StatsdSink` and `DogStatsdSink`, over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsdOptions {
    /// Where the server listens.
    pub address: SocketAddr,
    /// What names begin with: `envoy` by default.
    pub prefix: String,
    /// DogStatsD: names without their tags, and the tags behind them.
    pub tags: bool,
    /// As many lines in a datagram as fit in this many bytes. One by default.
    pub max_bytes_per_datagram: Option<usize>,
}

impl StatsdOptions {
    /// Plain StatsD with Envoy's defaults.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, prefix: "envoy".to_owned(), tags: false, max_bytes_per_datagram: None }
    }
}

/// Sends every flush of a [`Registry`](super::Registry) to a server. Datagrams that can't be sent
/// are lost, as StatsD has it.
#[derive(Debug)]
pub struct StatsdSink {
    options: StatsdOptions,
    socket: UdpSocket,
    pending: String,
    line: String,
}

impl StatsdSink {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// This machine has no socket for the address's family.
    pub fn new(options: StatsdOptions) -> io::Result<Self> {
        let any: SocketAddr = match options.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        // A full buffer must cost lines, not time.
        socket.set_nonblocking(true)?;
        Ok(Self { options, socket, pending: String::new(), line: String::new() })
    }

    pub(super) fn scalar(&mut self, name: &Name, value: &StatValue) {
        match value {
            StatValue::Counter(added) => self.send(name, added, "|c"),
            StatValue::Gauge(value) => self.send(name, value, "|g"),
            StatValue::Float(value) => self.send(name, &Shortest(*value), "|g"),
            StatValue::Text(_) => {}
        }
    }

    pub(super) fn histogram(&mut self, stat: &HistogramReading, interval: &Distribution) {
        let mut kind = if stat.unit() == Unit::Percent { "|h" } else { "|ms" }.to_owned();
        let samples = interval.count();
        if samples > LINES {
            #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
            let rate = LINES as f64 / samples as f64;
            let _ = write!(kind, "|@{}", Shortest(rate));
        }
        for (value, lines) in chosen(interval) {
            for _ in 0..lines {
                self.send(stat.parts(), &Shortest(value * stat.scale()), &kind);
            }
        }
    }

    /// Sends what is left of a flush.
    pub(super) fn end(&mut self) {
        if !self.pending.is_empty() {
            let _lost = self.socket.send_to(self.pending.as_bytes(), self.options.address);
            self.pending.clear();
        }
    }

    fn send(&mut self, name: &Name, value: &dyn std::fmt::Display, kind: &str) {
        let Self { options, line, .. } = self;
        line.clear();
        let (shown, tags) =
            if options.tags { (name.base(), name.tags()) } else { (name.full(), "") };
        line.push_str(&options.prefix);
        line.push('.');
        // What ends a name here.
        line.extend(shown.chars().map(|c| if matches!(c, ':' | '|' | '\n') { '_' } else { c }));
        let _ = write!(line, ":{value}{kind}");
        if !tags.is_empty() {
            let _ = write!(line, "|#{tags}");
        }
        let limit = self.options.max_bytes_per_datagram.unwrap_or(0);
        if self.pending.len() + 1 + self.line.len() > limit {
            self.end();
        }
        if !self.pending.is_empty() {
            self.pending.push('\n');
        }
        self.pending.push_str(&self.line);
        if limit == 0 {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::histogram::HistogramCell;

    fn lines(samples: &[(f64, u64)]) -> Vec<(f64, u64)> {
        let cell = HistogramCell::new(1);
        for (value, count) in samples {
            cell.record(*value, *count);
        }
        chosen(&cell.total()).filter(|(_, lines)| *lines > 0).collect()
    }

    #[test]
    fn few_samples_have_a_line_each() {
        assert_eq!(
            lines(&[(1.0, 97), (20.0, 2), (1234.0, 1)]),
            [(1.0, 97), (20.0, 2), (1248.0, 1)]
        );
    }

    #[test]
    fn of_many_samples_an_even_part_is_sent() {
        assert_eq!(lines(&[(1.0, 900), (20.0, 90), (30.0, 10)]), [(1.0, 90), (20.0, 9), (30.0, 1)]);
        // What is rarer than a line may have none, and all lines are given.
        let all = lines(&[(1.0, 1), (2.0, 999_997), (3.0, 1), (4.0, 1)]);
        assert_eq!(all, [(2.0, 100)]);
        let spread: Vec<_> = (10..90).map(|value| (f64::from(value), 7)).collect();
        let sent: u64 = lines(&spread).iter().map(|(_, lines)| lines).sum();
        assert_eq!(sent, LINES);
    }
}
