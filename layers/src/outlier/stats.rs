//! `cluster.<name>.outlier_detection.*`

use crate::stats::{Counter, Gauge, Scope};

/// Why an endpoint is an outlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Consecutive5xx,
    ConsecutiveGatewayFailure,
    ConsecutiveLocalOriginFailure,
    SuccessRate,
    LocalOriginSuccessRate,
    FailurePercentage,
    LocalOriginFailurePercentage,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Consecutive5xx,
        Self::ConsecutiveGatewayFailure,
        Self::ConsecutiveLocalOriginFailure,
        Self::SuccessRate,
        Self::LocalOriginSuccessRate,
        Self::FailurePercentage,
        Self::LocalOriginFailurePercentage,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive_5xx",
            Self::ConsecutiveGatewayFailure => "consecutive_gateway_failure",
            Self::ConsecutiveLocalOriginFailure => "consecutive_local_origin_failure",
            Self::SuccessRate => "success_rate",
            Self::LocalOriginSuccessRate => "local_origin_success_rate",
            Self::FailurePercentage => "failure_percentage",
            Self::LocalOriginFailurePercentage => "local_origin_failure_percentage",
        }
    }
}

/// What outlier detection counts.
#[derive(Debug)]
pub(super) struct OutlierStats {
    pub(super) active: Gauge,
    pub(super) overflow: Counter,
    enforced_total: Counter,
    detected: [Counter; 7],
    enforced: [Counter; 7],
    /// Names of old, which count a part of it.
    total: Counter,
    consecutive_5xx: Counter,
    success_rate: Counter,
}

impl OutlierStats {
    /// `scope` names the cluster.
    pub(super) fn new(scope: &Scope) -> Self {
        let scope = scope.child("outlier_detection");
        // Envoy's detection of the degraded, which is not here.
        drop(scope.counter("ejections_detected_degradation"));
        let each = |what: &str| {
            Kind::ALL.map(|kind| scope.counter(&format!("ejections_{what}_{}", kind.as_str())))
        };
        Self {
            active: scope.gauge("ejections_active"),
            overflow: scope.counter("ejections_overflow"),
            enforced_total: scope.counter("ejections_enforced_total"),
            detected: each("detected"),
            enforced: each("enforced"),
            total: scope.counter("ejections_total"),
            consecutive_5xx: scope.counter("ejections_consecutive_5xx"),
            success_rate: scope.counter("ejections_success_rate"),
        }
    }

    pub(super) fn detected(&self, kind: Kind) {
        self.detected[kind as usize].increment(1);
        match kind {
            Kind::Consecutive5xx => self.consecutive_5xx.increment(1),
            Kind::SuccessRate | Kind::LocalOriginSuccessRate => self.success_rate.increment(1),
            _ => {}
        }
    }

    /// There was room for an ejection, be it enforced or not.
    pub(super) fn allowed(&self, kind: Kind) {
        if matches!(kind, Kind::Consecutive5xx | Kind::SuccessRate) {
            self.total.increment(1);
        }
    }

    pub(super) fn enforced(&self, kind: Kind) {
        self.enforced_total.increment(1);
        self.enforced[kind as usize].increment(1);
    }
}
