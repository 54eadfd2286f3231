//! The filters of a proxy by their names, and what virtual hosts and routes say about them.

use std::fmt;
use std::sync::Arc;

use crate::filters::{Chain, ChainId, Filter, Filters};
use crate::http_connection_manager::RouteBody;

/// A filter, for whichever chains have it.
type SharedFilter = Arc<dyn Filter<RouteBody>>;

/// Filters by name, in their order; `None` where there is to be none.
#[derive(Clone, Default)]
pub(super) struct HttpFilters(Vec<(Arc<str>, Option<SharedFilter>)>);

impl HttpFilters {
    /// Sets the filter of this name: in the place of the one that has the name, or behind all others.
    pub(super) fn set(&mut self, name: Arc<str>, filter: Option<SharedFilter>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, place)) => *place = filter,
            None => self.0.push((name, filter)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is said here goes before what `common` says.
    pub(super) fn or(&self, common: &Self) -> Self {
        let mut all = common.clone();
        for (name, filter) in &self.0 {
            all.set(Arc::clone(name), filter.clone());
        }
        all
    }

    fn chain(&self, filters: &Filters<RouteBody>) -> Chain<RouteBody> {
        let set = self.0.iter().filter_map(|(_, filter)| filter.clone());
        set.fold(filters.chain(), Chain::shared)
    }
}

impl fmt::Debug for HttpFilters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Makes the chains of a proxy.
#[derive(Debug)]
pub(super) struct ChainBuilder {
    common: HttpFilters,
    filters: Filters<RouteBody>,
}

impl ChainBuilder {
    pub(super) fn new(common: HttpFilters) -> Self {
        let mut filters = Filters::new();
        if !common.is_empty() {
            filters.set_default(common.chain(&filters));
            // Nobody can tell of a filter whether it asks for what is known of a request.
            filters.observe();
        }
        Self { common, filters }
    }

    /// The chain of a route, where it differs from that of all others.
    pub(super) fn add(&mut self, own: &HttpFilters) -> ChainId {
        if own.is_empty() {
            return ChainId::default();
        }
        self.filters.observe();
        let chain = own.or(&self.common).chain(&self.filters);
        self.filters.add(chain)
    }

    pub(super) fn build(self) -> Filters<RouteBody> {
        self.filters
    }
}
