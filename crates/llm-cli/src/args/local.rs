//! The flags of the commands that call nobody.

use std::path::PathBuf;

use clap::Args;

use super::Talk;
use crate::amount::{Delay, not_negative, share};

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
