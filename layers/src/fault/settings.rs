use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};

use crate::local_reply::LocalReply;
use crate::response_flags::ResponseFlag;
use crate::route::{Fraction, HeaderMatch};
use crate::runtime::Key;

const ABORT: HeaderName = HeaderName::from_static("x-envoy-fault-abort-request");
const ABORT_GRPC: HeaderName = HeaderName::from_static("x-envoy-fault-abort-grpc-request");
const ABORT_PERCENTAGE: HeaderName =
    HeaderName::from_static("x-envoy-fault-abort-request-percentage");
const DELAY: HeaderName = HeaderName::from_static("x-envoy-fault-delay-request");
const DELAY_PERCENTAGE: HeaderName =
    HeaderName::from_static("x-envoy-fault-delay-request-percentage");
const NODE: HeaderName = HeaderName::from_static("x-envoy-downstream-service-node");

/// Which requests meet which faults (Envoy's `HTTPFault`). The default is none.
#[derive(Clone, Debug, Default)]
pub struct FaultSettings {
    /// How requests are kept waiting.
    pub delay: Option<Delay>,
    /// How requests are answered, after the delay if there is one.
    pub abort: Option<Abort>,
    /// Only requests with these headers. Default all.
    pub headers: Vec<HeaderMatch>,
    /// Only requests of one of these clients, by `x-envoy-downstream-service-node`. Default all.
    pub downstream_nodes: Vec<String>,
    /// At most so many faults at a time; what is above passes. Default no limit. A fault lasts
    /// until the response has ended.
    pub max_active: Option<u64>,
    /// What of this follows the runtime. Default nothing.
    pub runtime: Option<FaultKeys>,
}

/// The keys of faults in the runtime. Each goes before its setting, where there is a fault of the
/// kind at all.
#[derive(Clone, Debug)]
pub struct FaultKeys {
    /// `delay_percent_runtime`
    pub delay_percent: Key,
    /// `delay_duration_runtime`, in milliseconds
    pub delay_duration: Key,
    /// `abort_percent_runtime`
    pub abort_percent: Key,
    /// `abort_http_status_runtime`; what is no status from 200 to 599 is passed over
    pub abort_http_status: Key,
    /// `abort_grpc_status_runtime`
    pub abort_grpc_status: Key,
    /// `max_active_faults_runtime`
    pub max_active_faults: Key,
}

/// A delay, and how many requests it is for.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    /// How long.
    pub time: DelayFor,
    /// How many of the requests.
    pub percentage: Fraction,
}

/// How long a request is kept waiting.
#[derive(Clone, Copy, Debug)]
pub enum DelayFor {
    /// So long.
    Fixed(Duration),
    /// As long as the request says.
    Header,
}

/// An answer in place of the service inside, and how many requests it is for.
#[derive(Clone, Copy, Debug)]
pub struct Abort {
    /// Which answer.
    pub with: AbortWith,
    /// How many of the requests.
    pub percentage: Fraction,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub enum AbortWith {
    /// With this status. Requests that are gRPC get the gRPC status that stands for it.
    Status(StatusCode),
    /// With this gRPC status. Requests that are not gRPC get a 200.
    GrpcStatus(u32),
    /// As the request says, if it does.
    Header,
}

impl Abort {
    /// With a status.
    pub const fn status(status: StatusCode, percentage: Fraction) -> Self {
        Self { with: AbortWith::Status(status), percentage }
    }

    /// As the request says.
    pub const fn by_header(percentage: Fraction) -> Self {
        Self { with: AbortWith::Header, percentage }
    }

    fn draw(&self, headers: &HeaderMap) -> Option<LocalReply> {
        let (percentage, status, grpc) = match self.with {
            AbortWith::Status(status) => (self.percentage, Some(status), None),
            AbortWith::GrpcStatus(grpc) => (self.percentage, None, Some(grpc)),
            AbortWith::Header => (
                asked(headers, &ABORT_PERCENTAGE, self.percentage),
                number(headers, &ABORT).and_then(status_of),
                number(headers, &ABORT_GRPC).and_then(|n| u32::try_from(n).ok()),
            ),
        };
        if !percentage.draw() {
            return None;
        }
        // A status goes before a gRPC status.
        let grpc = match status {
            Some(_) => None,
            None => Some(grpc?),
        };
        Some(
            LocalReply::new(status.unwrap_or(StatusCode::OK), "fault filter abort")
                .grpc_status(grpc)
                .flag(ResponseFlag::FaultInjected)
                .details("fault_filter_abort"),
        )
    }
}

impl Delay {
    fn draw(&self, headers: &HeaderMap) -> Option<Duration> {
        let (percentage, time) = match self.time {
            DelayFor::Fixed(time) => (self.percentage, Some(time)),
            DelayFor::Header => (
                asked(headers, &DELAY_PERCENTAGE, self.percentage),
                number(headers, &DELAY).map(Duration::from_millis),
            ),
        };
        time.filter(|time| !time.is_zero() && percentage.draw())
    }
}

impl FaultSettings {
    /// The delay of a request that is to have one.
    pub(super) fn draw_delay(&self, headers: &HeaderMap) -> Option<Duration> {
        let mut delay = self.delay?;
        if let Some(keys) = &self.runtime {
            delay.percentage = keys.delay_percent.fraction().unwrap_or(delay.percentage);
            if let (DelayFor::Fixed(time), Some(ms)) =
                (&mut delay.time, keys.delay_duration.integer())
            {
                *time = Duration::from_millis(ms);
            }
        }
        delay.draw(headers)
    }

    /// The answer to a request that is to have one from here.
    pub(super) fn draw_abort(&self, headers: &HeaderMap) -> Option<LocalReply> {
        let mut abort = self.abort?;
        if let Some(keys) = &self.runtime {
            abort.percentage = keys.abort_percent.fraction().unwrap_or(abort.percentage);
            match &mut abort.with {
                AbortWith::Status(status) => {
                    *status =
                        keys.abort_http_status.integer().and_then(status_of).unwrap_or(*status);
                }
                AbortWith::GrpcStatus(status) => {
                    *status = keys.abort_grpc_status.u32().unwrap_or(*status);
                }
                AbortWith::Header => {}
            }
        }
        abort.draw(headers)
    }

    /// How many faults there may be at a time.
    pub(super) fn most_active(&self) -> Option<u64> {
        let of_runtime = self.runtime.as_ref().and_then(|keys| keys.max_active_faults.integer());
        of_runtime.or(self.max_active)
    }

    pub(super) fn is_of_node(&self, headers: &HeaderMap) -> bool {
        let nodes = &self.downstream_nodes;
        nodes.is_empty()
            || headers.get(NODE).is_some_and(|node| nodes.iter().any(|own| node == own.as_str()))
    }
}

/// A status that an answer may have.
fn status_of(number: u64) -> Option<StatusCode> {
    let number = u16::try_from(number).ok().filter(|number| (200..600).contains(number));
    StatusCode::from_u16(number?).ok()
}

/// A whole number in a header; of several lines the first counts.
fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The fraction that a client asks for: no more than is configured.
fn asked(headers: &HeaderMap, name: &HeaderName, configured: Fraction) -> Fraction {
    match number(headers, name).and_then(|n| u32::try_from(n).ok()) {
        Some(n) => Fraction { numerator: n.min(configured.numerator), ..configured },
        None => configured,
    }
}
