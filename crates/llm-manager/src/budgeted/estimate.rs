//! How much a call will use, guessed before it is made: four bytes a token for what is read, `max_tokens` or what answers
//! took so far for what is written.

use std::sync::atomic::{AtomicU64, Ordering};

use llm_types::{ChatRequest, EmbeddingRequest, Message, Part, ResponseFormat, Tool};

use super::reservation::Estimate;

/// Written by a call of which nothing is known.
const FIRST_OUTPUT: u64 = 500;
/// What vendors add for each message.
const MESSAGE: u64 = 4;
/// A picture, a sound or a document: most pictures count less, long documents more.
const MEDIUM: u64 = 1500;

/// What answers took so far.
#[derive(Debug, Default)]
pub(super) struct Learned(AtomicU64);

/// The average stands in sixteenths of a token, so that small steps are not lost; 0: nothing is learned.
const FINE: u64 = 16;

impl Learned {
    /// An answer took so many tokens; the later ones count more.
    pub(super) fn learn(&self, output: u64) {
        let new = output.min(u64::from(u32::MAX)).saturating_mul(FINE).max(1);
        // A lost update among many costs nothing: it is a guess.
        let old = self.0.load(Ordering::Relaxed);
        let average = if old == 0 { new } else { old - old / 8 + new / 8 };
        self.0.store(average.max(1), Ordering::Relaxed);
    }

    fn output(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => FIRST_OUTPUT,
            average => average.div_ceil(FINE),
        }
    }

    /// What a call may use.
    pub(super) fn of_chat(&self, request: &ChatRequest) -> Estimate {
        let choices = u64::from(request.n.unwrap_or(1).max(1));
        let average = self.output();
        let most = request.max_tokens.unwrap_or(average);
        Estimate {
            input: estimate_input_tokens(request),
            most_output: most.saturating_mul(choices),
            likely_output: most.min(average).saturating_mul(choices),
        }
    }
}

/// A guess at how many tokens a request is read as, without asking anybody: four bytes a token, 4 more for each message, 1500
/// for each picture, sound or document. A rule of thumb, and no count.
#[must_use]
pub fn estimate_input_tokens(request: &ChatRequest) -> u64 {
    let bytes: u64 = request.tools.iter().map(tool).sum::<u64>() + format(request.response_format.as_ref());
    let messages: u64 = request.messages.iter().map(message).sum();
    bytes.div_ceil(4).saturating_add(messages)
}

/// What making embeddings of these texts may use: they write nothing.
pub(super) fn of_embedding(request: &EmbeddingRequest) -> Estimate {
    let tokens = request.input.iter().map(|text| length(text).div_ceil(4)).sum();
    Estimate { input: tokens, most_output: 0, likely_output: 0 }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn message(message: &Message) -> u64 {
    message.parts.iter().map(part).fold(MESSAGE, u64::saturating_add)
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text { text, .. } | Part::Refusal { text } => length(text).div_ceil(4),
        Part::Reasoning(reasoning) => length(&reasoning.text).div_ceil(4),
        Part::ToolCall(call) => (length(&call.name) + length(&call.arguments)).div_ceil(4),
        Part::ToolResult(result) => result.content.iter().map(self::part).sum(),
        Part::Image(_) | Part::Audio(_) | Part::File(_) => MEDIUM,
        Part::Native(part) => length(part.json.get()).div_ceil(4).min(MEDIUM),
    }
}

fn tool(tool: &Tool) -> u64 {
    match tool {
        Tool::Function(function) => {
            let schema = function.parameters.as_ref().map_or(0, |schema| length(schema.get()));
            length(&function.name) + function.description.as_deref().map_or(0, length) + schema
        }
        Tool::Native(raw) => length(raw.get()),
    }
}

fn format(format: Option<&ResponseFormat>) -> u64 {
    match format {
        Some(ResponseFormat::JsonSchema { schema, .. }) => length(schema.get()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_tokens_is_reserved_and_else_what_answers_took_so_far() {
        let learned = Learned::default();
        let request = ChatRequest::user("x".repeat(400));
        let of = |request: &ChatRequest| learned.of_chat(request);
        assert_eq!(of(&request), Estimate { input: 104, most_output: 500, likely_output: 500 });
        (0..50).for_each(|_| learned.learn(40));
        assert_eq!(of(&request).most_output, 40);
        let capped = ChatRequest { max_tokens: Some(500), n: Some(2), ..request.clone() };
        assert_eq!(of(&capped), Estimate { input: 104, most_output: 1000, likely_output: 80 });
        // It follows what comes.
        (0..50).for_each(|_| learned.learn(400));
        assert!((395..=400).contains(&of(&request).most_output), "{:?}", of(&request));
        learned.learn(u64::MAX);
        assert!(of(&request).most_output > 400);
    }

    #[test]
    fn everything_that_is_sent_is_counted() {
        let learned = Learned::default();
        let plain = ChatRequest::user("hi");
        let schema = || serde_json::value::RawValue::from_string(r#"{"type": "object"}"#.into()).unwrap();
        let with = [
            plain.clone().with_system("be brief"),
            ChatRequest { tools: vec![Tool::function("f", "does it", schema())], ..plain.clone() },
            ChatRequest {
                response_format: Some(ResponseFormat::JsonSchema {
                    name: "n".into(),
                    description: None,
                    schema: schema(),
                    strict: None,
                }),
                ..plain.clone()
            },
        ];
        for request in with {
            assert!(learned.of_chat(&request).input > learned.of_chat(&plain).input, "{request:?}");
        }
        assert_eq!(of_embedding(&EmbeddingRequest::new(["four", "eight ch"])).input, 3);
    }
}
