//! The flags of the commands that make a call or two.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Model, Talk};
use crate::amount::{not_negative, span};

/// Whether to show the model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reasoning {
    /// On stderr, beside the answer.
    Show,
    /// Not at all.
    Hide,
    /// On stderr, and no answer.
    Only,
}

/// `llm ask`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Files, then stdin, then the prompt make one message, a blank line between them.\n\n",
    "Examples:\n",
    "  llm ask \"Explain this\" -f src/main.rs\n",
    "  git log -5 | llm \"Summarise\" --max-tokens 200\n",
    "  llm ask -m local/big --json \"2+2?\" | jq .usage\n",
    "  while read q; do llm --no-stdin \"$q\"; done < questions.txt\n\n",
    "Exit codes: 0 done, 1 internal fault, 2 usage or configuration, 3 model or file not found,\n",
    "  4 key missing or refused or no credit, 6 try again later (network, time-out, 429, 5xx),\n",
    "  8 file I/O, 11 refused by the server, 130 interrupted, 141 output closed",
))]
pub struct Ask {
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
    /// Randomness, 0 to 2 at most providers
    #[arg(short, long, value_name = "X", value_parser = not_negative, allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// The most tokens to write
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_tokens: Option<u64>,
    /// Show the answer as it is written (the default)
    #[arg(long, overrides_with = "no_stream")]
    pub stream: bool,
    /// Wait for the whole answer
    #[arg(long)]
    pub no_stream: bool,
    /// Print one JSON object: text, reasoning, usage, timings, attempts, error
    #[arg(long)]
    pub json: bool,
    /// The model's reasoning on stderr: show, hide, or only it [default: show on a terminal]
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        hide_possible_values = true,
        env = "LLM_RS_REASONING",
        hide_env_values = true
    )]
    pub reasoning: Option<Reasoning>,
    /// A line of figures on stderr at the end: tokens, time, cost
    #[arg(long)]
    pub usage: bool,
    /// The model.
    #[command(flatten)]
    pub model: Model,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm models`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  llm models -n acme\n",
    "  llm models --base-url http://127.0.0.1:8000/v1 --json\n\n",
    "Exit codes: 0 done, 2 usage, 3 not found or no list there, 4 key, 6 try again later",
))]
pub struct Models {
    /// A configured provider or model whose server to ask
    #[arg(short, long, value_name = "NAME", conflicts_with = "model")]
    pub name: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The model.
    #[command(flatten)]
    pub model: Model,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm test`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  llm test\n",
    "  llm test -m acme/small --timeout 10s\n\n",
    "Exit codes: 0 the model answers, 2 usage, 3 model not found, 4 key, 6 out of reach, 11 refused",
))]
pub struct Test {
    /// What to say to the model
    #[arg(long, value_name = "TEXT", default_value = "Reply with the word OK.")]
    pub message: String,
    /// The longest either step may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span)]
    pub timeout: std::time::Duration,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The model.
    #[command(flatten)]
    pub model: Model,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}
