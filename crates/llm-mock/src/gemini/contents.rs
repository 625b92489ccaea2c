//! Contents and their parts: the text in them, and the rules by which they follow each other.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::errors::Problem;
use crate::{invented::fits, json::Text, text::tokens};

#[derive(Deserialize)]
pub(super) struct RawContent<'a> {
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(borrow, default)]
    parts: Option<Vec<RawPart<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPart<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default, alias = "inline_data")]
    inline_data: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "file_data")]
    file_data: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "function_call")]
    function_call: Option<Call<'a>>,
    #[serde(borrow, default, alias = "function_response")]
    function_response: Option<Call<'a>>,
    #[serde(borrow, default, alias = "executable_code")]
    executable_code: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "code_execution_result")]
    code_execution_result: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "tool_call")]
    tool_call: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "tool_response")]
    tool_response: Option<&'a RawValue>,
    thought: Option<bool>,
    #[serde(borrow, default, alias = "thought_signature")]
    thought_signature: Option<Text<'a>>,
}

/// A function call, or its response.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

impl RawPart<'_> {
    /// How many data members it has; there must be one.
    fn members(&self) -> usize {
        [
            self.text.is_some(),
            self.inline_data.is_some(),
            self.file_data.is_some(),
            self.function_call.is_some(),
            self.function_response.is_some(),
            self.executable_code.is_some(),
            self.code_execution_result.is_some(),
            self.tool_call.is_some(),
            self.tool_response.is_some(),
        ]
        .into_iter()
        .filter(|given| *given)
        .count()
    }
}

/// What is left of the conversation after one pass.
pub(super) struct Conversation<'a> {
    /// The last user content's text; of tool results, their JSON, where it has no other.
    pub(super) user_text: Cow<'a, str>,
    pub(super) tokens: u64,
}

/// The texts of a content that is no turn of the conversation, joined.
pub(super) fn text_of(content: RawContent<'_>, place: &str) -> Result<String, Problem> {
    let mut whole = String::new();
    for (at, part) in content.parts.unwrap_or_default().into_iter().enumerate() {
        let Some(Text(text)) = part.text else {
            return Err(Problem::invalid(format!("{place}.parts[{at}]: only text is allowed here.")));
        };
        whole.push_str(&text);
    }
    Ok(whole)
}

/// `signed` is for models that want the signatures of the current turn's calls back.
pub(super) fn read(contents: Vec<RawContent<'_>>, signed: bool) -> Result<Conversation<'_>, Problem> {
    let mut reader = Reader { open: Vec::new(), answered: false, unsigned: None, tokens: 0 };
    let (mut user_text, mut other) = (None, None);
    for (at, content) in contents.into_iter().enumerate() {
        let place = format!("contents[{at}]");
        let role = content.role.map_or(Cow::Borrowed("user"), |Text(role)| role);
        let from_model = match &*role {
            "user" | "function" => false,
            "model" => true,
            _ => return Err(Problem::invalid(format!("{place}.role: must be user or model."))),
        };
        let parts = content.parts.unwrap_or_default();
        if parts.is_empty() {
            return Err(Problem::invalid(format!("{place}.parts: must not be empty.")));
        }
        let text = reader.turn(from_model, parts, &place)?;
        *(if from_model { &mut other } else { &mut user_text }) = Some(text);
    }
    if !reader.open.is_empty() {
        return Err(reader.miscounted());
    }
    if let Some(place) = reader.unsigned.filter(|_| signed) {
        return Err(Problem::invalid(format!(
            "{place}: a functionCall part is missing its thought_signature."
        )));
    }
    Ok(Conversation { user_text: user_text.or(other).unwrap_or_default(), tokens: reader.tokens })
}

struct Reader<'a> {
    /// Names of calls without a response.
    open: Vec<Cow<'a, str>>,
    /// Whether one of the model's last calls has a response.
    answered: bool,
    /// The first call of the current turn that should have been signed.
    unsigned: Option<String>,
    tokens: u64,
}

impl<'a> Reader<'a> {
    fn miscounted(&self) -> Problem {
        Problem::invalid(format!(
            "Please ensure that the number of function response parts is equal to the number of function call parts \
             of the function call turn; without a response: {}.",
            self.open.join(", ")
        ))
    }

    fn turn(
        &mut self,
        from_model: bool,
        parts: Vec<RawPart<'a>>,
        place: &str,
    ) -> Result<Cow<'a, str>, Problem> {
        if from_model && self.answered && !self.open.is_empty() {
            return Err(self.miscounted());
        }
        let (mut own, mut results) = (Cow::Borrowed(""), Cow::Borrowed(""));
        let mut first_call = true;
        for (at, part) in parts.into_iter().enumerate() {
            let place = format!("{place}.parts[{at}]");
            if part.members() != 1 {
                let message = format!("{place}: exactly one data member must be set.");
                return Err(Problem::invalid(message));
            }
            let object = |value: Option<&RawValue>| value.is_none_or(|value| value.get().starts_with('{'));
            let signature = part.thought_signature.as_ref().map(|Text(signature)| &**signature);
            let what = match (&part.text, &part.function_call) {
                (Some(Text(text)), _) => Some(&**text),
                (None, Some(call)) => call.name.as_ref().map(|Text(name)| &**name),
                (None, None) => None,
            };
            if let (Some(signature), Some(what)) = (signature, what)
                && !fits(signature, what)
            {
                return Err(Problem::invalid(format!("{place}: thought_signature is not valid.")));
            }
            match part {
                RawPart { text: Some(Text(text)), thought, .. } => {
                    if !from_model {
                        // A user's word begins a turn; what came before it may be unsigned.
                        self.unsigned = None;
                    }
                    if thought != Some(true) {
                        self.tokens = self.tokens.saturating_add(tokens(&text));
                        own += text;
                    }
                }
                RawPart { function_call: Some(call), .. } => {
                    let name = call.name.map(|Text(name)| name).filter(|name| !name.is_empty());
                    let (Some(name), true) = (name, from_model && object(call.args)) else {
                        let message = format!("{place}.function_call: a model's, with a name and an object.");
                        return Err(Problem::invalid(message));
                    };
                    if std::mem::take(&mut first_call) && signature_missing(part.thought_signature.as_ref()) {
                        self.unsigned.get_or_insert(place);
                    }
                    self.answered = false;
                    self.open.push(name);
                }
                RawPart { function_response: Some(response), .. } => {
                    let name = response.name.map(|Text(name)| name).unwrap_or_default();
                    let json = response.response.filter(|json| !from_model && object(Some(json)));
                    let Some(json) = json else {
                        let message = format!("{place}.function_response.response: must be a user's object.");
                        return Err(Problem::invalid(message));
                    };
                    let Some(open) = self.open.iter().position(|open| *open == name) else {
                        let message = format!("{place}.function_response.name: no open call has this name.");
                        return Err(Problem::invalid(message));
                    };
                    self.open.remove(open);
                    self.answered = true;
                    self.tokens = self.tokens.saturating_add(tokens(json.get()));
                    results += json.get();
                }
                _ => {}
            }
        }
        Ok(if own.is_empty() { results } else { own })
    }
}

fn signature_missing(signature: Option<&Text<'_>>) -> bool {
    signature.is_none_or(|Text(signature)| signature.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invented::sign;

    fn read_all(contents: &str, signed: bool) -> Result<(String, u64), String> {
        let parsed: Vec<RawContent<'_>> = serde_json::from_str(contents).unwrap();
        let read = read(parsed, signed)
            .map_err(|problem| String::from_utf8(problem.into_answer(false).body.to_vec()).unwrap())?;
        Ok((read.user_text.into_owned(), read.tokens))
    }

    fn tools(signature: &str, responses: &str) -> String {
        format!(
            r#"[{{"role":"user","parts":[{{"text":"Tide in Brest?"}}]}},
            {{"role":"model","parts":[{{"functionCall":{{"name":"f","args":{{}}}}{signature}}},{{"function_call":{{"name":"g"}}}}]}},
            {{"role":"user","parts":[{responses}]}}]"#
        )
    }

    const F: &str = r#"{"functionResponse":{"name":"f","response":{"output":1}}}"#;
    const G: &str = r#"{"function_response":{"id":"x","name":"g","response":{}}}"#;

    #[test]
    fn every_call_has_a_response_by_name() {
        let both = format!("{G},{F}");
        assert_eq!(read_all(&tools("", &both), false).unwrap().0, r#"{}{"output":1}"#);
        for wrong in [
            F.to_owned(),
            format!("{F},{F},{G}"),
            F.replace("\"f\"", "\"h\""),
            F.replace("{\"output\":1}", "1"),
        ] {
            let problem = read_all(&tools("", &wrong), false).unwrap_err();
            assert!(problem.contains("function"), "{wrong}: {problem}");
        }
    }

    #[test]
    fn newer_models_want_the_first_call_of_the_current_turn_signed() {
        let both = format!("{F},{G}");
        assert!(read_all(&tools("", &both), true).unwrap_err().contains("missing its thought_signature"));
        for signature in [sign("f"), "c2ln".to_owned(), "skip_thought_signature_validator".to_owned()] {
            let signature = format!(r#","thoughtSignature":"{signature}""#);
            assert!(read_all(&tools(&signature, &both), true).is_ok(), "{signature}");
        }
        // With a new question the turn is over.
        let next = format!(r#"{both},{{"text":"And in Lorient?"}}"#);
        assert_eq!(read_all(&tools("", &next), true).unwrap().0, "And in Lorient?");
        // A signature belongs to its part.
        let moved = format!(r#","thought_signature":"{}""#, sign("g"));
        assert!(read_all(&tools(&moved, &both), true).unwrap_err().contains("not valid"));
        let merged =
            format!(r#"[{{"role":"model","parts":[{{"text":"abc","thoughtSignature":"{}"}}]}}]"#, sign(""));
        assert!(read_all(&merged, false).unwrap_err().contains("not valid"));
    }

    #[test]
    fn a_part_has_exactly_one_data_member() {
        let one = |part: &str| format!(r#"[{{"parts":[{part}]}}]"#);
        assert!(read_all(&one(r#"{"inlineData":{"mimeType":"image/png","data":""}}"#), true).is_ok());
        assert_eq!(
            read_all(&one(r#"{"text":"a"},{"text":"b","thought":true}"#), true).unwrap(),
            ("a".to_owned(), 1)
        );
        for wrong in ["{}", r#"{"thoughtSignature":"a"}"#, r#"{"text":"a","fileData":{}}"#, ""] {
            assert!(read_all(&one(wrong), true).is_err(), "{wrong}");
        }
        assert!(
            read_all(r#"[{"role":"assistant","parts":[{"text":"a"}]}]"#, true).unwrap_err().contains("role")
        );
    }
}
