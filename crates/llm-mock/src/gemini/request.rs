//! The parts of a request the mock looks at, and the rules it must keep.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{contents, errors::Problem};
use crate::{
    json::{Text, unknown_members},
    text::tokens,
};

/// Every member the protocol names, and those of `generationConfig`; the server reads them in snake case too.
const MEMBERS: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "serviceTier",
    "store",
    "labels",
    "modelArmorConfig",
    "model",
];
const SETTINGS: &[&str] = &[
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "presencePenalty",
    "frequencyPenalty",
    "seed",
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "thinkingConfig",
    "speechConfig",
    "imageConfig",
    "mediaResolution",
    "audioTimestamp",
    "responseFormat",
    "continuationToken",
];

const MOST_CANDIDATES: u64 = 8;

/// A checked request.
#[derive(Debug)]
pub(super) struct GenerateCall<'a> {
    pub(super) user_text: Cow<'a, str>,
    pub(super) prompt_tokens: u64,
    pub(super) candidates: u64,
    pub(super) max_tokens: Option<u64>,
    pub(super) stop: Vec<Cow<'a, str>>,
    /// Unless the request says that it wants none.
    pub(super) shows_thoughts: bool,
    /// Whether the model signs its calls and wants the signatures back.
    pub(super) needs_signatures: bool,
    /// Whether the model's calls have ids.
    pub(super) gives_ids: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow, default)]
    contents: Option<Vec<contents::RawContent<'a>>>,
    #[serde(borrow, default, alias = "system_instruction")]
    system_instruction: Option<contents::RawContent<'a>>,
    #[serde(borrow, default)]
    tools: Option<Vec<RawTool<'a>>>,
    #[serde(borrow, default, alias = "tool_config")]
    tool_config: Option<RawToolConfig<'a>>,
    #[serde(borrow, default, alias = "generation_config")]
    generation_config: Option<Settings<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Settings<'a> {
    temperature: Option<f64>,
    #[serde(alias = "candidate_count")]
    candidate_count: Option<i64>,
    #[serde(alias = "max_output_tokens")]
    max_output_tokens: Option<i64>,
    #[serde(borrow, default, alias = "stop_sequences")]
    stop_sequences: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, alias = "response_mime_type")]
    response_mime_type: Option<Text<'a>>,
    #[serde(alias = "response_schema")]
    response_schema: Option<IgnoredAny>,
    #[serde(alias = "response_json_schema")]
    response_json_schema: Option<IgnoredAny>,
    #[serde(alias = "thinking_config")]
    thinking_config: Option<Thinking>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thinking {
    #[serde(alias = "include_thoughts")]
    include_thoughts: Option<bool>,
    #[serde(alias = "thinking_budget")]
    thinking_budget: Option<i64>,
    #[serde(alias = "thinking_level")]
    thinking_level: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTool<'a> {
    #[serde(borrow, default, alias = "function_declarations")]
    function_declarations: Option<Vec<Function<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    parameters: Option<IgnoredAny>,
    #[serde(alias = "parameters_json_schema")]
    parameters_json_schema: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawToolConfig<'a> {
    #[serde(borrow, default, alias = "function_calling_config")]
    function_calling_config: Option<Calling<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    #[serde(borrow, default)]
    mode: Option<Text<'a>>,
    #[serde(borrow, default, alias = "allowed_function_names")]
    allowed_function_names: Option<Vec<Text<'a>>>,
}

impl<'a> GenerateCall<'a> {
    pub(super) fn parse(body: &'a [u8], model: &str) -> Result<Self, Problem> {
        let raw: Raw<'a> = serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error))?;
        Self::check(raw, model)
    }

    fn check(raw: Raw<'a>, model: &str) -> Result<Self, Problem> {
        let invalid = |message: &str| Problem::invalid(message);
        let settings = raw.generation_config.unwrap_or_default();
        if settings.temperature.is_some_and(|given| !(0.0..=2.0).contains(&given)) {
            return Err(invalid("generation_config.temperature: must be 0 to 2."));
        }
        let candidates = u64::try_from(settings.candidate_count.unwrap_or(1)).ok();
        let candidates = candidates.filter(|count| (1..=MOST_CANDIDATES).contains(count));
        let candidates =
            candidates.ok_or_else(|| invalid("generation_config.candidate_count: must be 1 to 8."))?;
        let max_tokens = match settings.max_output_tokens {
            None => None,
            Some(limit) => Some(
                u64::try_from(limit)
                    .ok()
                    .filter(|limit| *limit > 0)
                    .ok_or_else(|| invalid("generation_config.max_output_tokens: must be positive."))?,
            ),
        };
        let stop: Vec<_> =
            settings.stop_sequences.unwrap_or_default().into_iter().map(|Text(stop)| stop).collect();
        if stop.len() > 5 || stop.iter().any(|stop| stop.is_empty()) {
            return Err(invalid("generation_config.stop_sequences: up to 5, none of them empty."));
        }
        let json = settings.response_mime_type.as_ref().is_some_and(|Text(kind)| kind == "application/json");
        match (settings.response_schema.is_some(), settings.response_json_schema.is_some()) {
            (true, true) => {
                return Err(invalid("response_schema and response_json_schema exclude each other."));
            }
            (false, false) => {}
            _ if json => {}
            _ => return Err(invalid("A response schema needs response_mime_type application/json.")),
        }
        if let Some(Thinking { thinking_budget: Some(_), thinking_level: Some(_), .. }) =
            settings.thinking_config
        {
            return Err(invalid("thinking_budget and thinking_level exclude each other."));
        }
        check_tools(raw.tools.as_deref().unwrap_or_default())?;
        check_config(raw.tool_config.as_ref())?;
        let system = match raw.system_instruction {
            Some(system) => tokens(&contents::text_of(system, "system_instruction")?),
            None => 0,
        };
        let contents = raw.contents.filter(|contents| !contents.is_empty());
        let contents = contents.ok_or_else(|| invalid("contents is not specified."))?;
        let third = is_third_or_newer(model);
        let read = contents::read(contents, third)?;
        Ok(Self {
            user_text: read.user_text,
            prompt_tokens: read.tokens.saturating_add(system),
            candidates,
            max_tokens,
            stop,
            shows_thoughts: settings.thinking_config.and_then(|thinking| thinking.include_thoughts)
                != Some(false),
            needs_signatures: third,
            gives_ids: third,
        })
    }
}

/// `gemini-3` and what came after it.
fn is_third_or_newer(model: &str) -> bool {
    let generation = model.strip_prefix("gemini-").map(|rest| rest.split(['.', '-']).next().unwrap_or(rest));
    generation.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number >= 3)
}

fn check_tools(tools: &[RawTool<'_>]) -> Result<(), Problem> {
    let functions = tools.iter().filter_map(|tool| tool.function_declarations.as_deref()).flatten();
    for (at, function) in functions.enumerate() {
        let invalid = |what| Err(Problem::invalid(format!("function_declarations[{at}].{what}")));
        let name = function.name.as_ref().map(|Text(name)| &**name).unwrap_or_default();
        let first = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
        let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | ':' | '-');
        if !first || name.len() > 128 || !name.chars().all(legal) {
            return invalid("name: Invalid function name.");
        }
        if function.parameters.is_some() && function.parameters_json_schema.is_some() {
            return invalid("parameters: excludes parameters_json_schema.");
        }
    }
    Ok(())
}

fn check_config(config: Option<&RawToolConfig<'_>>) -> Result<(), Problem> {
    let Some(calling) = config.and_then(|config| config.function_calling_config.as_ref()) else {
        return Ok(());
    };
    let mode = calling.mode.as_ref().map_or("AUTO", |Text(mode)| &**mode);
    let names = calling.allowed_function_names.as_ref().is_some_and(|names| !names.is_empty());
    match mode {
        "ANY" | "VALIDATED" => Ok(()),
        "AUTO" | "NONE" | "MODE_UNSPECIFIED" if !names => Ok(()),
        "AUTO" | "NONE" | "MODE_UNSPECIFIED" => {
            Err(Problem::invalid("allowed_function_names needs the mode ANY or VALIDATED."))
        }
        _ => Err(Problem::invalid("function_calling_config.mode: must be AUTO, ANY, NONE or VALIDATED.")),
    }
}

/// `{contents}`, or a whole request within `generateContentRequest`. Vertex AI's form is a whole request.
pub(super) fn count_tokens(body: &[u8], model: &str) -> Result<u64, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wrapped<'a> {
        #[serde(borrow, default, alias = "generate_content_request")]
        generate_content_request: Option<&'a RawValue>,
    }
    let wrapped: Wrapped<'_> = serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error))?;
    let body = wrapped.generate_content_request.map_or(body, |inner| inner.get().as_bytes());
    Ok(GenerateCall::parse(body, model)?.prompt_tokens)
}

/// Members that the protocol does not name.
pub(super) fn unknown(body: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config<'a> {
        #[serde(borrow, default, alias = "generation_config")]
        generation_config: Option<&'a RawValue>,
    }
    let mut unknown = unknown_members(body, |name| MEMBERS.iter().any(|known| same(known, name)));
    let config: Option<Config<'_>> = serde_json::from_slice(body).ok();
    if let Some(config) = config.and_then(|config| config.generation_config) {
        let settings =
            unknown_members(config.get().as_bytes(), |name| SETTINGS.iter().any(|known| same(known, name)));
        unknown.extend(settings.into_iter().map(|name| format!("generationConfig.{name}")));
    }
    unknown
}

/// Whether a name is the known one, in camel or in snake case.
fn same(known: &str, name: &str) -> bool {
    let letters = |text: &str| {
        text.chars()
            .filter(|letter| *letter != '_')
            .map(|letter| letter.to_ascii_lowercase())
            .collect::<String>()
    };
    known == name || (name.contains('_') && letters(known) == letters(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(body: &'a str, model: &str) -> Result<GenerateCall<'a>, String> {
        GenerateCall::parse(body.as_bytes(), model).map_err(|problem| {
            let answer = problem.into_answer(false);
            format!("{} {}", answer.status, std::str::from_utf8(&answer.body).unwrap())
        })
    }

    #[test]
    fn the_worked_request_is_taken() {
        let body = r#"{"systemInstruction":{"parts":[{"text":"Answer briefly."}]},
            "contents":[{"role":"user","parts":[{"text":"Tide in Brest?"}]},
             {"role":"model","parts":[{"functionCall":{"name":"get_tide","args":{"port":"Brest"}},"thoughtSignature":"c2ln"}]},
             {"role":"user","parts":[{"functionResponse":{"name":"get_tide","response":{"output":{"metres":6.1}}}}]}],
            "tools":[{"functionDeclarations":[{"name":"get_tide","description":"Tide at a port","parametersJsonSchema":{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}}]}],
            "generationConfig":{"maxOutputTokens":512,"thinkingConfig":{"thinkingLevel":"LOW","includeThoughts":true}}}"#;
        let call = parse(body, "gemini-3-pro").unwrap();
        assert_eq!((&*call.user_text, call.max_tokens), (r#"{"output":{"metres":6.1}}"#, Some(512)));
        assert!(call.shows_thoughts && call.needs_signatures && call.gives_ids);
        assert!(!parse(body, "gemini-2.5-pro").unwrap().gives_ids);
        assert!(unknown(body.as_bytes()).is_empty());
        let odd = body.replace("maxOutputTokens", "max_tokens").replace("\"tools\"", "\"tool_s\"");
        assert_eq!(
            unknown(odd.replace("tool_s", "toolz").as_bytes()),
            ["toolz", "generationConfig.max_tokens"]
        );
        assert!(unknown(br#"{"generation_config":{"max_output_tokens":1,"topP":1}}"#).is_empty());
    }

    #[test]
    fn what_the_real_server_refuses_is_refused() {
        let with = |more: &str| format!(r#"{{"contents":[{{"parts":[{{"text":"secret"}}]}}]{more}}}"#);
        let setting = |text: &str| with(&format!(r#","generation_config":{{{text}}}"#));
        for (body, word) in [
            ("{".to_owned(), "Invalid JSON"),
            ("{}".to_owned(), "contents is not specified"),
            (r#"{"contents":[{"role":"user"}]}"#.to_owned(), "must not be empty"),
            (r#"{"contents":"secret"}"#.to_owned(), "wrong type"),
            (setting(r#""temperature":2.5"#), "temperature"),
            (setting(r#""candidateCount":0"#), "candidate_count"),
            (setting(r#""max_output_tokens":0"#), "max_output_tokens"),
            (setting(r#""stopSequences":["a","b","c","d","e","f"]"#), "stop_sequences"),
            (setting(r#""responseSchema":{}"#), "application/json"),
            (setting(r#""responseSchema":{},"responseJsonSchema":{}"#), "exclude each other"),
            (setting(r#""thinkingConfig":{"thinkingBudget":1,"thinkingLevel":"LOW"}"#), "exclude each other"),
            (with(r#","tools":[{"functionDeclarations":[{"name":"1a"}]}]"#), "Invalid function name"),
            (
                with(
                    r#","tools":[{"functionDeclarations":[{"name":"a","parameters":{},"parametersJsonSchema":{}}]}]"#,
                ),
                "excludes",
            ),
            (with(r#","toolConfig":{"functionCallingConfig":{"mode":"any"}}"#), "mode"),
            (
                with(r#","toolConfig":{"functionCallingConfig":{"allowedFunctionNames":["a"]}}"#),
                "needs the mode ANY",
            ),
            (with(r#","systemInstruction":{"parts":[{"inlineData":{}}]}"#), "only text"),
        ] {
            let problem = parse(&body, "m").unwrap_err();
            assert!(problem.starts_with("400") && problem.contains(word), "{body}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
        assert_eq!(count_tokens(with("").as_bytes(), "m").unwrap(), 1);
        let wrapped = format!(r#"{{"generateContentRequest":{}}}"#, with(r#","model":"models/m""#));
        assert_eq!(count_tokens(wrapped.as_bytes(), "m").unwrap(), 1);
    }
}
