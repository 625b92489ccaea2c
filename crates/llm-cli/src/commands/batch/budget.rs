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
    budget: Option<Arc<Budget>>,
    is_priced: bool,
    /// The client that draws from it.
    pub(super) client: Arc<dyn ModelClient>,
}

impl RunBudget {
    /// Puts a budget in front of the session's client, where there is anything to count: a limit, or a price.
    ///
    /// # Errors
    /// Money is limited, and the price is not known.
    pub(super) fn of(args: &BatchRun, session: &Session) -> Result<Self, Failure> {
        let limits = BudgetLimits { money: args.max_cost, tokens: args.max_total_tokens };
        let price = args.price.clone().or_else(|| session.price.clone());
        if limits.money.is_some() && price.is_none() {
            let message =
                format!("--max-cost needs a price, and that of {} is not known", session.client.id());
            return Err(Failure::usage(message).hint(
                "--price IN/OUT, in US dollars for a million tokens, or `price` of the model in the configuration",
            ));
        }
        let client = Arc::clone(&session.client);
        if limits == BudgetLimits::default() && price.is_none() {
            return Ok(Self { budget: None, is_priced: false, client });
        }
        let budget = Budget::new("this run", limits);
        let mut builder = Budgeted::builder(client).budget(Arc::clone(&budget));
        let is_priced = price.is_some();
        if let Some(price) = price {
            builder = builder.price(price);
        }
        let client = builder.build().map_err(Failure::from)?;
        Ok(Self { budget: Some(budget), is_priced, client: Arc::new(client) })
    }

    /// What the run has spent.
    pub(super) fn spending(&self) -> Option<Spending> {
        let state = self.budget.as_ref()?.state();
        Some(Spending {
            cost: self.is_priced.then_some(state.spent.money),
            max_cost: state.limits.money,
            cost_left: state.remaining.money,
            tokens: state.spent.tokens,
            max_total_tokens: state.limits.tokens,
            tokens_left: state.remaining.tokens,
            estimated_calls: state.estimated,
        })
    }
}
