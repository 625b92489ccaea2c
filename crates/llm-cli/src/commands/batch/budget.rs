//! `--max-cost`, `--max-total-tokens`, `--price`: what a run may spend, and what it did.

use std::sync::Arc;

use llm_batch::Spending;
use llm_client::ModelClient;
use llm_manager::{Budget, BudgetLimits, Budgeted};

use crate::args::BatchRun;
use crate::failure::Failure;
use crate::session::Session;

/// What the run may spend, kept by the client it asks.
#[derive(Debug)]
pub(super) struct RunBudget {
    budget: Arc<Budget>,
    /// A price is known; else each answer may still say what it cost, as those of a pool do.
    is_priced: bool,
    /// The client that draws from it.
    pub(super) client: Arc<dyn ModelClient>,
}

impl RunBudget {
    /// Puts a budget in front of the session's client.
    ///
    /// # Errors
    /// Money is limited, and the price is not known.
    pub(super) fn of(args: &BatchRun, session: &Session) -> Result<Self, Failure> {
        let limits = BudgetLimits { money: args.max_cost, tokens: args.max_total_tokens };
        let is_priced = args.price.is_some() || session.price.is_some();
        if limits.money.is_some() && !is_priced {
            let message =
                format!("--max-cost needs a price, and that of {} is not known", session.client.id());
            return Err(Failure::usage(message).hint(
                "--price IN/OUT, in US dollars for a million tokens, `price` of the model in the configuration, or a list \
                 of prices there",
            ));
        }
        let budget = Budget::new("this run", limits);
        let mut builder = Budgeted::builder(Arc::clone(&session.client)).budget(Arc::clone(&budget));
        // What the user says now holds; what is known of the model, where an answer does not say its cost itself.
        builder = match (&args.price, &session.price) {
            (Some(price), _) => builder.price(price.clone()),
            (None, Some(price)) => builder.usual_price(price.clone()),
            (None, None) => builder,
        };
        let client = builder.build().map_err(Failure::from)?;
        Ok(Self { budget, is_priced, client: Arc::new(client) })
    }

    /// What the run has spent. `None` where nobody limits it and nobody knows.
    pub(super) fn spending(&self) -> Option<Spending> {
        let state = self.budget.state();
        let is_told = state.calls > 0 && state.unpriced == 0;
        if !(self.is_priced || is_told) && state.limits == BudgetLimits::default() {
            return None;
        }
        Some(Spending {
            cost: (self.is_priced || is_told).then_some(state.spent.money),
            max_cost: state.limits.money,
            cost_left: state.remaining.money,
            tokens: state.spent.tokens,
            max_total_tokens: state.limits.tokens,
            tokens_left: state.remaining.tokens,
            estimated_calls: state.estimated,
        })
    }
}
