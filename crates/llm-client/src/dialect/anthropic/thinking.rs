//! One knob for thinking in this format's words, together with what it is bound to: the limit of the answer, sampling,
//! and the choice of a tool.

use llm_types::{ChatRequest, Error, Extra, ReasoningEffort, ToolChoice};
use serde_json::value::RawValue;

use super::messages::Conversation;
use crate::dialect::body::Body;
use crate::dialect::quirks::{Quirks, ReasoningForm, Setting};
use crate::dialect::reasoning::{self, ALWAYS_THINKS, Wish};

/// What is spent on thinking at a level, in tokens, where the format has no levels.
const BUDGETS: &[(ReasoningEffort, u64)] = &[
    (ReasoningEffort::Minimal, 1024),
    (ReasoningEffort::Low, 4000),
    (ReasoningEffort::Medium, 8000),
    (ReasoningEffort::High, 16_000),
    (ReasoningEffort::XHigh, 32_000),
    (ReasoningEffort::Max, 32_000),
];
const USUAL_BUDGET: u64 = 10_000;

/// The least that a server takes.
const LEAST_BUDGET: u64 = 1024;

/// What is left for the answer beside a budget, where the request sets no limit.
const ROOM: u64 = 4096;

/// The longest answer that every model which is given a budget can write.
const MOST_STREAMED: u64 = 32_000;

/// The longest answer that comes within ten minutes when it comes in one piece.
const MOST_IN_ONE_PIECE: u64 = 21_333;

/// How a request thinks, and how long its answer may be.
#[derive(Debug)]
pub(super) struct Thinking {
    mode: Option<Mode>,
    /// The word for the level, in the output's settings.
    pub(super) effort: Option<&'static str>,
    pub(super) max_tokens: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Disabled,
    Adaptive,
    Budget(u64),
}

impl Thinking {
    /// Makes the plan.
    ///
    /// # Errors
    /// [`InvalidRequest`](llm_types::ErrorKind::InvalidRequest) for a setting that contradicts itself, and, where
    /// strictness was asked for, for one that cannot be expressed.
    pub(super) fn plan(
        request: &ChatRequest,
        conversation: &Conversation<'_>,
        stream: bool,
        quirks: &Quirks,
        body: &mut Body,
    ) -> Result<Self, Error> {
        let usual = if stream { quirks.max_output } else { quirks.max_output.min(MOST_IN_ONE_PIECE) };
        let max_tokens = request.max_tokens.unwrap_or(usual);
        let mut plan = Self { mode: None, effort: None, max_tokens };
        match request.reasoning.as_ref().map(Wish::of).transpose()?.flatten() {
            None => {}
            Some(Wish::Off) => plan.mode = off(quirks, body)?,
            Some(Wish::On(level, limit)) => {
                plan.switch_on(level, limit, quirks, body)?;
                // A level is no number: it makes no answer longer than the model could write.
                let most = if stream { MOST_STREAMED } else { MOST_IN_ONE_PIECE };
                if let (Some(Mode::Budget(budget)), None, None) = (&mut plan.mode, limit, request.max_tokens)
                {
                    *budget = most.saturating_sub(ROOM).min(*budget);
                }
            }
        }
        let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_)));
        if forced && !request.tools.is_empty() && matches!(plan.mode, Some(Mode::Budget(_))) {
            body.warn("reasoning", "this model cannot think where it must call a tool; it was left out")?;
            plan.mode = None;
        }
        if matches!(plan.mode, Some(Mode::Budget(_))) && conversation.goes_on_without_thought() {
            let message = "this model cannot begin to think between a call and its result; it was left out";
            body.warn("reasoning", message)?;
            plan.mode = None;
        }
        if let Some(Mode::Budget(budget)) = plan.mode
            && plan.max_tokens <= budget
        {
            plan.make_room(budget, request.max_tokens.is_some(), body)?;
        }
        Ok(plan)
    }

    fn switch_on(
        &mut self,
        level: Option<ReasoningEffort>,
        limit: Option<u64>,
        quirks: &Quirks,
        body: &mut Body,
    ) -> Result<(), Error> {
        let (takes_budget, has_levels) = match quirks.reasoning {
            ReasoningForm::Adaptive { budget, .. } => (budget, true),
            ReasoningForm::None => {
                return body.warn("reasoning", "this model has no setting for it; it was left out");
            }
            // Whatever else a row says is said of another format.
            _ => (true, false),
        };
        if has_levels && let Some(level) = level {
            match reasoning::word(level, quirks) {
                Some(word) => {
                    reasoning::note_other_word(level, word, body)?;
                    self.effort = Some(word);
                }
                None => reasoning::no_level(Some(level), body)?,
            }
        }
        self.mode = Some(match limit {
            Some(limit) if takes_budget => {
                if !has_levels && let Some(level) = level {
                    let message = format!("{} was left out: a budget is set too", level.as_str());
                    body.warn("reasoning.effort", message)?;
                }
                Mode::Budget(reasoning::nearest_budget(limit, quirks, body)?)
            }
            limit if has_levels => {
                reasoning::no_budget(limit, body)?;
                Mode::Adaptive
            }
            _ => Mode::Budget(budget_of(level)),
        });
        Ok(())
    }

    /// Brings limit and budget together: thinking counts against the limit.
    fn make_room(&mut self, budget: u64, is_set: bool, body: &mut Body) -> Result<(), Error> {
        if !is_set {
            self.max_tokens = budget.saturating_add(ROOM);
            return Ok(());
        }
        let limit = self.max_tokens;
        if limit <= LEAST_BUDGET {
            self.mode = None;
            let message = format!("a limit of {limit} tokens leaves no room for it; it was left out");
            return body.warn("reasoning", message);
        }
        let sent = LEAST_BUDGET.max(limit - limit / 4);
        self.mode = Some(Mode::Budget(sent));
        let message = format!("{budget} is sent as {sent}: it counts against the limit of {limit} tokens");
        body.warn("reasoning.budget_tokens", message)
    }

    /// Whether the answer begins with thoughts, as far as the request says; `theirs` is the user's own member.
    pub(super) fn is_on(&self, theirs: Option<&RawValue>) -> bool {
        let says = |kind: &str| theirs.is_some_and(|raw| raw.get().contains(kind));
        match self.mode {
            Some(Mode::Disabled) => false,
            Some(Mode::Adaptive | Mode::Budget(_)) => true,
            None => says("\"enabled\"") || says("\"adaptive\""),
        }
    }

    /// Writes the member; `extra` may hold a part of it, such as how thoughts are shown.
    pub(super) fn write(&self, extra: &Extra, body: &mut Body) -> Result<(), Error> {
        let Some(mode) = self.mode else { return Ok(()) };
        let (kind, budget) = match mode {
            Mode::Disabled => ("disabled", None),
            Mode::Adaptive => ("adaptive", None),
            Mode::Budget(budget) => ("enabled", Some(reasoning::raw(&budget)?)),
        };
        let kind = reasoning::raw(kind)?;
        let mut members: Vec<(&str, &RawValue)> = vec![("type", &kind)];
        members.extend(budget.as_deref().map(|budget| ("budget_tokens", budget)));
        body.object("thinking", &members, extra)
    }
}

fn off(quirks: &Quirks, body: &mut Body) -> Result<Option<Mode>, Error> {
    match quirks.reasoning {
        // It never thinks.
        ReasoningForm::None => Ok(None),
        ReasoningForm::Adaptive { off: false, .. } => {
            body.warn("reasoning", ALWAYS_THINKS)?;
            Ok(None)
        }
        _ => Ok(Some(Mode::Disabled)),
    }
}

fn budget_of(level: Option<ReasoningEffort>) -> u64 {
    let known = BUDGETS.iter().find(|(known, _)| Some(*known) == level);
    known.map_or(USUAL_BUDGET, |(_, budget)| *budget)
}

/// Writes the settings for sampling, or says why not: they are gone in newer versions and models, and thinking fixes them.
pub(super) fn sampling(
    request: &ChatRequest,
    thinks: bool,
    is_older: bool,
    quirks: &Quirks,
    body: &mut Body,
) -> Result<(), Error> {
    let allowed = |setting: Setting, fits: bool, body: &mut Body| {
        let reason = if !is_older || !quirks.has(setting) {
            "this model chooses its words by itself; it was left out"
        } else if thinks && !fits {
            "it cannot be set while the model thinks; it was left out"
        } else {
            return Ok(true);
        };
        body.warn(setting.as_str(), reason).map(|()| false)
    };
    if let Some(temperature) = request.temperature
        && allowed(Setting::Temperature, temperature == 1.0, body)?
    {
        let above = temperature > 1.0 && temperature.is_finite();
        if above {
            body.warn("temperature", "it goes up to 1 here, and was sent as that")?;
        }
        body.number("temperature", Some(if above { 1.0 } else { temperature }))?;
    }
    if let Some(top_p) = request.top_p
        && allowed(Setting::TopP, top_p >= 0.95, body)?
    {
        body.number("top_p", Some(top_p))?;
    }
    if let Some(top_k) = request.top_k
        && allowed(Setting::TopK, false, body)?
    {
        body.member("top_k", &top_k)?;
    }
    Ok(())
}
