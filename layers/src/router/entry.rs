use http::StatusCode;

use crate::route::{DirectResponse, Redirector, RequestRewrite, UpgradeRule, WeightedChoice};
use crate::upgrade::Asked;

/// What a route does, ready to be done.
#[derive(Debug)]
pub struct RouteEntry<S> {
    pub(super) action: Action<S>,
    upgrades: Box<[UpgradeRule]>,
}

#[derive(Debug)]
pub(super) enum Action<S> {
    Forward { target: ForwardTarget<S>, rewrite: Option<RequestRewrite> },
    Redirect(Box<Redirector>),
    Direct(DirectResponse),
}

/// Where a route forwards to.
#[derive(Debug)]
pub enum ForwardTarget<S> {
    /// One service.
    Single(S),
    /// One of several, drawn for each request by their weights.
    Weighted(WeightedChoice<ForwardTarget<S>>),
    /// A cluster that does not exist: answered with this status (`cluster_not_found_response_code`).
    Missing(StatusCode),
}

impl<S> RouteEntry<S> {
    /// Forwards to `service`.
    pub fn forward(service: S) -> Self {
        Self::forward_to(ForwardTarget::Single(service))
    }

    /// Forwards to a target.
    pub fn forward_to(target: ForwardTarget<S>) -> Self {
        Self::of(Action::Forward { target, rewrite: None })
    }

    /// Answers with a redirect.
    pub fn redirect(redirector: Redirector) -> Self {
        Self::of(Action::Redirect(Box::new(redirector)))
    }

    /// Answers with a fixed response.
    pub fn direct(response: DirectResponse) -> Self {
        Self::of(Action::Direct(response))
    }

    fn of(action: Action<S>) -> Self {
        Self { action, upgrades: Box::default() }
    }

    /// Which protocols may be switched to on this route; for those not named here, what is said
    /// for all routes counts.
    #[must_use]
    pub fn upgrades(mut self, rules: impl Into<Box<[UpgradeRule]>>) -> Self {
        self.upgrades = rules.into();
        self
    }

    /// The rule for a switch, where the route has one.
    pub(super) fn upgrade_rule(&self, asked: &Asked) -> Option<&UpgradeRule> {
        self.upgrades.iter().find(|rule| asked.is(&rule.upgrade_type))
    }

    /// Changes path or host of what it forwards. Nothing to change in other answers.
    #[must_use]
    pub fn rewrite(mut self, change: RequestRewrite) -> Self {
        if let Action::Forward { rewrite, .. } = &mut self.action {
            *rewrite = Some(change);
        }
        self
    }
}

impl<S> ForwardTarget<S> {
    /// The service of this draw, or the status where there is none.
    pub(super) fn pick(&self, random: u64) -> Result<&S, StatusCode> {
        match self {
            Self::Single(service) => Ok(service),
            Self::Weighted(choice) => choice.pick(random).pick(random),
            Self::Missing(status) => Err(*status),
        }
    }
}
