//! The one grammar of streamed answers.
//!
//! ```text
//! stream  = Start (delta | Usage | Warning | Extra)* [Cost] End
//! delta   = Text | TextBlock | Reasoning | ReasoningBlock | Refusal | Native | ToolCallStart ToolCallDelta* ToolCallEnd | Replay
//!         | Logprobs | Finish
//! ```
//! Deltas of different choices may interleave. `Finish` comes once a choice, when the vendor says why it stopped;
//! `End` comes once, after which nothing follows. A stream that is not whole ends in an error and has no `End`.

use serde_json::value::RawValue;

use crate::extra::Extra;
use crate::message::{NativePart, Reasoning};
use crate::price::Cost;
use crate::response::{FinishReason, Warning};
use crate::usage::Usage;

/// One piece of a streamed answer.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    /// The vendor accepted the request.
    Start {
        /// Its id of the answer.
        id: Option<String>,
        /// The model that answers.
        model: Option<String>,
        /// When, in seconds since 1970.
        created: Option<u64>,
    },
    /// More text.
    Text {
        /// The choice it belongs to.
        choice: u32,
        /// The piece; never half a character.
        text: String,
    },
    /// A text begins that is a part of its own: one with members of its own (citations), or one behind such a text. The text
    /// itself follows.
    TextBlock {
        /// The choice it belongs to.
        choice: u32,
        /// Members of the part.
        extra: Extra,
    },
    /// More readable reasoning, added to the block that is open: any but a signed or encrypted one.
    Reasoning {
        /// The choice it belongs to.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// A block of reasoning that is not plain text: a summary, a signature over the text before it, an encrypted block.
    /// One with text or encrypted thoughts begins a block, one without either adds to the last block.
    ReasoningBlock {
        /// The choice it belongs to.
        choice: u32,
        /// The block, or what is to be added to the last one.
        block: Box<Reasoning>,
    },
    /// More of a refusal.
    Refusal {
        /// The choice it belongs to.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// A part of the vendor's own that is no text, kept as it is written.
    Native {
        /// The choice it belongs to.
        choice: u32,
        /// The part.
        part: NativePart,
    },
    /// A tool call begins.
    ToolCallStart {
        /// The choice it belongs to.
        choice: u32,
        /// Its place among the choice's calls, counted by us from 0 in order of appearance.
        index: u32,
        /// Its id, made up by us where the vendor gives none.
        id: String,
        /// The function's name.
        name: String,
        /// Whether it calls a free-text tool.
        custom: bool,
        /// A vendor's signature that must come back with the call.
        signature: Option<String>,
    },
    /// More of its arguments.
    ToolCallDelta {
        /// The choice it belongs to.
        choice: u32,
        /// The call's place.
        index: u32,
        /// The piece of JSON text.
        arguments: String,
    },
    /// The call is complete.
    ToolCallEnd {
        /// The choice it belongs to.
        choice: u32,
        /// The call's place.
        index: u32,
    },
    /// A member that we do not know and that must come back with the message, or with one of its calls.
    Replay {
        /// The choice it belongs to.
        choice: u32,
        /// The call's place, where it is the call's member and not the message's.
        call: Option<u32>,
        /// The member's name.
        name: String,
        /// Its value, as sent.
        value: Box<RawValue>,
    },
    /// Log probabilities of the tokens of a chunk, as sent.
    Logprobs {
        /// The choice they belong to.
        choice: u32,
        /// The vendor's JSON.
        logprobs: Box<RawValue>,
    },
    /// Tokens used so far, or in all. The last one counts; they are never summed.
    Usage(Usage),
    /// What the answer cost, or what has come of one that broke; the last one counts. A client that knows its price sends
    /// it once, right before the end or the error.
    Cost(Box<Cost>),
    /// Something was not done as asked, or not understood.
    Warning(Warning),
    /// A member of the answer that we do not know; of the whole answer where there is no choice.
    Extra {
        /// The choice it belongs to.
        choice: Option<u32>,
        /// The member's name.
        name: String,
        /// Its value, as sent.
        value: Box<RawValue>,
    },
    /// A choice is complete.
    Finish {
        /// The choice.
        choice: u32,
        /// Why it stopped.
        reason: FinishReason,
        /// The vendor's own word for it.
        native: Option<String>,
    },
    /// The answer is whole.
    End,
}

impl StreamEvent {
    /// Whether the event is content: something a reader has seen, after which a call is never made again.
    #[must_use]
    pub const fn is_content(&self) -> bool {
        match self {
            Self::Text { .. }
            | Self::Reasoning { .. }
            | Self::ReasoningBlock { .. }
            | Self::Refusal { .. }
            | Self::Native { .. }
            | Self::ToolCallStart { .. }
            | Self::ToolCallDelta { .. }
            | Self::ToolCallEnd { .. }
            | Self::Finish { .. }
            | Self::End => true,
            Self::Start { .. }
            | Self::TextBlock { .. }
            | Self::Replay { .. }
            | Self::Logprobs { .. }
            | Self::Usage(_)
            | Self::Cost(_)
            | Self::Warning(_)
            | Self::Extra { .. } => false,
        }
    }
}
