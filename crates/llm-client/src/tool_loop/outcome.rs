//! What a loop did: its conversation, its turns, what they used and cost, and why it ended.

use std::fmt;

use llm_types::{ChatResponse, Cost, Error, Message, Money, ToolResult, Usage, UsageSource};

/// What a loop did, and all that is needed to go on from there.
#[derive(Clone, Debug)]
pub struct ToolRun {
    /// The whole conversation: that of the request, then answers and results in order. Every call that was left to this loop
    /// has its result, so that it can be sent as it is, or with a message more.
    pub messages: Vec<Message>,
    /// The answers of the model, oldest first, each with the results of its calls.
    pub turns: Vec<Turn>,
    /// Why it ended.
    pub ending: Ending,
}

/// One answer of the model, and what came of its calls.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The answer.
    pub response: ChatResponse,
    /// The results of its calls, in their order.
    pub results: Vec<ToolResult>,
}

/// Why a loop ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// The model stopped calling. Its finish reason says whether it was done or cut.
    Finished,
    /// The model wanted to go on after the most turns. The results of its last calls stand in the conversation: run it again
    /// to go on.
    TurnLimit,
    /// The last answer calls functions that the request declares and that are not run here. Add their results to the
    /// conversation, and run it again.
    Owed,
    /// A turn failed, or the deadline came while functions ran. [`Error::partial`] has what came of the answer.
    Failed(Error),
}

impl ToolRun {
    /// The last answer.
    #[must_use]
    pub fn response(&self) -> Option<&ChatResponse> {
        self.turns.last().map(|turn| &turn.response)
    }

    /// The text of the last answer. Empty where it holds calls alone.
    #[must_use]
    pub fn text(&self) -> String {
        self.response().map(ChatResponse::text).unwrap_or_default()
    }

    /// Whether the model stopped of itself.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.ending, Ending::Finished)
    }

    /// What all turns used, one that failed included as far as it is known. [`Partial`](UsageSource::Partial) where one of
    /// them did not say; `None` where none did.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let mut sum: Option<Usage> = None;
        let mut silent = false;
        for response in self.responses() {
            match (&response.usage, &mut sum) {
                (Some(usage), Some(sum)) => sum.add(usage),
                (Some(usage), None) => sum = Some(*usage),
                (None, _) => silent = true,
            }
        }
        let partial = |usage: Usage| match usage.source {
            UsageSource::Reported if silent => Usage { source: UsageSource::Partial, ..usage },
            _ => usage,
        };
        sum.map(partial)
    }

    /// What all turns cost in US dollars. `None` where that of any turn is not known, which is not nothing, and where
    /// nothing was answered.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        let mut costs = self
            .responses()
            .map(|response| response.cost.as_ref().map(|Cost { total, .. }| *total))
            .peekable();
        costs.peek()?;
        costs.sum()
    }

    /// Every answer, and what came of one that failed.
    fn responses(&self) -> impl Iterator<Item = &ChatResponse> {
        let broken = match &self.ending {
            Ending::Failed(error) => error.partial(),
            _ => None,
        };
        self.turns.iter().map(|turn| &turn.response).chain(broken)
    }
}

/// A loop that failed: the error, and what was done before it.
#[derive(Clone, Debug)]
pub struct ToolLoopError(Box<Failed>);

#[derive(Clone, Debug)]
struct Failed {
    run: ToolRun,
    error: Error,
}

impl ToolLoopError {
    pub(super) fn new(messages: Vec<Message>, turns: Vec<Turn>, error: Error) -> Self {
        let ending = Ending::Failed(error.clone());
        Self(Box::new(Failed { run: ToolRun { messages, turns, ending }, error }))
    }

    /// What went wrong.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// What was done before: the conversation can be sent again.
    #[must_use]
    pub fn run(&self) -> &ToolRun {
        &self.0.run
    }

    /// [`run`](Self::run), by value.
    #[must_use]
    pub fn into_run(self) -> ToolRun {
        self.0.run
    }
}

impl fmt::Display for ToolLoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the loop of tools failed after {} answers", self.0.run.turns.len())
    }
}

impl std::error::Error for ToolLoopError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.error)
    }
}

impl From<ToolLoopError> for Error {
    fn from(failed: ToolLoopError) -> Self {
        failed.0.error
    }
}
