//! A budget for each value of a tag: each team, each user, each tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::{Budget, BudgetLimits, BudgetState};

/// One ledger for each value of a tag, made when the value is first seen.
///
/// There are at most `most` of them; values beyond that share one, so that neither memory grows without bound nor a new
/// name gives new money.
#[derive(Debug)]
pub struct TagBudgets {
    tag: String,
    most: usize,
    ledgers: Mutex<Ledgers>,
}

#[derive(Debug)]
struct Ledgers {
    limits: BudgetLimits,
    by_value: HashMap<String, Arc<Budget>>,
    others: Option<Arc<Budget>>,
}

impl TagBudgets {
    pub(super) fn new(tag: String, limits: BudgetLimits, most: usize) -> Self {
        let ledgers = Mutex::new(Ledgers { limits, by_value: HashMap::new(), others: None });
        Self { tag, most, ledgers }
    }

    fn ledgers(&self) -> MutexGuard<'_, Ledgers> {
        // Whole entries come: what a panic left behind is true.
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    pub(super) fn limits(&self) -> BudgetLimits {
        self.ledgers().limits
    }

    /// The ledger of the first value that these tags give it; none where they do not name it.
    pub(super) fn of(&self, tags: &[(String, String)]) -> Option<Arc<Budget>> {
        let (_, value) = tags.iter().find(|(tag, _)| *tag == self.tag)?;
        let mut ledgers = self.ledgers();
        let limits = ledgers.limits;
        if let Some(known) = ledgers.by_value.get(value) {
            return Some(Arc::clone(known));
        }
        if ledgers.by_value.len() >= self.most {
            let name = || format!("{} (others)", self.tag);
            let others = ledgers.others.get_or_insert_with(|| Budget::new(name(), limits));
            return Some(Arc::clone(others));
        }
        let made = Budget::new(format!("{}={value}", self.tag), limits);
        ledgers.by_value.insert(value.clone(), Arc::clone(&made));
        Some(made)
    }

    /// Gives every ledger these limits, those to come too.
    pub(super) fn set_limits(&self, limits: BudgetLimits) {
        let mut ledgers = self.ledgers();
        ledgers.limits = limits;
        ledgers.by_value.values().chain(&ledgers.others).for_each(|budget| budget.set_limits(limits));
    }

    /// Each ledger as it stands, in order of name.
    pub(super) fn states(&self) -> Vec<BudgetState> {
        let ledgers = self.ledgers();
        let mut states: Vec<_> =
            ledgers.by_value.values().chain(&ledgers.others).map(|budget| budget.state()).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }
}
