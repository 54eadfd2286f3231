use std::sync::Arc;

use http::StatusCode;

use crate::filters::ChainId;
use crate::header_edit::HeaderEditor;
use crate::route::{DirectResponse, Redirector, RequestRewrite, UpgradeRule, WeightedChoice};
use crate::stream_info::ClusterNames;
use crate::upgrade::Asked;

/// What a route does, ready to be done.
#[derive(Debug)]
pub struct RouteEntry<S> {
    pub(super) action: Action<S>,
    pub(super) name: Option<Arc<str>>,
    editor: Option<Arc<HeaderEditor>>,
    upgrades: Box<[UpgradeRule]>,
    filters: ChainId,
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
    /// One place.
    Single(Destination<S>),
    /// One of several, drawn for each request by their weights.
    Weighted(WeightedChoice<ForwardTarget<S>>),
    /// A cluster that does not exist: answered with this status (`cluster_not_found_response_code`).
    Missing(StatusCode),
}

/// A service that a route forwards to, and what goes with it.
#[derive(Debug)]
pub struct Destination<S> {
    pub(super) service: S,
    pub(super) names: Option<ClusterNames>,
    editor: Option<Arc<HeaderEditor>>,
    filters: Option<ChainId>,
}

impl<S> Destination<S> {
    /// Just the service.
    pub fn new(service: S) -> Self {
        Self { service, names: None, editor: None, filters: None }
    }

    /// Names the cluster behind it, for header values made of it.
    #[must_use]
    pub fn cluster(mut self, names: ClusterNames) -> Self {
        self.names = Some(names);
        self
    }

    /// Edits headers of what goes this way, in place of the route's own edits.
    #[must_use]
    pub fn headers(mut self, editor: HeaderEditor) -> Self {
        self.editor = (!editor.is_empty()).then(|| Arc::new(editor));
        self
    }

    /// Lets what goes this way pass these filters, in place of the route's own.
    #[must_use]
    pub fn filters(mut self, chain: ChainId) -> Self {
        self.filters = Some(chain);
        self
    }
}

impl<S> RouteEntry<S> {
    /// Forwards to `service`.
    pub fn forward(service: S) -> Self {
        Self::forward_to(ForwardTarget::Single(Destination::new(service)))
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
        Self {
            action,
            name: None,
            editor: None,
            upgrades: Box::default(),
            filters: ChainId::default(),
        }
    }

    /// With a name, which logs and header values tell.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Edits headers of requests that take this route, and of their responses, whoever makes them.
    #[must_use]
    pub fn headers(mut self, editor: HeaderEditor) -> Self {
        self.editor = (!editor.is_empty()).then(|| Arc::new(editor));
        self
    }

    /// Which protocols may be switched to on this route; for those not named here, what is said
    /// for all routes counts.
    #[must_use]
    pub fn upgrades(mut self, rules: impl Into<Box<[UpgradeRule]>>) -> Self {
        self.upgrades = rules.into();
        self
    }

    /// Lets what takes this route pass these filters of the [`crate::filters`] before it. Default
    /// those of requests without a route.
    #[must_use]
    pub fn filters(mut self, chain: ChainId) -> Self {
        self.filters = chain;
        self
    }

    /// The filters for a request that was drawn this destination.
    pub(super) fn chain(&self, destination: Option<&Destination<S>>) -> ChainId {
        destination.and_then(|destination| destination.filters).unwrap_or(self.filters)
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

    /// Whether any of its header edits is made of more than text, so that requests need a
    /// [`StreamInfo`](crate::stream_info::StreamInfo).
    pub fn reads_context(&self) -> bool {
        let of_target = match &self.action {
            Action::Forward { target, .. } => target.reads_context(),
            Action::Redirect(_) | Action::Direct(_) => false,
        };
        of_target || self.editor.as_ref().is_some_and(|editor| editor.reads_context())
    }

    /// The edits for a request that was drawn this destination.
    pub(super) fn editor<'e>(
        &'e self,
        destination: Option<&'e Destination<S>>,
    ) -> Option<&'e Arc<HeaderEditor>> {
        destination.and_then(|destination| destination.editor.as_ref()).or(self.editor.as_ref())
    }
}

impl<S> ForwardTarget<S> {
    fn reads_context(&self) -> bool {
        match self {
            Self::Single(to) => to.editor.as_ref().is_some_and(|editor| editor.reads_context()),
            Self::Weighted(choice) => choice.iter().any(Self::reads_context),
            Self::Missing(_) => false,
        }
    }

    /// The destination of this draw, or the status where there is none.
    pub(super) fn pick(&self, random: u64) -> Result<&Destination<S>, StatusCode> {
        match self {
            Self::Single(destination) => Ok(destination),
            // Envoy has no route then, whatever the cluster is that is not there.
            Self::Weighted(choice) => {
                choice.pick(random).ok_or(StatusCode::NOT_FOUND)?.pick(random)
            }
            Self::Missing(status) => Err(*status),
        }
    }
}
