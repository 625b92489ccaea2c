//! A budget: so much money and so many tokens, what of it is spent, and what calls in flight have reserved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llm_types::{Error, ErrorKind, Money};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::reservation::{Amount, Charge};
use super::tags::TagBudgets;

/// The most that may be spent. [`BudgetLimits::default`] limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetLimits {
    /// In US dollars.
    pub money: Option<Money>,
    /// In tokens, read and written.
    pub tokens: Option<u64>,
}

impl BudgetLimits {
    /// So much money.
    #[must_use]
    pub fn money(most: Money) -> Self {
        Self { money: Some(most), tokens: None }
    }

    /// So many tokens.
    #[must_use]
    pub fn tokens(most: u64) -> Self {
        Self { money: None, tokens: Some(most) }
    }
}

/// Money and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// In US dollars, as far as prices are known.
    pub money: Money,
    /// Read and written.
    pub tokens: u64,
}

/// A budget that any number of [`Budgeted`](super::Budgeted) clients draw from: a job's, a team's, an account's.
///
/// A call reserves what it may cost before it is made and settles with what it did cost; so calls in parallel exceed the
/// limit by no more than their estimates were wrong. Charge a budget at one level only: a client and a wrapper around it
/// that both draw from it count the same call twice.
#[derive(Debug)]
pub struct Budget {
    name: Arc<str>,
    ledger: Mutex<Ledger>,
    settled: Arc<Notify>,
    /// Where calls wait until others have settled, first come first served.
    pub(super) queue: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ledger {
    limits: BudgetLimits,
    spent: Spend,
    reserved: Spend,
    calls: u64,
    estimated: u64,
    unpriced: u64,
}

/// A budget as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetState {
    /// Its name.
    pub name: Arc<str>,
    /// The most that may be spent.
    pub limits: BudgetLimits,
    /// What is.
    pub spent: Spend,
    /// What calls in flight may spend besides.
    pub reserved: Spend,
    /// What is left beyond both, of what is limited.
    pub remaining: BudgetLimits,
    /// Calls that were charged.
    pub calls: u64,
    /// Of these, those whose cost was not told to the end, so that an estimate was charged.
    pub estimated: u64,
    /// Of these, those that had no price, so that only their tokens were charged.
    pub unpriced: u64,
}

/// Why a budget takes no call.
pub(super) enum Refusal {
    /// It is used up, or the call would exceed it whatever becomes of the others.
    Spent(Error),
    /// What is left is reserved by calls in flight.
    Reserved,
}

impl Budget {
    /// A budget of which nothing is spent.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, limits: BudgetLimits) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            ledger: Mutex::new(Ledger { limits, ..Ledger::default() }),
            settled: Arc::new(Notify::new()),
            queue: tokio::sync::Mutex::default(),
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Every change is finished before the lock is released, so what a panic left behind is still true.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name, as errors tell it.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The most that may be spent.
    #[must_use]
    pub fn limits(&self) -> BudgetLimits {
        self.ledger().limits
    }

    /// Changes the most that may be spent. What is spent and reserved stays; calls that wait ask again.
    pub fn set_limits(&self, limits: BudgetLimits) {
        self.ledger().limits = limits;
        self.settled.notify_waiters();
    }

    /// What is spent.
    #[must_use]
    pub fn spent(&self) -> Spend {
        self.ledger().spent
    }

    /// What calls in flight may spend besides.
    #[must_use]
    pub fn reserved(&self) -> Spend {
        self.ledger().reserved
    }

    /// What is left beyond both, of what is limited.
    #[must_use]
    pub fn remaining(&self) -> BudgetLimits {
        self.ledger().remaining()
    }

    /// Forgets what was spent, as at the start of a new month. What is reserved stays, and is charged when it settles.
    pub fn reset(&self) {
        let mut ledger = self.ledger();
        (ledger.spent, ledger.calls, ledger.estimated, ledger.unpriced) = (Spend::default(), 0, 0, 0);
        drop(ledger);
        self.settled.notify_waiters();
    }

    /// It as it stands.
    #[must_use]
    pub fn state(&self) -> BudgetState {
        let ledger = *self.ledger();
        BudgetState {
            name: Arc::clone(&self.name),
            limits: ledger.limits,
            spent: ledger.spent,
            reserved: ledger.reserved,
            remaining: ledger.remaining(),
            calls: ledger.calls,
            estimated: ledger.estimated,
            unpriced: ledger.unpriced,
        }
    }

    /// Whether nothing more can be drawn from it, however little.
    pub(super) fn is_spent(&self) -> bool {
        let ledger = self.ledger();
        ledger.limits.money.is_some_and(|most| ledger.spent.money >= most)
            || ledger.limits.tokens.is_some_and(|most| ledger.spent.tokens >= most)
    }

    /// Ends when a call settles or the limits change. It hears of everything since it was made.
    pub(super) fn settled(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.settled).notified_owned()
    }

    /// Whether a call may draw this much. Draws nothing.
    pub(super) fn check(&self, amount: Amount) -> Result<(), Refusal> {
        self.ledger().check(&self.name, amount)
    }

    /// Reserves this much, or nothing.
    pub(super) fn reserve(&self, amount: Amount) -> Result<(), Refusal> {
        let mut ledger = self.ledger();
        ledger.check(&self.name, amount)?;
        ledger.reserved = ledger.reserved.plus(amount);
        Ok(())
    }

    /// Gives a reservation back, and charges what was really used, if anything was.
    pub(super) fn settle(&self, reserved: Amount, charge: Option<Charge>) {
        let mut ledger = self.ledger();
        ledger.reserved = ledger.reserved.minus(reserved);
        if let Some(charge) = charge {
            ledger.spent = ledger.spent.plus(charge.amount);
            ledger.calls += 1;
            ledger.estimated += u64::from(charge.is_estimate);
            ledger.unpriced += u64::from(charge.amount.money.is_none());
        }
        drop(ledger);
        self.settled.notify_waiters();
    }
}

impl Ledger {
    fn remaining(&self) -> BudgetLimits {
        let used = self.spent.and(self.reserved);
        BudgetLimits {
            money: self.limits.money.map(|most| most.minus(used.money)),
            tokens: self.limits.tokens.map(|most| most.saturating_sub(used.tokens)),
        }
    }

    fn check(&self, name: &str, amount: Amount) -> Result<(), Refusal> {
        let mut is_reserved = false;
        if let Some(most) = self.limits.money {
            let Some(needed) = amount.money else {
                return Err(Refusal::Spent(unknown_price(name)));
            };
            let spent = self.spent.money;
            if spent >= most || spent.plus(needed) > most {
                let figures = [most, spent, self.reserved.money, needed].map(|money| format!("{money}"));
                return Err(Refusal::Spent(used_up(name, "", &figures)));
            }
            is_reserved |= spent.plus(self.reserved.money).plus(needed) > most;
        }
        if let Some(most) = self.limits.tokens {
            let (spent, needed) = (self.spent.tokens, amount.tokens);
            if spent >= most || spent.saturating_add(needed) > most {
                let figures = [most, spent, self.reserved.tokens, needed].map(|tokens| format!("{tokens}"));
                return Err(Refusal::Spent(used_up(name, " tokens", &figures)));
            }
            is_reserved |= spent.saturating_add(self.reserved.tokens).saturating_add(needed) > most;
        }
        if is_reserved { Err(Refusal::Reserved) } else { Ok(()) }
    }
}

/// What is unknown cannot be kept within a limit of money.
pub(super) fn unknown_price(budget: &str) -> Error {
    let message =
        format!("budget `{budget}` limits money, and the model's price is not known: it could not be kept");
    Error::new(ErrorKind::Config, message).with_hint("give the model a price, or limit tokens instead")
}

fn used_up(name: &str, unit: &str, [most, spent, reserved, needed]: &[String; 4]) -> Error {
    let message = format!(
        "budget `{name}` is used up: of {most}{unit}, {spent} spent and {reserved} reserved by calls in flight; this call \
         may take {needed}"
    );
    Error::new(ErrorKind::Budget, message)
}

impl Spend {
    fn plus(self, amount: Amount) -> Self {
        self.and(Self { money: amount.money.unwrap_or_default(), tokens: amount.tokens })
    }

    fn and(self, other: Self) -> Self {
        Self { money: self.money.plus(other.money), tokens: self.tokens.saturating_add(other.tokens) }
    }

    fn minus(self, amount: Amount) -> Self {
        Self {
            money: self.money.minus(amount.money.unwrap_or_default()),
            tokens: self.tokens.saturating_sub(amount.tokens),
        }
    }
}

/// Budgets by name, so that several clients, and a reload, find the same one.
#[derive(Debug, Default)]
pub struct Budgets {
    all: Mutex<BTreeMap<String, Arc<Budget>>>,
    tags: Mutex<BTreeMap<String, Arc<TagBudgets>>>,
}

impl Budgets {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Budget>>> {
        // Whole entries come and go: what a panic left behind is true.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget of this name, made at need.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when one of this name is there with other limits: to change them is
    /// [`update`](Self::update)'s business, never an accident.
    pub fn declare(&self, name: &str, limits: BudgetLimits) -> Result<Arc<Budget>, Error> {
        let mut all = self.all();
        match all.get(name) {
            Some(known) if known.limits() == limits => Ok(Arc::clone(known)),
            Some(_) => {
                let message =
                    format!("budget `{name}` is in use with other limits: update it, or use another name");
                Err(Error::new(ErrorKind::Config, message))
            }
            None => {
                let made = Budget::new(name, limits);
                all.insert(name.to_owned(), Arc::clone(&made));
                Ok(made)
            }
        }
    }

    /// Gives the budget of this name these limits, and makes it at need. What is spent stays spent.
    pub fn update(&self, name: &str, limits: BudgetLimits) -> Arc<Budget> {
        let known =
            Arc::clone(self.all().entry(name.to_owned()).or_insert_with(|| Budget::new(name, limits)));
        known.set_limits(limits);
        known
    }

    /// Gives the budgets of this name, one for each value of a tag and `most` of them at most, these limits, and makes them
    /// at need. What is spent stays spent, unless it is another tag's.
    pub fn update_tag(&self, name: &str, tag: &str, limits: BudgetLimits, most: usize) -> Arc<TagBudgets> {
        let mut all = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(TagBudgets::new(tag.to_owned(), limits, most));
        let known = all.entry(name.to_owned()).or_insert_with(fresh);
        if known.tag() != tag {
            *known = fresh();
        }
        known.set_limits(limits);
        Arc::clone(known)
    }

    /// The budget of this name, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Budget>> {
        self.all().get(name).cloned()
    }

    /// Every budget as it stands, in order of name; those of tags last.
    #[must_use]
    pub fn snapshot(&self) -> Vec<BudgetState> {
        let mut states: Vec<_> = self.all().values().map(|budget| budget.state()).collect();
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        states.extend(tags.values().flat_map(|tags| tags.states()));
        states
    }
}
