//! The one knob for thinking, as it goes out for each family of models that has a format of its own.

use llm_types::{ChatRequest, ReasoningSetting};
use serde_json::Value;

use super::*;

/// What is sent of a setting, and after a bar what is warned of.
fn sent(row: &str, model: &str, setting: ReasoningSetting) -> String {
    let row = find(row).unwrap();
    let quirks = row.quirks_for(model);
    let target = llm_client::dialect::WireTarget { model, quirks: &quirks, origin: None };
    let request = ChatRequest { reasoning: Some(setting), ..ChatRequest::user("hi") };
    let sent = row.dialect.encode_chat(&request, &target, true).unwrap();
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    let thinking = match row.dialect {
        Dialect::Anthropic => {
            let kind = body["thinking"]["type"].as_str().unwrap_or("-");
            let budget = body["thinking"]["budget_tokens"].as_u64().map(|tokens| format!(" {tokens}"));
            let effort = body["output_config"]["effort"].as_str().map(|word| format!(" {word}"));
            [Some(kind.to_owned()), budget, effort].into_iter().flatten().collect::<String>()
        }
        _ => {
            let config = &body["generationConfig"]["thinkingConfig"];
            let amount = ["thinkingBudget", "thinkingLevel"].map(|name| config[name].to_string());
            let amount = amount.iter().find(|text| *text != "null").map_or("-", String::as_str);
            let shown = if config["includeThoughts"] == true { "+" } else { "" };
            format!("{shown}{}", amount.trim_matches('"'))
        }
    };
    let about: Vec<&str> =
        sent.warnings.iter().map(|warning| warning.about.trim_start_matches("reasoning.")).collect();
    if about.is_empty() { thinking } else { format!("{thinking} | {}", about.join(" ")) }
}

#[test]
fn every_family_compiles_the_knob_into_its_own_words() {
    let level = |level| ReasoningSetting { effort: Some(level), ..ReasoningSetting::default() };
    let budget = |tokens| ReasoningSetting { budget_tokens: Some(tokens), ..ReasoningSetting::default() };
    let switch = |on| ReasoningSetting { enabled: Some(on), ..ReasoningSetting::default() };
    let mut settings: Vec<ReasoningSetting> = ReasoningEffort::ALL.map(level).into();
    settings.extend([switch(true), budget(64), budget(5000), budget(99_999)]);
    for line in TABLE.lines() {
        let (model, expected) = line.split_once(": ").unwrap();
        let row = if model.starts_with("claude") { "anthropic" } else { "gemini" };
        let cells: Vec<String> = settings.iter().map(|setting| sent(row, model, setting.clone())).collect();
        assert_eq!(cells[0], sent(row, model, switch(false)), "off is off, however it is said");
        assert_eq!(cells.join("; "), expected, "{model}");
        if row == "gemini" {
            assert_eq!(sent("vertex", model, budget(64)), cells[8], "{model} in the cloud");
        }
    }
}

/// Off, minimal, low, medium, high, xhigh, max; on; budgets of 64, 5000 and 99999 tokens. Claude: the type, the budget or
/// the effort. Gemini: the budget or the level, behind a plus where thoughts are shown. `-` stands for nothing.
const TABLE: &str = "\
claude-3-5-haiku-latest: -; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning
claude-3-7-sonnet-20250219: disabled; enabled 1024; enabled 4000; enabled 8000; enabled 16000; enabled 27904; enabled 27904; enabled 10000; enabled 1024 | budget_tokens; enabled 5000; enabled 99999
claude-haiku-4-5: disabled; enabled 1024; enabled 4000; enabled 8000; enabled 16000; enabled 27904; enabled 27904; enabled 10000; enabled 1024 | budget_tokens; enabled 5000; enabled 99999
claude-opus-4-6: disabled; adaptive low | effort; adaptive low; adaptive medium; adaptive high; adaptive max | effort; adaptive max; adaptive; enabled 1024 | budget_tokens; enabled 5000; enabled 99999
claude-opus-4-7: disabled; adaptive low | effort; adaptive low; adaptive medium; adaptive high; adaptive xhigh; adaptive max; adaptive; adaptive | budget_tokens; adaptive | budget_tokens; adaptive | budget_tokens
claude-sonnet-5: disabled; adaptive low | effort; adaptive low; adaptive medium; adaptive high; adaptive xhigh; adaptive max; adaptive; adaptive | budget_tokens; adaptive | budget_tokens; adaptive | budget_tokens
claude-fable-5: - | reasoning; adaptive low | effort; adaptive low; adaptive medium; adaptive high; adaptive xhigh; adaptive max; adaptive; adaptive | budget_tokens; adaptive | budget_tokens; adaptive | budget_tokens
gemini-2.0-flash: -; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning
gemini-2.5-flash-image: -; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning; - | reasoning
gemini-2.5-pro: 128 | reasoning; +128; +1024; +8192; +24576; +32768; +32768; +-1; +128 | budget_tokens; +5000; +32768 | budget_tokens
gemini-2.5-flash: 0; +512; +1024; +8192; +24576; +24576; +24576; +-1; +64; +5000; +24576 | budget_tokens
gemini-2.5-flash-lite: 0; +512; +1024; +8192; +24576; +24576; +24576; +-1; +512 | budget_tokens; +5000; +24576 | budget_tokens
gemini-3-pro-preview: LOW | effort; +LOW | effort; +LOW; +HIGH | effort; +HIGH; +HIGH | effort; +HIGH | effort; +-; +- | budget_tokens; +- | budget_tokens; +- | budget_tokens
gemini-3.1-pro-preview: LOW | effort; +LOW | effort; +LOW; +MEDIUM; +HIGH; +HIGH | effort; +HIGH | effort; +-; +- | budget_tokens; +- | budget_tokens; +- | budget_tokens
gemini-3-flash-preview: MINIMAL | effort; +MINIMAL; +LOW; +MEDIUM; +HIGH; +HIGH | effort; +HIGH | effort; +-; +- | budget_tokens; +- | budget_tokens; +- | budget_tokens
gemini-flash-latest: MINIMAL | effort; +MINIMAL; +LOW; +MEDIUM; +HIGH; +XHIGH; +XHIGH | effort; +-; +- | budget_tokens; +- | budget_tokens; +- | budget_tokens";
