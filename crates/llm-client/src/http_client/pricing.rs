//! What a client's calls cost: its price, and what servers say that the price depends on.

use std::sync::Arc;

use llm_types::{ChatRequest, ChatResponse, Cost, EmbeddingResponse, Error, Prices};

use super::Inner;
use crate::call::Call;
use crate::clock;
use crate::contract::CostOf;
use crate::dialect::Billing;

/// What a model's tokens cost.
#[derive(Clone, Debug, Default)]
pub(super) struct Pricing {
    pub(super) prices: Option<Arc<Prices>>,
    /// Whether the server's own figure counts, before the price.
    pub(super) is_told: bool,
}

impl Pricing {
    /// What a call of this tier cost, as far as the server has told. `None`: not known.
    pub(super) fn cost(&self, said: &Billing, asked_tier: Option<&str>) -> Option<Cost> {
        let told = said.charged().filter(|_| self.is_told);
        told.or_else(|| {
            let tier = said.tier().or(asked_tier);
            self.prices.as_ref()?.cost(said.usage.as_ref()?, tier, clock::unix_seconds())
        })
    }

    /// The same, for whoever holds a stream.
    pub(super) fn cost_of(&self, asked_tier: Option<&str>) -> Option<CostOf> {
        let (prices, tier) = (Arc::clone(self.prices.as_ref()?), asked_tier.map(str::to_owned));
        Some(Arc::new(move |usage| prices.cost(usage, tier.as_deref(), clock::unix_seconds())))
    }
}

/// The service tier that a request asks for.
pub(super) fn asked_tier(request: &ChatRequest) -> Option<String> {
    let extra = || serde_json::from_str(request.extra.get("service_tier")?.get()).ok();
    request.service_tier.clone().or_else(extra)
}

impl Inner {
    /// Writes what an answer cost into it, and tells the figures.
    pub(super) fn price_chat(&self, response: &mut ChatResponse, tier: Option<&str>, call: &Call) {
        response.cost = self.pricing.cost(&Billing::of(response), tier);
        self.tell_cost(response.cost.as_ref(), call.is_cost_told());
    }

    pub(super) fn price_vectors(&self, response: &mut EmbeddingResponse, call: &Call) {
        response.cost = self.pricing.cost(&Billing::used(response.usage), None);
        self.tell_cost(response.cost.as_ref(), call.is_cost_told());
    }

    /// What came before a failure is paid for.
    pub(super) fn price_failure(&self, error: Error, tier: Option<&str>, call: &Call) -> Error {
        let Some(partial) = error.partial() else { return error };
        let Some(cost) = self.pricing.cost(&Billing::of(partial), tier) else { return error };
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
