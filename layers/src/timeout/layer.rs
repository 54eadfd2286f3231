use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tower_layer::Layer;

use super::Timeout;
use crate::cluster::ClusterStats;
use crate::error::ErrorKind;
use crate::stats::DownstreamStats;

/// Bounds the time of requests and responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    pub(super) options: Arc<Options>,
}

/// Made once, shared by all requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) route: Option<Duration>,
    /// `route` as the header's value.
    pub(super) announced: Option<HeaderValue>,
    /// Nothing is announced, whoever sets the timeout.
    pub(super) silent: bool,
    pub(super) idle: Option<Duration>,
    pub(super) request: Option<Duration>,
    pub(super) max_stream: Option<Duration>,
    pub(super) max_upstream_stream: Option<Duration>,
    /// The shortest of them, but for `route`: none can strike before.
    pub(super) shortest: Option<Duration>,
    upstream: Option<Arc<ClusterStats>>,
    downstream: Option<Arc<DownstreamStats>>,
}

impl TimeoutLayer {
    /// A route timeout of this long.
    pub fn new(duration: Duration) -> Self {
        Self::optional(Some(duration))
    }

    /// A route timeout of this long, or none: Envoy's `timeout: 0s`.
    pub fn optional(duration: Option<Duration>) -> Self {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let announced = duration.map(|d| HeaderValue::from(ms(d)));
        Self { options: Arc::new(Options { route: duration, announced, ..Options::default() }) }
    }

    /// Whether the upstream is told, in `x-envoy-expected-rq-timeout-ms`. Default `true`.
    #[must_use]
    pub fn announce(self, announce: bool) -> Self {
        self.with(|options| {
            options.silent = !announce;
            if options.silent {
                options.announced = None;
            }
        })
    }

    /// How long nothing may move, neither of the request nor of the response (Envoy's
    /// `stream_idle_timeout`, or a route's `idle_timeout`). Default none.
    #[must_use]
    pub fn idle(self, idle: Option<Duration>) -> Self {
        self.with(|options| options.idle = idle)
    }

    /// How long the client may take to send its request (`request_timeout`). Default none.
    #[must_use]
    pub fn request(self, limit: Option<Duration>) -> Self {
        self.with(|options| options.request = limit)
    }

    /// How long request and response may take together (`max_stream_duration` of the connection
    /// manager). Default none.
    #[must_use]
    pub fn max_stream_duration(self, limit: Option<Duration>) -> Self {
        self.with(|options| options.max_stream = limit)
    }

    /// How long the upstream may be at it (`max_stream_duration` of the cluster). Default none.
    #[must_use]
    pub fn max_upstream_stream_duration(self, limit: Option<Duration>) -> Self {
        self.with(|options| options.max_upstream_stream = limit)
    }

    /// Counts `upstream_rq_timeout` and `upstream_rq_max_duration_reached` there.
    #[must_use]
    pub fn stats(self, stats: Arc<ClusterStats>) -> Self {
        self.with(|options| options.upstream = Some(stats))
    }

    /// Counts `downstream_rq_idle_timeout`, `downstream_rq_timeout` and
    /// `downstream_rq_max_duration_reached` there.
    #[must_use]
    pub fn downstream_stats(self, stats: Arc<DownstreamStats>) -> Self {
        self.with(|options| options.downstream = Some(stats))
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        let options = Arc::make_mut(&mut self.options);
        change(options);
        options.shortest =
            [options.idle, options.request, options.max_stream, options.max_upstream_stream]
                .into_iter()
                .flatten()
                .min();
        self
    }
}

impl Options {
    pub(super) fn count(&self, kind: ErrorKind) {
        if let Some(stats) = &self.upstream {
            match kind {
                ErrorKind::UpstreamTimeout => stats.rq_timeout.increment(1),
                ErrorKind::MaxUpstreamDuration => stats.rq_max_duration_reached.increment(1),
                _ => {}
            }
        }
        if let Some(stats) = &self.downstream {
            match kind {
                ErrorKind::IdleTimeout | ErrorKind::RequestIdleTimeout => {
                    stats.rq_idle_timeout.increment(1);
                }
                ErrorKind::RequestTimeout => stats.rq_timeout.increment(1),
                ErrorKind::MaxDuration => stats.rq_max_duration_reached.increment(1),
                _ => {}
            }
        }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, Arc::clone(&self.options))
    }
}
