//! The command line, as clap reads it. What a flag does stands in the command's own file.

mod batch;
mod calls;
mod config;
mod local;
mod price;
mod question;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::batch::{Batch, BatchAction, BatchRun, BatchVerify, OnChange, SaveInput};
pub use self::calls::{Ask, Count, Models, Reasoning, Test};
pub use self::config::{
    Config, ConfigAction, ConfigCheck, ConfigEdit, ConfigPath, ConfigShow, Init, Keys, KeysAction, KeysList,
    KeysPath, KeysRm, KeysSet, KeysTest, SetModel,
};
pub use self::local::{List, Mock, Version};
pub use self::price::Price;
pub use self::question::{Question, Thinking};
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
    /// Count the tokens that a prompt is read as
    Count(Count),
    /// List what is configured
    List(List),
    /// Say what a model costs, and what a call would
    Price(Price),
    /// See whether a model can be used: its server's list, then one short chat
    Test(Test),
    /// Write a configuration file that explains itself
    Init(Init),
    /// Make a model the default one
    SetModel(SetModel),
    /// Show, check, find or edit the configuration
    Config(Config),
    /// List, test or keep the providers' keys
    Keys(Keys),
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
    /// Any setting, as in a file.
    #[arg(
        long = "set",
        value_name = "KEY=VALUE",
        value_parser = key_value,
        help = "Set any setting, such as idle_timeout_secs=30 [env: LLM_RS_<KEY>]"
    )]
    pub settings: Vec<(String, String)>,
}

impl Command {
    /// How the command talks.
    #[must_use]
    pub const fn talk(&self) -> &Talk {
        match self {
            Self::Ask(Ask { talk, .. })
            | Self::Models(Models { talk, .. })
            | Self::Count(Count { talk, .. })
            | Self::List(List { talk, .. })
            | Self::Price(Price { talk, .. })
            | Self::Test(Test { talk, .. })
            | Self::Mock(Mock { talk, .. })
            | Self::Version(Version { talk, .. })
            | Self::Init(Init { talk, .. })
            | Self::SetModel(SetModel { talk, .. })
            | Self::Batch(
                Batch { action: Some(BatchAction::Verify(BatchVerify { talk, .. })), .. }
                | Batch { action: Some(BatchAction::Run(BatchRun { talk, .. })), .. }
                | Batch { action: None, run: BatchRun { talk, .. } },
            ) => talk,
            Self::Config(config) => config.talk(),
            Self::Keys(keys) => keys.talk(),
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a setting is written key=value")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
