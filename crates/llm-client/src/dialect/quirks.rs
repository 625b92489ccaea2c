//! How a compatible vendor differs, as data: one small enum for each thing that can differ.
//!
//! ```
//! use llm_client::dialect::{Quirks, ReasoningForm, Replay, ReplayField, ReplayWhen, TokenLimit};
//! static ROW: Quirks = Quirks {
//!     token_limit: TokenLimit::MaxTokens,
//!     reasoning: ReasoningForm::Thinking { effort: true },
//!     replay: Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent },
//!     ..Quirks::NONE
//! };
//! # assert_ne!(ROW, Quirks::NONE);
//! ```
//! Decoding needs almost none of this: what can be told from the answer itself is told from the answer.

use llm_types::{ErrorKind, ReasoningEffort};

pub use super::think_tags::{TagPair, ThinkTags};

/// What differs from the dialect's own vendor. Every field has a neutral value in [`Quirks::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// The member that limits the answer's tokens.
    pub token_limit: TokenLimit,
    /// The members that control thinking.
    pub reasoning: ReasoningForm,
    /// The vendor's word for each level of thinking. A level that stands here under another word is sent with a
    /// warning; one that is missing cannot be asked for.
    pub efforts: &'static [(ReasoningEffort, &'static str)],
    /// Whether earlier reasoning goes back, and where.
    pub replay: Replay,
    /// Unknown members of a message or a tool call that must come back with it. Others are kept beside the message.
    pub replay_members: &'static [&'static str],
    /// The roles for instructions.
    pub system_role: SystemRole,
    /// What can be asked of the answer's form.
    pub schema: SchemaLevel,
    /// The member for the seed.
    pub seed_field: &'static str,
    /// Whether a stream's usage must be asked for.
    pub stream_usage: StreamUsage,
    /// Settings for which the vendor has no word: left out, with a warning.
    pub lacks: &'static [Setting],
    /// What the usage totals hold.
    pub usage: UsageRule,
    /// Reasoning inside the content, between tags.
    pub think_tags: ThinkTags,
    /// What tool-call ids must look like.
    pub tool_ids: ToolIds,
    /// Whether a tool result names its function.
    pub tool_result_name: bool,
    /// What stands for absent content beside tool calls.
    pub empty_content: EmptyContent,
    /// How an earlier refusal is sent back.
    pub refusal: RefusalForm,
    /// How a document is sent that lies behind a URL.
    pub file_url: FileUrl,
    /// Ask for embeddings as base64, a quarter of the bytes; both forms are understood.
    pub embeddings_base64: bool,
    /// The member for the length of embeddings.
    pub dimensions_field: &'static str,
    /// The header that carries the key.
    pub auth: AuthHeader,
    /// Where under the base URL a request goes.
    pub paths: Paths,
    /// Headers with the server's name for the exchange, besides the usual ones, most telling first.
    pub request_id_headers: &'static [&'static str],
    /// Exact patterns for errors that status and code do not tell.
    pub errors: &'static [ErrorPattern],
}

impl Quirks {
    /// The dialect as its own vendor speaks it.
    pub const NONE: Self = Self {
        token_limit: TokenLimit::MaxCompletionTokens,
        reasoning: ReasoningForm::Effort,
        efforts: ALL_EFFORTS,
        replay: Replay { when: ReplayWhen::Never, field: ReplayField::ReasoningContent },
        replay_members: &[],
        system_role: SystemRole::Both,
        schema: SchemaLevel::JsonSchema,
        seed_field: "seed",
        stream_usage: StreamUsage::Asked,
        lacks: &[Setting::TopK],
        usage: UsageRule { reasoning: InTotal::Inside, audio: InTotal::Inside },
        think_tags: ThinkTags::Off,
        tool_ids: ToolIds::Any,
        tool_result_name: false,
        empty_content: EmptyContent::Null,
        refusal: RefusalForm::Part,
        file_url: FileUrl::Refused,
        embeddings_base64: false,
        dimensions_field: "dimensions",
        auth: AuthHeader::Bearer,
        paths: Paths::Plain,
        request_id_headers: &[],
        errors: &[],
    };

    /// A server of unknown make behind a URL: what most of them understand, and inline reasoning told from the answer.
    pub const COMPATIBLE: Self = Self {
        token_limit: TokenLimit::MaxTokens,
        system_role: SystemRole::System,
        refusal: RefusalForm::Text,
        lacks: &[],
        think_tags: ThinkTags::Leading(TagPair::THINK),
        ..Self::NONE
    };

    /// Whether the vendor has a word for the setting.
    #[must_use]
    pub fn has(&self, setting: Setting) -> bool {
        !self.lacks.contains(&setting)
    }
}

impl Default for Quirks {
    fn default() -> Self {
        Self::NONE
    }
}

/// Every level under the word of the dialect's own vendor.
pub const ALL_EFFORTS: &[(ReasoningEffort, &str)] = &[
    (ReasoningEffort::Off, "none"),
    (ReasoningEffort::Minimal, "minimal"),
    (ReasoningEffort::Low, "low"),
    (ReasoningEffort::Medium, "medium"),
    (ReasoningEffort::High, "high"),
    (ReasoningEffort::XHigh, "xhigh"),
    (ReasoningEffort::Max, "max"),
];

/// The member that limits the answer's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLimit {
    /// `max_completion_tokens`.
    MaxCompletionTokens,
    /// `max_tokens`.
    MaxTokens,
}

/// The members that control thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningForm {
    /// There are none.
    None,
    /// `reasoning_effort: "low"`; off is a level too, where the vendor has a word for it.
    Effort,
    /// `thinking: {"type": "enabled" | "disabled"}`.
    Thinking {
        /// Levels go to `reasoning_effort` beside it.
        effort: bool,
    },
    /// A boolean member of this name.
    Switch {
        /// `enable_thinking`, `think` …
        member: &'static str,
        /// The member that limits the tokens to think with.
        budget: Option<&'static str>,
    },
    /// `reasoning: {"effort": …, "max_tokens": …, "enabled": …}`.
    Object,
    /// `chat_template_kwargs: {NAME: true}`, levels as `reasoning_effort`.
    TemplateSwitch {
        /// The template's name for it: `enable_thinking`, `thinking` …
        name: &'static str,
        /// The member that limits the tokens to think with.
        budget: Option<&'static str>,
    },
}

/// Whether earlier reasoning goes back, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// For which messages.
    pub when: ReplayWhen,
    /// In which member.
    pub field: ReplayField,
}

/// For which messages reasoning goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayWhen {
    /// For none.
    Never,
    /// For those with tool calls, where it is required, as an empty text if need be.
    WithTools,
    /// For all that have any.
    Always,
}

/// The member that takes reasoning back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayField {
    /// `reasoning_content`, a text.
    ReasoningContent,
    /// `reasoning`, a text.
    Reasoning,
    /// `reasoning_details`, the blocks as they came; plain reasoning as `reasoning`.
    Details,
    /// `thinking` parts in the content.
    ThinkingParts,
}

/// The roles for instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemRole {
    /// `system` and `developer`, as written.
    Both,
    /// Only `system`.
    System,
    /// Only `developer`.
    Developer,
    /// Neither: instructions go to the user role.
    User,
}

/// What can be asked of the answer's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaLevel {
    /// JSON of a schema.
    JsonSchema,
    /// Any JSON object: a schema is left out with a warning.
    JsonObject,
    /// Nothing.
    None,
}

/// Whether a stream's usage must be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUsage {
    /// With `stream_options.include_usage`.
    Asked,
    /// It comes by itself, and `stream_options` is unknown or needless.
    Given,
}

/// A setting that a vendor may have no word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the request's field of that name")]
pub enum Setting {
    Temperature,
    TopP,
    TopK,
    N,
    Stop,
    Seed,
    FrequencyPenalty,
    PresencePenalty,
    LogitBias,
    Logprobs,
    Verbosity,
    ServiceTier,
    Metadata,
    PromptCacheKey,
    User,
    ToolChoice,
    ParallelToolCalls,
    /// `strict` of a function or a schema.
    Strict,
}

impl Setting {
    /// The setting's name in warnings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::N => "n",
            Self::Stop => "stop",
            Self::Seed => "seed",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::PresencePenalty => "presence_penalty",
            Self::LogitBias => "logit_bias",
            Self::Logprobs => "logprobs",
            Self::Verbosity => "verbosity",
            Self::ServiceTier => "service_tier",
            Self::Metadata => "metadata",
            Self::PromptCacheKey => "prompt_cache_key",
            Self::User => "user",
            Self::ToolChoice => "tool_choice",
            Self::ParallelToolCalls => "parallel_tool_calls",
            Self::Strict => "strict",
        }
    }
}

/// What the usage totals hold. Where `total_tokens` proves otherwise, it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRule {
    /// Where reasoning tokens are counted.
    pub reasoning: InTotal,
    /// Where audio read is counted.
    pub audio: InTotal,
}

/// Where a part of the usage is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTotal {
    /// Inside the prompt's or the answer's tokens.
    Inside,
    /// Beside them.
    Outside,
    /// Nowhere but in `total_tokens`: what prompt and answer leave of it. For reasoning only.
    Remainder,
}

/// What tool-call ids must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolIds {
    /// Anything.
    Any,
    /// Nine letters and digits. Others are mapped, a call and its result to the same.
    Nine,
}

/// What stands for absent content beside tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyContent {
    /// `null`.
    Null,
    /// `""`.
    Empty,
}

/// How an earlier refusal is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalForm {
    /// As a part of its own.
    Part,
    /// As text.
    Text,
}

/// How a document is sent that lies behind a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileUrl {
    /// Not at all.
    Refused,
    /// In place of the data: `file: {"file_data": URL}`.
    FileData,
    /// As a part of its own: `{"type": "document_url", "document_url": URL}`.
    DocumentUrl,
}

/// The header that carries the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthHeader {
    /// `authorization: Bearer KEY`.
    Bearer,
    /// A header of this name, in lower case, that holds nothing but the key.
    Named(&'static str),
}

/// Where under the base URL a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// `/chat/completions` and so on.
    Plain,
    /// `/deployments/MODEL/chat/completions?api-version=VERSION`, the model being a deployment's name.
    Deployments {
        /// The version.
        api_version: &'static str,
    },
}

/// An error that only its exact words tell. All that is given must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorPattern {
    /// The HTTP status.
    pub status: Option<u16>,
    /// The server's code or type.
    pub code: Option<&'static str>,
    /// A piece of the message.
    pub text: Option<&'static str>,
    /// What it means.
    pub kind: ErrorKind,
    /// Whether the same request may be sent again, where the kind's own rule is wrong.
    pub retry: Option<bool>,
}

impl ErrorPattern {
    /// An error of this kind that nothing tells yet: at least one of status, code and text must be set.
    #[must_use]
    pub const fn new(kind: ErrorKind) -> Self {
        Self { status: None, code: None, text: None, kind, retry: None }
    }
}
