//! What a cluster counts of each request: status, and time from request to end of response.
//!
//! Sits outside timeouts and retries: what counts is what the client got on the cluster's behalf,
//! once, whoever made it. The counters are `upstream_rq_<code>`, `upstream_rq_<n>xx`,
//! `upstream_rq_completed` and `upstream_rq_time`, each for the cluster and again below
//! `external.` or `internal.` (by `x-envoy-internal`), as in Envoy's router; statuses also below
//! `canary.`, where the response says `x-envoy-upstream-canary: true`.

mod body;
mod future;
mod layer;
mod service;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::UpstreamStatsLayer;
pub use service::UpstreamStats;
