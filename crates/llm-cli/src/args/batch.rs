//! The flags of the batch commands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use llm_batch::MaxFailures;
use llm_types::{Money, Price};

use super::{Model, Talk, Thinking};
use crate::amount::{not_negative, span};

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
        "  llm batch questions.jsonl --dry-run            look first, and send nothing\n",
        "  llm batch questions.jsonl --max-cost 2.50 --price 0.15/0.60\n",
        "  zcat q.jsonl.gz | llm batch - -o answers.jsonl\n",
        "  llm batch verify questions.jsonl answers.jsonl\n\n",
        "Exit codes: 0 every row answered, 2 usage or input, 3 not found, 4 key refused or no credit,\n",
        "  5 the output is another job's or in use, 6 server out of reach, 8 file I/O, 9 more rows failed\n",
        "  than --max-failures, 11 refused, 13 deadline or budget; 130, 143, 129 stopped by a signal",
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
    /// How much the model thinks before it answers a row.
    #[command(flatten)]
    pub thinking: Thinking,
    /// Only the first N rows
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<u64>,
    /// Print what a run would do and its first row as it would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
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
    /// Stop before this run costs more, in US dollars; run again to go on. It bounds this run, not those before it
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<Money>,
    /// Stop before this run uses more tokens, read and written; run again to go on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_total_tokens: Option<u64>,
    /// What a million tokens cost, read and written, such as 0.15/0.60 [default: the model's `price` in the configuration, else the table of `llm price`]
    #[arg(long, value_name = "IN/OUT")]
    pub price: Option<Price>,
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
    /// Serve the run's figures to Prometheus at http://ADDR/metrics, such as 127.0.0.1:9464
    #[cfg(feature = "prometheus")]
    #[arg(long, value_name = "ADDR")]
    pub metrics_addr: Option<std::net::SocketAddr>,
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
