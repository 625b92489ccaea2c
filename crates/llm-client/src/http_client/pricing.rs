//! What a client's calls cost: its price, and what servers say that the price depends on.

use std::sync::Arc;

use llm_types::{ChatResponse, Cost, EmbeddingResponse, Error, Price, Usage};

use super::Inner;
use crate::call::Call;
use crate::contract::CostOf;

/// What a model's tokens cost, shared by its client and its open streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pricing(Option<Arc<Price>>);

impl Pricing {
    pub(super) fn new(price: Option<Price>) -> Self {
        Self(price.map(Arc::new))
    }

    /// What this usage cost. `None`: not known.
    pub(crate) fn cost(&self, usage: Option<&Usage>) -> Option<Cost> {
        self.0.as_ref()?.cost(usage?)
    }

    /// The same, for whoever holds a stream.
    pub(super) fn cost_of(&self) -> Option<CostOf> {
        let price = Arc::clone(self.0.as_ref()?);
        Some(Arc::new(move |usage| price.cost(usage)))
    }
}

impl Inner {
    /// Writes what an answer cost into it, and tells the figures.
    pub(super) fn price_chat(&self, response: &mut ChatResponse, call: &Call) {
        let cost = self.pricing.cost(response.usage.as_ref());
        self.tell_cost(cost.as_ref(), call.is_cost_told());
        response.cost = cost;
    }

    pub(super) fn price_vectors(&self, response: &mut EmbeddingResponse, call: &Call) {
        let cost = self.pricing.cost(response.usage.as_ref());
        self.tell_cost(cost.as_ref(), call.is_cost_told());
        response.cost = cost;
    }

    /// What came before a failure is paid for.
    pub(super) fn price_failure(&self, error: Error, call: &Call) -> Error {
        let Some(partial) = error.partial() else { return error };
        let Some(cost) = self.pricing.cost(partial.usage.as_ref()) else { return error };
        self.tell_cost(Some(&cost), call.is_cost_told());
        let partial = ChatResponse { cost: Some(cost), ..partial.clone() };
        error.with_partial(partial)
    }

    /// Puts what a call cost into the figures, where nobody above does so.
    pub(super) fn tell_cost(&self, cost: Option<&Cost>, told: bool) {
        if let (Some(cost), false) = (cost, told) {
            self.site.observer.record_cost(cost.total.usd());
        }
    }
}
