//! Stats sent to a StatsD or DogStatsD server over UDP, line by line as Envoy words them.
//!
//! Counters go as what was added since the last flush, gauges as they are, both from their first
//! use on. Histograms are sent with each flush and not sample by sample, since a request must not
//! wait for a socket: a line for each value, with a sample rate where there were several of it
//! (`|@0.25` for four), which servers multiply out again.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use front_proxy_layers::stats::Unit;

use super::histogram::Distribution;
use super::name::Name;
use super::number::Shortest;
use super::selection::{HistogramReading, StatValue};

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
        let kind = if stat.unit() == Unit::Percent { "|h" } else { "|ms" };
        for bin in interval.bins() {
            // Of whole numbers below a hundred each has a bin of its own, at its lower edge.
            let value = if bin.width() <= 1.0 { bin.lower() } else { bin.middle().round() };
            let value = Shortest(value * stat.scale());
            if bin.count() == 1 {
                self.send(stat.parts(), &value, kind);
            } else {
                #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
                let rate = Shortest(1.0 / bin.count() as f64);
                self.send(stat.parts(), &value, &format!("{kind}|@{rate}"));
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
