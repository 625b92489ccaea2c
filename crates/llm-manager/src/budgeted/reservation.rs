//! What a call may cost before it is made, what it has cost after it, and what it holds meanwhile.

use std::sync::Arc;

use llm_client::telemetry::Observer;
use llm_types::{Error, ErrorKind, Money, Phase, Price, Usage, UsageSource};

use super::budget::{Budget, Refusal};

/// Money, where the price is known, and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) money: Option<Money>,
    pub(super) tokens: u64,
}

/// What a call is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) amount: Amount,
    /// Whether it was not told to the end what it used.
    pub(super) is_estimate: bool,
}

/// What a call may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    /// Tokens of the prompt.
    pub(super) input: u64,
    /// What it may write at most, as far as that is known: this is reserved.
    pub(super) most_output: u64,
    /// What it will likely write: charged where nobody tells what it did.
    pub(super) likely_output: u64,
}

impl Estimate {
    fn amount(&self, output: u64, price: Option<&Price>) -> Amount {
        Amount {
            money: price.and_then(|price| price.estimate(self.input, output)),
            tokens: self.input.saturating_add(output),
        }
    }

    /// What is reserved.
    pub(super) fn most(&self, price: Option<&Price>) -> Amount {
        self.amount(self.most_output, price)
    }

    fn likely(&self, price: Option<&Price>) -> Charge {
        Charge { amount: self.amount(self.likely_output, price), is_estimate: true }
    }

    /// What this usage costs. A class of tokens without a price is charged at the estimate, never at nothing.
    fn charge(&self, usage: &Usage, price: Option<&Price>) -> Charge {
        let cost = price.and_then(|price| price.cost(usage)).map(|cost| cost.total);
        let money = cost.or_else(|| self.likely(price).amount.money);
        let is_estimate = usage.source == UsageSource::Estimated || (cost.is_none() && money.is_some());
        Charge { amount: Amount { money, tokens: usage.total() }, is_estimate }
    }
}

/// What a call holds of its budgets. Dropped without an end, the call was cancelled: it may have been sent and paid, so its
/// likely cost is charged.
#[derive(Debug)]
pub(super) struct Reservation {
    budgets: Vec<Arc<Budget>>,
    price: Option<Arc<Price>>,
    estimate: Estimate,
    /// Who is told what the call cost, where that is no guess.
    observer: Option<Arc<Observer>>,
    ended: bool,
}

/// Which budget took no call, by its place, and why.
pub(super) struct Refused {
    pub(super) at: usize,
    pub(super) refusal: Refusal,
}

impl Reservation {
    /// Whether each would give what the call may cost. Draws nothing. One that is used up is told before one that only has
    /// to be waited for.
    pub(super) fn check(
        budgets: &[Arc<Budget>],
        price: Option<&Arc<Price>>,
        estimate: Estimate,
    ) -> Result<(), Refused> {
        let most = estimate.most(price.map(Arc::as_ref));
        let mut waits = None;
        for (at, budget) in budgets.iter().enumerate() {
            match budget.check(most) {
                Ok(()) => {}
                Err(Refusal::Reserved) => waits = waits.or(Some(at)),
                Err(refusal) => return Err(Refused { at, refusal }),
            }
        }
        waits.map_or(Ok(()), |at| Err(Refused { at, refusal: Refusal::Reserved }))
    }

    /// Draws from each, or from none.
    pub(super) fn take(
        budgets: &[Arc<Budget>],
        price: Option<&Arc<Price>>,
        estimate: Estimate,
    ) -> Result<Self, Refused> {
        // Looked at before anything is taken: to take and give back would wake those who wait, again and again.
        Self::check(budgets, price, estimate)?;
        let most = estimate.most(price.map(Arc::as_ref));
        for (at, budget) in budgets.iter().enumerate() {
            if let Err(refusal) = budget.reserve(most) {
                // Another call was quicker since they were looked at.
                budgets.iter().take(at).for_each(|budget| budget.settle(most, None));
                return Err(Refused { at, refusal });
            }
        }
        Ok(Self { budgets: budgets.to_vec(), price: price.cloned(), estimate, observer: None, ended: false })
    }

    /// Puts what the call costs into the figures.
    pub(super) fn told_to(mut self, observer: &Arc<Observer>) -> Self {
        self.observer = Some(Arc::clone(observer));
        self
    }

    pub(super) fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// The call was answered, and used this much, where that was said.
    pub(super) fn answered(mut self, usage: Option<&Usage>) {
        let price = self.price.as_deref();
        let charge = match usage {
            Some(usage) => self.estimate.charge(usage, price),
            None => self.estimate.likely(price),
        };
        self.end(Some(charge));
    }

    /// The call failed. What it used is charged, where that is known; its likely cost, where the server may have written
    /// all the same; else nothing.
    pub(super) fn failed(mut self, error: &Error) {
        let price = self.price.as_deref();
        let charge = match error.partial().and_then(|partial| partial.usage.as_ref()) {
            Some(usage) => Some(self.estimate.charge(usage, price)),
            None => may_be_paid(error).then(|| self.estimate.likely(price)),
        };
        self.end(charge);
    }

    fn end(&mut self, charge: Option<Charge>) {
        if !std::mem::replace(&mut self.ended, true) {
            let most = self.estimate.most(self.price.as_deref());
            self.budgets.iter().for_each(|budget| budget.settle(most, charge));
            if let (Some(observer), Some(Charge { amount, is_estimate: false })) = (&self.observer, charge)
                && let Some(money) = amount.money
            {
                observer.record_cost(money.usd());
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(Some(self.estimate.likely(self.price.as_deref())));
    }
}

/// Whether the server may have written an answer that we did not get whole.
fn may_be_paid(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Truncated | ErrorKind::Protocol | ErrorKind::TooLarge => true,
        ErrorKind::Timeout(phase) => match phase {
            Phase::Connect => false,
            Phase::FirstByte | Phase::Idle | Phase::Attempt => true,
            // It may have run out before anything was sent.
            Phase::Call => !error.attempts().is_empty(),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use llm_types::{AttemptRecord, Totals};

    use super::*;

    const ESTIMATE: Estimate = Estimate { input: 100, most_output: 1000, likely_output: 50 };

    fn price() -> Price {
        "1/10".parse().unwrap()
    }

    #[test]
    fn a_charge_is_the_cost_where_it_is_known_and_the_estimate_where_not() {
        let used = |cache_write| {
            let totals = Totals { input: 80, output: 20, cache_write_1h: cache_write, ..Totals::default() };
            Usage::from_totals(totals, UsageSource::Reported)
        };
        let known = ESTIMATE.charge(&used(None), Some(&price()));
        assert_eq!((known.amount.money.unwrap().pico(), known.is_estimate), (280_000_000, false));
        let unpriced_class = ESTIMATE.charge(&used(Some(1)), Some(&price()));
        assert_eq!(
            (unpriced_class.amount.money.unwrap().pico(), unpriced_class.is_estimate),
            (600_000_000, true)
        );
        let no_price = ESTIMATE.charge(&used(None), None);
        assert_eq!(no_price, Charge { amount: Amount { money: None, tokens: 100 }, is_estimate: false });
        assert_eq!(ESTIMATE.most(Some(&price())).money.unwrap().pico(), 10_100_000_000);
    }

    #[test]
    fn what_may_have_been_paid_is_charged_and_what_was_refused_is_not() {
        for &kind in ErrorKind::ALL {
            let paid = matches!(
                kind.as_str(),
                "truncated" | "protocol" | "too_large" | "timeout" if kind != ErrorKind::Timeout(Phase::Connect)
            ) && kind != ErrorKind::Timeout(Phase::Call);
            assert_eq!(may_be_paid(&Error::new(kind, "x")), paid, "{kind:?}");
        }
        let sent = AttemptRecord {
            number: 1,
            kind: None,
            wait: std::time::Duration::ZERO,
            endpoint: String::new(),
            request_id: None,
        };
        let late = Error::new(ErrorKind::Timeout(Phase::Call), "x").with_attempts(vec![sent]);
        assert!(may_be_paid(&late));
    }
}
