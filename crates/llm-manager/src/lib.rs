//! Choosing between clients: the registry of a process, and the configuration it is built from.
//!
//! ```no_run
//! # async fn example() -> Result<(), llm_types::Error> {
//! use std::sync::Arc;
//! use llm_client::ModelClientExt as _;
//! use llm_manager::Manager;
//! use llm_provider::{SpecProvider, catalogue};
//! let manager = Manager::new();
//! let env = |name: &str| std::env::var(name).ok();
//! for row in catalogue::all() {
//!     manager.register_provider(Arc::new(SpecProvider::from_env(row, &env)))?;
//! }
//! let client = manager.client("deepseek/deepseek-chat")?;
//! println!("{}", client.ask("What is backpressure?").await?);
//! manager.close_all().await;
//! # Ok(()) }
//! ```
//! Start at [`Manager`] (names to clients), [`Budgeted`] (limits of money and tokens around any client), [`config`] (files, environment, command line) and [`manager`] (the one of the
//! whole process).
//!
//! * The same name gives the same client, made once, when it is first asked for.
//! * A key goes only where it was meant to: not to an address that somebody else's file or another variable names.
//! * Nothing but [`manager`] and [`install`] touches the process-wide instance.

#![forbid(unsafe_code)]

mod aggregator;
mod balance;
mod budgeted;
pub mod config;
mod global;
mod group;
mod names;
mod nearest;
mod pool;
mod probe;
mod registry;
mod reload;
mod view;

pub use crate::aggregator::{Aggregator, AggregatorBuilder, Cause};
pub use crate::balance::Strategy;
pub use crate::budgeted::{
    Budget, BudgetLimits, BudgetState, Budgeted, BudgetedBuilder, Budgets, Spend, TagBudgets,
    estimate_input_tokens,
};
pub use crate::global::{install, manager};
pub use crate::group::Member;
pub use crate::pool::{Pool, PoolBuilder, create_router_from_urls};
pub use crate::probe::{ProbeRules, Prober};
pub use crate::registry::{Found, Manager, ModelEntry, Resolved};
pub use crate::view::{ProviderState, Snapshot};
