//! One model at one endpoint.
//!
//! ```no_run
//! # async fn example() -> Result<(), llm_types::Error> {
//! use llm_client::{HttpClient, ModelClientExt};
//! use llm_types::Secret;
//! let client = HttpClient::builder("https://api.deepseek.com/v1", "deepseek-chat").key(Secret::new("sk-…")).build()?;
//! println!("{}", client.ask("What is backpressure?").await?);
//! # Ok(()) }
//! ```
//! Start at [`ModelClient`] (the contract) and [`Call`] (what belongs to one call). Below them: [`driver`] (retries and
//! waits), [`lane`] (admission), [`dialect`] and [`framing`] (wire formats, no I/O), [`transport`] (connections). Beside them:
//! [`telemetry`] (spans and figures).
//!
//! * A call makes at most R + E requests over E endpoints, whatever it is wrapped in.
//! * After the first content event of a stream, a call is never made again.
//! * Dropping a call or its stream cancels the request at the server at once.
//! * No secret appears in `Debug`, `Display`, traces or errors; no prompt or answer in an error or trace.
//!
//! Feature `http` (default) holds everything that talks; without it the contract and the driver alone compile. Feature
//! `blocking` (default) is the same contract for callers that do not await; it brings no dependency of its own.

#[cfg(feature = "blocking")]
pub mod blocking;
mod call;
pub mod clock;
mod contract;
pub mod driver;
mod health;
pub mod lane;
mod metrics;
mod preview;
pub mod settings;
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "what only a client with a socket tells"))]
pub mod telemetry;
mod tool_loop;

#[cfg(feature = "http")]
mod attempt;
#[cfg(feature = "http")]
pub mod dialect;
#[cfg(feature = "http")]
pub mod framing;
#[cfg(feature = "http")]
mod http_client;
#[cfg(feature = "http")]
pub mod login;
#[cfg(feature = "http")]
pub mod transport;

#[cfg(feature = "http")]
pub use crate::attempt::{HttpService, log_bodies};
pub use crate::call::{Call, Wait};
pub use crate::contract::{
    Admission, ChatStream, CostOf, Embedder, HealthProbe, ModelClient, ModelClientExt, ModelLister,
    Previewer, TokenCounter,
};
pub use crate::health::Health;
#[cfg(feature = "http")]
pub use crate::http_client::{HttpClient, HttpClientBuilder};
pub use crate::metrics::{Metrics, MetricsSnapshot, percentile};
pub use crate::preview::{HeaderText, Preview};
pub use crate::settings::Settings;
pub use crate::tool_loop::{
    Ending, FunctionCall, FunctionResult, ToolFunction, ToolLoop, ToolLoopError, ToolLoopEvent,
    ToolLoopStream, ToolReply, ToolRun, Turn,
};
