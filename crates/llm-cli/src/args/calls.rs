//! The flags of the commands that make a call or two.

use clap::Args;

use super::{Model, Question, Talk, Thinking};
use crate::amount::{not_negative, span};

/// Whether to show the model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reasoning {
    /// On stderr, beside the answer.
    Show,
    /// Not at all.
    Hide,
    /// On stderr, and no answer.
    Only,
}

fn display(text: &str) -> Result<Reasoning, String> {
    match text {
        "show" => Ok(Reasoning::Show),
        "hide" => Ok(Reasoning::Hide),
        "only" => Ok(Reasoning::Only),
        _ => Err("show, hide or only; how much the model thinks is --thinking".to_owned()),
    }
}

/// `llm ask`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Files, then stdin, then the prompt make one message, a blank line between them.\n\n",
    "A tool in --tools may have a program: \"run\": [\"./weather.sh\", \"--now\"]. When the model calls it,\n",
    "it is run here, by no shell and with your environment: the arguments as JSON on stdin, the result on\n",
    "stdout (at most 256 KiB), an exit code above 0 a failure that the model is told. Calls of a tool\n",
    "without one are shown on stderr and in --json.\n\n",
    "Examples:\n",
    "  llm ask \"Explain this\" -f src/main.rs\n",
    "  git log -5 | llm \"Summarise\" --max-tokens 200\n",
    "  llm ask -m local/big --json \"2+2?\" | jq .usage\n",
    "  llm ask --thinking high --reasoning show \"Is 2^31-1 prime?\"\n",
    "  llm ask --dry-run -m acme/small \"hi\"          what would be sent, and where to\n",
    "  llm ask --tools tools.json \"Will it rain in Paris?\"\n",
    "  llm ask --json \"Hello\" > talk.json; llm ask --messages talk.json \"And now in French\"\n",
    "  while read q; do llm --no-stdin \"$q\"; done < questions.txt\n\n",
    "Exit codes: 0 done, 1 internal fault, 2 usage or configuration, 3 model or file not found,\n",
    "  4 key missing or refused or no credit, 6 try again later (network, time-out, 429, 5xx),\n",
    "  8 file I/O, 11 refused by the server, 13 --max-turns reached, 130 interrupted, 141 output closed",
))]
pub struct Ask {
    /// What is asked.
    #[command(flatten)]
    pub question: Question,
    /// Randomness, 0 to 2 at most providers
    #[arg(short, long, value_name = "X", value_parser = not_negative, allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// The most tokens to write
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_tokens: Option<u64>,
    /// How much the model thinks before it answers.
    #[command(flatten)]
    pub thinking: Thinking,
    /// Show the answer as it is written (the default)
    #[arg(long, overrides_with = "no_stream")]
    pub stream: bool,
    /// Wait for the whole answer
    #[arg(long)]
    pub no_stream: bool,
    /// Print one JSON object: text, reasoning, tool calls, usage, cost, attempts, messages, error
    #[arg(long)]
    pub json: bool,
    /// Print the request as it would be sent, keys left out, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The same, as a `curl` command that takes the key from its variable
    #[arg(long, conflicts_with = "json")]
    pub curl: bool,
    /// Display only: what the model thought goes to stderr: show, hide, or only it and no answer [default: show on a
    /// terminal]. How much it thinks is --thinking
    #[arg(
        long,
        value_name = "HOW",
        value_parser = display,
        env = "LLM_RS_REASONING",
        hide_env_values = true
    )]
    pub reasoning: Option<Reasoning>,
    /// Where tools have programs: how often the model is asked at most
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_turns: u32,
    /// Where tools have programs: how long one may run
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub tool_timeout: std::time::Duration,
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
    "Lists that come in pages are read to their end.\n\n",
    "Examples:\n",
    "  llm models --provider acme\n",
    "  llm models --base-url http://127.0.0.1:8000/v1 --json\n\n",
    "Exit codes: 0 done, 2 usage, 3 not found or no list there, 4 key, 6 try again later",
))]
pub struct Models {
    /// The provider whose server to ask, configured or built in, or one of its models
    #[arg(short = 'n', long, visible_alias = "name", value_name = "NAME", conflicts_with = "model")]
    pub provider: Option<String>,
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

/// `llm count`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "The server is asked where its format counts, and nothing is answered. Else it is a guess, and said to be one:\n",
    "four bytes a token, 4 more for each message, 1500 for each picture, sound or document.\n\n",
    "Examples:\n",
    "  llm count -m acme/small -f report.md\n",
    "  git diff | llm count --estimate\n",
    "  llm count --messages talk.json --json | jq .input_tokens\n\n",
    "Exit codes: 0 done, 2 usage, 3 model or file not found, 4 key, 6 try again later, 8 file I/O, 11 refused",
))]
pub struct Count {
    /// What is counted.
    #[command(flatten)]
    pub question: Question,
    /// Guess, and ask nobody
    #[arg(long)]
    pub estimate: bool,
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
