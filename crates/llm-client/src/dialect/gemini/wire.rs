//! The JSON of answers, whole or in chunks: a chunk is an answer whose parts are the next ones.
//!
//! Texts are lent from the body. Nothing here is required, and unknown members are kept in `rest`.

use crate::dialect::json::{Few, Raw, Text, wire};

wire! {
    /// An answer, or a chunk of one.
    struct Answer {
        candidates: Few<Candidate<'a>, 1> = "candidates",
        feedback: Raw<'a> = "promptFeedback",
        usage: Tokens<'a> = "usageMetadata",
        model: Text<'a> = "modelVersion",
        id: Text<'a> = "responseId",
        created: Text<'a> = "createTime",
        error: Raw<'a> = "error",
    }

    /// An answer, of which only the tokens are asked.
    struct Metered {
        usage: Raw<'a> = "usageMetadata",
    }

    /// What was made of the prompt.
    struct Feedback {
        block_reason: Text<'a> = "blockReason",
        block_message: Text<'a> = "blockReasonMessage",
    }

    /// One of the answers.
    struct Candidate {
        index: Raw<'a> = "index",
        content: Content<'a> = "content",
        finish_reason: Text<'a> = "finishReason",
        logprobs: Raw<'a> = "logprobsResult",
    }

    /// What was said.
    struct Content without "role" {
        parts: Few<Part<'a>, 1> = "parts",
    }

    /// A part of it. One that is neither text nor a call has its data in `rest`.
    struct Part {
        text: Text<'a> = "text",
        thought: Raw<'a> = "thought",
        signature: Text<'a> = "thoughtSignature",
        call: Call<'a> = "functionCall",
    }

    /// A function call, or a piece of one.
    struct Call {
        id: Text<'a> = "id",
        name: Text<'a> = "name",
        args: Raw<'a> = "args",
        pieces: Few<Piece<'a>, 1> = "partialArgs",
        goes_on: Raw<'a> = "willContinue",
    }

    /// A piece of the arguments: one value, or the next letters of one.
    struct Piece {
        path: Text<'a> = "jsonPath",
        string: Raw<'a> = "stringValue",
        number: Raw<'a> = "numberValue",
        boolean: Raw<'a> = "boolValue",
        null: Text<'a> = "nullValue",
        goes_on: Raw<'a> = "willContinue",
    }

    /// Tokens used.
    struct Tokens {
        prompt: Raw<'a> = "promptTokenCount",
        cached: Raw<'a> = "cachedContentTokenCount",
        candidates: Raw<'a> = "candidatesTokenCount",
        thoughts: Raw<'a> = "thoughtsTokenCount",
        tool_use: Raw<'a> = "toolUsePromptTokenCount",
        total: Raw<'a> = "totalTokenCount",
        prompt_details: Few<Modality<'a>, 1> = "promptTokensDetails",
        cache_details: Few<Modality<'a>, 1> = "cacheTokensDetails",
        tool_use_details: Few<Modality<'a>, 1> = "toolUsePromptTokensDetails",
        candidates_details: Few<Modality<'a>, 1> = "candidatesTokensDetails",
    }

    /// The tokens of one kind of content.
    struct Modality {
        kind: Text<'a> = "modality",
        count: Raw<'a> = "tokenCount",
    }
}
