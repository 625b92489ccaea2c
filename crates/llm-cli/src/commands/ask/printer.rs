//! What comes of an answer, on its way out: text to the standard output, reasoning to the standard error.

use std::sync::Arc;
use std::time::Instant;

use llm_types::StreamEvent;

use crate::args::{Ask, Reasoning};
use crate::failure::Failure;
use crate::term::safe::Safe;
use crate::term::{self, Answer, Term};

/// Sends text to the standard output and reasoning to the standard error.
pub(super) struct Printer {
    pub(super) answer: Answer<std::io::Stdout>,
    term: Arc<Term>,
    shows_text: bool,
    shows_reasoning: bool,
    reasoning: Safe,
    /// Reasoning was written, and its line is not ended.
    in_reasoning: bool,
    /// The model spoke before it called tools, and what it says next begins a paragraph.
    in_gap: bool,
}

impl Printer {
    pub(super) fn new(args: &Ask, term: Arc<Term>) -> Self {
        let reasoning = args.reasoning.unwrap_or(match term.err_is_terminal && !args.json {
            true => Reasoning::Show,
            false => Reasoning::Hide,
        });
        Self {
            answer: Answer::new(std::io::stdout(), term.out_is_terminal),
            shows_text: !args.json && reasoning != Reasoning::Only,
            shows_reasoning: reasoning != Reasoning::Hide,
            reasoning: Safe::new(),
            in_reasoning: false,
            in_gap: false,
            term,
        }
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        if text.is_empty() || !self.shows_text {
            return Ok(());
        }
        self.end_reasoning();
        if std::mem::take(&mut self.in_gap) {
            let gap = if self.answer.ends_line() { "\n" } else { "\n\n" };
            self.answer.push(gap, Instant::now()).map_err(|e| term::out_failed(&e))?;
        }
        self.answer.push(text, Instant::now()).map_err(|e| term::out_failed(&e))
    }

    /// Prints what an event brings.
    pub(super) fn event(&mut self, event: &StreamEvent) -> Result<(), Failure> {
        match event {
            StreamEvent::Text { choice: 0, text } => self.text(text)?,
            StreamEvent::Reasoning { choice: 0, text } => self.reasoning(text),
            StreamEvent::ReasoningBlock { choice: 0, block } => self.reasoning(&block.text),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.answer.flush().map_err(|e| term::out_failed(&e))
    }

    pub(super) fn reasoning(&mut self, text: &str) {
        if text.is_empty() || !self.shows_reasoning {
            return;
        }
        let mut shown = String::new();
        self.reasoning.push(text, &mut shown);
        self.in_reasoning = true;
        self.term.err(&self.term.dim(&shown));
    }

    /// The model stops speaking to call tools: what is said about them has lines of its own.
    pub(super) fn pause(&mut self) -> Result<(), Failure> {
        self.in_gap = !self.answer.is_empty();
        if std::mem::take(&mut self.in_reasoning) {
            self.term.err("\n");
        }
        if self.term.out_is_terminal && self.in_gap && !self.answer.ends_line() {
            self.answer.push("\n", Instant::now()).map_err(|e| term::out_failed(&e))?;
        }
        self.flush()
    }

    /// The answer begins on a line of its own.
    fn end_reasoning(&mut self) {
        if std::mem::take(&mut self.in_reasoning) {
            self.term.err("\n\n");
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.in_reasoning) {
            self.term.err("\n");
        }
        self.answer.finish().map_err(|e| term::out_failed(&e))
    }
}
