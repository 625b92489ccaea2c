//! The flags that say what is asked of a model, and how hard it shall think.

use std::path::PathBuf;

use clap::Args;
use llm_types::ReasoningSetting;

use crate::amount::thinking;

/// What is asked: words, files, stdin, the conversation so far, the tools.
#[derive(Debug, Args)]
pub struct Question {
    /// The prompt; its words are joined. `-` reads stdin, also from a terminal
    #[arg(value_name = "PROMPT")]
    pub prompt: Vec<String>,
    /// A text file to send along, fenced under its name; may be repeated
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What the model shall be or do
    #[arg(short, long, value_name = "TEXT", env = "LLM_RS_SYSTEM", hide_env_values = true)]
    pub system: Option<String>,
    /// Leave stdin unread
    #[arg(long)]
    pub no_stdin: bool,
    /// The conversation so far, before the prompt: a JSON list of messages, or an object that holds it, such as what
    /// `ask --json` prints; `-` reads stdin
    #[arg(long, value_name = "FILE")]
    pub messages: Option<PathBuf>,
    /// Tools that the model may call: a JSON list, or an object with `tools` and `tool_choice`
    #[arg(long, value_name = "FILE")]
    pub tools: Option<PathBuf>,
}

/// How much to think. No other flag does that: `--reasoning` is about what is shown.
#[derive(Clone, Debug, Args)]
pub struct Thinking {
    /// How much the model thinks: off, minimal, low, medium, high, xhigh, max, on, or a number of tokens such as 8000.
    /// What a model cannot be told is a warning
    #[arg(
        long = "thinking",
        visible_alias = "reasoning-effort",
        value_name = "LEVEL",
        value_parser = thinking,
        allow_negative_numbers = true,
        env = "LLM_RS_THINKING",
        hide_env_values = true
    )]
    pub level: Option<ReasoningSetting>,
}
