//! The command line, as clap reads it. What a flag does stands in the command's own file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use llm_batch::MaxFailures;

use crate::amount::{Delay, not_negative, share, span};
use crate::term::{ErrorForm, colour};

const ABOUT: &str = "Ask any large language model: one prompt or ten million.";

const EXAMPLES: &str = "\
Examples:
  llm \"What is backpressure?\"
  git diff | llm -m acme/small \"Write a commit message\"
  llm batch questions.jsonl -o answers.jsonl -m local/big
  llm -m mock/echo \"no key, no network\"
A word that is no command begins a prompt; `llm -- WORD` makes any word one.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "llm", version, about = ABOUT, after_help = EXAMPLES, disable_version_flag = true)]
pub struct Cli {
    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands. Each has a file of its name in `commands/`.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value a process")]
pub enum Command {
    /// Ask one question; the default command
    Ask(Ask),
    /// Send every row of a file, and go on where a stopped run left off
    Batch(Batch),
    /// List the models that a server offers
    Models(Models),
    /// List what is configured
    List(List),
    /// See whether a model can be used: its server's list, then one short chat
    Test(Test),
    /// Run a server that answers like the big ones, for tests and trials
    Mock(Mock),
    /// Print the version
    Version(Version),
}

/// How the command itself talks.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Talk {
    /// Say more on stderr: requests and timings; -vv headers without keys; -vvv bodies, prompts and answers included
    #[arg(short, long, action = clap::ArgAction::Count, env = "LLM_RS_VERBOSE", hide_env_values = true)]
    pub verbose: u8,
    /// How to write an error to stderr: lines, or one JSON object
    #[arg(
        long,
        value_name = "FORM",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        env = "LLM_RS_ERRORS",
        hide_env_values = true,
        help = "How to write an error to stderr: text or json"
    )]
    pub errors: ErrorForm,
    /// When to colour stderr
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        env = "LLM_RS_COLOR",
        hide_env_values = true,
        help = "When to use colour: auto, always or never"
    )]
    pub color: colour::Choice,
}

/// Which model to call, and how. The loader of the configuration reads the variables, because it must know a flag
/// from a variable: a key in a variable is not meant for every provider that `-m` may name.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Model")]
pub struct Model {
    /// The model: provider/model, a configured name, or an alias [env: LLM_RS_MODEL]
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    /// The address of the API, with or without its version [env: LLM_RS_BASE_URL]
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The key. Other users of this machine can see it: prefer the variable [env: LLM_RS_API_KEY]
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// How often to try again after a failed attempt [env: LLM_RS_MAX_RETRIES] [default: 3]
    #[arg(long, value_name = "N")]
    pub max_retries: Option<u32>,
    /// The configuration file to use in place of the usual ones [env: LLM_RS_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set any setting, such as idle_timeout_secs=30 [env: LLM_RS_<KEY>]
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub settings: Vec<(String, String)>,
}

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

/// `llm batch`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Batch {
    /// `run` or `verify`; `run` when neither is named.
    #[command(subcommand)]
    pub action: Option<BatchAction>,
    /// The run.
    #[command(flatten)]
    pub run: BatchRun,
}

/// What to do with a batch.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value a process")]
pub enum BatchAction {
    /// Send the rows (the default)
    Run(BatchRun),
    /// Check an output against its input: every row once, every line whole
    Verify(BatchVerify),
}

/// What to do with stored rows when the job has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnChange {
    /// Say what differs and send nothing.
    #[default]
    Refuse,
    /// Ask every row again.
    Redo,
    /// Keep the answers there are.
    Keep,
}

/// What of the messages the records keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SaveInput {
    /// All messages as sent.
    #[default]
    Full,
    /// The text of the last user message.
    Last,
    /// Nothing.
    None,
}

/// `llm batch run`.
#[derive(Debug, Args)]
#[command(
    after_help = concat!(
        "A row has messages, instruction (and input), or q, question or prompt, or custom_id and body;\n",
        "each is looked at by itself. After a stop the same command goes on, and pays nothing twice.\n\n",
        "Examples:\n",
        "  llm batch questions.jsonl -o answers.jsonl -m local/big -c 64\n",
        "  llm batch questions.jsonl -n 5                 try the first five rows\n",
        "  zcat q.jsonl.gz | llm batch - -o answers.jsonl\n",
        "  llm batch verify questions.jsonl answers.jsonl\n\n",
        "Exit codes: 0 every row answered, 2 usage or input, 3 not found, 4 key refused or no credit,\n",
        "  5 the output is another job's or in use, 6 server out of reach, 8 file I/O, 9 more rows failed\n",
        "  than --max-failures, 11 refused, 13 deadline; 130, 143, 129 stopped by a signal",
    ),
)]
pub struct BatchRun {
    /// The rows, one JSON object a line; `-` reads stdin
    #[arg(value_name = "IN")]
    pub input: Option<PathBuf>,
    /// Where the records go [default: IN without its ending, .output.jsonl]
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// The most rows in flight
    #[arg(short, long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..), env = "LLM_RS_CONCURRENCY", hide_env_values = true)]
    pub concurrency: u32,
    /// The system prompt of rows that have none
    #[arg(short, long, value_name = "TEXT", env = "LLM_RS_SYSTEM", hide_env_values = true)]
    pub system: Option<String>,
    /// Randomness, 0 to 2 at most providers
    #[arg(short, long, value_name = "X", value_parser = not_negative, allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// The most tokens to write for a row
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_tokens: Option<u64>,
    /// Only the first N rows
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<u64>,
    /// Stop at a row that cannot be read, before anything is sent for it
    #[arg(long)]
    pub strict: bool,
    /// When the output was made with another model, system prompt or parameters: refuse, redo or keep
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, hide_possible_values = true)]
    pub on_change: OnChange,
    /// Try every failed row again, not only those that failed for the moment
    #[arg(long)]
    pub retry_failed: bool,
    /// Leave the records in the order in which they came
    #[arg(long)]
    pub unordered: bool,
    /// How many rows may fail for exit code 0: a number, or a share such as 5%
    #[arg(long, value_name = "N|P%", default_value = "0")]
    pub max_failures: MaxFailures,
    /// How long to wait for a server that cannot be reached, such as 90s, 15m, 2h
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = span)]
    pub max_outage: std::time::Duration,
    /// Stop after this time; run again to go on
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub deadline: Option<std::time::Duration>,
    /// The field that names a row; it comes back as `id`
    #[arg(long, value_name = "FIELD")]
    pub id_field: Option<String>,
    /// A text around each row's last user message; {content} stands for it
    #[arg(long, value_name = "TEXT")]
    pub user_template: Option<String>,
    /// A field of a row's body to send besides the usual ones; may be repeated
    #[arg(long = "body-field", value_name = "FIELD")]
    pub body_fields: Vec<String>,
    /// What of the messages the records keep: full, last or none
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, hide_possible_values = true)]
    pub save_input: SaveInput,
    /// Progress on stderr: none, plain, bar or json [default: bar on a terminal, else plain]
    #[arg(
        long,
        value_name = "FORM",
        value_enum,
        hide_possible_values = true,
        env = "LLM_RS_PROGRESS",
        hide_env_values = true
    )]
    pub progress: Option<crate::progress::Form>,
    /// Print the summary as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// The model.
    #[command(flatten)]
    pub model: Model,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm batch verify`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  llm batch verify questions.jsonl answers.jsonl\n\n",
    "Exit codes: 0 whole, 3 not found, 8 cannot be read, 9 something is missing, twice or torn",
))]
pub struct BatchVerify {
    /// The rows
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The records
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// The field that names a row, as in the run
    #[arg(long, value_name = "FIELD")]
    pub id_field: Option<String>,
    /// A field of a row's body that was sent besides the usual ones, as in the run
    #[arg(long = "body-field", value_name = "FIELD")]
    pub body_fields: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
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

/// `llm list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llm list\n  llm list --json | jq -r '.models[].name'\n\nExit codes: 0 done, 2 the configuration is wrong, 3 the named file is not there"
)]
pub struct List {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The configuration file to use in place of the usual ones [env: LLM_RS_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
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

/// `llm mock`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Without --script it answers with what was asked. A script holds one JSON reply a line, the last one repeated.\n\n",
    "Examples:\n",
    "  llm mock -p 0 --rps 10 --error-rate 0.1\n",
    "  llm mock --script replies.jsonl --log requests.jsonl\n",
    "  llm --base-url http://127.0.0.1:8001/v1 -m any \"hello\"\n\n",
    "Exit codes: 0 never (it runs until a signal: 130, 143, 129), 2 usage, 3 no such script, 8 cannot listen",
))]
pub struct Mock {
    /// The port; 0 takes a free one
    #[arg(short, long, value_name = "PORT", default_value_t = 8001)]
    pub port: u16,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// Wait before each answer, in seconds: one number, or a range such as 0.1-0.5
    #[arg(short, long, value_name = "SECS", default_value = "0")]
    pub delay: Delay,
    /// Answer 429 above this many requests in a second; 0 for no limit
    #[arg(long, value_name = "N", value_parser = not_negative)]
    pub rps: Option<f64>,
    /// Stream this many tokens in a second; 0 for all at once
    #[arg(long, value_name = "N", value_parser = not_negative)]
    pub token_rate: Option<f64>,
    /// The share of requests to answer with a server fault, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub error_rate: f64,
    /// Write every request to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Answer from this file
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm version`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  llm version --json\n\nExit codes: 0")]
pub struct Version {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

impl Command {
    /// How the command talks.
    #[must_use]
    pub const fn talk(&self) -> &Talk {
        match self {
            Self::Ask(Ask { talk, .. })
            | Self::Models(Models { talk, .. })
            | Self::List(List { talk, .. })
            | Self::Test(Test { talk, .. })
            | Self::Mock(Mock { talk, .. })
            | Self::Version(Version { talk, .. })
            | Self::Batch(
                Batch { action: Some(BatchAction::Verify(BatchVerify { talk, .. })), .. }
                | Batch { action: Some(BatchAction::Run(BatchRun { talk, .. })), .. }
                | Batch { action: None, run: BatchRun { talk, .. } },
            ) => talk,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a setting is written key=value")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
