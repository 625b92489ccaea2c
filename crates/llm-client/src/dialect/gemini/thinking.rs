//! The knob for thinking as this format has it: a budget of tokens for older models, a level for newer ones. Which of
//! them a model takes, and how far they go, is data ([`Quirks`]).

use llm_types::{Error, ReasoningEffort, ReasoningSetting};
use serde::Serialize;

use crate::dialect::body::Body;
use crate::dialect::quirks::{Quirks, ReasoningForm};
use crate::dialect::reasoning::{ALWAYS_THINKS, Wish};

/// The member for thinking.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Thinking {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_thoughts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
}

/// Says how much to think; `None` where nothing is to be said.
pub(super) fn config(
    setting: Option<&ReasoningSetting>,
    quirks: &Quirks,
    body: &mut Body,
) -> Result<Option<Thinking>, Error> {
    let Some(wish) = setting.map(Wish::of).transpose()?.flatten() else { return Ok(None) };
    match quirks.reasoning {
        ReasoningForm::None => {
            // A model that cannot think is off.
            if wish != Wish::Off {
                body.warn("reasoning", "this model does not think; it was left out")?;
            }
            Ok(None)
        }
        ReasoningForm::ThinkingBudget => budget(wish, quirks, body).map(Some),
        _ => level(wish, quirks, body).map(Some),
    }
}

/// The word for a level, and whether it is the level's own.
fn word(level: ReasoningEffort, quirks: &Quirks) -> Option<&'static str> {
    quirks.efforts.iter().find(|(known, _)| *known == level).map(|(_, word)| *word)
}

fn budget(wish: Wish, quirks: &Quirks, body: &mut Body) -> Result<Thinking, Error> {
    let (least, most) = quirks.budget_range.unwrap_or((0, u64::MAX));
    let tokens = match wish {
        Wish::Off => match word(ReasoningEffort::Off, quirks).and_then(|word| word.parse().ok()) {
            Some(tokens) => return Ok(Thinking { thinking_budget: Some(tokens), ..Thinking::default() }),
            None => {
                let message = format!("this model cannot be kept from thinking; {least} tokens were allowed");
                body.warn("reasoning", message)?;
                let thinking_budget = i64::try_from(least).ok();
                return Ok(Thinking { thinking_budget, ..Thinking::default() });
            }
        },
        Wish::On(level, Some(tokens)) => {
            if let Some(level) = level {
                let message = format!(
                    "{} was left out: this model takes a level or a budget, not both",
                    level.as_str()
                );
                body.warn("reasoning.effort", message)?;
            }
            let sent = tokens.clamp(least, most);
            if sent != tokens {
                let message = format!("{tokens} is sent as {sent}, the nearest budget of this model");
                body.warn("reasoning.budget_tokens", message)?;
            }
            i64::try_from(sent).ok()
        }
        Wish::On(Some(level), None) => {
            let tokens = word(level, quirks).and_then(|word| word.parse().ok());
            if tokens.is_none() {
                let message = format!("this model has no level {}; it was left out", level.as_str());
                body.warn("reasoning.effort", message)?;
            }
            tokens
        }
        // As much as it finds right.
        Wish::On(None, None) => Some(-1),
    };
    Ok(Thinking { include_thoughts: Some(true), thinking_budget: tokens, thinking_level: None })
}

fn level(wish: Wish, quirks: &Quirks, body: &mut Body) -> Result<Thinking, Error> {
    let (level, shown) = match wish {
        Wish::Off => (Some(ReasoningEffort::Off), None),
        Wish::On(level, tokens) => {
            if let Some(tokens) = tokens {
                let message = format!("this model has no budget for thinking; {tokens} tokens were left out");
                body.warn("reasoning.budget_tokens", message)?;
            }
            (level, Some(true))
        }
    };
    let Some(level) = level else { return Ok(Thinking { include_thoughts: shown, ..Thinking::default() }) };
    let found = word(level, quirks);
    let own = found.is_some_and(|word| word.eq_ignore_ascii_case(level.as_str()));
    match found {
        Some(_) if own => {}
        Some(word) => {
            let message = match level {
                ReasoningEffort::Off => {
                    format!("this model cannot be kept from thinking; {word} was sent, its lowest level")
                }
                level => format!("{} is sent as {word}, the nearest level of this model", level.as_str()),
            };
            body.warn("reasoning.effort", message)?;
        }
        None if level == ReasoningEffort::Off => body.warn("reasoning.effort", ALWAYS_THINKS)?,
        None => {
            let message = format!("this model has no level {}; it was left out", level.as_str());
            body.warn("reasoning.effort", message)?;
        }
    }
    Ok(Thinking { include_thoughts: shown, thinking_budget: None, thinking_level: found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReasoningEffort::{High, Low, Max, Minimal, Off};

    const PRO: Quirks = Quirks {
        reasoning: ReasoningForm::ThinkingBudget,
        efforts: &[(Low, "1024"), (High, "24576")],
        budget_range: Some((128, 32_768)),
        ..Quirks::NONE
    };
    const FLASH: Quirks = Quirks {
        efforts: &[(Off, "0"), (Low, "1024"), (High, "24576")],
        budget_range: Some((0, 24_576)),
        ..PRO
    };
    const LEVELS: Quirks = Quirks {
        reasoning: ReasoningForm::ThinkingLevel,
        efforts: &[(Off, "LOW"), (Minimal, "LOW"), (Low, "LOW"), (High, "HIGH")],
        ..Quirks::NONE
    };

    #[test]
    fn each_family_says_what_it_can_and_warns_of_the_rest() {
        let at = |level| ReasoningSetting { effort: Some(level), ..ReasoningSetting::default() };
        let tokens = |tokens| ReasoningSetting { budget_tokens: Some(tokens), ..ReasoningSetting::default() };
        let switch = |on| ReasoningSetting { enabled: Some(on), ..ReasoningSetting::default() };
        let none = Quirks { reasoning: ReasoningForm::None, ..Quirks::NONE };
        for (quirks, setting, json, about) in [
            (FLASH, switch(false), r#"{"thinkingBudget":0}"#, &[][..]),
            (FLASH, at(Off), r#"{"thinkingBudget":0}"#, &[]),
            (FLASH, switch(true), r#"{"includeThoughts":true,"thinkingBudget":-1}"#, &[]),
            (FLASH, at(Low), r#"{"includeThoughts":true,"thinkingBudget":1024}"#, &[]),
            (FLASH, at(Max), r#"{"includeThoughts":true}"#, &["reasoning.effort"]),
            (FLASH, tokens(512), r#"{"includeThoughts":true,"thinkingBudget":512}"#, &[]),
            (
                FLASH,
                tokens(99_999),
                r#"{"includeThoughts":true,"thinkingBudget":24576}"#,
                &["reasoning.budget_tokens"],
            ),
            (
                FLASH,
                ReasoningSetting { effort: Some(Low), ..tokens(9) },
                r#"{"includeThoughts":true,"thinkingBudget":9}"#,
                &["reasoning.effort"],
            ),
            (PRO, switch(false), r#"{"thinkingBudget":128}"#, &["reasoning"]),
            (
                PRO,
                tokens(9),
                r#"{"includeThoughts":true,"thinkingBudget":128}"#,
                &["reasoning.budget_tokens"],
            ),
            (LEVELS, at(High), r#"{"includeThoughts":true,"thinkingLevel":"HIGH"}"#, &[]),
            (LEVELS, at(Minimal), r#"{"includeThoughts":true,"thinkingLevel":"LOW"}"#, &["reasoning.effort"]),
            (LEVELS, at(Max), r#"{"includeThoughts":true}"#, &["reasoning.effort"]),
            (LEVELS, switch(true), r#"{"includeThoughts":true}"#, &[]),
            (LEVELS, switch(false), r#"{"thinkingLevel":"LOW"}"#, &["reasoning.effort"]),
            (LEVELS, tokens(9), r#"{"includeThoughts":true}"#, &["reasoning.budget_tokens"]),
            (none, at(Low), "null", &["reasoning"]),
            (none, switch(false), "null", &[]),
            (LEVELS, ReasoningSetting::default(), "null", &[]),
        ] {
            let mut body = Body::new(false);
            let found = config(Some(&setting), &quirks, &mut body).unwrap();
            assert_eq!(serde_json::to_string(&found).unwrap(), json, "{setting:?}");
            let warnings: Vec<String> = body.finish().1.into_iter().map(|warning| warning.about).collect();
            assert_eq!(warnings, about, "{setting:?}");
        }
    }
}
