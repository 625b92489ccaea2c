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

use llm_types::ReasoningEffort;

pub use self::axes::*;
pub use super::think_tags::{TagPair, ThinkTags};

mod axes;

/// What differs from the dialect's own vendor. Every field has a neutral value in [`Quirks::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// The member that limits the answer's tokens.
    pub token_limit: TokenLimit,
    /// The limit that is sent for a request without one, in a format that cannot do without. Where it cuts an answer, the
    /// finish reason says so.
    pub max_output: u64,
    /// The members that control thinking.
    pub reasoning: ReasoningForm,
    /// The vendor's word for each level of thinking. A level that stands here under another word is sent with a
    /// warning; one that is missing cannot be asked for.
    pub efforts: &'static [(ReasoningEffort, &'static str)],
    /// The least and the most tokens of a budget for thinking; what lies outside is sent as the nearer of them, with a
    /// warning.
    pub budget_range: Option<(u64, u64)>,
    /// A plain call cannot think: thinking is switched off for it, with a warning where it was asked for.
    pub thinks_streamed_only: bool,
    /// A call that has to use a tool cannot think: the same is done there.
    pub thinks_unforced_only: bool,
    /// Whether earlier reasoning goes back, and where.
    pub replay: Replay,
    /// The member of the user's own with which all earlier reasoning goes back, whatever `replay` says.
    pub replay_on: Option<BodyMember>,
    /// Unknown members of a message or a tool call that must come back with it. Others are kept beside the message.
    pub replay_members: &'static [&'static str],
    /// The roles for instructions.
    pub system_role: SystemRole,
    /// What can be asked of the answer's form.
    pub schema: SchemaLevel,
    /// The member for the seed.
    pub seed_field: &'static str,
    /// The member that is sent as `false` in place of a temperature of 0.
    pub greedy: Option<&'static str>,
    /// How log probabilities are asked for.
    pub logprobs: LogprobsForm,
    /// Whether a stream's usage must be asked for.
    pub stream_usage: StreamUsage,
    /// Settings for which the vendor has no word: left out, with a warning.
    pub lacks: &'static [Setting],
    /// What the usage totals hold.
    pub usage: UsageRule,
    /// Reasoning inside the content, between tags.
    pub think_tags: ThinkTags,
    /// Who may speak after whom.
    pub turns: Turns,
    /// What tool-call ids must look like.
    pub tool_ids: ToolIds,
    /// Whether a tool result names its function.
    pub tool_result_name: bool,
    /// What stands for absent content beside tool calls.
    pub empty_content: EmptyContent,
    /// How an earlier refusal is sent back.
    pub refusal: RefusalForm,
    /// Whether the server fetches an image from a URL.
    pub image_url: ImageUrl,
    /// How a document is sent that lies behind a URL.
    pub file_url: FileUrl,
    /// Ask for embeddings as base64, a quarter of the bytes; both forms are understood.
    pub embeddings_base64: bool,
    /// The member for the length of embeddings.
    pub dimensions_field: &'static str,
    /// The header that carries the key.
    pub auth: AuthHeader,
    /// The path of a base URL that was written without one.
    pub default_path: &'static str,
    /// Where under the base URL a request goes.
    pub paths: Paths,
    /// Whether a stream comes as events or as one JSON list.
    pub stream_form: StreamForm,
    /// What counting tokens takes.
    pub count_form: CountForm,
    /// What making embeddings takes.
    pub embeddings_form: EmbeddingsForm,
    /// What stands for the signature of a tool call that has to have one and has none, because another model made it.
    pub signature_stand_in: Option<&'static str>,
    /// Headers with the server's name for the exchange, besides the usual ones, most telling first.
    pub request_id_headers: &'static [&'static str],
    /// Exact patterns for errors that status and code do not tell.
    pub errors: &'static [ErrorPattern],
}

impl Quirks {
    /// The dialect as its own vendor speaks it.
    pub const NONE: Self = Self {
        token_limit: TokenLimit::MaxCompletionTokens,
        max_output: 8192,
        reasoning: ReasoningForm::Effort,
        efforts: ALL_EFFORTS,
        budget_range: None,
        thinks_streamed_only: false,
        thinks_unforced_only: false,
        replay: Replay { when: ReplayWhen::Never, field: ReplayField::ReasoningContent },
        replay_on: None,
        replay_members: &[],
        system_role: SystemRole::Both,
        schema: SchemaLevel::JsonSchema,
        seed_field: "seed",
        greedy: None,
        logprobs: LogprobsForm::Flag,
        stream_usage: StreamUsage::Asked,
        lacks: &[Setting::TopK],
        usage: UsageRule { reasoning: InTotal::Inside, audio: InTotal::Inside },
        think_tags: ThinkTags::Off,
        turns: Turns::Any,
        tool_ids: ToolIds::Any,
        tool_result_name: false,
        empty_content: EmptyContent::Null,
        refusal: RefusalForm::Part,
        image_url: ImageUrl::Fetched,
        file_url: FileUrl::Refused,
        embeddings_base64: false,
        dimensions_field: "dimensions",
        auth: AuthHeader::Bearer,
        default_path: "/v1",
        paths: Paths::Plain,
        stream_form: StreamForm::Events,
        count_form: CountForm::Whole,
        embeddings_form: EmbeddingsForm::Contents,
        signature_stand_in: None,
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
        // How the servers say it that people run themselves.
        errors: &[
            ErrorPattern::too_long("maximum context length"),
            ErrorPattern::too_long("longer than the model's context length"),
            ErrorPattern::cannot("requires --jinja"),
            ErrorPattern::cannot("input is not supported"),
            ErrorPattern::cannot("Unsupported param"),
            ErrorPattern::cannot("Cannot use both json_schema and grammar"),
            ErrorPattern::cannot("Failed to download image"),
        ],
        ..Self::NONE
    };

    /// Anthropic's messages, as a server of unknown make speaks them.
    pub const ANTHROPIC: Self = Self {
        reasoning: ReasoningForm::Budget,
        efforts: &[
            (ReasoningEffort::Minimal, "low"),
            (ReasoningEffort::Low, "low"),
            (ReasoningEffort::Medium, "medium"),
            (ReasoningEffort::High, "high"),
            (ReasoningEffort::XHigh, "max"),
            (ReasoningEffort::Max, "max"),
        ],
        budget_range: Some((1024, u64::MAX)),
        system_role: SystemRole::First,
        lacks: &[],
        auth: AuthHeader::Named("x-api-key"),
        request_id_headers: &["request-id"],
        ..Self::NONE
    };

    /// `generateContent` as its own vendor's newest models speak it.
    pub const GEMINI: Self = Self {
        reasoning: ReasoningForm::ThinkingLevel,
        // What some of its models have; the ends of the scale are sent as the nearest.
        efforts: &[
            (ReasoningEffort::Off, "MINIMAL"),
            (ReasoningEffort::Minimal, "MINIMAL"),
            (ReasoningEffort::Low, "LOW"),
            (ReasoningEffort::Medium, "MEDIUM"),
            (ReasoningEffort::High, "HIGH"),
            (ReasoningEffort::XHigh, "XHIGH"),
            (ReasoningEffort::Max, "XHIGH"),
        ],
        // Labels are for its cloud.
        lacks: &[Setting::Metadata],
        // What the server takes for a signature, in base64 as any: `skip_thought_signature_validator`.
        signature_stand_in: Some("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="),
        auth: AuthHeader::Named("x-goog-api-key"),
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
