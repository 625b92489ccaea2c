//! One knob for thinking, compiled to the members of each vendor.

use llm_types::{Error, ErrorKind, Extra, ReasoningEffort, ReasoningSetting};
use serde_json::value::{RawValue, to_raw_value};

use super::body::Body;
use super::quirks::{Quirks, ReasoningForm};

/// What was asked for, freed of its contradictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Off,
    /// On: at a level, with a budget, both or neither.
    On(Option<ReasoningEffort>, Option<u64>),
}

impl Wish {
    pub(crate) fn of(setting: &ReasoningSetting) -> Result<Option<Self>, Error> {
        let wrong =
            |message: &str| Err(Error::new(ErrorKind::InvalidRequest, format!("reasoning: {message}")));
        let level = setting.effort.filter(|level| *level != ReasoningEffort::Off);
        let off = setting.enabled == Some(false) || setting.effort == Some(ReasoningEffort::Off);
        match (off, setting.enabled, level, setting.budget_tokens) {
            (true, Some(true), ..) => wrong("enabled, and its effort is none"),
            (true, _, Some(level), _) => {
                wrong(&format!("switched off, and its effort is {}", level.as_str()))
            }
            (true, _, _, Some(budget)) if budget > 0 => {
                wrong(&format!("switched off, and its budget is {budget} tokens"))
            }
            (true, ..) => Ok(Some(Self::Off)),
            (false, None, None, None) => Ok(None),
            (false, _, level, budget) => Ok(Some(Self::On(level, budget))),
        }
    }
}

/// What is said where thinking cannot be switched off, and nothing was sent for it.
pub(crate) const ALWAYS_THINKS: &str = "this model cannot be kept from thinking; nothing was sent";

/// What about a call may keep the model from thinking.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// The answer is streamed.
    pub(crate) streamed: bool,
    /// A tool has to be used.
    pub(crate) forced: bool,
}

impl Manner {
    /// Why a call like this cannot think, if it cannot.
    fn hinders(self, quirks: &Quirks) -> Option<&'static str> {
        if quirks.thinks_streamed_only && !self.streamed {
            Some("this model thinks in streamed answers only; it was switched off")
        } else if quirks.thinks_unforced_only && self.forced {
            Some("this model does not think where it has to use a tool; it was switched off")
        } else {
            None
        }
    }
}

/// Writes the members for the setting. `extra` are the members that the user sends as they are, which may hold a part of
/// the same object.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for a setting that contradicts itself, and, where strictness was asked for, for one that
/// cannot be expressed.
pub(crate) fn write(
    setting: Option<&ReasoningSetting>,
    manner: Manner,
    quirks: &Quirks,
    extra: &Extra,
    body: &mut Body,
) -> Result<(), Error> {
    let mut wish = setting.map(Wish::of).transpose()?.flatten();
    // Whoever writes the switch by hand is left alone.
    if let Some(why) = manner.hinders(quirks).filter(|_| extra.get(switch(quirks)).is_none()) {
        if let Some(Wish::On(..)) = wish {
            body.warn("reasoning", why)?;
        }
        wish = Some(Wish::Off);
    }
    let Some(wish) = wish else { return Ok(()) };
    match quirks.reasoning {
        // The last ones are other formats'.
        ReasoningForm::None
        | ReasoningForm::Budget
        | ReasoningForm::Adaptive { .. }
        | ReasoningForm::ThinkingBudget
        | ReasoningForm::ThinkingLevel => {
            body.warn("reasoning", "this endpoint has no setting for it; it was left out")
        }
        ReasoningForm::Effort => match wish {
            Wish::Off => effort(ReasoningEffort::Off, quirks, body),
            Wish::On(level, limit) => {
                no_budget(limit, body)?;
                match (level, limit) {
                    // A budget alone has no level that would say the same.
                    (None, Some(_)) => Ok(()),
                    (Some(level), _) => effort(level, quirks, body),
                    // Any level says that it shall think.
                    (None, None) => match word(ReasoningEffort::Medium, quirks) {
                        Some(word) => body.member("reasoning_effort", word),
                        None => no_level(Some(ReasoningEffort::Medium), body),
                    },
                }
            }
        },
        ReasoningForm::Thinking { effort: levels } => {
            let (kind, level) = match wish {
                Wish::Off => ("disabled", None),
                Wish::On(level, limit) => {
                    no_budget(limit, body)?;
                    ("enabled", level)
                }
            };
            body.object("thinking", &[("type", &*raw(kind)?)], extra)?;
            match level {
                Some(level) if levels => effort(level, quirks, body),
                level => no_level(level, body),
            }
        }
        ReasoningForm::Switch { member, budget } => {
            body.member(member, &(wish != Wish::Off))?;
            if let Wish::On(level, limit) = wish {
                no_level(level, body)?;
                write_budget(budget, limit, quirks, body)?;
            }
            Ok(())
        }
        ReasoningForm::Word { member, on } => {
            let Wish::On(level, limit) = wish else {
                return body.warn("reasoning", ALWAYS_THINKS);
            };
            no_level(level, body)?;
            no_budget(limit, body)?;
            body.member(member, on)
        }
        ReasoningForm::Enabled => {
            body.object("reasoning", &[("enabled", &*raw(&(wish != Wish::Off))?)], extra)?;
            if let Wish::On(level, limit) = wish {
                no_budget(limit, body)?;
                if let Some(level) = level {
                    effort(level, quirks, body)?;
                }
            }
            Ok(())
        }
        ReasoningForm::Object => {
            let word = |level| word(level, quirks);
            let mut members: Vec<(&str, Box<RawValue>)> = Vec::new();
            match wish {
                Wish::Off => match word(ReasoningEffort::Off) {
                    Some(off) => members.push(("effort", raw(off)?)),
                    None => members.push(("enabled", raw(&false)?)),
                },
                Wish::On(level, Some(limit)) => {
                    members.push(("max_tokens", raw(&limit)?));
                    if let Some(level) = level {
                        body.warn(
                            "reasoning.effort",
                            format!(
                                "{} was left out: this endpoint takes a level or a budget, not both",
                                level.as_str()
                            ),
                        )?;
                    }
                }
                Wish::On(Some(level), None) => match word(level) {
                    Some(known) => {
                        note_other_word(level, known, body)?;
                        members.push(("effort", raw(known)?));
                    }
                    None => return no_level(Some(level), body),
                },
                Wish::On(None, None) => members.push(("enabled", raw(&true)?)),
            }
            let members: Vec<(&str, &RawValue)> =
                members.iter().map(|(name, value)| (*name, &**value)).collect();
            body.object("reasoning", &members, extra)
        }
        ReasoningForm::TemplateSwitch { name, budget } => {
            let on = wish != Wish::Off;
            body.object("chat_template_kwargs", &[(name, &*raw(&on)?)], extra)?;
            if let Wish::On(level, limit) = wish {
                if let Some(level) = level {
                    effort(level, quirks, body)?;
                }
                write_budget(budget, limit, quirks, body)?;
            }
            Ok(())
        }
    }
}

/// The member that switches thinking.
fn switch(quirks: &Quirks) -> &'static str {
    match quirks.reasoning {
        ReasoningForm::None | ReasoningForm::Effort => "reasoning_effort",
        ReasoningForm::Thinking { .. } | ReasoningForm::Budget | ReasoningForm::Adaptive { .. } => "thinking",
        ReasoningForm::ThinkingBudget | ReasoningForm::ThinkingLevel => "generationConfig",
        ReasoningForm::Switch { member, .. } | ReasoningForm::Word { member, .. } => member,
        ReasoningForm::Object | ReasoningForm::Enabled => "reasoning",
        ReasoningForm::TemplateSwitch { .. } => "chat_template_kwargs",
    }
}

/// The members that [`write`] merges with the user's own.
pub(crate) const MERGED: &[&str] = &["thinking", "reasoning", "chat_template_kwargs"];

pub(crate) fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>, Error> {
    to_raw_value(value)
        .map_err(|e| Error::new(ErrorKind::Internal, "a plain value is not JSON").with_source(e))
}

pub(crate) fn word(level: ReasoningEffort, quirks: &Quirks) -> Option<&'static str> {
    quirks.efforts.iter().find(|(known, _)| *known == level).map(|(_, word)| *word)
}

/// Says that a level goes out under another level's name.
pub(crate) fn note_other_word(level: ReasoningEffort, word: &str, body: &mut Body) -> Result<(), Error> {
    match ReasoningEffort::parse(word) {
        Some(other) if other != level => {
            let level = level.as_str();
            body.warn(
                "reasoning.effort",
                format!("{level} is sent as {word}, the nearest level of this endpoint"),
            )
        }
        _ => Ok(()),
    }
}

fn effort(level: ReasoningEffort, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    match word(level, quirks) {
        Some(word) => {
            let shared = quirks.efforts.iter().filter(|(_, known)| *known == word).count() > 1;
            if shared && ReasoningEffort::parse(word).is_none() {
                let message =
                    format!("{} is sent as {word}: this endpoint thinks or does not", level.as_str());
                body.warn("reasoning.effort", message)?;
            }
            note_other_word(level, word, body)?;
            body.member("reasoning_effort", word)
        }
        None => no_level(Some(level), body),
    }
}

pub(crate) fn no_level(level: Option<ReasoningEffort>, body: &mut Body) -> Result<(), Error> {
    let message = match level {
        None => return Ok(()),
        Some(ReasoningEffort::Off) => ALWAYS_THINKS.to_owned(),
        Some(level) => format!("this endpoint has no level {}; it was left out", level.as_str()),
    };
    body.warn("reasoning.effort", message)
}

pub(crate) fn no_budget(limit: Option<u64>, body: &mut Body) -> Result<(), Error> {
    let Some(limit) = limit else { return Ok(()) };
    let message = format!("this endpoint has no budget for thinking; {limit} tokens were left out");
    body.warn("reasoning.budget_tokens", message)
}

fn write_budget(
    member: Option<&str>,
    limit: Option<u64>,
    quirks: &Quirks,
    body: &mut Body,
) -> Result<(), Error> {
    let (Some(member), Some(limit)) = (member, limit) else { return no_budget(limit, body) };
    let sent = nearest_budget(limit, quirks, body)?;
    body.member(member, &sent)
}

/// The budget of the endpoint's own range that is nearest to the one asked for.
pub(crate) fn nearest_budget(limit: u64, quirks: &Quirks, body: &mut Body) -> Result<u64, Error> {
    let sent = quirks.budget_range.map_or(limit, |(least, most)| limit.max(least).min(most));
    if sent != limit {
        let message = format!("{limit} is sent as {sent}, the nearest budget of this endpoint");
        body.warn("reasoning.budget_tokens", message)?;
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMED: Manner = Manner { streamed: true, forced: false };
    const THINKING: ReasoningForm = ReasoningForm::Thinking { effort: true };
    const SWITCH: ReasoningForm =
        ReasoningForm::Switch { member: "enable_thinking", budget: Some("thinking_budget") };
    const WORD: ReasoningForm = ReasoningForm::Word { member: "prompt_mode", on: "reasoning" };
    const TEMPLATE: ReasoningForm =
        ReasoningForm::TemplateSwitch { name: "enable_thinking", budget: Some("thinking_token_budget") };

    fn off() -> ReasoningSetting {
        ReasoningSetting { enabled: Some(false), ..ReasoningSetting::default() }
    }

    fn level(level: ReasoningEffort) -> ReasoningSetting {
        ReasoningSetting { effort: Some(level), ..ReasoningSetting::default() }
    }

    fn budget(tokens: u64) -> ReasoningSetting {
        ReasoningSetting { budget_tokens: Some(tokens), ..ReasoningSetting::default() }
    }

    fn on() -> ReasoningSetting {
        ReasoningSetting { enabled: Some(true), ..ReasoningSetting::default() }
    }

    fn written(setting: &ReasoningSetting, quirks: &Quirks) -> (String, Vec<String>) {
        let mut body = Body::new(false);
        write(Some(setting), STREAMED, quirks, &Extra::new(), &mut body).unwrap();
        let (bytes, warnings) = body.finish();
        (String::from_utf8(bytes.to_vec()).unwrap(), warnings.into_iter().map(|w| w.about).collect())
    }

    #[test]
    fn every_form_says_what_it_can_and_warns_of_the_rest() {
        use ReasoningEffort::Low;
        for (form, setting, json, warnings) in [
            (ReasoningForm::Effort, off(), r#"{"reasoning_effort":"none"}"#, &[][..]),
            (ReasoningForm::Effort, level(ReasoningEffort::Off), r#"{"reasoning_effort":"none"}"#, &[]),
            (ReasoningForm::Effort, level(Low), r#"{"reasoning_effort":"low"}"#, &[]),
            (ReasoningForm::Effort, on(), r#"{"reasoning_effort":"medium"}"#, &[]),
            (ReasoningForm::Effort, budget(9), "{}", &["reasoning.budget_tokens"]),
            (THINKING, off(), r#"{"thinking":{"type":"disabled"}}"#, &[]),
            (THINKING, on(), r#"{"thinking":{"type":"enabled"}}"#, &[]),
            (THINKING, level(Low), r#"{"thinking":{"type":"enabled"},"reasoning_effort":"low"}"#, &[]),
            (
                ReasoningForm::Thinking { effort: false },
                level(Low),
                r#"{"thinking":{"type":"enabled"}}"#,
                &["reasoning.effort"],
            ),
            (SWITCH, off(), r#"{"enable_thinking":false}"#, &[]),
            (SWITCH, budget(9), r#"{"enable_thinking":true,"thinking_budget":9}"#, &[]),
            (SWITCH, level(Low), r#"{"enable_thinking":true}"#, &["reasoning.effort"]),
            (ReasoningForm::Object, off(), r#"{"reasoning":{"effort":"none"}}"#, &[]),
            (ReasoningForm::Object, level(Low), r#"{"reasoning":{"effort":"low"}}"#, &[]),
            (ReasoningForm::Object, budget(9), r#"{"reasoning":{"max_tokens":9}}"#, &[]),
            (ReasoningForm::Object, on(), r#"{"reasoning":{"enabled":true}}"#, &[]),
            (
                ReasoningForm::Object,
                ReasoningSetting { effort: Some(Low), ..budget(9) },
                r#"{"reasoning":{"max_tokens":9}}"#,
                &["reasoning.effort"],
            ),
            (TEMPLATE, off(), r#"{"chat_template_kwargs":{"enable_thinking":false}}"#, &[]),
            (
                TEMPLATE,
                ReasoningSetting { effort: Some(Low), ..budget(9) },
                r#"{"chat_template_kwargs":{"enable_thinking":true},"reasoning_effort":"low","thinking_token_budget":9}"#,
                &[],
            ),
            (ReasoningForm::Enabled, off(), r#"{"reasoning":{"enabled":false}}"#, &[]),
            (
                ReasoningForm::Enabled,
                level(Low),
                r#"{"reasoning":{"enabled":true},"reasoning_effort":"low"}"#,
                &[],
            ),
            (
                ReasoningForm::Enabled,
                budget(9),
                r#"{"reasoning":{"enabled":true}}"#,
                &["reasoning.budget_tokens"],
            ),
            (WORD, on(), r#"{"prompt_mode":"reasoning"}"#, &[]),
            (WORD, level(Low), r#"{"prompt_mode":"reasoning"}"#, &["reasoning.effort"]),
            (WORD, budget(9), r#"{"prompt_mode":"reasoning"}"#, &["reasoning.budget_tokens"]),
            (WORD, off(), "{}", &["reasoning"]),
            (ReasoningForm::None, on(), "{}", &["reasoning"]),
            (ReasoningForm::Effort, ReasoningSetting::default(), "{}", &[]),
        ] {
            let quirks = Quirks { reasoning: form, ..Quirks::NONE };
            let (found, about) = written(&setting, &quirks);
            assert_eq!(found, json, "{form:?} {setting:?}");
            assert_eq!(about, warnings, "{form:?} {setting:?}");
        }
    }

    #[test]
    fn a_level_under_another_name_is_sent_with_a_warning() {
        use ReasoningEffort::{High, Low, Medium};
        let quirks = Quirks { efforts: &[(Low, "low"), (Medium, "high"), (High, "high")], ..Quirks::NONE };
        let sent =
            |json: &str, about: &[&str]| (json.to_owned(), about.iter().map(ToString::to_string).collect());
        assert_eq!(written(&level(High), &quirks), sent(r#"{"reasoning_effort":"high"}"#, &[]));
        assert_eq!(
            written(&level(Medium), &quirks),
            sent(r#"{"reasoning_effort":"high"}"#, &["reasoning.effort"])
        );
        let one = Quirks { efforts: &[(Low, "default"), (High, "default")], ..Quirks::NONE };
        assert_eq!(
            written(&level(High), &one),
            sent(r#"{"reasoning_effort":"default"}"#, &["reasoning.effort"])
        );
        // Whoever only wants it to think gets a level, and asked for none.
        assert_eq!(written(&on(), &quirks), sent(r#"{"reasoning_effort":"high"}"#, &[]));
        assert_eq!(written(&level(ReasoningEffort::Max), &quirks), sent("{}", &["reasoning.effort"]));
        assert_eq!(written(&off(), &quirks), sent("{}", &["reasoning.effort"]));
    }

    #[test]
    fn contradictions_are_refused() {
        for (setting, message) in [
            (
                ReasoningSetting { enabled: Some(true), ..level(ReasoningEffort::Off) },
                "reasoning: enabled, and its effort is none",
            ),
            (
                ReasoningSetting { effort: Some(ReasoningEffort::High), ..off() },
                "reasoning: switched off, and its effort is high",
            ),
            (
                ReasoningSetting { budget_tokens: Some(5), ..off() },
                "reasoning: switched off, and its budget is 5 tokens",
            ),
        ] {
            let error = write(Some(&setting), STREAMED, &Quirks::NONE, &Extra::new(), &mut Body::new(false))
                .unwrap_err();
            assert_eq!(error.message(), message);
        }
    }

    #[test]
    fn the_users_own_members_of_the_object_stay() {
        let quirks = Quirks { reasoning: TEMPLATE, ..Quirks::NONE };
        let extra = Extra::parse(r#"{"chat_template_kwargs":{"x":1}}"#).unwrap();
        let mut body = Body::new(false);
        write(Some(&off()), STREAMED, &quirks, &extra, &mut body).unwrap();
        body.extra(&extra, MERGED).unwrap();
        let (bytes, warnings) = body.finish();
        assert_eq!(bytes, r#"{"chat_template_kwargs":{"enable_thinking":false,"x":1}}"#);
        assert!(warnings.is_empty());
    }

    #[test]
    fn what_cannot_be_switched_off_is_said_in_the_words_of_the_question() {
        let quirks = Quirks { efforts: &[(ReasoningEffort::Low, "low")], ..Quirks::NONE };
        let mut body = Body::new(false);
        write(Some(&off()), STREAMED, &quirks, &Extra::new(), &mut body).unwrap();
        let (bytes, warnings) = body.finish();
        assert_eq!(bytes, "{}");
        assert_eq!(warnings[0].message, "this model cannot be kept from thinking; nothing was sent");
    }

    #[test]
    fn a_budget_outside_the_range_is_sent_as_the_nearest() {
        let quirks = Quirks { reasoning: SWITCH, budget_range: Some((128, 512)), ..Quirks::NONE };
        for (tokens, sent, about) in [
            (9, 128, &["reasoning.budget_tokens"][..]),
            (200, 200, &[]),
            (900, 512, &["reasoning.budget_tokens"]),
        ] {
            let (json, warnings) = written(&budget(tokens), &quirks);
            assert_eq!(json, format!(r#"{{"enable_thinking":true,"thinking_budget":{sent}}}"#));
            assert_eq!(warnings, about, "{tokens}");
        }
    }

    #[test]
    fn where_only_streams_think_a_plain_call_says_so() {
        let quirks = Quirks { reasoning: SWITCH, thinks_streamed_only: true, ..Quirks::NONE };
        let sent = |setting: Option<ReasoningSetting>, stream: bool, extra: &str| {
            let mut body = Body::new(false);
            write(
                setting.as_ref(),
                Manner { streamed: stream, forced: false },
                &quirks,
                &Extra::parse(extra).unwrap(),
                &mut body,
            )
            .unwrap();
            let (bytes, warnings) = body.finish();
            (String::from_utf8(bytes.to_vec()).unwrap(), warnings.len())
        };
        let off = r#"{"enable_thinking":false}"#.to_owned();
        assert_eq!(sent(None, false, "{}"), (off.clone(), 0));
        assert_eq!(sent(Some(on()), false, "{}"), (off, 1));
        assert_eq!(sent(None, true, "{}"), ("{}".to_owned(), 0));
        assert_eq!(sent(Some(on()), true, "{}"), (r#"{"enable_thinking":true}"#.to_owned(), 0));
        assert_eq!(sent(None, false, r#"{"enable_thinking":true}"#), ("{}".to_owned(), 0));
    }

    #[test]
    fn where_a_forced_tool_keeps_from_thinking_the_call_says_so() {
        let quirks = Quirks { reasoning: THINKING, thinks_unforced_only: true, ..Quirks::NONE };
        let sent = |setting: Option<ReasoningSetting>, forced: bool, extra: &str| {
            let mut body = Body::new(false);
            let manner = Manner { streamed: false, forced };
            write(setting.as_ref(), manner, &quirks, &Extra::parse(extra).unwrap(), &mut body).unwrap();
            let (bytes, warnings) = body.finish();
            (String::from_utf8(bytes.to_vec()).unwrap(), warnings.len())
        };
        let off = r#"{"thinking":{"type":"disabled"}}"#.to_owned();
        assert_eq!(sent(None, true, "{}"), (off.clone(), 0));
        assert_eq!(sent(Some(on()), true, "{}"), (off, 1));
        assert_eq!(sent(None, false, "{}"), ("{}".to_owned(), 0));
        assert_eq!(sent(None, true, r#"{"thinking":{"type":"enabled"}}"#), ("{}".to_owned(), 0));
    }
}
