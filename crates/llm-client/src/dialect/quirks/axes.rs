//! What a quirk can be: one small type for each thing that can differ.

use llm_types::{ErrorKind, ReasoningEffort};

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
    /// A member with one word, for models that think in any case.
    Word {
        /// `prompt_mode` …
        member: &'static str,
        /// The word.
        on: &'static str,
    },
    /// `reasoning: {"effort": …, "max_tokens": …, "enabled": …}`.
    Object,
    /// `reasoning: {"enabled": true | false}`, levels as `reasoning_effort` beside it.
    Enabled,
    /// `thinkingConfig: {"thinkingBudget": N}`; a level is a number of tokens, in digits.
    ThinkingBudget,
    /// `thinkingConfig: {"thinkingLevel": "LOW"}`.
    ThinkingLevel,
    /// `chat_template_kwargs: {NAME: true}`, levels as `reasoning_effort`.
    TemplateSwitch {
        /// The template's name for it: `enable_thinking`, `thinking` …
        name: &'static str,
        /// The member that limits the tokens to think with.
        budget: Option<&'static str>,
    },
    /// `thinking: {"type": "enabled", "budget_tokens": N}`; a level is sent as the budget that stands for it.
    Budget,
    /// `thinking: {"type": "adaptive"}`, levels as `output_config.effort`.
    Adaptive {
        /// A budget is understood too.
        budget: bool,
        /// It can be switched off.
        off: bool,
    },
}

/// Whether a stream comes as events or as one JSON list. Both are read, whatever was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamForm {
    /// Server-sent events (`alt=sse`).
    Events,
    /// A JSON list that grows.
    List,
}

/// What counting tokens takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountForm {
    /// The whole request, inside of a member.
    Whole,
    /// The members that are read, as they are.
    Bare,
}

/// What making embeddings takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingsForm {
    /// `content` and its settings beside it, or a list of them.
    Contents,
    /// One `content`, and its settings in an object.
    Config,
    /// `instances` and `parameters`.
    Instances,
}

/// A member inside an object of the body, with the value it has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyMember {
    /// The object.
    pub object: &'static str,
    /// Its member.
    pub member: &'static str,
    /// The value, as JSON.
    pub value: &'static str,
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
    /// Neither: instructions stand before the conversation. Those from the middle of it are moved there, with a warning.
    First,
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
    /// `name` of a message.
    Name,
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
            Self::Name => "name",
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

/// How log probabilities are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogprobsForm {
    /// `logprobs: true`, and `top_logprobs: N` beside it.
    Flag,
    /// `logprobs: N`.
    Count,
}

/// Who may speak after whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// Anybody.
    Any,
    /// User and assistant in turn, and the last word is the user's or a tool's. What one of them says in several messages
    /// goes out as one; a last word of the assistant's is refused before it is sent.
    Alternating,
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

/// Whether the server fetches an image from a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageUrl {
    /// It does.
    Fetched,
    /// It does not: `http` and `https` addresses are refused before they are sent. Its own kinds of address are not.
    OwnOnly,
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
    /// `models/MODEL:rawPredict`, or `:streamRawPredict`: the model stands in the path and not in the body, and the format's
    /// version in the body and not in the head.
    RawPredict {
        /// The version, unless the user says another.
        version: &'static str,
    },
}

/// An error that only its exact words tell. All that is given must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorPattern {
    /// The HTTP status.
    pub status: Option<u16>,
    /// The server's code or type; `*` at the end stands for any rest.
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

    /// A prompt that is too long, under a 400 that only these words tell from any other.
    #[must_use]
    pub const fn too_long(text: &'static str) -> Self {
        Self { status: Some(400), text: Some(text), ..Self::new(ErrorKind::ContextLength) }
    }

    /// A 500 for what the server was not started for: it stays one, however often it is asked.
    #[must_use]
    pub const fn cannot(text: &'static str) -> Self {
        let kind = ErrorKind::InvalidRequest;
        Self { status: Some(500), text: Some(text), retry: Some(false), ..Self::new(kind) }
    }
}
