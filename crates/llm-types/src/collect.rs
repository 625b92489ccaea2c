//! From stream events to the response a plain call would have given.

use crate::extra::Extra;
use crate::message::{Part, Reasoning};
use crate::response::{ChatResponse, Choice};
use crate::stream::StreamEvent;
use crate::tool::ToolCall;

/// Collects the events of one stream.
///
/// ```
/// # use llm_types::{Collector, StreamEvent, FinishReason};
/// let mut collector = Collector::new();
/// collector.push(StreamEvent::Text { choice: 0, text: "Hel".into() });
/// collector.push(StreamEvent::Text { choice: 0, text: "lo".into() });
/// collector.push(StreamEvent::Finish { choice: 0, reason: FinishReason::Stop, native: None });
/// assert_eq!(collector.finish().text(), "Hello");
/// ```
#[derive(Debug, Default)]
pub struct Collector {
    response: ChatResponse,
    logprobs: Vec<(u32, Vec<Box<serde_json::value::RawValue>>)>,
}

impl Collector {
    /// Nothing collected yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let choices = &mut self.response.choices;
        let at = match choices.binary_search_by_key(&index, |choice| choice.index) {
            Ok(at) => at,
            Err(at) => {
                choices.insert(at, Choice::new(index));
                at
            }
        };
        // `at` was found or inserted just now.
        #[expect(clippy::indexing_slicing, reason = "the index comes from the search above")]
        &mut choices[at]
    }

    fn call(&mut self, choice: u32, index: u32) -> Option<&mut ToolCall> {
        let at = usize::try_from(index).ok()?;
        let mut calls = self.choice(choice).message.parts.iter_mut().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        });
        calls.nth(at)
    }

    /// Takes one event.
    pub fn push(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Start { id, model, created } => {
                let response = &mut self.response;
                (response.id, response.model, response.created) = (id, model, created);
            }
            StreamEvent::Text { choice, text } => match self.choice(choice).message.parts.last_mut() {
                Some(Part::Text { text: so_far, .. }) => so_far.push_str(&text),
                _ => self.choice(choice).message.parts.push(Part::text(text)),
            },
            StreamEvent::TextBlock { choice, extra } => {
                self.choice(choice).message.parts.push(Part::Text { text: String::new(), extra });
            }
            StreamEvent::Reasoning { choice, text } => match self.choice(choice).message.parts.last_mut() {
                // A finished block is not added to.
                Some(Part::Reasoning(block)) if block.signature.is_none() && block.encrypted.is_none() => {
                    block.text.push_str(&text);
                }
                _ => self.choice(choice).message.parts.push(Part::Reasoning(Reasoning::text(text))),
            },
            StreamEvent::ReasoningBlock { choice, block } => {
                merge_block(&mut self.choice(choice).message.parts, *block);
            }
            StreamEvent::Refusal { choice, text } => match self.choice(choice).message.parts.last_mut() {
                Some(Part::Refusal { text: so_far }) => so_far.push_str(&text),
                _ => self.choice(choice).message.parts.push(Part::Refusal { text }),
            },
            StreamEvent::Native { choice, part } => {
                self.choice(choice).message.parts.push(Part::Native(part));
            }
            StreamEvent::ToolCallStart { choice, index: _, id, name, custom, signature } => {
                let call = ToolCall { id, name, custom, signature, ..ToolCall::default() };
                self.choice(choice).message.parts.push(Part::ToolCall(call));
            }
            StreamEvent::ToolCallDelta { choice, index, arguments } => {
                if let Some(call) = self.call(choice, index) {
                    call.arguments.push_str(&arguments);
                }
            }
            StreamEvent::Replay { choice, call: None, name, value } => {
                self.choice(choice).message.extra.insert(name, value);
            }
            StreamEvent::Replay { choice, call: Some(index), name, value } => {
                if let Some(call) = self.call(choice, index) {
                    call.extra.insert(name, value);
                }
            }
            StreamEvent::ToolCallEnd { .. } | StreamEvent::End => {}
            StreamEvent::Logprobs { choice, logprobs } => {
                match self.logprobs.iter_mut().find(|(index, _)| *index == choice) {
                    Some((_, chunks)) => chunks.push(logprobs),
                    None => self.logprobs.push((choice, vec![logprobs])),
                }
            }
            StreamEvent::Usage(usage) => self.response.usage = Some(usage),
            StreamEvent::Cost(cost) => self.response.cost = Some(*cost),
            StreamEvent::Warning(warning) => self.response.warnings.push(warning),
            StreamEvent::Extra { choice, name, value } => match choice {
                Some(index) => self.choice(index).extra.insert(name, value),
                None => self.response.extra.insert(name, value),
            },
            StreamEvent::Finish { choice, reason, native } => {
                let choice = self.choice(choice);
                (choice.finish_reason, choice.native_finish_reason) = (Some(reason), native);
            }
        }
    }

    /// What has come so far, without ending the collection: for a stream that broke.
    #[must_use]
    pub fn snapshot(&self) -> ChatResponse {
        let copy = Self { response: self.response.clone(), logprobs: self.logprobs.clone() };
        copy.finish()
    }

    /// The collected response.
    #[must_use]
    pub fn finish(mut self) -> ChatResponse {
        for (index, chunks) in std::mem::take(&mut self.logprobs) {
            self.choice(index).logprobs = join_logprobs(&chunks);
        }
        self.response
    }
}

/// Adds a block to the reasoning so far: one with text or an encrypted block of its own stands alone, a bare signature
/// closes the last block, even when other parts have come in between.
fn merge_block(parts: &mut Vec<Part>, block: Reasoning) {
    if block.text.is_empty()
        && block.encrypted.is_none()
        // Of a kind of the server's own: it stands alone.
        && block.extra.get("type").is_none()
        && let Some(last) = parts.iter_mut().rev().find_map(|part| match part {
            Part::Reasoning(last) => Some(last),
            _ => None,
        })
        // A block that is signed already, or redacted, is not signed again: the signature is that of a withheld block.
        && (block.signature.is_none() || last.signature.is_none() && last.encrypted.is_none())
    {
        let Reasoning { signature, id, format, origin, extra, .. } = block;
        for (to, from) in [
            (&mut last.signature, signature),
            (&mut last.id, id),
            (&mut last.format, format),
            (&mut last.origin, origin),
        ] {
            if from.is_some() {
                *to = from;
            }
        }
        extra.iter().for_each(|(name, value)| last.extra.insert(name, value.to_owned()));
        return;
    }
    parts.push(Part::Reasoning(block));
}

/// Chunks of log probabilities are objects of lists (`{"content": […], "refusal": null}`): the lists are joined, so that
/// the result is what a plain call gives. Of what is no list, the last that says anything counts. A single chunk stays as
/// it was sent.
fn join_logprobs(chunks: &[Box<serde_json::value::RawValue>]) -> Option<Box<serde_json::value::RawValue>> {
    if let [only] = chunks {
        return Some(only.clone());
    }
    let mut lists: Vec<(String, Option<Vec<Box<serde_json::value::RawValue>>>)> = Vec::new();
    let mut single = Extra::new();
    for chunk in chunks {
        let Ok(members) = Extra::parse(chunk.get()) else { continue };
        for (name, value) in members.iter() {
            let at = lists.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
                lists.push((name.to_owned(), None));
                lists.len() - 1
            });
            match (lists.get_mut(at), serde_json::from_str::<Vec<_>>(value.get())) {
                (Some((_, list)), Ok(mut more)) => list.get_or_insert_default().append(&mut more),
                _ if value.get() != "null" => single.insert(name, value.to_owned()),
                _ => {}
            }
        }
    }
    let mut joined = Extra::new();
    for (name, list) in lists {
        match (list, single.take(&name)) {
            (None, Some(value)) => joined.insert(&name, value),
            (list, _) => joined.set(name, &list).ok()?,
        }
    }
    serde_json::value::to_raw_value(&joined).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::NativePart;
    use crate::money::Money;
    use crate::price::Cost;
    use crate::response::FinishReason;

    #[test]
    fn interleaved_tool_calls_keep_their_arguments_apart() {
        let mut c = Collector::new();
        for (index, id) in [(0, "a"), (1, "b")] {
            let (id, name) = (id.to_owned(), "f".to_owned());
            c.push(StreamEvent::ToolCallStart { choice: 0, index, id, name, custom: false, signature: None });
        }
        for (index, text) in [(1, "{\"y\""), (0, "{\"x\""), (1, ":2}"), (0, ":1}")] {
            c.push(StreamEvent::ToolCallDelta { choice: 0, index, arguments: text.to_owned() });
        }
        c.push(StreamEvent::Finish { choice: 0, reason: FinishReason::ToolCalls, native: None });
        let response = c.finish();
        let calls: Vec<_> =
            response.tool_calls().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
        assert_eq!(calls, [("a", "{\"x\":1}"), ("b", "{\"y\":2}")]);
    }

    #[test]
    fn a_signature_closes_its_block_and_choices_stay_in_order() {
        let mut c = Collector::new();
        c.push(StreamEvent::Text { choice: 1, text: "second".into() });
        c.push(StreamEvent::Reasoning { choice: 0, text: "th".into() });
        c.push(StreamEvent::Reasoning { choice: 0, text: "ink".into() });
        let signature = Reasoning { signature: Some("sig".into()), ..Reasoning::default() };
        c.push(StreamEvent::ReasoningBlock { choice: 0, block: Box::new(signature) });
        c.push(StreamEvent::Reasoning { choice: 0, text: "more".into() });
        let response = c.finish();
        assert_eq!(response.choices.iter().map(|c| c.index).collect::<Vec<_>>(), [0, 1]);
        let blocks: Vec<_> = response.choices[0]
            .message
            .parts
            .iter()
            .map(|part| match part {
                Part::Reasoning(r) => (r.text.as_str(), r.signature.as_deref()),
                _ => panic!("not reasoning"),
            })
            .collect();
        assert_eq!(blocks, [("think", Some("sig")), ("more", None)]);
    }

    #[test]
    fn a_signature_behind_a_redacted_block_is_a_block_of_its_own() {
        let mut c = Collector::new();
        let redacted = Reasoning { encrypted: Some("data".into()), ..Reasoning::default() };
        let withheld = Reasoning { signature: Some("sig".into()), ..Reasoning::default() };
        for block in [redacted, withheld] {
            c.push(StreamEvent::ReasoningBlock { choice: 0, block: Box::new(block) });
        }
        assert_eq!(c.finish().message().unwrap().parts.len(), 2);
    }

    #[test]
    fn a_summary_grows_and_what_must_come_back_goes_into_the_message() {
        let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        let mut c = Collector::new();
        let block = Reasoning { summary: true, ..Reasoning::text("sum") };
        c.push(StreamEvent::ReasoningBlock { choice: 0, block: Box::new(block) });
        c.push(StreamEvent::Reasoning { choice: 0, text: "mary".into() });
        c.push(StreamEvent::Text { choice: 0, text: "t".into() });
        let signature = Reasoning { signature: Some("sig".into()), ..Reasoning::default() };
        c.push(StreamEvent::ReasoningBlock { choice: 0, block: Box::new(signature) });
        c.push(StreamEvent::Native {
            choice: 0,
            part: NativePart { json: raw(r#"{"type":"x"}"#), origin: None },
        });
        let (id, name) = ("a".to_owned(), "f".to_owned());
        c.push(StreamEvent::ToolCallStart { choice: 0, index: 0, id, name, custom: false, signature: None });
        for call in [None, Some(0)] {
            c.push(StreamEvent::Replay { choice: 0, call, name: "m".into(), value: raw("1.0") });
        }
        let response = c.finish();
        let message = response.message().unwrap();
        let Part::Reasoning(block) = &message.parts[0] else { panic!("no reasoning") };
        assert_eq!((block.text.as_str(), block.signature.as_deref()), ("summary", Some("sig")));
        assert!(matches!(&message.parts[2], Part::Native(part) if part.json.get() == r#"{"type":"x"}"#));
        assert_eq!(message.extra.get("m").unwrap().get(), "1.0");
        assert_eq!(message.tool_calls().next().unwrap().extra.get("m").unwrap().get(), "1.0");
    }

    #[test]
    fn a_text_block_begins_a_part_of_its_own() {
        let mut c = Collector::new();
        let text = |text: &str| StreamEvent::Text { choice: 0, text: text.into() };
        c.push(text("a"));
        c.push(StreamEvent::TextBlock { choice: 0, extra: Extra::parse(r#"{"citations":[1]}"#).unwrap() });
        [text("b"), text("c")].into_iter().for_each(|event| c.push(event));
        c.push(StreamEvent::TextBlock { choice: 0, extra: Extra::new() });
        c.push(text("d"));
        let response = c.finish();
        let parts: Vec<_> = response.message().unwrap().parts.iter().filter_map(Part::as_text).collect();
        assert_eq!((parts, response.text().as_str()), (vec!["a", "bc", "d"], "abcd"));
        let Part::Text { extra, .. } = &response.message().unwrap().parts[1] else { panic!("no text") };
        assert_eq!(extra.get("citations").unwrap().get(), "[1]");
    }

    #[test]
    fn the_last_cost_counts() {
        let cost = |pico| Box::new(Cost { total: Money::from_pico(pico), ..Cost::default() });
        let mut c = Collector::new();
        assert_eq!(c.snapshot().cost, None);
        [1, 2].into_iter().for_each(|pico| c.push(StreamEvent::Cost(cost(pico))));
        assert_eq!(c.finish().cost.unwrap().total.pico(), 2);
    }

    #[test]
    fn chunked_logprobs_become_one_list() {
        let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        let mut c = Collector::new();
        c.push(StreamEvent::Logprobs { choice: 0, logprobs: raw(r#"{"content":[],"refusal":null}"#) });
        c.push(StreamEvent::Logprobs {
            choice: 0,
            logprobs: raw(r#"{"content":[{"token":"a"}],"refusal":null}"#),
        });
        c.push(StreamEvent::Logprobs {
            choice: 0,
            logprobs: raw(r#"{"content":[{"token":"b"}],"refusal":null,"sum":-1.50}"#),
        });
        let response = c.finish();
        let joined = response.choices[0].logprobs.as_ref().unwrap().get();
        assert_eq!(joined, r#"{"content":[{"token":"a"},{"token":"b"}],"refusal":null,"sum":-1.50}"#);
    }
}
