//! Thought and answer apart, also where a server left its thoughts in the text.

use crate::message::{Message, Part};
use crate::response::ChatResponse;

/// The tags that models put around their thoughts.
const TAGS: &[(&str, &str)] = &[
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
];

/// What a model thought and what it said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thoughts {
    /// What it thought; empty where it did not, or did not tell.
    pub thought: String,
    /// Its answer; empty where it only thought.
    pub answer: String,
}

impl ChatResponse {
    /// Thought and answer of the first choice, apart: see [`Message::parse_thoughts`].
    #[must_use]
    pub fn parse_thoughts(&self) -> Thoughts {
        self.message().map(Message::parse_thoughts).unwrap_or_default()
    }
}

impl Message {
    /// Thought and answer, apart.
    ///
    /// Where the message has readable [reasoning](Part::Reasoning), that is the thought, its blocks on lines of their own,
    /// and the text is the answer as it stands. Where it has none, the thought may stand in the text between tags
    /// (`<think>…</think>` and the like, as servers without a parser for them send it): tags at the beginning of the
    /// text, or a closing tag that no other tag of its kind goes before (templates put the first into the prompt).
    /// What is not closed is all thought. Tags further down are the answer's own, such as samples of code.
    ///
    /// ```
    /// # use llm_types::Message;
    /// let thoughts = Message::assistant("<think>\nSix by seven.\n</think>\n\nIt is 42.").parse_thoughts();
    /// assert_eq!((&*thoughts.thought, &*thoughts.answer), ("Six by seven.", "It is 42."));
    /// ```
    #[must_use]
    pub fn parse_thoughts(&self) -> Thoughts {
        let mut blocks = self.parts.iter().filter_map(|part| match part {
            Part::Reasoning(block) if !block.text.is_empty() => Some(block.text.as_str()),
            _ => None,
        });
        let answer = self.text();
        let Some(first) = blocks.next() else { return split(answer) };
        let mut thought = first.to_owned();
        for block in blocks {
            if !thought.ends_with('\n') {
                thought.push('\n');
            }
            thought.push_str(block);
        }
        Thoughts { thought, answer }
    }
}

/// Splits a text at the tags that it begins with, or at the one that ends its thoughts.
fn split(text: String) -> Thoughts {
    let start = text.trim_start();
    let opened = TAGS.iter().find_map(|(open, close)| Some((start.strip_prefix(open)?, *close)));
    let found = match opened {
        Some((rest, close)) => Some(rest.split_once(close).unwrap_or((rest, ""))),
        None => TAGS
            .iter()
            .find_map(|(open, close)| text.split_once(close).filter(|(before, _)| !before.contains(open))),
    };
    match found {
        Some((thought, answer)) => {
            Thoughts { thought: thought.trim().to_owned(), answer: answer.trim_start().to_owned() }
        }
        None => Thoughts { thought: String::new(), answer: text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Reasoning, Role};
    use crate::response::Choice;

    #[test]
    fn thought_and_answer_come_apart_wherever_they_stand() {
        for (text, thought, answer) in [
            ("b", "", "b"),
            ("", "", ""),
            ("<think>a</think>b", "a", "b"),
            ("\n <think>\na\n</think>\n\nb\n", "a", "b\n"),
            ("<think></think>b", "", "b"),
            ("<think>a", "a", ""),
            ("a</think>b", "a", "b"),
            ("a\n</think>\n\nb</think>", "a", "b</think>"),
            ("[THINK]a[/THINK]b", "a", "b"),
            ("◁think▷a◁/think▷b", "a", "b"),
            // Samples of code are no thoughts.
            ("x <think>a</think>", "", "x <think>a</think>"),
            ("<thinker>a", "", "<thinker>a"),
            ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ] {
            let expected = Thoughts { thought: thought.to_owned(), answer: answer.to_owned() };
            assert_eq!(Message::assistant(text).parse_thoughts(), expected, "{text:?}");
        }
    }

    #[test]
    fn blocks_of_reasoning_go_before_tags_in_the_text() {
        let sealed = Reasoning { encrypted: Some("x".to_owned()), ..Reasoning::default() };
        let block = |text: &str| Part::Reasoning(Reasoning::text(text));
        let parts =
            vec![block("a"), Part::Reasoning(sealed), Part::text("<think>"), block("b\n"), block("c")];
        let choice = Choice { message: Message::new(Role::Assistant, parts), ..Choice::new(0) };
        let response = ChatResponse { choices: vec![choice], ..ChatResponse::default() };
        let expected = Thoughts { thought: "a\nb\nc".to_owned(), answer: "<think>".to_owned() };
        assert_eq!(response.parse_thoughts(), expected);
        assert_eq!(ChatResponse::default().parse_thoughts(), Thoughts::default());
    }
}
