//! The JSON of answers, whole or in chunks: one shape for both, since a chunk is an answer whose message is a `delta`.
//!
//! Texts are lent from the body. Nothing here is required, and unknown members are kept in `rest`.

use crate::dialect::json::{Few, Raw, Text, fill_by_value, wire};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

wire! {
    /// An answer, or a chunk of one. `obfuscation` and `p` are padding.
    struct Answer without "obfuscation" | "p" {
        id: Text<'a> = "id",
        object: Text<'a> = "object",
        created: Raw<'a> = "created",
        model: Text<'a> = "model",
        choices: Few<Choice<'a>, 1> = "choices",
        usage: Raw<'a> = "usage",
        error: Raw<'a> = "error",
        /// Errors without an envelope have these.
        message: Raw<'a> = "message",
        detail: Raw<'a> = "detail",
        errors: Raw<'a> = "errors",
    }

    /// One of the answers.
    struct Choice {
        index: Raw<'a> = "index",
        delta: Said<'a> = "delta",
        message: Option<Box<Said<'a>>> = "message",
        finish_reason: Text<'a> = "finish_reason",
        native_finish_reason: Text<'a> = "native_finish_reason",
        logprobs: Raw<'a> = "logprobs",
        usage: Raw<'a> = "usage",
        error: Raw<'a> = "error",
    }

    /// What was said: a message, or a piece of one.
    struct Said without "role" {
        content: Content<'a> = "content",
        refusal: Text<'a> = "refusal",
        reasoning_content: Text<'a> = "reasoning_content",
        reasoning: Text<'a> = "reasoning",
        reasoning_text: Text<'a> = "reasoning_text",
        reasoning_details: Few<Raw<'a>, 1> = "reasoning_details",
        tool_calls: Few<Call<'a>, 1> = "tool_calls",
        /// A [`Function`].
        function_call: Raw<'a> = "function_call",
        audio: Raw<'a> = "audio",
    }

    /// A block of reasoning.
    struct Detail {
        kind: Text<'a> = "type",
        text: Text<'a> = "text",
        summary: Text<'a> = "summary",
        data: Text<'a> = "data",
        signature: Text<'a> = "signature",
        id: Text<'a> = "id",
        format: Text<'a> = "format",
        index: Raw<'a> = "index",
    }

    /// A tool call, or a piece of one.
    struct Call {
        index: Raw<'a> = "index",
        id: Text<'a> = "id",
        kind: Text<'a> = "type",
        function: Function<'a> = "function",
        /// A [`Function`].
        custom: Raw<'a> = "custom",
    }

    /// What is called.
    struct Function {
        name: Text<'a> = "name",
        arguments: Raw<'a> = "arguments",
        input: Raw<'a> = "input",
    }

    /// A part of a content that is a list.
    struct ContentPart {
        kind: Text<'a> = "type",
        text: Text<'a> = "text",
        refusal: Text<'a> = "refusal",
        thinking: Raw<'a> = "thinking",
        signature: Text<'a> = "signature",
    }

    /// The pieces of a sound.
    struct Audio {
        id: Text<'a> = "id",
        data: Text<'a> = "data",
        transcript: Text<'a> = "transcript",
        expires_at: Raw<'a> = "expires_at",
    }

    /// Tokens used.
    struct Tokens {
        prompt_tokens: Raw<'a> = "prompt_tokens",
        input_tokens: Raw<'a> = "input_tokens",
        completion_tokens: Raw<'a> = "completion_tokens",
        output_tokens: Raw<'a> = "output_tokens",
        total_tokens: Raw<'a> = "total_tokens",
        prompt_details: TokenDetails<'a> = "prompt_tokens_details",
        completion_details: TokenDetails<'a> = "completion_tokens_details",
        cached_tokens: Raw<'a> = "cached_tokens",
        num_cached_tokens: Raw<'a> = "num_cached_tokens",
        prompt_cache_hit_tokens: Raw<'a> = "prompt_cache_hit_tokens",
        prompt_cache_miss_tokens: Raw<'a> = "prompt_cache_miss_tokens",
        cache_read_input_tokens: Raw<'a> = "cache_read_input_tokens",
        cache_creation_input_tokens: Raw<'a> = "cache_creation_input_tokens",
        cache_creation: TokenDetails<'a> = "cache_creation",
        reasoning_tokens: Raw<'a> = "reasoning_tokens",
    }

    /// What the totals are made of.
    struct TokenDetails {
        cached_tokens: Raw<'a> = "cached_tokens",
        cache_write_tokens: Raw<'a> = "cache_write_tokens",
        cache_creation_input_tokens: Raw<'a> = "cache_creation_input_tokens",
        ephemeral_5m: Raw<'a> = "ephemeral_5m_input_tokens",
        ephemeral_1h: Raw<'a> = "ephemeral_1h_input_tokens",
        reasoning_tokens: Raw<'a> = "reasoning_tokens",
        audio_tokens: Raw<'a> = "audio_tokens",
        image_tokens: Raw<'a> = "image_tokens",
        text_tokens: Raw<'a> = "text_tokens",
    }
}

/// Content is a text, or a list of parts.
#[derive(Debug, Default)]
pub(crate) enum Content<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Parts(Vec<&'a RawValue>),
}

fill_by_value!(Content<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrParts<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for TextOrParts<'a> {
            type Value = Content<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of parts")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Content<'a>, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Content<'a>, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Content<'a>, E> {
                Ok(Content::None)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Content<'a>, E> {
                Ok(Content::Text(Cow::Owned(value.to_string())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Content<'a>, E> {
                Ok(Content::Text(Cow::Owned(value.to_string())))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Content<'a>, E> {
                Ok(Content::Text(Cow::Owned(value.to_string())))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Content<'a>, E> {
                Ok(Content::Text(Cow::Owned(value.to_string())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content<'a>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element::<Raw<'de>>()? {
                    parts.extend(part.some());
                }
                Ok(Content::Parts(parts))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content<'a>, A::Error> {
                // One part without its list.
                let part = ContentPart::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(part.text.some().map_or(Content::None, Content::Text))
            }
        }
        deserializer.deserialize_any(TextOrParts(PhantomData))
    }
}
