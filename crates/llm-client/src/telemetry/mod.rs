//! What a service sees of its calls: spans for traces, figures for metrics. Nothing is sent anywhere: spans go to whatever
//! `tracing` subscriber, figures to whatever `metrics` recorder the service has installed; without one they cost next to
//! nothing.
//!
//! One span of kind CLIENT stands for a logical call, with all its retries and waits (of a stream: until its last event),
//! and below it one for each attempt. The outermost client opens it, whether it talks to a socket or chooses between
//! others; a [driven](crate::Call::is_driven) client opens none, so that wrappers nest without repeating themselves. A
//! client that drives does this:
//!
//! ```
//! # use llm_client::{Call, ChatStream, telemetry::{Asked, CallSpan, Observer}};
//! # use llm_types::{ChatRequest, ChatResponse, Error};
//! # struct Pool { observer: Observer }
//! # impl Pool {
//! # async fn driven(&self, _: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> { Ok(ChatResponse::default()) }
//! # async fn driven_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> { Ok(ChatStream::new(futures_util::stream::empty())) }
//! async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatResponse, Error> {
//!     let span = CallSpan::begin(&self.observer, Asked::Chat(request), call); // `Observer::new("pool", "fast")`, once
//!     let result = span.around(self.driven(request, call)).await;
//!     span.answered(result)
//! }
//! async fn chat_stream(&self, request: &ChatRequest, call: &Call) -> Result<ChatStream, Error> {
//!     let span = CallSpan::begin(&self.observer, Asked::Stream(request), call);
//!     let result = span.around(self.driven_stream(request, call)).await;
//!     span.streaming(result) // goes on until the stream ends
//! }
//! # }
//! ```
//!
//! All names stand in [`names`]. What is asked and answered is recorded only where [`Telemetry::content`] says so.

mod attempt;
mod content;
mod fields;
mod gauges;
mod handles;
pub mod names;
mod open;
mod span;
mod stream;

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use metrics::{Gauge, SharedString};

#[cfg(feature = "http")]
pub(crate) use self::attempt::{AttemptSpan, AttemptStart};
pub use self::fields::Asked;
pub use self::gauges::record_batch_row;
#[cfg(feature = "http")]
pub(crate) use self::gauges::{Connections, LastTold, PoolGauges, StateGauges};
pub(crate) use self::handles::Operation;
use self::handles::{Handles, RecorderId};
pub use self::names::Names;
pub use self::span::CallSpan;
pub(crate) use self::stream::Watch;

/// How calls are told about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// Which version of OpenTelemetry's conventions is spoken.
    pub names: Names,
    /// Whether spans carry what was asked and answered: messages, system instructions, tool definitions. Prompts and
    /// answers then stand in every trace. Off unless set here.
    pub content: bool,
}

/// The settings of this process, packed: bit 0 the next set of names, bit 1 content.
static INSTALLED: AtomicU8 = AtomicU8::new(0);

impl Telemetry {
    /// What the environment asks for: the version of the names ([`Names::VARIABLE`]). `lookup` gives a variable's value.
    /// Never content.
    #[must_use]
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let names = lookup(Names::VARIABLE).map(|value| Names::from_opt_in(&value)).unwrap_or_default();
        Self { names, content: false }
    }

    /// Makes these the settings of the process: of every client that was not given settings of its own, from its next call
    /// on.
    pub fn install(self) {
        INSTALLED.store(u8::from(self.names == Names::Latest) | u8::from(self.content) << 1, Relaxed);
    }

    /// The settings of the process.
    #[must_use]
    pub fn installed() -> Self {
        let packed = INSTALLED.load(Relaxed);
        let names = if packed & 1 == 0 { Names::V1_41 } else { Names::Latest };
        Self { names, content: packed & 2 != 0 }
    }
}

/// Who makes the calls that are told about: made once for a client, it keeps the figures' handles.
pub struct Observer {
    who: Who,
    /// Settings of its own, in place of the process's.
    telemetry: Option<Telemetry>,
    /// The handles of each operation that was used; those of a recorder that is gone are replaced.
    handles: RwLock<Vec<Arc<Handles>>>,
    cost: Mutex<Option<(RecorderId, Gauge)>>,
}

/// The identity that every figure and span of a client carries.
#[derive(Clone, Debug)]
struct Who {
    provider: SharedString,
    model: SharedString,
    /// Host and port.
    server: Option<(SharedString, u16)>,
}

impl Observer {
    /// An observer of the calls of this model, or of this name of a wrapper (`pool`, `fast`). In the conventions' words the
    /// provider is `gen_ai.provider.name`, the model `gen_ai.request.model`.
    #[must_use]
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        let shared = |text: String| SharedString::from(Arc::<str>::from(text));
        let who = Who { provider: shared(provider.into()), model: shared(model.into()), server: None };
        Self { who, telemetry: None, handles: RwLock::default(), cost: Mutex::default() }
    }

    /// The one server that is talked to.
    #[must_use]
    pub fn with_server(mut self, host: &str, port: u16) -> Self {
        self.who.server = Some((SharedString::from(Arc::<str>::from(host)), port));
        self
    }

    /// Settings of its own, whatever the process's are.
    #[must_use]
    pub fn with_telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    fn telemetry(&self) -> Telemetry {
        self.telemetry.unwrap_or_else(Telemetry::installed)
    }

    /// The handles of this operation at the recorder of this moment.
    fn handles(&self, operation: Operation) -> Arc<Handles> {
        let names = self.telemetry().names;
        let recorder = RecorderId::current();
        let fits = |known: &&Arc<Handles>| known.fits(operation, names, recorder);
        let known = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(fits) {
            return Arc::clone(known);
        }
        drop(known);
        let mut known = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(fits) {
            return Arc::clone(known);
        }
        let fresh = Arc::new(Handles::new(&self.who, operation, names, recorder));
        known.retain(|old| !old.is_of(operation));
        known.push(Arc::clone(&fresh));
        fresh
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, telemetry, .. } = self;
        f.debug_struct("Observer").field("who", who).field("telemetry", telemetry).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
