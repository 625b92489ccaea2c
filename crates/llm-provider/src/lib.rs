//! LLM vendors as data, and the trait that makes clients for them.
//!
//! ```
//! # fn example() -> Result<(), llm_types::Error> {
//! use llm_provider::catalogue;
//! let client = catalogue::create_simple("deepseek", "sk-…", None)?;
//! # Ok(()) }
//! ```
//! Start at [`catalogue`] (one row a vendor), [`Provider`] (what makes clients; yours takes two methods),
//! [`SpecProvider`] (a row with what the user says besides), [`Clients`] (where a provider keeps what it made) and
//! [`EndpointConfig`] (a client from an address alone).
//!
//! * A compatible vendor is one row, also one of your own: see [`ProviderSpec`].
//! * The environment is handed in; only a provider that is given no [`Shared`] looks for proxies in the process's own.
//! * A key goes only where it was meant to: another address than its own gets none
//!   ([`ProviderSpec::shares_keys`]).

#![forbid(unsafe_code)]

pub mod catalogue;
mod clients;
mod endpoint_config;
mod families;
mod keys;
mod loopback;
mod prices;
mod provider;
mod shared;
mod signed_in;
mod spec;
mod spec_provider;

pub use crate::catalogue::ApiType;
pub use crate::clients::Clients;
pub use crate::endpoint_config::EndpointConfig;
pub use crate::keys::KeySupply;
pub use crate::loopback::LoopbackProvider;
pub use crate::prices::{PriceRow, PriceTable};
pub use crate::provider::{Initialized, ModelConfig, Provider};
pub use crate::shared::Shared;
pub use crate::spec::{AddressVariable, Guest, ProviderSpec, SignIn};
pub use crate::spec_provider::SpecProvider;
pub use llm_client::transport::Endpoint;
