//! What a call may cost before it is made, what it has cost after it, and what it holds meanwhile.

use std::sync::Arc;

use llm_client::clock;
use llm_client::telemetry::Observer;
use llm_types::{Cost, Day, Error, ErrorKind, Money, Phase, Price, Prices, Usage, UsageSource};

use super::budget::{Budget, Refusal};

/// What a client's calls cost.
#[derive(Clone, Debug)]
pub(super) struct Tariff {
    pub(super) prices: Arc<Prices>,
    /// Whether it holds whatever an answer says of its cost.
    pub(super) is_stated: bool,
}

impl Tariff {
    /// The price of today.
    pub(super) fn today(&self) -> Option<&Price> {
        self.prices.on(Day::of_unix(clock::unix_seconds()))
    }

    /// What this usage costs by it, in the standard tier.
    fn cost(&self, usage: &Usage) -> Option<Cost> {
        self.prices.cost(usage, None, clock::unix_seconds())
    }
}

/// What an answer cost: as it says itself, unless the price is stated here.
fn known_cost(tariff: Option<&Tariff>, usage: Option<&Usage>, told: Option<&Cost>) -> Option<Cost> {
    match tariff {
        Some(tariff) if tariff.is_stated => tariff.cost(usage?),
        _ => told.cloned(),
    }
}

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

    /// What this usage costs, where its cost is not known by the usual price, which may not be the one of its tier. A class
    /// of tokens without a price is charged at the estimate, never at nothing.
    fn charge(&self, usage: &Usage, cost: Option<&Cost>, tariff: Option<&Tariff>) -> Charge {
        let price = tariff.and_then(Tariff::today);
        let cost = cost.map(|cost| cost.total);
        let usual = || Some(tariff?.cost(usage)?.total);
        let money = cost.or_else(usual).or_else(|| self.likely(price).amount.money);
        let is_estimate = usage.source == UsageSource::Estimated || (cost.is_none() && money.is_some());
        Charge { amount: Amount { money, tokens: usage.total() }, is_estimate }
    }
}

/// What a call holds of its budgets. Dropped without an end, the call was cancelled: it may have been sent and paid, so its
/// likely cost is charged.
#[derive(Debug)]
pub(super) struct Reservation {
    budgets: Vec<Arc<Budget>>,
    price: Option<Tariff>,
    estimate: Estimate,
    /// What is taken, which is given back: another price may hold by then.
    reserved: Amount,
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
        price: Option<&Tariff>,
        estimate: Estimate,
    ) -> Result<(), Refused> {
        let most = estimate.most(price.and_then(Tariff::today));
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
        price: Option<&Tariff>,
        estimate: Estimate,
    ) -> Result<Self, Refused> {
        // Looked at before anything is taken: to take and give back would wake those who wait, again and again.
        Self::check(budgets, price, estimate)?;
        let most = estimate.most(price.and_then(Tariff::today));
        for (at, budget) in budgets.iter().enumerate() {
            if let Err(refusal) = budget.reserve(most) {
                // Another call was quicker since they were looked at.
                budgets.iter().take(at).for_each(|budget| budget.settle(most, None));
                return Err(Refused { at, refusal });
            }
        }
        let (budgets, price) = (budgets.to_vec(), price.cloned());
        Ok(Self { budgets, price, estimate, reserved: most, observer: None, ended: false })
    }

    /// Puts what the call costs into the figures.
    pub(super) fn told_to(mut self, observer: &Arc<Observer>) -> Self {
        self.observer = Some(Arc::clone(observer));
        self
    }

    pub(super) fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn today(&self) -> Option<&Price> {
        self.price.as_ref().and_then(Tariff::today)
    }

    /// The call was answered, used this much and cost this much, where that is known. Gives what is known of the cost.
    pub(super) fn answered(mut self, usage: Option<&Usage>, told: Option<&Cost>) -> Option<Cost> {
        let cost = known_cost(self.price.as_ref(), usage, told);
        self.tell(cost.as_ref());
        let price = self.today();
        let charge = match (usage, &cost) {
            (Some(usage), cost) => self.estimate.charge(usage, cost.as_ref(), self.price.as_ref()),
            // A server that counts money and no tokens.
            (None, Some(cost)) => {
                let likely = self.estimate.likely(price);
                Charge { amount: Amount { money: Some(cost.total), ..likely.amount }, is_estimate: true }
            }
            (None, None) => self.estimate.likely(price),
        };
        self.end(Some(charge));
        cost
    }

    /// Puts into the figures what the call cost by the price that is stated here. Else whoever knows the cost has told it.
    fn tell(&self, cost: Option<&Cost>) {
        let is_stated = self.price.as_ref().is_some_and(|price| price.is_stated);
        if let (Some(observer), Some(cost), true) = (&self.observer, cost, is_stated)
            && cost.usage != UsageSource::Estimated
        {
            observer.record_cost(cost.total.usd());
        }
    }

    /// The call failed. What it used is charged, where that is known; its likely cost, where the server may have written
    /// all the same; else nothing.
    pub(super) fn failed(mut self, error: &Error) {
        let partial = error.partial().and_then(|partial| Some((partial.usage?, partial.cost.as_ref())));
        let charge = match partial {
            Some((usage, told)) => {
                let cost = known_cost(self.price.as_ref(), Some(&usage), told);
                self.tell(cost.as_ref());
                Some(self.estimate.charge(&usage, cost.as_ref(), self.price.as_ref()))
            }
            None => may_be_paid(error).then(|| self.estimate.likely(self.today())),
        };
        self.end(charge);
    }

    fn end(&mut self, charge: Option<Charge>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.budgets.iter().for_each(|budget| budget.settle(self.reserved, charge));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(Some(self.estimate.likely(self.today())));
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
        let tariff = |price: &Price| Tariff { prices: Arc::new(price.clone().into()), is_stated: true };
        let charge = |usage: &Usage, price: Option<&Price>| {
            let cost = price.and_then(|price| price.cost(usage));
            ESTIMATE.charge(usage, cost.as_ref(), price.map(tariff).as_ref())
        };
        let known = charge(&used(None), Some(&price()));
        assert_eq!((known.amount.money.unwrap().pico(), known.is_estimate), (280_000_000, false));
        let unpriced_class = charge(&used(Some(1)), Some(&price()));
        assert_eq!(
            (unpriced_class.amount.money.unwrap().pico(), unpriced_class.is_estimate),
            (600_000_000, true)
        );
        let untold = ESTIMATE.charge(&used(None), None, Some(&tariff(&price())));
        assert_eq!((untold.amount.money.unwrap().pico(), untold.is_estimate), (280_000_000, true));
        let no_price = charge(&used(None), None);
        assert_eq!(no_price, Charge { amount: Amount { money: None, tokens: 100 }, is_estimate: false });
        assert_eq!(ESTIMATE.most(Some(&price())).money.unwrap().pico(), 10_100_000_000);
    }

    #[test]
    fn what_was_reserved_is_given_back_whatever_holds_by_then() {
        let budget = Budget::new("job", super::super::BudgetLimits::default());
        let tariff = |text: &str| {
            let price: Price = text.parse().unwrap();
            Tariff { prices: Arc::new(price.into()), is_stated: true }
        };
        let taken = Reservation::take(&[Arc::clone(&budget)], Some(&tariff("10/100")), ESTIMATE);
        let Ok(mut taken) = taken else { panic!("it limits nothing") };
        // The day has changed, and the price with it.
        taken.price = Some(tariff("1/10"));
        taken.answered(None, None);
        assert_eq!(budget.reserved(), super::super::Spend::default());
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
