//! The JSON of answers and of the events of streams.
//!
//! Texts are lent from the body. Nothing here is required, and unknown members are kept in `rest`.

use crate::dialect::json::{Raw, Text, wire};

wire! {
    /// An event of a stream. What is rare is looked at when it is there.
    struct Event {
        kind: Text<'a> = "type",
        index: Raw<'a> = "index",
        delta: Delta<'a> = "delta",
        /// A [`Block`].
        content_block: Raw<'a> = "content_block",
        /// A [`Message`].
        message: Raw<'a> = "message",
        usage: Raw<'a> = "usage",
        error: Raw<'a> = "error",
    }

    /// What is added to a block, or to the message.
    struct Delta {
        kind: Text<'a> = "type",
        text: Text<'a> = "text",
        thinking: Text<'a> = "thinking",
        partial_json: Text<'a> = "partial_json",
        signature: Text<'a> = "signature",
        citation: Raw<'a> = "citation",
        content: Text<'a> = "content",
        stop_reason: Text<'a> = "stop_reason",
        stop_sequence: Raw<'a> = "stop_sequence",
        stop_details: Raw<'a> = "stop_details",
    }

    /// An answer, whole or at its start.
    struct Message without "role" {
        kind: Text<'a> = "type",
        id: Text<'a> = "id",
        model: Text<'a> = "model",
        /// A list of [`Block`]s.
        content: Raw<'a> = "content",
        stop_reason: Text<'a> = "stop_reason",
        stop_sequence: Raw<'a> = "stop_sequence",
        stop_details: Raw<'a> = "stop_details",
        usage: Raw<'a> = "usage",
        error: Raw<'a> = "error",
    }

    /// A piece of the content.
    struct Block {
        kind: Text<'a> = "type",
        text: Text<'a> = "text",
        thinking: Text<'a> = "thinking",
        signature: Text<'a> = "signature",
        data: Text<'a> = "data",
        id: Text<'a> = "id",
        name: Text<'a> = "name",
        input: Raw<'a> = "input",
        citations: Raw<'a> = "citations",
    }

    /// Tokens used. The three kinds of input do not overlap.
    struct Tokens {
        input: Raw<'a> = "input_tokens",
        cache_write: Raw<'a> = "cache_creation_input_tokens",
        cache_read: Raw<'a> = "cache_read_input_tokens",
        cache_writes: CacheWrites<'a> = "cache_creation",
        output: Raw<'a> = "output_tokens",
        output_details: OutputDetails<'a> = "output_tokens_details",
    }

    /// What was written to the cache, by how long it stays.
    struct CacheWrites {
        five_minutes: Raw<'a> = "ephemeral_5m_input_tokens",
        one_hour: Raw<'a> = "ephemeral_1h_input_tokens",
    }

    /// What the output holds.
    struct OutputDetails {
        thinking: Raw<'a> = "thinking_tokens",
    }

    /// How a list goes on.
    struct Page {
        has_more: Raw<'a> = "has_more",
        last_id: Text<'a> = "last_id",
    }

    /// A count of tokens.
    struct Count {
        input_tokens: Raw<'a> = "input_tokens",
    }
}
