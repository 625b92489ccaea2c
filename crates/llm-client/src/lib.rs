//! One model at one endpoint.
//!
//! Start at [`ModelClient`] (the contract) and [`Call`] (what belongs to one call).

mod call;
pub mod clock;
mod contract;
pub mod driver;
pub mod lane;
pub mod settings;

#[cfg(feature = "http")]
pub mod dialect;
#[cfg(feature = "http")]
pub mod framing;
#[cfg(feature = "http")]
pub mod transport;

pub use crate::call::{Call, Wait};
pub use crate::contract::{ChatStream, Embedder, HealthProbe, ModelClient, ModelClientExt, ModelLister};
pub use crate::settings::Settings;
