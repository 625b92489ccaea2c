//! What is said about an answer: the one JSON object, the line of figures, the remarks.

use std::time::Duration;

use llm_types::{AttemptRecord, ChatResponse, Cost, FinishReason, Message, ToolCall, Usage, Warning};
use serde::{Serialize, Serializer};

use super::talk::{Outcome, Went};
use crate::failure::Failure;
use crate::progress::{count, span};
use crate::term::{Term, safe};

/// The object of `--json`. Its names are a promise.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    v: u8,
    model: Option<&'a str>,
    response_model: Option<&'a str>,
    text: String,
    reasoning: Option<String>,
    refusal: Option<String>,
    tool_calls: Vec<Tool<'a>>,
    finish_reason: Option<FinishReason>,
    native_finish_reason: Option<&'a str>,
    usage: Option<Usage>,
    /// Null where the price is not known.
    cost: Option<&'a Cost>,
    #[serde(serialize_with = "millis")]
    latency_ms: Option<Duration>,
    #[serde(serialize_with = "millis")]
    first_token_ms: Option<Duration>,
    attempts: usize,
    attempt_log: &'a [AttemptRecord],
    warnings: &'a [Warning],
    /// The whole conversation with its answer, as `--messages` reads it.
    messages: &'a [Message],
    /// How often the model answered.
    turns: usize,
    error: Option<Failure>,
}

#[derive(Serialize)]
struct Tool<'a> {
    id: &'a str,
    name: &'a str,
    /// The text as the model wrote it, which need not be JSON.
    arguments: &'a str,
}

impl<'a> Tool<'a> {
    fn of(call: &'a ToolCall) -> Self {
        Self { id: &call.id, name: &call.name, arguments: &call.arguments }
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(model: &'a str, outcome: &'a Outcome) -> Self {
        let Outcome { response, error, first, total, .. } = outcome;
        let attempt_log = match error {
            Some(error) if !error.attempts().is_empty() => error.attempts(),
            _ => &response.attempts,
        };
        Self {
            v: 1,
            model: Some(model),
            response_model: response.model.as_deref(),
            text: response.text(),
            reasoning: Some(response.reasoning()).filter(|text| !text.is_empty()),
            refusal: response.refusal(),
            tool_calls: response.tool_calls().map(Tool::of).collect(),
            finish_reason: response.finish_reason(),
            native_finish_reason: response.choices.first().and_then(|c| c.native_finish_reason.as_deref()),
            usage: response.usage,
            cost: response.cost.as_ref(),
            latency_ms: Some(*total),
            first_token_ms: *first,
            attempts: attempt_log.len(),
            attempt_log,
            warnings: &response.warnings,
            messages: &[],
            turns: 0,
            error: error.clone().map(Failure::from),
        }
    }

    /// Adds how the conversation went. Calls that were answered on the way are nobody's business any more.
    pub(super) fn after(mut self, went: &'a Went, outcome: &'a Outcome) -> Self {
        let open = outcome.response.tool_calls().filter(|call| !went.has_result_of(call));
        self.tool_calls = open.map(Tool::of).collect();
        self.messages = &went.messages;
        self.turns = went.turns;
        self
    }

    /// Nothing was asked.
    pub(super) fn failed(failure: &Failure) -> Self {
        Self {
            v: 1,
            model: None,
            response_model: None,
            text: String::new(),
            reasoning: None,
            refusal: None,
            tool_calls: Vec::new(),
            finish_reason: None,
            native_finish_reason: None,
            usage: None,
            cost: None,
            latency_ms: None,
            first_token_ms: None,
            attempts: 0,
            attempt_log: &[],
            warnings: &[],
            messages: &[],
            turns: 0,
            error: Some(failure.clone()),
        }
    }
}

fn millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}

/// One line: `m-1 1 204→312 tok (1 024 cached), 2.1 s, first 0.4 s, $0.0031`.
pub(super) fn figures(model: &str, outcome: &Outcome) -> String {
    let model = outcome.response.model.as_deref().unwrap_or(model);
    let tokens = match &outcome.response.usage {
        Some(usage) => {
            let cached = usage.cache_read.filter(|&n| n > 0).map(|n| format!(" ({} cached)", count(n)));
            format!(
                "{}→{} tok{}",
                count(usage.input_total()),
                count(usage.output_total()),
                cached.unwrap_or_default()
            )
        }
        None => "tokens unknown".to_owned(),
    };
    let first = outcome.first.map(|first| format!(", first {}", span(first))).unwrap_or_default();
    // Unknown is not nothing.
    let cost = outcome.response.cost.as_ref().map(|cost| cost.total.to_string());
    let cost = cost.as_deref().unwrap_or("price unknown");
    safe::line(&format!("{model} {tokens}, {}{first}, {cost}", span(outcome.total)))
}

/// The calls of an answer that nobody has run, a line each.
pub(super) fn calls(response: &ChatResponse, went: &Went, term: &Term) {
    for call in response.tool_calls().filter(|call| !went.has_result_of(call)) {
        let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
        term.note(&safe::line(&format!("tool call: {} {arguments} (id {})", call.name, call.id)));
    }
}

/// What the user must know about an answer, beside its text.
pub(super) fn remarks(response: &ChatResponse, whole: bool, term: &Term) {
    let only_thoughts = whole && response.is_empty() && !response.reasoning().is_empty();
    // That there is no answer is said below, in the words of this program.
    for Warning { about, message } in
        response.warnings.iter().filter(|w| !only_thoughts || !w.message.contains("only reasoning"))
    {
        term.warn(&format!("{about}: {message}"));
    }
    if let Some(refusal) = response.refusal() {
        term.warn(&format!("the model's words: {refusal}"));
    }
    match response.finish_reason() {
        Some(FinishReason::Length) => {
            term.warn("the answer is cut: the token limit was reached (--max-tokens)");
        }
        Some(FinishReason::ContentFilter) if whole => {
            term.warn("the provider cut the answer for its content");
        }
        _ => {}
    }
    if whole && response.is_empty() {
        term.warn(match only_thoughts {
            false => "the answer is empty",
            true => "the reply holds only reasoning, no answer (--reasoning show)",
        });
    }
}

#[cfg(test)]
mod tests {
    use llm_types::{Choice, Error, ErrorKind, Totals, UsageSource};

    use super::*;

    fn outcome(error: Option<Error>) -> Outcome {
        let mut choice = Choice::new(0);
        choice.message = Message::assistant("Hello\u{1b}[2J");
        choice.finish_reason = Some(FinishReason::Stop);
        choice.native_finish_reason = Some("stop".to_owned());
        let totals = Totals { input: 1204, output: 312, cache_read: Some(1024), ..Totals::default() };
        let response = ChatResponse {
            model: Some("m-1-2026".to_owned()),
            choices: vec![choice],
            usage: Some(Usage::from_totals(totals, UsageSource::Reported)),
            warnings: vec![Warning::new("top_k", "not sent")],
            ..ChatResponse::default()
        };
        Outcome {
            response,
            error,
            stopped: None,
            first: Some(Duration::from_millis(400)),
            total: Duration::from_millis(2100),
        }
    }

    #[test]
    fn the_object_has_exactly_the_promised_names() {
        let outcome = outcome(None);
        let messages = vec![Message::user("hi"), outcome.response.message().unwrap().clone()];
        let went = Went { messages, turns: 1 };
        let report = Report::new("acme/m-1", &outcome).after(&went, &outcome);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"v":1,"model":"acme/m-1","response_model":"m-1-2026","text":"Hello\u001b[2J","reasoning":null,"#,
                r#""refusal":null,"tool_calls":[],"finish_reason":"stop","native_finish_reason":"stop","#,
                r#""usage":{"input_tokens":1204,"output_tokens":312,"cache_read_tokens":1024,"source":"reported"},"#,
                r#""cost":null,"latency_ms":2100,"first_token_ms":400,"attempts":0,"attempt_log":[],"#,
                r#""warnings":[{"about":"top_k","message":"not sent"}],"#,
                r#""messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"Hello\u001b[2J"}],"turns":1,"error":null}"#
            )
        );
    }

    #[test]
    fn an_error_stands_beside_what_had_come() {
        let outcome = outcome(Some(Error::new(ErrorKind::Truncated, "the stream ended early")));
        let json = serde_json::to_value(Report::new("m", &outcome)).unwrap();
        assert_eq!(json["text"], "Hello\u{1b}[2J");
        assert_eq!(json["error"]["kind"], "truncated");
        let names =
            |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let failed = serde_json::to_value(Report::failed(&Failure::usage("no prompt"))).unwrap();
        assert_eq!(names(&json), names(&failed));
    }

    #[test]
    fn the_figures_are_one_safe_line() {
        assert_eq!(
            figures("x", &outcome(None)),
            "m-1-2026 1 204→312 tok (1 024 cached), 2.1 s, first 0.4 s, price unknown"
        );
        let mut priced = outcome(None);
        priced.response.cost =
            "1.5/10".parse::<llm_types::Price>().unwrap().cost(&priced.response.usage.unwrap());
        assert!(figures("x", &priced).ends_with(", first 0.4 s, $0.0049"), "{}", figures("x", &priced));
        let json = serde_json::to_value(Report::new("m", &priced)).unwrap();
        assert_eq!(
            json["cost"],
            serde_json::json!({"total_usd": "0.004926", "input_usd": "0.001806", "output_usd": "0.00312", "usage": "reported"})
        );
    }
}
